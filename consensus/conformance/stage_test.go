package conformance

import (
	"errors"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/mempool"
)

// stage is where a case plays: a chain to draw and mine on, and nodes that hear
// of its blocks, each by a door of its own. Whatever a verdict says must hold at
// every door. Cases draw with the methods of chaintest.Chain:
//
//	s.Grow("genesis - a1 - a2")
//	s.accept("a2")                   // a1 too; a2 is the tip
//	s.Mine("a2", "b3", chaintest.Claim(1))
//	s.reject("b3", consensus.ErrCoinbaseAmount)
type stage struct {
	*chaintest.Chain
	t     *testing.T
	now   time.Time
	nodes []*seat
	pool  mempool.Config            // for the nodes of the next network; a zero field is the default
	told  map[string]bool           // blocks that all nodes were given
	owed  map[consensus.Hash]string // blocks that the case must accept yet: true ones of mutated copies, and temporary refusals
	doors map[string]bool           // that the case has used
}

// maturity of the stage's network in blocks: few, so that drawings stay small.
const maturity = 2

// newStage begins with regtest whose coinbases mature after two blocks.
func newStage(t *testing.T) *stage {
	s := &stage{t: t, doors: make(map[string]bool)}
	s.network(nil)
	return s
}

// network begins anew on a network of other rules: regtest, changed by edit.
func (s *stage) network(edit func(*consensus.Params)) {
	s.t.Helper()
	p := consensus.Regtest()
	p.Name, p.Maturity = "stage", maturity
	if edit != nil {
		edit(p)
	}
	if err := p.Init(); err != nil {
		s.t.Fatal(err)
	}
	s.Chain = chaintest.New(s.t, p)
	// The clock stands a month after genesis, so that no drawing reaches it.
	s.now = time.Unix(int64(p.GenesisTime), 0).Add(30 * 24 * time.Hour).UTC()
	s.freshNodes()
}

// freshNodes replaces the nodes by new ones, which know nothing of the chain.
func (s *stage) freshNodes() {
	s.t.Helper()
	s.told = map[string]bool{chaintest.Genesis: true}
	s.owed = make(map[consensus.Hash]string)
	s.nodes = []*seat{
		newSeat(s, "submit", submitBlock),
		newSeat(s, "p2p", receiveBlock),
		newSeat(s, "announcement", announceBlock),
	}
}

// accept gives the named block, and those below it that the nodes lack, to all
// nodes: it is their tip afterwards, and their coins are those of its chain.
func (s *stage) accept(name string) {
	s.t.Helper()
	s.deliver(name)
	s.at(name)
	delete(s.owed, s.Hash(name))
}

// store gives the named block, and those below it that the nodes lack, to all
// nodes: they keep it, and stay where they are.
func (s *stage) store(name string) {
	s.t.Helper()
	tip := s.Name(s.nodes[0].Tip().Hash)
	s.deliver(name)
	s.at(tip)
	for _, n := range s.nodes {
		if b := n.Lookup(s.Hash(name)); b == nil || !b.HasBody() || b.Failed() {
			s.t.Errorf("%s: %s is not kept as a branch", n.door, name)
		}
	}
	delete(s.owed, s.Hash(name))
}

// at checks that all nodes stand at the named block, with its chain's coins.
func (s *stage) at(name string) {
	s.t.Helper()
	want := tally(s.Path(name))
	for _, n := range s.nodes {
		if tip := s.Name(n.Tip().Hash); tip != name {
			s.t.Errorf("%s: the tip is %s, want %s%s", n.door, tip, name, n.why())
		} else if sum := n.store.Sum(); sum != want {
			s.t.Errorf("%s: at %s the coin sum is %v, want %v", n.door, name, sum, want)
		}
	}
}

// deliver gives all nodes the named block and what they lack below it, none of
// which may be refused when it comes in.
func (s *stage) deliver(name string) {
	s.t.Helper()
	for _, block := range s.Path(name) {
		if hash := block.Hash(); !s.told[s.Name(hash)] {
			for _, n := range s.nodes {
				if rule := n.take(block); rule != nil {
					s.t.Errorf("%s: %s is refused: %v (%s)", n.door, s.Name(hash), rule, rule.Kind)
				}
			}
			s.told[s.Name(hash)] = true
		}
	}
}

// reject gives the named block to all nodes: each refuses it, with this code and
// for good, whether when it comes in or when it is connected.
func (s *stage) reject(name string, code consensus.Code) {
	s.t.Helper()
	s.refused(s.Block(name), code, consensus.Invalid)
}

// later gives the named block to all nodes: each refuses it with this code, for
// now. The case must accept it later.
func (s *stage) later(name string, code consensus.Code) {
	s.t.Helper()
	s.owed[s.Hash(name)] = name
	s.never(name, code)
}

// never is later for a block that no node will ever accept, although nothing is
// known against it.
func (s *stage) never(name string, code consensus.Code) {
	s.t.Helper()
	s.refused(s.Block(name), code, consensus.Temporary)
}

