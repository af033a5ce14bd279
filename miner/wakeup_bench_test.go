package miner

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// BenchmarkWakeup takes how late a goroutine is that sleeps for a millisecond, while
// the miner is on all cores: assembly cannot be interrupted, but its calls are short.
//
//	go test ./miner -run xxx -bench Wakeup -benchtime 5000x
func BenchmarkWakeup(b *testing.B) {
	const hard = 0x1b00ffff
	p := consensus.Regtest()
	p.Name, p.StartBits, p.PowLimitBits = "hard", 0x207fffff, 0x207fffff
	if err := p.Init(); err != nil {
		b.Fatal(err)
	}
	template, err := NewTemplate(p, consensus.NewTree(p).Genesis(), time.Now(), nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	template.Bits = hard
	template.Target, _, _ = consensus.CompactToTarget(hard)
	q := &quarry{template: template, found: func(*consensus.Block) {}}
	ctx, stop := context.WithCancel(b.Context())
	var mining sync.WaitGroup
	mining.Go(func() { _ = New(Config{Payout: payout}, q).Run(ctx) })
	late := make([]time.Duration, 0, b.N)
	for b.Loop() {
		const nap = time.Millisecond
		began := time.Now()
		time.Sleep(nap)
		late = append(late, time.Since(began)-nap)
	}
	stop()
	mining.Wait()
	slices.Sort(late)
	ms := func(p float64) float64 { return float64(late[int(p*float64(len(late)-1))]) / 1e6 }
	b.ReportMetric(ms(0.5), "p50-ms")
	b.ReportMetric(ms(0.99), "p99-ms")
	b.ReportMetric(ms(1), "max-ms")
	b.ReportMetric(0, "ns/op")
}
