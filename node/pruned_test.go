package node_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/storage"
)

// pruneAndRestart stops a node, prunes its store, and starts it again.
func (w *world) pruneAndRestart(store *storage.Memory, keep uint32) (*resident, *storage.Memory) {
	w.t.Helper()
	if keep > 0 {
		store.Prune(keep)
	}
	w.check(store.Close())
	store = store.Crash()
	return w.reside(store), store
}

// A node whose store is pruned and started again at any moment goes where one goes that
// keeps all, except over a reorganisation that goes deeper: there it stops where it is,
// and marks nothing. A new node gets the chain from both, and from the pruned one alone
// its headers.
func TestPrunedNodeFollows(t *testing.T) {
	stopped, followed := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		g := newGrove(t, rapid.Uint64().Draw(rt, "seed"), rapid.IntRange(20, 60).Draw(rt, "blocks"))
		w := newWorld(rt, g.Params, 1, 0)
		full, lean := storage.OpenMemory(g.Params, true), storage.OpenMemory(g.Params, true)
		a, b := w.reside(full), w.reside(lean)
		height := uint32(0) // below which bodies are gone
		for _, name := range g.names {
			if rapid.IntRange(0, 5).Draw(rt, "prune") == 0 {
				b, lean = w.pruneAndRestart(lean, rapid.Uint32Range(1, 10).Draw(rt, "keep"))
				state, err := lean.Load()
				w.check(err)
				height = state.Pruned
			}
			before := b.Tip()
			w.submit(a, g.Block(name))
			_, err := b.SubmitBlock(w.Now, g.Block(name))
			w.check(err)
			err = b.Advance(w.Now, consensus.Verifier{Workers: 1})
			b.Outbox()
			fork := consensus.LastCommon(before, b.Lookup(a.Tip().Hash))
			if fork.Height+1 < height {
				if !errors.Is(err, storage.ErrPruned) || consensus.AsRuleError(err) != nil {
					rt.Fatalf("over a fork at height %d, pruned below %d: %v", fork.Height, height, err)
				}
				stopped++
				for _, name := range g.names {
					if index := b.Lookup(g.Hash(name)); index != nil && index.Failed() {
						rt.Fatalf("block %s is marked as failed", name)
					}
				}
				if b, _ = w.pruneAndRestart(lean, 0); b.Tip().Hash != before.Hash {
					rt.Fatalf("it moved from %s to %s", before.Hash, b.Tip().Hash)
				}
				return
			}
			if w.check(err); b.Tip().Hash != a.Tip().Hash || lean.Sum() != full.Sum() {
				rt.Fatalf("after block %s it is at height %d, not %d, fork at %d, pruned below %d", name, b.Tip().Height, a.Tip().Height, fork.Height, height)
			}
		}
		if height > 1 {
			followed++
		}
		w.check(errors.Join(full.Close(), lean.Close()))
		net := newWorld(rt, g.Params, 2, 0)
		a, b = net.add(full.Crash()), net.add(lean.Crash())
		both, alone := net.add(storage.OpenMemory(g.Params, true)), net.add(storage.OpenMemory(g.Params, true))
		net.link(alone, b)
		net.link(both, b)
		net.run(time.Second)
		net.link(both, a)
		net.until(time.Minute, "the chain comes from both", func() bool {
			return both.Tip().Hash == a.Tip().Hash && both.Store.Sum() == a.Store.Sum()
		})
		if height > 1 && (alone.Tip().Height != 0 || alone.Lookup(a.Tip().Hash) == nil) {
			rt.Fatalf("from the pruned one alone a node comes to height %d", alone.Tip().Height)
		}
		if net.Shape(alone, b) == nil || net.Shape(both, b) == nil {
			rt.Fatal("somebody was dropped for it")
		}
	})
	if t.Logf("%d stopped, %d followed", stopped, followed); stopped == 0 || followed == 0 {
		t.Error("one of the two never happened")
	}
}

// pruned is a node whose chain has 20 blocks, of which 8 are left.
func pruned(t *testing.T) (*world, *resident, *chaintest.Chain) {
	w, r, c := alone(t, "genesis - a1..a20")
	w.submit(r, c.Path("a20")...)
	r, _ = w.pruneAndRestart(r.Store.(*storage.Memory), 8)
	return w, r, c
}

// A peer that asks for what is gone is told so at once, and not blamed.
func TestPrunedBlocksAreNotFound(t *testing.T) {
	w, r, c := pruned(t)
	peer := w.add(storage.OpenMemory(c.Params, false))
	w.link(peer, r)
	w.run(time.Second)
	_, err := r.Receive(w.Now, peer.ID, &p2p.GetBlocks{Hashes: []consensus.Hash{c.Hash("a5"), c.Hash("a15")}}, false)
	w.check(err)
	var got []string
	for _, out := range r.Outbox() {
		switch m := out.Msg.(type) {
		case *p2p.NotFound:
			for _, hash := range m.Hashes {
				got = append(got, "no "+c.Name(hash))
			}
		case *p2p.Block:
			got = append(got, c.Name(m.Block.Hash()))
		}
	}
	if slices.Sort(got); !slices.Equal(got, []string{"a15", "no a5"}) {
		t.Errorf("it answers %v", got)
	}
}

// What a pruned node cannot take off, an operator cannot have taken off; what it can,
// he can.
func TestInvalidateOnAPrunedNode(t *testing.T) {
	w, r, c := pruned(t)
	err := r.Invalidate(w.Now, r.Lookup(c.Hash("a12")))
	if rule := consensus.AsRuleError(err); rule == nil || rule.Kind != consensus.Policy || r.Lookup(c.Hash("a12")).Failed() {
		t.Errorf("a block that is gone: %v", err)
	}
	w.check(r.Invalidate(w.Now, r.Lookup(c.Hash("a13"))))
	w.flush(r)
	w.standsAt(r, c, "a12")
}

// Verification looks at what is there, and says where that is not all.
func TestVerifyOfAPrunedNode(t *testing.T) {
	w, r, c := pruned(t)
	for _, depth := range []uint32{0, 8, 9, 1000} {
		if codes := verifyTip(t, c, w, r, 4, depth); len(codes) > 0 {
			t.Errorf("%d blocks deep: %v", depth, codes)
		}
	}
	coins, err := r.Store.Snapshot()
	w.check(err)
	defer coins.Close()
	if _, total := r.VerifyTip(w.Now, 0, 0, coins, consensus.Verifier{}).Progress(); total != 8 {
		t.Errorf("%d blocks are looked at, not 8", total)
	}
}