// mutated gives all nodes a copy of the named block, with the same header, that
// edit has damaged. They refuse it and hold nothing against the hash; the case
// must accept the true block afterwards.
func (s *stage) mutated(name string, code consensus.Code, edit func(*consensus.Block)) {
	s.t.Helper()
	damaged := s.copied(s.Block(name))
	edit(damaged)
	if damaged.Hash() != s.Hash(name) {
		s.t.Fatalf("the damaged copy of %s has another header", name)
	}
	s.owed[s.Hash(name)] = name
	s.refused(damaged, code, consensus.Mutated)
}

// mutatedAlone is mutated for a block of which no true version exists, such as
// one that spends without a commitment. Nodes cannot know, and may be told twice.
func (s *stage) mutatedAlone(name string, code consensus.Code) {
	s.t.Helper()
	for range 2 {
		s.refused(s.Block(name), code, consensus.Mutated)
	}
}

// refused gives a block to all nodes, and lets each judge it as a proposal first
// where it stands on the tip. No refusal moves tip or coins.
func (s *stage) refused(block *consensus.Block, code consensus.Code, kind consensus.Kind) {
	s.t.Helper()
	for _, n := range s.nodes {
		tip, sum := n.Tip(), n.store.Sum()
		if code != consensus.ErrHighHash && block.Header.Prev == tip.Hash && n.Lookup(block.Hash()) == nil {
			s.wantRule(n.door+" proposal", n.propose(block), code, kind)
		}
		s.wantRule(n.door, n.take(block), code, kind)
		if n.Tip() != tip || n.store.Sum() != sum {
			s.t.Errorf("%s: after %s the tip is %s (was %s), the coin sum %v (was %v)", n.door, code,
				s.Name(n.Tip().Hash), s.Name(tip.Hash), n.store.Sum(), sum)
		}
		index := n.Lookup(block.Hash())
		if kept := index != nil && !index.Failed() && index.HasBody(); kept {
			s.t.Errorf("%s: %s is refused with %s, and kept", n.door, s.Name(block.Hash()), code)
		}
		if marked := index != nil && index.Failed(); marked && kind != consensus.Invalid {
			s.t.Errorf("%s: %s is refused with %s, and its hash remembered as failed", n.door, s.Name(block.Hash()), code)
		}
	}
}

// malformed gives the bytes of what claims to be a block to all readers: each refuses them with this code.
func (s *stage) malformed(raw []byte, code consensus.Code) {
	s.t.Helper()
	s.doors["decoders"] = true
	for _, r := range readers {
		s.wantRule(r.door, consensus.AsRuleError(r.block(raw)), code, consensus.Malformed)
	}
}

// take gives a loose transaction to all nodes, which keep it in their mempools.
func (s *stage) take(tx *consensus.Tx) {
	s.t.Helper()
	for _, n := range s.nodes {
		if rule := n.takeTx(tx); rule != nil {
			s.t.Errorf("%s: the transaction is refused: %v (%s)", n.door, rule, rule.Kind)
		} else if !n.InMempool(tx.TxID()) {
			s.t.Errorf("%s: the transaction is not in the mempool", n.door)
		}
	}
}

// refuse gives a loose transaction to all nodes, which refuse it.
func (s *stage) refuse(tx *consensus.Tx, code consensus.Code, kind consensus.Kind) {
	s.t.Helper()
	for _, n := range s.nodes {
		before := n.InMempool(tx.TxID())
		s.wantRule(n.door, n.takeTx(tx), code, kind)
		if n.InMempool(tx.TxID()) != before {
			s.t.Errorf("%s: a transaction refused with %s changed the mempool", n.door, code)
		}
	}
}

func (s *stage) wantRule(door string, rule *consensus.RuleError, code consensus.Code, kind consensus.Kind) {
	s.t.Helper()
	switch {
	case rule == nil:
		s.t.Errorf("%s: accepted, want %s (%s)", door, code, kind)
	case !errors.Is(rule, code) || rule.Kind != kind:
		s.t.Errorf("%s: got %v (%s), want %s (%s)", door, rule, rule.Kind, code, kind)
	}
}

// wantErr is wantRule for what a function of consensus returns. No code wants no
// error.
func (s *stage) wantErr(what string, err error, code consensus.Code, kind consensus.Kind) {
	s.t.Helper()
	if code == "" {
		if err != nil {
			s.t.Errorf("%s: refused: %v", what, err)
		}
		return
	}
	s.wantRule(what, consensus.AsRuleError(err), code, kind)
}

// copied returns a copy that shares nothing with the block.
func (s *stage) copied(block *consensus.Block) *consensus.Block {
	s.t.Helper()
	c, err := consensus.DecodeBlock(block.Bytes())
	s.check(err)
	return c
}

func (s *stage) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// settled checks that a case has no debts.
func (s *stage) settled() {
	s.t.Helper()
	for _, name := range s.owed {
		s.t.Errorf("the case does not accept %s, which it must after a mutated copy or a refusal for now", name)
	}
}
