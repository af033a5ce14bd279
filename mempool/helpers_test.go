package mempool

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
)

// world is a chain with its coins and a pool that follows it.
type world struct {
	*chaintest.Chain
	t     testing.TB
	pool  *Pool
	tip   *consensus.BlockIndex
	coins map[consensus.OutPoint]consensus.Coin
	undo  map[consensus.Hash]*consensus.Undo
	now   time.Time
	reads int // calls of Coins
}

const testMaturity = 3

// newWorld has mined a1..an, whose coinbases pay to "miner".
func newWorld(t testing.TB, cfg Config, drawing string, tip string) *world {
	t.Helper()
	params := consensus.Regtest()
	params.Maturity = testMaturity
	params.GenesisNonce = 0
	if err := params.Init(); err != nil {
		t.Fatal(err)
	}
	c := chaintest.New(t, params)
	w := &world{
		Chain: c, t: t, pool: New(cfg),
		tip:   c.Index(chaintest.Genesis),
		coins: make(map[consensus.OutPoint]consensus.Coin),
		undo:  make(map[consensus.Hash]*consensus.Undo),
	}
	c.Grow(drawing)
	w.now = c.Now()
	w.to(tip)
	return w
}

// chain is what the pool judges against.
func (w *world) chain() Chain {
	return Chain{Params: w.Params, Tip: w.tip, Coins: func(ops []consensus.OutPoint) (map[consensus.OutPoint]consensus.Coin, error) {
		w.reads++
		found := make(map[consensus.OutPoint]consensus.Coin)
		for _, op := range ops {
			if coin, ok := w.coins[op]; ok {
				found[op] = coin
			}
		}
		return found, nil
	}}
}

func (w *world) body(hash consensus.Hash) (*consensus.Block, error) {
	return w.Block(w.Name(hash)), nil
}

// to moves the tip to a named block and lets the pool follow.
func (w *world) to(name string) {
	w.t.Helper()
	change := consensus.Change{From: w.tip, To: w.Index(name)}
	fork := consensus.LastCommon(w.tip, change.To)
	for b := w.tip; b != fork; b = b.Parent {
		block := w.Block(w.Name(b.Hash))
		delta, err := consensus.RevertBlock(block, b.Height, w.undo[b.Hash])
		w.apply(delta, err)
		change.Detached = append(change.Detached, b)
	}
	for b := change.To; b != fork; b = b.Parent {
		change.Attached = append([]*consensus.BlockIndex{b}, change.Attached...)
	}
	for _, b := range change.Attached {
		block := w.Block(w.Name(b.Hash))
		if err := consensus.CheckBlockContext(w.Params, b.Parent, block); err != nil {
			w.t.Fatal(err)
		}
		delta, err := consensus.ApplyBlock(w.Params, b.Parent, block, w.coins)
		w.apply(delta, err)
		w.undo[b.Hash] = &delta.Undo
	}
	w.tip = change.To
	if err := w.pool.Follow(w.now, w.chain(), change, w.body); err != nil {
		w.t.Fatal(err)
	}
	w.check()
}

func (w *world) apply(d *consensus.Delta, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range d.Spent {
		delete(w.coins, e.OutPoint)
	}
	for _, e := range d.Created {
		w.coins[e.OutPoint] = e.Coin
	}
}

// mine puts transactions into a new block on the tip and moves there.
func (w *world) mine(name string, txs ...*consensus.Tx) {
	w.t.Helper()
	w.Mine(w.Name(w.tip.Hash), name, chaintest.Txs(txs...))
	w.to(name)
}

// add wants a transaction to be taken.
func (w *world) add(txs ...*consensus.Tx) {
	w.t.Helper()
	for _, tx := range txs {
		if _, err := w.pool.Add(w.now, w.chain(), tx); err != nil {
			w.t.Fatalf("refused: %v", err)
		}
	}
	w.check()
}

// refused wants a transaction to be refused with this code and kind, and the
// pool to be as before.
func (w *world) refused(tx *consensus.Tx, code consensus.Code, kind consensus.Kind) {
	w.t.Helper()
	before := w.pool.Entries()
	_, err := w.pool.Add(w.now, w.chain(), tx)
	rule := consensus.AsRuleError(err)
	if rule == nil || rule.Code != code || rule.Kind != kind {
		w.t.Fatalf("got %v, expected %s (%s)", err, code, kind)
	}
	if code != ErrPoolFull && !slices.Equal(before, w.pool.Entries()) {
		w.t.Fatal("a refusal changed the pool")
	}
	w.check()
}

// holds wants the pool to consist of these transactions, in any order.
func (w *world) holds(txs ...*consensus.Tx) {
	w.t.Helper()
	for i, tx := range txs {
		if w.pool.Get(tx.TxID()) == nil {
			w.t.Errorf("transaction %d is not in the pool", i)
		}
	}
	if w.pool.Len() != len(txs) {
		w.t.Errorf("%d entries, expected %d", w.pool.Len(), len(txs))
	}
}

