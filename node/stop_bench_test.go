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
	"github.com/kapok-chain/kapok/p2p"
)

// blind is a kernel that does its work and keeps what it finds to itself, so that
// all blocks are somebody else's. It remembers how many searches there were on each
// parent, and when the last one ended.
type blind struct {
	sha256d.Kernel
	mu    sync.Mutex
	begin *sync.Cond // of a search
	begun map[consensus.Hash]int
	ended map[consensus.Hash]time.Time
}

func newBlind(k sha256d.Kernel) *blind {
	b := &blind{Kernel: k, begun: make(map[consensus.Hash]int), ended: make(map[consensus.Hash]time.Time)}
	b.begin = sync.NewCond(&b.mu)
	return b
}

func (k *blind) Search(w *sha256d.Work, start, n uint32, hits []sha256d.Hit) (int, uint32) {
	header := w.Header(sha256d.Hit{})
	parent := consensus.Hash(header[4:36])
	k.mu.Lock()
	k.begun[parent]++
	k.mu.Unlock()
	k.begin.Signal()
	_, tried := k.Kernel.Search(w.WithTop(0), start, n, hits)
	k.mu.Lock()
	k.ended[parent] = time.Now()
	k.mu.Unlock()
	return 0, tried
}

// await waits for so many searches on a parent.
func (k *blind) await(parent consensus.Hash, searches int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for k.begun[parent] < searches {
		k.begin.Wait()
	}
}

// lastEnd is when the last search on a parent ended.
func (k *blind) lastEnd(parent consensus.Hash) time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ended[parent]
}

// BenchmarkNewTipStopsOldWork gives blocks to a node that mines on all cores, and takes
// the time to the end of the last search on the block before: from the submitting
// call, or from when an announcement's bytes have come from a peer.
//
//	go test ./node -run xxx -bench StopsOldWork -benchtime 10000x
func BenchmarkNewTipStopsOldWork(b *testing.B) {
	b.Run("submitted", func(b *testing.B) {
		stopOldWork(b, func(b *testing.B, r *node.Runner, block *consensus.Block) func() {
			return func() {
				if _, err := r.SubmitBlock(b.Context(), block); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
	b.Run("announced", func(b *testing.B) {
		const peer = p2p.PeerID("miner")
		stopOldWork(b, func(b *testing.B, r *node.Runner, block *consensus.Block) func() {
			if block.Header.Prev == consensus.Regtest().GenesisHash() {
				r.Connected(p2p.Peer{ID: peer, Addr: "/dns4/miner"})
				r.Receive(peer, &p2p.Hello{Version: p2p.Version, Genesis: block.Header.Prev, Nonce: 1, Tip: block.Header.Prev, Time: time.Now().Unix()}, false)
			}
			wire := p2p.Encode(p2p.NewAnnounce(block, 1))
			return func() {
				m, err := p2p.Decode(wire)
				if err != nil {
					b.Fatal(err)
				}
				r.Receive(peer, m, true)
				if err := r.Settle(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}

// stopOldWork measures what prepare returns, block by block.
func stopOldWork(b *testing.B, prepare func(*testing.B, *node.Runner, *consensus.Block) func()) {
	chain := chaintest.New(b, consensus.Regtest())
	chain.Grow(fmt.Sprintf("genesis - a1..a%d", b.N))
	service, err := node.Open(node.ServiceConfig{Params: chain.Params, DataDir: b.TempDir(), Agent: "/bench/", Version: "0", Lean: true, DisableQUIC: true})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	all.Go(func() {
		if err := service.Run(ctx); err != nil {
			b.Error(err)
		}
	})
	kernel, threads := newBlind(sha256d.Best()), runtime.GOMAXPROCS(0)
	m := miner.New(miner.Config{Threads: threads, Payout: consensus.PayToKey([32]byte{1}), Kernel: kernel}, service.Source())
	all.Go(func() {
		if err := m.Run(ctx); err != nil {
			b.Error(err)
		}
	})
	var stopped, known []time.Duration // until the last search ended, until the block is on disk
	parent := chain.Params.GenesisHash()
	kernel.await(parent, 2*threads) // all are at work
	for i := range b.N {
		block := chain.Block(fmt.Sprint("a", i+1))
		give := prepare(b, service.Runner, block)
		began := time.Now()
		give()
		known = append(known, time.Since(began))
		kernel.await(block.Hash(), 2*threads) // none is left behind
		stopped = append(stopped, max(0, kernel.lastEnd(parent).Sub(began)))
		parent = block.Hash()
	}
	report := func(what string, times []time.Duration) {
		slices.Sort(times)
		ms := func(p float64) float64 { return float64(times[int(p*float64(len(times)-1))]) / 1e6 }
		b.ReportMetric(ms(0.5), what+"p50-ms")
		b.ReportMetric(ms(0.99), what+"p99-ms")
		b.ReportMetric(ms(1), what+"max-ms")
	}
	report("stop-", stopped)
	report("disk-", known)
	b.ReportMetric(0, "ns/op")
}
