package node_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/storage"
)

// ordersEnv says in how many orders TestRandomOrders delivers its blocks:
//
//	KAPOK_ORDERS=1000 go test ./node -run RandomOrders -v -timeout 0
const ordersEnv = "KAPOK_ORDERS"

// The same 500 blocks in random orders, from eight peers, end on the same tip
// with the same coins. On the way, at every tip that the node ever has, the coin
// sum is what a naive count of that tip's chain says, and the coins and what was
// burnt are the subsidies.
func TestRandomOrders(t *testing.T) {
	orders := 60
	if testing.Short() {
		orders = 10
	}
	if value := os.Getenv(ordersEnv); value != "" {
		var err error
		if orders, err = strconv.Atoi(value); err != nil || orders < 1 {
			t.Fatalf("%s is %q, want a number of orders", ordersEnv, value)
		}
	}
	g := newGrove(t, 141, 500)
	var all crowd
	for order := range orders {
		c := newCrowd(t, g, storage.OpenMemory(g.Params, order%2 == 0), uint64(order))
		c.deliver(t)
		if t.Failed() {
			t.Fatalf("order %d", order)
		}
		all.moves, all.reorgs, all.deepest = all.moves+c.moves, all.reorgs+c.reorgs, max(all.deepest, c.deepest)
	}
	t.Logf("%d orders of %d blocks with %d payments, the tip at height %d: %d tips judged, %d reorganisations, %d blocks deep at the most",
		orders, len(g.names), len(g.paid), g.Index(g.top).Height, all.moves, all.reorgs, all.deepest)
}

// The same for many small trees, and on disk.
func TestCoinsAndBurntAreTheSubsidies(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		g := newGrove(t, rapid.Uint64().Draw(r, "seed"), rapid.IntRange(1, 60).Draw(r, "blocks"))
		newCrowd(r, g, storage.OpenMemory(g.Params, true), rapid.Uint64().Draw(r, "order")).deliver(r)
	})
	t.Run("on disk", func(t *testing.T) {
		g := newGrove(t, 1, 100)
		s, err := storage.Open(g.Params, storage.Options{Dir: t.TempDir(), Index: true, Lean: true, CoinCacheBytes: 4000})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		newCrowd(t, g, s, 1).deliver(t)
	})
}

// crowd is eight peers around one node, and a world with no other node in it.
type crowd struct {
	*world
	*grove
	node  *resident
	peers []p2p.PeerID
	best  map[p2p.PeerID]string // of the blocks that the peer told of

	moves   int // steps that moved the tip
	reorgs  int
	deepest int // blocks that one of them took off
}

func newCrowd(t rapid.TB, g *grove, store storage.Store, seed uint64) *crowd {
	w := newWorld(t, g.Params, seed, 0)
	c := &crowd{world: w, grove: g, node: w.reside(store), best: make(map[p2p.PeerID]string)}
	for i := range 8 {
		id := p2p.PeerID(fmt.Sprint("peer", i))
		w.greet(c.node, id)
		c.peers = append(c.peers, id)
		c.best[id] = chaintest.Genesis
	}
	return c
}

// somebody is one of the peers.
func (c *crowd) somebody() p2p.PeerID { return c.peers[c.world.Rand.IntN(len(c.peers))] }

// tell is a block, or a part of it, that comes unasked.
func (c *crowd) tell(after time.Duration, name string, m p2p.Msg, gossip bool) {
	from := c.somebody()
	c.After(after, func() {
		if c.Index(name).Height > c.Index(c.best[from]).Height {
			c.best[from] = name
		}
	})
	c.hear(after, from, m, gossip)
}

// hear delivers a message after a while.
func (c *crowd) hear(after time.Duration, from p2p.PeerID, m p2p.Msg, gossip bool) {
	c.After(after, func() {
		_, err := c.node.Receive(c.world.Now, from, m, gossip)
		c.check(err)
		c.settle()
	})
}

