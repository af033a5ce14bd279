package conformance

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/storage"
)

// rejectBranch gives all nodes the named block and what they lack below it. With
// it the branch has the most work, and the nodes find out that bad, a block on
// it, is invalid: they are back where they were, and observers heard of nothing.
func (s *stage) rejectBranch(name, bad string, code consensus.Code) {
	s.t.Helper()
	for _, n := range s.nodes {
		tip, sum := n.Tip(), n.store.Sum()
		n.Changes()
		for _, block := range s.Path(name) {
			at := s.Name(block.Hash())
			if s.told[at] {
				continue
			}
			if n.Failure(s.Hash(bad)) != nil {
				s.t.Errorf("%s: %s failed before its branch had the most work", n.door, bad)
			}
			if rule := n.take(block); rule != nil && at != bad {
				s.t.Errorf("%s: %s is refused: %v (%s)", n.door, at, rule, rule.Kind)
			}
		}
		s.wantRule(n.door, n.Failure(s.Hash(bad)), code, consensus.Invalid)
		if changes := n.Changes(); n.Tip() != tip || n.store.Sum() != sum || len(changes) > 0 {
			s.t.Errorf("%s: after %s the tip is %s (was %s), the coin sum %v (was %v), observers were told %v", n.door, code,
				s.Name(n.Tip().Hash), s.Name(tip.Hash), n.store.Sum(), sum, changes)
		}
	}
	for _, block := range s.Path(name) {
		s.told[s.Name(block.Hash())] = true
	}
}

// sync brings all nodes to the named block however far behind they are: on this
// machine its blocks are submitted in order; over the network a peer that has
// them answers what it is asked.
func (s *stage) sync(name string) {
	s.t.Helper()
	for _, n := range s.nodes {
		if n.door == "submit" {
			for _, block := range s.Path(name) {
				if !n.hasBody(block.Hash()) {
					if rule := n.take(block); rule != nil {
						s.t.Fatalf("%s: %s is refused: %v", n.door, s.Name(block.Hash()), rule)
					}
				}
			}
			continue
		}
		peer := n.join(name)
		n.talk(rand.New(rand.NewPCG(0, 0)), peer)
		n.Disconnected(s.now, peer.id)
	}
	for _, block := range s.Path(name) {
		s.told[s.Name(block.Hash())] = true
	}
	s.at(name)
}

// restart closes all nodes and starts them again on what they stored.
func (s *stage) restart() {
	s.t.Helper()
	for _, n := range s.nodes {
		s.check(n.store.Close())
		n.open(n.store.(*storage.Memory).Crash())
		s.check(n.Advance(s.now, verifier))
	}
}

// invalidate lets the operator of each node invalidate the named block.
func (s *stage) invalidate(name string) {
	s.t.Helper()
	s.byHand(name, func(n *node.Node, b *consensus.BlockIndex) error { return n.Invalidate(s.now, b) })
}

// reconsider lets the operator of each node take that back.
func (s *stage) reconsider(name string) {
	s.t.Helper()
	s.byHand(name, func(n *node.Node, b *consensus.BlockIndex) error { return n.Reconsider(b) })
}

// precious lets the operator of each node prefer the named block.
func (s *stage) precious(name string) {
	s.t.Helper()
	s.byHand(name, func(n *node.Node, b *consensus.BlockIndex) error { n.Precious(b); return nil })
}

func (s *stage) byHand(name string, do func(*node.Node, *consensus.BlockIndex) error) {
	s.t.Helper()
	for _, n := range s.nodes {
		index := n.Lookup(s.Hash(name))
		if index == nil {
			s.t.Fatalf("%s: %s is not known", n.door, name)
		}
		s.check(do(n.Node, index))
		s.check(n.Advance(s.now, verifier))
	}
}

// wantFailed checks which of the nodes' blocks are failed: these alone.
func (s *stage) wantFailed(names ...string) {
	s.t.Helper()
	for _, n := range s.nodes {
		for name := range s.told {
			if b := n.Lookup(s.Hash(name)); b != nil && b.Failed() != slices.Contains(names, name) {
				s.t.Errorf("%s: %s failed: %v", n.door, name, b.Failed())
			}
		}
	}
}

// onlyWaiting checks that these transactions, and no others, are in the mempools.
func (s *stage) onlyWaiting(txs ...*consensus.Tx) {
	s.t.Helper()
	for _, n := range s.nodes {
		template, err := n.Template(s.now)
		s.check(err)
		for i, tx := range txs {
			if !n.InMempool(tx.TxID()) {
				s.t.Errorf("%s: transaction %d of %d is not in the mempool", n.door, i+1, len(txs))
			}
		}
		if len(template.Txs) != len(txs) {
			s.t.Errorf("%s: %d transactions are in the mempool, want %d", n.door, len(template.Txs), len(txs))
		}
	}
}

// busy mines the blocks prefix+from to prefix+to on a parent, and returns the
// name of the last.
func (s *stage) busy(parent, prefix string, from, to int) string {
	s.t.Helper()
	for n := from; n <= to; n++ {
		name := fmt.Sprint(prefix, n)
		s.mineBusy(parent, name)
		parent = name
	}
	return parent
}

// mineBusy mines a block that spends the youngest coinbase that it may.
func (s *stage) mineBusy(parent, name string) {
	s.t.Helper()
	height := s.Index(parent).Height + 1
	if height <= s.Params.Maturity {
		s.Mine(parent, name)
		return
	}
	old := s.Name(s.Index(parent).Ancestor(height - s.Params.Maturity).Hash)
	s.Mine(parent, name, chaintest.Txs(s.spendTo(s.Coinbase(old), "bob")))
}

// randomChain mines blocks with random payments, some of them of what the same
// block creates, some with data, and returns their names, lowest first.
func (s *stage) randomChain(rng *rand.Rand, blocks int) []string {
	s.t.Helper()
	var names []string
	var purse []chaintest.Coin
	parent := chaintest.Genesis
	for height := uint32(1); height <= uint32(blocks); height++ {
		var txs []*consensus.Tx
		for range rng.IntN(4) {
			if len(purse) == 0 {
				break
			}
			i := rng.IntN(len(purse))
			coin := purse[i]
			if coin.Value < 10_000 || coin.Coinbase && height < coin.Height+s.Params.Maturity {
				continue
			}
			purse = slices.Delete(purse, i, i+1)
			var to []chaintest.Output
			parts := 1 + rng.Int64N(3)
			for range parts {
				to = append(to, chaintest.To("bob", (coin.Value-1000)/parts))
			}
			if rng.IntN(3) == 0 {
				to = append(to, chaintest.Data([]byte("kapok")))
			}
			tx := s.Pay(chaintest.From(coin), to...)
			for n := range parts {
				purse = append(purse, s.Out(tx, uint32(n)))
			}
			txs = append(txs, tx)
		}
		name := fmt.Sprint("r", height)
		s.Mine(parent, name, chaintest.Txs(txs...))
		purse = append(purse, s.Coinbase(name))
		names = append(names, name)
		parent = name
	}
	return names
}

// badger opens a store on disk, which is closed when the case ends.
func (s *stage) badger(dir string) storage.Store {
	s.t.Helper()
	store, err := storage.Open(s.Params, storage.Options{Dir: dir, Index: true, Lean: true})
	s.check(err)
	s.t.Cleanup(func() { closeStore(s.t, store) })
	return store
}

// closeStore closes a store, which may be closed already.
func closeStore(t *testing.T, store storage.Store) {
	t.Helper()
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}
