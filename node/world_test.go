package node_test

import (
	"time"

	"pgregory.net/rapid"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/sim"
	"github.com/kapok-chain/kapok/sim/virtual"
	"github.com/kapok-chain/kapok/storage"
)

// world is package sim's, for tests: what goes wrong ends them.
type world struct {
	*sim.World
	t rapid.TB
}

type resident = sim.Node

// newWorld makes n nodes without links. Chains are dated in the past, so the
// world's clock begins after them.
func newWorld(t rapid.TB, params *consensus.Params, seed uint64, n int) *world {
	w := &world{sim.New(params, time.Unix(int64(params.GenesisTime), 0).Add(30*24*time.Hour), seed), t}
	for range n {
		w.add(storage.OpenMemory(params, true))
	}
	return w
}

// add puts one more node on a store into the world.
func (w *world) add(store storage.Store) *resident {
	w.t.Helper()
	r := w.reside(store)
	w.Start(r)
	return r
}

// reside is add for a test that calls Tick and empties the outbox itself.
func (w *world) reside(store storage.Store) *resident {
	w.t.Helper()
	r, err := w.tryReside(store)
	w.check(err)
	return r
}

// tryReside is reside on a store that may fail.
func (w *world) tryReside(store storage.Store, lost ...consensus.Hash) (*resident, error) {
	return w.Add(node.Config{Store: store, Lost: lost})
}

// link connects two nodes; the first one dials.
func (w *world) link(a, b *resident) {
	w.t.Helper()
	w.Link(a, b, virtual.Shape{Delay: 5 * time.Millisecond, Jitter: 20 * time.Millisecond})
	w.check(w.Err())
}

// flush takes all steps of a node and sends what it has to say.
func (w *world) flush(r *resident) {
	w.t.Helper()
	w.Settle(r)
	w.check(w.Err())
}

// submit gives a node blocks as its own miner would.
func (w *world) submit(r *resident, blocks ...*consensus.Block) {
	w.t.Helper()
	w.check(w.Submit(r, blocks...))
}

// hear gives a node a message, and lets it put together what was announced.
func (w *world) hear(r *resident, from p2p.PeerID, m p2p.Msg) p2p.Verdict {
	w.t.Helper()
	verdict, err := r.Receive(w.Now, from, m, false)
	w.check(err)
	for more := true; more; {
		more, err = r.Rebuild(w.Now)
		w.check(err)
	}
	return verdict
}

// agree reports whether all nodes have this tip and the same coins.
func (w *world) agree(hash consensus.Hash) bool {
	return w.Agree() && w.Nodes[0].Tip().Hash == hash
}

// run lets the world go on for a while.
func (w *world) run(d time.Duration) {
	w.t.Helper()
	w.check(w.Run(d))
}

// until lets the world go on until the condition holds, at most for d.
func (w *world) until(d time.Duration, what string, done func() bool) {
	w.t.Helper()
	came, err := w.Until(d, done)
	if w.check(err); !came {
		w.t.Fatalf("not within %v: %s", d, what)
	}
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}
