package node_test

import (
	"log/slog"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/mempool"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/storage"
)

// countingStore counts how often the index is asked to follow.
type countingStore struct {
	storage.Store
	synced int
	atDisk func() // what happens while Sync is at work
}

func (s *countingStore) Sync() error {
	if s.atDisk != nil {
		s.atDisk()
	}
	return s.Store.Sync()
}

func (s *countingStore) SyncIndex() error {
	s.synced++
	return s.Store.SyncIndex()
}

// TestIndexLetsABlockGoFirst: the index follows when the tip has stood for a moment,
// or has not for long; and at once while the node catches up.
func TestIndexLetsABlockGoFirst(t *testing.T) {
	c := chaintest.New(t, consensus.Regtest())
	c.Grow("genesis - a1..a20")
	blocks := c.Path("a20")
	synctest.Test(t, func(t *testing.T) {
		store := &countingStore{Store: storage.OpenMemory(c.Params, true)}
		n, err := node.New(node.Config{
			Params: c.Params, Store: store, Mempool: mempool.DefaultConfig(),
			P2P: p2p.Config{Params: c.Params}, Rand: rand.New(rand.NewPCG(1, 1)),
		})
		if err != nil {
			t.Fatal(err)
		}
		r := node.NewRunner(n, nil, consensus.Verifier{Workers: 1}, slog.New(slog.DiscardHandler))
		tick := func(ticks int) int {
			before := store.synced
			for range ticks {
				time.Sleep(200 * time.Millisecond)
				r.Tick()
			}
			return store.synced - before
		}
		connect := func(block *consensus.Block) {
			t.Helper()
			err := r.Do(func(n *node.Node, now time.Time) error {
				if _, err := n.SubmitBlock(now, block); err != nil {
					return err
				}
				return n.Advance(now, consensus.Verifier{Workers: 1})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		tick(1) // the first one
		connect(blocks[0])
		if got := tick(3); got != 0 {
			t.Errorf("the index followed %d times within 400 ms of the tick that saw the block", got)
		}
		if got := tick(1); got != 1 {
			t.Error("the index did not follow after half a second")
		}
		got := 0
		for _, block := range blocks[1:19] { // 3.6 s without rest
			connect(block)
			got += tick(1)
		}
		if got != 1 {
			t.Errorf("while the tip did not rest the index followed %d times in 3.6 s, expected once", got)
		}
		tick(10)
		hear := func(name string) {
			t.Helper()
			if err := r.Do(func(n *node.Node, now time.Time) error {
				_, err := n.Receive(now, "peer", &p2p.Headers{Headers: []consensus.Header{c.Block(name).Header}}, false)
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Do(func(n *node.Node, now time.Time) error { n.Connected(now, p2p.Peer{ID: "peer"}); return nil }); err != nil {
			t.Fatal(err)
		}
		hear("a20") // so that there is something to write
		store.atDisk = func() { store.atDisk = nil; connect(blocks[19]) }
		if got := tick(1); got != 0 || store.atDisk != nil {
			t.Error("the index followed to a block that became the tip while the tick waited for the disk")
		}
		c.Mine("a20", "a21")
		c.Mine("a21", "a22")
		hear("a21")
		if tick(1) != 0 {
			t.Error("the index followed at once with a header of the next block")
		}
		hear("a22")
		if tick(1) != 1 { // 400 ms after the tick that saw a20
			t.Error("two blocks behind its headers the node's index waits for the tip to rest")
		}
	})
}
