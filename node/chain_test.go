package node_test

import (
	"errors"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/storage"
)

// alone is a node without peers, with a chain of named blocks for it.
func alone(t *testing.T, drawing string) (*world, *resident, *chaintest.Chain) {
	c := chaintest.New(t, consensus.Regtest())
	c.Grow(drawing)
	w := newWorld(t, c.Params, 1, 1)
	return w, w.Nodes[0], c
}

// refused submits a block that must be turned away with a code, and makes sure
// that neither tip nor coins moved.
func (w *world) refused(r *resident, block *consensus.Block, code consensus.Code, kind consensus.Kind) {
	w.t.Helper()
	tip, sum := r.Tip(), r.Store.Sum()
	_, err := r.SubmitBlock(w.Now, block)
	w.check(r.Advance(w.Now, consensus.Verifier{Workers: 1}))
	rule := consensus.AsRuleError(err)
	if err == nil { // it was stored, and refused when it was connected
		rule = r.Failure(block.Hash())
	}
	if rule == nil || rule.Code != code || rule.Kind != kind {
		w.t.Errorf("got %v (%v), want %s of kind %s", err, rule, code, kind)
	}
	if r.Tip() != tip || r.Store.Sum() != sum {
		w.t.Errorf("after %s the tip is %s (was %s), the coin sum %v (was %v)", code, r.Tip().Hash, tip.Hash, r.Store.Sum(), sum)
	}
}

func (w *world) standsAt(r *resident, c *chaintest.Chain, name string) {
	w.t.Helper()
	if r.Tip().Hash != c.Hash(name) {
		w.t.Errorf("the tip is %s, want %s", c.Name(r.Tip().Hash), name)
	}
}

func TestInvalidBlockLeavesEverythingAsItWas(t *testing.T) {
	w, r, c := alone(t, "genesis - a1..a3")
	w.submit(r, c.Path("a3")...)
	w.refused(r, c.Mine("a3", "greedy", chaintest.Claim(1)), consensus.ErrCoinbaseAmount, consensus.Invalid)
	w.refused(r, c.Mine("greedy", "child"), consensus.ErrPrevInvalid, consensus.Invalid)
	w.refused(r, c.Block("greedy"), consensus.ErrDuplicateInvalid, consensus.Invalid)
	w.submit(r, c.Mine("a3", "a4"))
	w.standsAt(r, c, "a4")
}

func TestMutatedCopyDoesNotHarmTheTrueBlock(t *testing.T) {
	w, r, c := alone(t, "genesis - a1..a101")
	w.submit(r, c.Path("a101")...)
	pay := c.Pay(chaintest.From(c.Coinbase("a1")), chaintest.To("bob", 49*chaintest.Coins))
	good := c.Mine("a101", "a102", chaintest.Txs(pay))

	bad := *pay
	bad.Inputs = append([]consensus.TxIn(nil), pay.Inputs...)
	sig := append([]byte(nil), pay.Inputs[0].Witness[0]...)
	sig[5] ^= 1
	bad.Inputs[0].Witness = [][]byte{sig}
	copied := &consensus.Block{Header: good.Header, Txs: []*consensus.Tx{good.Txs[0], &bad}}
	w.refused(r, copied, consensus.ErrWitnessMerkle, consensus.Mutated)
	w.submit(r, good)
	w.standsAt(r, c, "a102")
}

