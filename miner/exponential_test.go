package miner

import (
	"context"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/sha256d"
)

// quarry is a Source that has the same work for ever, and takes every block.
type quarry struct {
	template *Template
	mu       sync.Mutex
	found    func(*consensus.Block)
}

func (q *quarry) Template() (*Template, error)         { return q.template, nil }
func (q *quarry) Stale(consensus.Hash) <-chan struct{} { return nil }

func (q *quarry) Wait(ctx context.Context, _ consensus.Hash) { <-ctx.Done() }
func (q *quarry) Submit(b *consensus.Block) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.found(b)
	return nil
}

// notExponential is Stephens' statistic for the Kolmogorov-Smirnov test of an
// exponential distribution whose mean is that of the sample (Journal of the Royal
// Statistical Society B 32, 1970): above 1.094 in 5 % of samples, above 1.308 in 1 %.
func notExponential(sample []float64) float64 {
	sorted := slices.Sorted(slices.Values(sample))
	var mean float64
	for _, x := range sorted {
		mean += x / float64(len(sorted))
	}
	n, most := float64(len(sorted)), 0.0
	for i, x := range sorted {
		f := 1 - math.Exp(-x/mean)
		most = max(most, f-float64(i)/n, float64(i+1)/n-f)
	}
	return (most - 0.2/n) * (math.Sqrt(n) + 0.26 + 0.5/math.Sqrt(n))
}

// A miner with a limit finds blocks as a slower machine would: hashes per find, and
// times between finds, are exponentially distributed, and as many as the rate pays
// for. Work and extranonces are always the same ones, and so is the outcome.
func TestLimitedMinerFindsAtRandom(t *testing.T) {
	const (
		rate  = 8192.0 // hashes a second
		bits  = 0x1f07ffff
		finds = 400
	)
	for name, threads := range map[string]int{"one thread": 1, "three threads": 3} {
		synctest.Test(t, func(t *testing.T) {
			p := network(t, func(p *consensus.Params) { p.StartBits, p.PowLimitBits = bits, bits })
			template, err := NewTemplate(p, consensus.NewTree(p).Genesis(), time.Now(), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			q := &quarry{template: template}
			m := New(Config{Threads: threads, MaxHashrate: rate, Payout: payout, Kernel: sha256d.Stdlib{}, Blocks: finds}, q)
			m.extranonce.Store(1)
			var times, hashes []float64
			began := time.Now()
			last, before := began, uint64(0)
			q.found = func(*consensus.Block) {
				now, done := time.Now(), m.Stats().Hashes
				times = append(times, now.Sub(last).Seconds())
				hashes = append(hashes, float64(done-before))
				last, before = now, done
			}
			if err := m.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			for what, sample := range map[string][]float64{"hashes per find": hashes, "times between finds": times} {
				if d := notExponential(sample); d > 1.308 {
					t.Errorf("%s: %s are not exponentially distributed: %.3f", name, what, d)
				}
			}
			s := m.Stats()
			if got := float64(s.Hashes) / last.Sub(began).Seconds(); math.Abs(got/rate-1) > 0.03 {
				t.Errorf("%s: %.0f hashes a second, the limit is %.0f", name, got, rate)
			}
			if math.Abs(s.Luck-1) > 4/math.Sqrt(finds) {
				t.Errorf("%s: luck %.3f", name, s.Luck)
			}
		})
	}
}

// The test can fail: equal distances, and twice as many short ones, are noticed.
func TestNotExponential(t *testing.T) {
	equal := slices.Repeat([]float64{1}, 400)
	uniform, good := make([]float64, 400), make([]float64, 400)
	for i := range uniform {
		u := (float64(i) + 0.5) / 400
		uniform[i], good[i] = u, -math.Log(u)
	}
	if a, b, c := notExponential(equal), notExponential(uniform), notExponential(good); a < 1.308 || b < 1.308 || c > 0.2 {
		t.Errorf("equal %.3f, uniform %.3f, exponential %.3f", a, b, c)
	}
}