// split confirms a payment of the named block's coinbase to n equal coins of
// "alice", and returns them.
func (w *world) split(coinbase, block string, n int) []chaintest.Coin {
	w.t.Helper()
	from := w.Coinbase(coinbase)
	var to []chaintest.Output
	for range n {
		to = append(to, chaintest.To("alice", from.Value/int64(n)))
	}
	tx := w.Pay(chaintest.From(from), to...)
	w.mine(block, tx)
	coins := make([]chaintest.Coin, n)
	for i := range coins {
		coins[i] = w.Out(tx, uint32(i))
	}
	return coins
}

// spend pays a coin on to one output, less a fee.
func (w *world) spend(coin chaintest.Coin, fee int64) *consensus.Tx {
	return w.Pay(chaintest.From(coin), chaintest.To("bob", coin.Value-fee))
}

// chainOf returns n transactions, each of which spends the one before.
func (w *world) chainOf(coin chaintest.Coin, n int, fee int64) []*consensus.Tx {
	var txs []*consensus.Tx
	for range n {
		tx := w.spend(coin, fee)
		txs = append(txs, tx)
		coin = w.Out(tx, 0)
	}
	return txs
}

// check recomputes everything that the pool keeps up to date.
func (w *world) check() {
	w.t.Helper()
	if err := audit(w.pool, w.chain(), w.coins); err != nil {
		w.t.Fatal(err)
	}
}

// audit compares a pool with what follows from its entries alone.
func audit(p *Pool, c Chain, coins map[consensus.OutPoint]consensus.Coin) error {
	var bytes, vsize, fees int64
	spenders := make(map[consensus.OutPoint]*Entry)
	entries := p.Entries()
	earlier := make(map[*Entry]bool)
	for _, e := range entries {
		bytes += memory(e.Tx)
		vsize += int64(e.Tx.VSize())
		fees += e.Fee
		if p.Get(e.Tx.TxID()) != e || p.ByWTxID(e.Tx.WTxID()) != e {
			return errors.New("an entry is not found by its ids")
		}
		if err := auditInputs(p, c, e, coins, spenders, earlier); err != nil {
			return err
		}
		if sum := familyOf(e); sum != e.family {
			return errors.New("an entry's family is not what its descendants add up to")
		}
		for _, child := range e.children {
			if !slices.Contains(child.parents, e) {
				return errors.New("a child does not know its parent")
			}
		}
		if cluster := reach([]*Entry{e}, relatives); len(cluster) > MaxClusterTxs {
			return errors.New("a cluster is too large")
		}
		earlier[e] = true
	}
	switch {
	case bytes != p.Bytes() || vsize != p.VSize() || fees != p.Fees():
		return errors.New("the sums are wrong")
	case bytes > p.cfg.MaxBytes:
		return errors.New("the pool is larger than its limit")
	case len(entries) != p.Len() || len(entries) != len(p.byWTxID) || len(entries) != len(p.worst):
		return errors.New("the indexes have different lengths")
	case !maps.Equal(spenders, p.spender):
		return errors.New("the spenders are wrong")
	}
	for i, e := range p.worst {
		if e.heapAt != i || i > 0 && p.worst.Less(i, (i-1)/2) {
			return errors.New("the heap is out of order")
		}
	}
	return nil
}

// auditInputs checks that an entry spends what is there, once, and knows it.
func auditInputs(p *Pool, c Chain, e *Entry, coins map[consensus.OutPoint]consensus.Coin, spenders map[consensus.OutPoint]*Entry, earlier map[*Entry]bool) error {
	for i := range e.Tx.Inputs {
		op := e.Tx.Inputs[i].PrevOut
		if spenders[op] != nil {
			return errors.New("two entries spend the same output")
		}
		spenders[op] = e
		coin, confirmed := coins[op]
		if parent := p.Get(op.TxID); parent != nil {
			if confirmed || !slices.Contains(e.parents, parent) || !earlier[parent] {
				return errors.New("a parent is not before its child")
			}
			coin, _ = parent.coin(op.Index, c.Tip)
			coin.Height = e.Coins[i].Height // as of when it came in, or of the last reorganisation
		} else if !confirmed {
			return errors.New("an entry spends what is not there")
		}
		if coin != e.Coins[i] {
			return errors.New("an entry's coin is not what is there")
		}
	}
	if !consensus.CheckFinal(e.Tx, c.Tip.Height+1, c.Tip.MTP()) {
		return errors.New("an entry is not final")
	}
	fee, err := consensus.SpendTx(c.Params, c.Tip, e.Tx, e.Coins)
	if fee != e.Fee {
		return errors.New("an entry's fee is wrong")
	}
	return err
}