// A branch with more work whose k-th block is invalid: the node starts to
// reorganise, finds out, and walks back; observers hear of nothing.
//
//	a1 - a2 - a3
//	   \ b2 - b3 - b4* - b5
func TestReorganisationToAnInvalidBranchWalksBack(t *testing.T) {
	for _, bad := range []string{"b2", "b3", "b4", "b5"} {
		t.Run(bad, func(t *testing.T) {
			w, r, c := alone(t, "genesis - a1 - a2 - a3")
			w.submit(r, c.Path("a3")...)
			r.Changes()
			sum := r.Store.Sum()
			parent := "a1"
			for _, name := range []string{"b2", "b3", "b4", "b5"} {
				if name == bad {
					c.Mine(parent, name, chaintest.Claim(1))
				} else {
					c.Mine(parent, name)
				}
				parent = name
			}
			// Bodies come last to first, so that the whole branch is known
			// before the first of them can connect.
			headers := make([]consensus.Header, 0, 4)
			for _, block := range c.Path("b5")[1:] {
				headers = append(headers, block.Header)
			}
			r.Connected(w.Now, p2p.Peer{ID: "peer"})
			_, err := r.Receive(w.Now, "peer", &p2p.Headers{Headers: headers}, false)
			w.check(err)
			for _, name := range []string{"b5", "b4", "b3", "b2"} {
				_, err := r.SubmitBlock(w.Now, c.Block(name))
				w.check(err)
			}
			w.check(r.Advance(w.Now, consensus.Verifier{Workers: 1}))
			if rule := r.Failure(c.Hash(bad)); rule == nil || rule.Code != consensus.ErrCoinbaseAmount {
				t.Errorf("%s failed with %v", bad, rule)
			}
			want := "a3"
			if bad == "b5" { // b4 alone has more work than a3
				want = "b4"
			}
			w.standsAt(r, c, want)
			changes := r.Changes()
			if want == "a3" && (len(changes) != 0 || r.Store.Sum() != sum) {
				t.Errorf("observers were told of %d changes, the coin sum went from %v to %v", len(changes), sum, r.Store.Sum())
			}
			if want == "b4" && (len(changes) != 1 || len(changes[0].Detached) != 2 || len(changes[0].Attached) != 3) {
				t.Errorf("want one change of 2 blocks off and 3 on, got %+v", changes)
			}
		})
	}
}

func TestRestartStandsWhereItStood(t *testing.T) {
	c := chaintest.New(t, consensus.Regtest())
	c.Grow("genesis - a1..a20")
	store := storage.OpenMemory(c.Params, true)
	w := newWorld(t, c.Params, 1, 0)
	r := w.add(store)
	w.submit(r, c.Path("a20")...)
	sum := store.Sum()

	// As after a kill: coins at the last flush, bodies as acknowledged.
	again := w.add(store.Crash())
	w.check(again.Advance(w.Now, consensus.Verifier{Workers: 1}))
	w.standsAt(again, c, "a20")
	if again.Store.Sum() != sum {
		t.Errorf("the coin sum is %v, was %v", again.Store.Sum(), sum)
	}
}

func TestRebuildComesBackToTheSameCoins(t *testing.T) {
	w, r, c := alone(t, "genesis - a1..a101")
	w.submit(r, c.Path("a101")...)
	pay := c.Pay(chaintest.From(c.Coinbase("a1")), chaintest.To("bob", 49*chaintest.Coins))
	w.submit(r, c.Mine("a101", "a102", chaintest.Txs(pay)))
	sum := r.Store.Sum()
	r.Changes()
	w.check(r.RebuildCoins())
	if !r.Reorganising() || r.Store.Sum().Count != 0 {
		t.Error("the coins are still there")
	}
	w.check(r.Advance(w.Now, consensus.Verifier{Workers: 1}))
	w.standsAt(r, c, "a102")
	if r.Store.Sum() != sum || len(r.Changes()) != 0 {
		t.Errorf("the coin sum is %v, was %v", r.Store.Sum(), sum)
	}
}

// A coin that the disk lost makes a good block look bad, so that rebuilt coins
// judge it again.
func TestRebuildJudgesMissingCoinsAgain(t *testing.T) {
	w, r, c := alone(t, "genesis - a1..a101")
	w.submit(r, c.Path("a101")...)
	pay := c.Pay(chaintest.From(c.Coinbase("a1")), chaintest.To("bob", 49*chaintest.Coins))
	w.submit(r, c.Mine("a101", "a102", chaintest.Txs(pay)))
	twice := c.Mine("a102", "twice", chaintest.Txs(pay))
	w.refused(r, twice, consensus.ErrInputsMissingOrSpent, consensus.Invalid)
	w.refused(r, c.Mine("a102", "greedy", chaintest.Claim(1)), consensus.ErrCoinbaseAmount, consensus.Invalid)
	w.check(r.RebuildCoins())
	if r.Failure(twice.Hash()) != nil || r.Failure(c.Hash("greedy")) == nil {
		t.Error("not the blocks with missing coins, and they alone, wait for a new judgement")
	}
	w.check(r.Advance(w.Now, consensus.Verifier{Workers: 1}))
	w.standsAt(r, c, "a102")
	if r.Failure(twice.Hash()) == nil {
		t.Error("it was not judged again")
	}
}