// deliver lets every block come within half a minute, from a peer that the node
// did not ask: its body, and often before it, or after it, its header or its
// announcement. Peers answer what the node asks them for, in their own time.
func (c *crowd) deliver(t rapid.TB) {
	const span = 30 * time.Second
	rng := c.world.Rand
	// How much the order of the tree still shows: not at all, or more or less.
	disorder := []float64{1, 0.2, 0.05, 0.01}[rng.IntN(4)]
	for i, name := range c.names {
		when := func() time.Duration {
			at := (1-disorder)*float64(i)/float64(len(c.names)) + disorder*rng.Float64()
			return time.Duration(at * float64(span))
		}
		block := c.Block(name)
		c.tell(when(), name, &p2p.Block{Block: block}, false)
		switch rng.IntN(3) {
		case 0:
			c.tell(when(), name, &p2p.Headers{Headers: []consensus.Header{block.Header}}, false)
		case 1:
			c.tell(when(), name, p2p.NewAnnounce(block, rng.Uint64()), true)
		}
		for _, tx := range block.Txs[1:] {
			if rng.IntN(4) == 0 {
				c.hear(when(), c.somebody(), &p2p.Tx{Tx: tx}, true)
			}
		}
	}
	for end := c.world.Now.Add(10 * span); c.world.Now.Before(end) && (c.node.Tip().Hash != c.Hash(c.top) || c.Pending()); {
		c.run(100 * time.Millisecond)
		c.check(c.node.Tick(c.world.Now))
		c.settle()
	}
	if got := c.Name(c.node.Tip().Hash); got != c.top {
		t.Errorf("the tip is %s, want %s", got, c.top)
	}
	if err := c.coins(c.node.Store); err != nil {
		t.Error(err)
	}
	if found, kept, err := c.node.Store.Recount(context.Background()); err != nil || found != kept {
		t.Errorf("counted %v, kept %v: %v", found, kept, err)
	}
	for _, name := range c.names {
		if b := c.node.Lookup(c.Hash(name)); b != nil && b.Failed() {
			t.Errorf("%s is marked as failed: %v", name, c.node.Failure(b.Hash))
		}
	}
}

// settle walks to the best block, with a look at the coins after each step, and
// answers what the node asks.
func (c *crowd) settle() {
	for more := true; more; {
		var err error
		more, err = c.node.Rebuild(c.world.Now)
		c.check(err)
	}
	for {
		job, err := c.node.Gather()
		c.check(err)
		if job == nil {
			break
		}
		job.Verify(consensus.Verifier{Workers: 1})
		c.check(c.node.Commit(c.world.Now, job))
		c.check(c.money(c.node.Store))
		c.moves++
	}
	for _, change := range c.node.Changes() {
		if n := len(change.Detached); n > 0 {
			c.reorgs++
			c.deepest = max(c.deepest, n)
		}
	}
	for _, out := range c.node.Outbox() {
		c.answer(out.To, out.Msg)
	}
	c.spared(c.node, "honest peers")
}

// answer is what a peer that has all blocks says.
func (c *crowd) answer(peer p2p.PeerID, m p2p.Msg) {
	rng := c.world.Rand
	soon := func() time.Duration { return time.Duration(5+rng.IntN(500)) * time.Millisecond }
	switch m := m.(type) {
	case *p2p.Ping:
		c.hear(soon(), peer, &p2p.Pong{Nonce: m.Nonce}, false)
	case *p2p.GetHeaders:
		c.hear(soon(), peer, &p2p.Headers{Headers: c.headersAfter(m.Locator, c.best[peer])}, false)
	case *p2p.GetBlocks:
		for _, hash := range m.Hashes {
			c.hear(soon(), peer, &p2p.Block{Block: c.Block(c.Name(hash))}, false)
		}
	case *p2p.GetBlockTxs:
		answer := &p2p.BlockTxs{Block: m.Block}
		for _, i := range m.Indexes {
			answer.Txs = append(answer.Txs, c.Block(c.Name(m.Block)).Txs[i])
		}
		c.hear(soon(), peer, answer, false)
	}
}

// headersAfter are those of the chain to a block, after what it has in common
// with the locator's.
func (c *crowd) headersAfter(locator []consensus.Hash, name string) (headers []consensus.Header) {
	best, fork := c.Index(name), uint32(0)
	for _, hash := range locator {
		if known := c.Index(c.Name(hash)); best.Ancestor(known.Height) == known {
			fork = known.Height
			break
		}
	}
	for height := fork + 1; height <= best.Height; height++ {
		headers = append(headers, best.Ancestor(height).Header)
	}
	return headers
}
