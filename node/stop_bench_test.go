package node_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/internal/sha256d"
	"github.com/kapok-chain/kapok/miner"
	"github.com/kapok-chain/kapok/node"
)

// blind is a kernel that does its work and keeps what it finds to itself, so that
// all blocks are somebody else's. It remembers when each parent was last worked on.
type blind struct {
	sha256d.Kernel
	mu    *sync.Mutex
	ended map[consensus.Hash]time.Time
	begun map[consensus.Hash]int // searches
}

func (k blind) Search(w *sha256d.Work, start, n uint32, hits []sha256d.Hit) (int, uint32) {
	header := w.Header(sha256d.Hit{})
	parent := consensus.Hash(header[4:36])
	k.mu.Lock()
	k.begun[parent]++
	k.mu.Unlock()
	_, tried := k.Kernel.Search(w.WithTop(0), start, n, hits)
	k.mu.Lock()
	k.ended[parent] = time.Now()
	k.mu.Unlock()
	return 0, tried
}

// BenchmarkNewTipStopsOldWork submits a block to a node that mines on all cores, and
// takes the time from the call to the end of the last search on the block before:
//
//	go test ./node -run xxx -bench StopsOldWork -benchtime 10000x
func BenchmarkNewTipStopsOldWork(b *testing.B) {
	chain := chaintest.New(b, consensus.Regtest())
	chain.Grow(fmt.Sprintf("genesis - a1..a%d", b.N))
	service, err := node.Open(node.ServiceConfig{Params: chain.Params, DataDir: b.TempDir(), Agent: "/bench/", Version: "0", Lean: true, DisableQUIC: true})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		if err := service.Run(ctx); err != nil {
			b.Error(err)
		}
	})
	kernel := blind{sha256d.Best(), new(sync.Mutex), make(map[consensus.Hash]time.Time), make(map[consensus.Hash]int)}
	threads := runtime.GOMAXPROCS(0)
	m := miner.New(miner.Config{Threads: threads, Payout: consensus.PayToKey([32]byte{1}), Kernel: kernel}, service.Source())
	all.Go(func() {
		if err := m.Run(ctx); err != nil {
			b.Error(err)
		}
	})
	at := func(parent consensus.Hash) (searches int, ended time.Time) {
		kernel.mu.Lock()
		defer kernel.mu.Unlock()
		return kernel.begun[parent], kernel.ended[parent]
	}
	var took, calls []time.Duration // until the last search ended; of SubmitBlock
	parent := chain.Params.GenesisHash()
	for i := range b.N {
		for searches := 0; searches < 2*threads; searches, _ = at(parent) { // all are at work
			time.Sleep(100 * time.Microsecond)
		}
		block := chain.Block(fmt.Sprint("a", i+1))
		submitted := time.Now()
		if _, err := service.Runner.SubmitBlock(ctx, block); err != nil {
			b.Fatal(err)
		}
		calls = append(calls, time.Since(submitted))
		old := parent
		parent = block.Hash()
		for searches := 0; searches < 2*threads; searches, _ = at(parent) { // none is left behind
			time.Sleep(100 * time.Microsecond)
		}
		_, ended := at(old)
		took = append(took, max(0, ended.Sub(submitted)))
	}
	stop()
	all.Wait()
	report := func(what string, times []time.Duration) {
		slices.Sort(times)
		ms := func(p float64) float64 { return float64(times[int(p*float64(len(times)-1))]) / 1e6 }
		b.ReportMetric(ms(0.5), what+"p50-ms")
		b.ReportMetric(ms(0.99), what+"p99-ms")
		b.ReportMetric(ms(1), what+"max-ms")
	}
	report("", took)
	report("call-", calls)
	b.ReportMetric(0, "ns/op")
}