func TestInvalidateAndReconsider(t *testing.T) {
	w, r, c := alone(t, `
		genesis - a1 - a2 - a3 - a4
		          a1 - b2 - b3
	`)
	w.submit(r, c.Path("a4")...)
	w.submit(r, c.Block("b2"), c.Block("b3"))
	w.standsAt(r, c, "a4")
	w.check(r.Invalidate(w.Now, r.Tip().Ancestor(3)))
	w.check(r.Advance(w.Now, consensus.Verifier{Workers: 1}))
	w.standsAt(r, c, "b3")
	if changes := r.Changes(); len(changes) == 0 || changes[len(changes)-1].To.Hash != c.Hash("b3") {
		t.Errorf("observers were not told of b3: %+v", changes)
	}
	w.refused(r, c.Block("a4"), consensus.ErrDuplicateInvalid, consensus.Invalid)
	w.check(r.Reconsider(r.Lookup(c.Hash("a3"))))
	w.check(r.Advance(w.Now, consensus.Verifier{Workers: 1}))
	w.standsAt(r, c, "a4")
}

// A disk that fails is no reason to call a block invalid.
func TestFaultIsNobodysFault(t *testing.T) {
	c := chaintest.New(t, consensus.Regtest())
	c.Grow("genesis - a1 - a2")
	w := newWorld(t, c.Params, 1, 0)
	broken := &brokenStore{Store: storage.OpenMemory(c.Params, true)}
	r := w.add(broken)
	w.submit(r, c.Block("a1"))
	broken.fault = errors.New("input/output error")
	if _, err := r.SubmitBlock(w.Now, c.Block("a2")); !errors.Is(err, broken.fault) || consensus.AsRuleError(err) != nil {
		t.Fatalf("got %v, want the disk's error and no rule", err)
	}
	if r.Failure(c.Hash("a2")) != nil {
		t.Error("the block is marked as failed")
	}
	broken.fault = nil
	r = w.add(broken)
	w.submit(r, c.Block("a2"))
	w.standsAt(r, c, "a2")
}

// brokenStore fails to write while it has a fault.
type brokenStore struct {
	storage.Store
	fault error
}

func (s *brokenStore) PutBlock(r consensus.Record, b *consensus.Block) error {
	if s.fault != nil {
		return s.fault
	}
	return s.Store.PutBlock(r, b)
}

func TestOrphanPaymentWaitsForItsParent(t *testing.T) {
	w, r, c := alone(t, "genesis - a1..a101")
	w.submit(r, c.Path("a101")...)
	parent := c.Pay(chaintest.From(c.Coinbase("a1")), chaintest.To("alice", 49*chaintest.Coins))
	child := c.Pay(chaintest.From(c.Out(parent, 0)), chaintest.To("bob", 48*chaintest.Coins))
	r.Connected(w.Now, p2p.Peer{ID: "peer"})
	verdict, err := r.Receive(w.Now, "peer", &p2p.Tx{Tx: child}, true)
	w.check(err)
	if verdict != p2p.Ignore {
		t.Errorf("an orphan's verdict is %v, want ignore", verdict)
	}
	_, err = r.SubmitTx(w.Now, parent)
	w.check(err)
	w.Now = w.Now.Add(time.Second)
	w.check(r.Tick(w.Now))
	if !r.InMempool(child.TxID()) {
		t.Error("the child did not follow its parent into the mempool")
	}
}

func TestOrphanPaymentFollowsAConfirmedParent(t *testing.T) {
	w, r, c := alone(t, "genesis - a1..a101")
	w.submit(r, c.Path("a101")...)
	parent := c.Pay(chaintest.From(c.Coinbase("a1")), chaintest.To("alice", 49*chaintest.Coins))
	child := c.Pay(chaintest.From(c.Out(parent, 0)), chaintest.To("bob", 48*chaintest.Coins))
	r.Connected(w.Now, p2p.Peer{ID: "peer"})
	_, err := r.Receive(w.Now, "peer", &p2p.Tx{Tx: child}, true)
	w.check(err)
	w.submit(r, c.Mine("a101", "a102", chaintest.Txs(parent)))
	w.check(r.Tick(w.Now))
	if !r.InMempool(child.TxID()) {
		t.Error("the child did not follow its confirmed parent into the mempool")
	}
}
