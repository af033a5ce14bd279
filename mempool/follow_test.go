package mempool

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
)

func TestConfirmedLeave(t *testing.T) {
	w := newWorld(t, Config{}, "genesis - a1..a6", "a6")
	txs := w.chainOf(w.Coinbase("a1"), 3, 1000)
	other := w.spend(w.Coinbase("a2"), 1000)
	w.add(slices.Concat(txs, []*consensus.Tx{other})...)
	w.mine("a7")
	w.mine("a8", txs[:2]...)
	w.holds(txs[2], other)
	if got := w.pool.Get(txs[2].TxID()).Coins[0].Height; got != 8 {
		t.Errorf("the child's coin has height %d", got)
	}
}

func TestConflictsLeave(t *testing.T) {
	w := newWorld(t, Config{}, "genesis - a1..a6", "a6")
	txs := w.chainOf(w.Coinbase("a1"), 3, 1000)
	other := w.spend(w.Coinbase("a2"), 1000)
	w.add(slices.Concat(txs, []*consensus.Tx{other})...)
	rival := w.spend(w.Coinbase("a1"), 99_999)
	w.mine("a7", rival)
	w.holds(other)

	conflicts := w.pool.Conflicts() // what became of them is remembered
	for i, tx := range txs {
		if len(conflicts) != len(txs) || conflicts[i].TxID != tx.TxID() || conflicts[i].By != rival.TxID() || conflicts[i].Coins[0].Value == 0 {
			t.Fatalf("conflicts: %v", conflicts)
		}
	}
	w.Mine("a6", "b7", chaintest.Txs(txs[0])) // it is confirmed after all
	w.Grow("b7 - b8")
	w.to("b8")
	w.add(txs[1])
	w.holds(txs[1], other)
	if left := w.pool.Conflicts(); len(left) != 1 || left[0].TxID != txs[2].TxID() {
		t.Errorf("%d conflicts are left", len(left))
	}
	w.pool.Expire(time.Now().Add(200 * 365 * 24 * time.Hour))
	if left := w.pool.Conflicts(); len(left) != 0 || w.pool.conflicts.bytes != 0 {
		t.Errorf("%d conflicts, %d bytes never expire", len(left), w.pool.conflicts.bytes)
	}
}

// TestConflictsAreBounded: the oldest are forgotten first.
func TestConflictsAreBounded(t *testing.T) {
	s := newConflicts()
	const n = 3 * maxConflictBytes / 1000
	for i := range n {
		s.add(Conflict{Entry: &Entry{TxID: consensus.Hash{byte(i), byte(i >> 8), byte(i >> 16)}, bytes: 1000}})
	}
	if s.bytes > maxConflictBytes || s.bytes < maxConflictBytes-1000 || len(s.byTxID) != s.order.Len() || int64(len(s.byTxID)) != s.bytes/1000 {
		t.Errorf("%d bytes, %d and %d conflicts", s.bytes, len(s.byTxID), s.order.Len())
	}
	first := s.order.Front().Value.(Conflict).TxID
	if i := int(first[0]) | int(first[1])<<8 | int(first[2])<<16; i != n-len(s.byTxID) {
		t.Errorf("the oldest is number %d of %d", i, n)
	}
	s.add(Conflict{Entry: &Entry{TxID: consensus.Hash{1}, bytes: maxConflictBytes + 1}})
	if s.bytes != 0 || len(s.byTxID) != 0 {
		t.Errorf("one that is too large leaves %d bytes", s.bytes)
	}
}

func TestReorgResurrect(t *testing.T) { // 132 reorg-resurrect
	w := newWorld(t, Config{}, `
		genesis - a1..a6 - b7..b9
	`, "a6")
	chain := w.chainOf(w.Coinbase("a1"), 4, 1000)
	lost := w.chainOf(w.Coinbase("a2"), 2, 1000)
	cheap := w.spend(w.Coinbase("a3"), 0) // no fee: only a miner takes it
	waits := w.spend(w.Coinbase("a4"), 1000)

	w.mine("a7", chain[0], chain[1], lost[0], cheap)
	w.mine("a8", chain[2])
	w.add(chain[3], lost[1], waits)
	w.Mine("b9", "b10", chaintest.Txs(w.spend(w.Coinbase("a2"), 5000))) // contradicts lost[0]
	w.to("b10")
	w.holds(chain[0], chain[1], chain[2], chain[3], cheap, waits)

	// They stand in front of what waited, in the order of their blocks.
	var order []*consensus.Tx
	for _, e := range w.pool.Entries() {
		order = append(order, e.Tx)
	}
	if want := []*consensus.Tx{chain[0], chain[1], cheap, chain[2], chain[3], waits}; !slices.Equal(order, want) {
		t.Error("the transactions came back in another order")
	}

	w.to("a8") // and back again
	w.holds(chain[3], waits)
}

func TestReorgConfirmsOnBothSides(t *testing.T) {
	w := newWorld(t, Config{}, "genesis - a1..a6", "a6")
	txs := w.chainOf(w.Coinbase("a1"), 3, 1000)
	w.mine("a7", txs[0], txs[1])
	w.add(txs[2])
	w.Mine("a6", "b7", chaintest.Txs(txs[0]))
	w.Mine("b7", "b8")
	w.to("b8")
	w.holds(txs[1], txs[2])
}

func TestReorgCoinbaseLoss(t *testing.T) { // 133 reorg-coinbase-loss
	w := newWorld(t, Config{}, `
		genesis - a1..a4 - a5..a8
		              a4 - b5..b9
	`, "a8")
	lost := w.chainOf(w.Coinbase("a5"), 2, 1000)
	stays := w.spend(w.Coinbase("a4"), 1000)
	w.add(slices.Concat(lost, []*consensus.Tx{stays})...)
	w.to("b9")
	w.holds(stays)
}

func TestReorgMaturity(t *testing.T) { // 134 reorg-maturity
	w := newWorld(t, Config{}, `
		genesis - a1..a5 - a6..a8
	`, "a8")
	// A shorter branch is never better here; it stands for one of more work.
	w.Mine("a5", "b6")
	early := w.chainOf(w.Coinbase("a5"), 2, 1000)
	stays := w.spend(w.Coinbase("a4"), 1000)
	w.add(slices.Concat(early, []*consensus.Tx{stays})...)
	w.to("b6")
	w.holds(stays)
}

func TestReorgLocks(t *testing.T) { // 126 csv-reorg, and the same for nLockTime
	w := newWorld(t, Config{}, "genesis - a1..a8", "a6")
	w.Mine("a6", "b7")
	locked := func(coinbase string, lock, sequence uint32) *consensus.Tx {
		coin := w.Coinbase(coinbase)
		tx := w.Unsigned(chaintest.From(coin), chaintest.To("bob", coin.Value-1000))
		tx.LockTime, tx.Inputs[0].Sequence = lock, sequence
		return w.Sign(tx, chaintest.From(coin), consensus.SigHashDefault)
	}
	w.to("a8")
	absolute, absoluteStays := locked("a1", 8, 0xfffffffe), locked("a2", 7, 0xfffffffe)
	relative, relativeStays := locked("a3", 0, 6), locked("a4", 0, 4)
	w.add(absolute, absoluteStays, relative, relativeStays)
	w.to("b7")
	w.holds(absoluteStays, relativeStays)
}

// A coin that both branches hold, at other heights, is seen at its new one.
func TestReorgMovesCoins(t *testing.T) {
	w := newWorld(t, Config{}, "genesis - a1..a6", "a6")
	parent := w.spend(w.Coinbase("a1"), 1000)
	w.mine("a7", parent)
	coin := w.Out(parent, 0)
	tx := w.Unsigned(chaintest.From(coin), chaintest.To("bob", coin.Value-1000))
	tx.Inputs[0].Sequence = 1
	w.add(w.Sign(tx, chaintest.From(coin), consensus.SigHashDefault))
	w.Mine("a6", "b7")
	w.Mine("b7", "b8", chaintest.Txs(parent))
	w.to("b8")
	w.holds(tx)
	if got := w.pool.Get(tx.TxID()).Coins[0].Height; got != 8 {
		t.Errorf("height %d", got)
	}
	w.Mine("a7", "a8")
	w.Mine("a8", "a9")
	w.to("a9")
	w.holds(tx)
	w.to("a6") // parent waits again, so that one block must come between
	w.holds(parent)
}

func TestFollowFailsOnDiskErrors(t *testing.T) {
	w := newWorld(t, Config{}, "genesis - a1..a6 - b7", "a6")
	w.mine("a7", w.spend(w.Coinbase("a1"), 1000))
	broken := errors.New("disk")
	change := consensus.Change{From: w.tip, To: w.Index("b7"), Detached: []*consensus.BlockIndex{w.tip}, Attached: []*consensus.BlockIndex{w.Index("b7")}}
	for fail := range 2 {
		reads := 0
		err := New(Config{}).Follow(w.now, w.chain(), change, func(hash consensus.Hash) (*consensus.Block, error) {
			if reads++; reads > fail {
				return nil, broken
			}
			return w.body(hash)
		})
		if !errors.Is(err, broken) {
			t.Errorf("body %d fails, and Follow says %v", fail, err)
		}
	}
	c := w.chain()
	c.Coins = func([]consensus.OutPoint) (map[consensus.OutPoint]consensus.Coin, error) { return nil, broken }
	if err := New(Config{}).Follow(w.now, c, change, w.body); !errors.Is(err, broken) {
		t.Errorf("coins fail, and Follow says %v", err)
	}
}

func TestExpiry(t *testing.T) { // 152 mp-expiry
	w := newWorld(t, Config{}, "genesis - a1..a6", "a6")
	old := w.chainOf(w.Coinbase("a1"), 3, 1000)
	w.add(old[0])
	w.now = w.now.Add(time.Hour)
	young := w.spend(w.Coinbase("a2"), 1000)
	w.add(old[1], old[2], young)
	w.now = w.now.Add(DefaultConfig().Expiry - time.Hour)
	if n := w.pool.Expire(w.now); n != 0 {
		t.Errorf("%d expired at the limit", n)
	}
	if n := w.pool.Expire(w.now.Add(time.Nanosecond)); n != 3 {
		t.Errorf("%d expired past the limit", n)
	}
	w.holds(young)
	if n := w.pool.Expire(w.now.Add(time.Hour + 1)); n != 1 {
		t.Errorf("%d expired an hour later", n)
	}
	w.check()
}

// While the tip is on its way, a transaction of a block already taken off may be
// submitted anew. Its child still comes back behind it.
func TestReorgFindsParentInPool(t *testing.T) {
	w := newWorld(t, Config{}, "genesis - a1..a6 - b7..b8", "a6")
	txs := w.chainOf(w.Coinbase("a1"), 3, 1000)
	waits := w.spend(w.Coinbase("a2"), 1000)
	w.mine("a7", txs[0], txs[1], txs[2])
	w.add(waits)

	a7, top := w.tip, w.Index("b8")
	w.apply(consensus.RevertBlock(w.Block("a7"), a7.Height, w.undo[a7.Hash]))
	w.tip = a7.Parent
	w.add(txs[0]) // between two steps
	for _, b := range []*consensus.BlockIndex{top.Parent, top} {
		w.apply(consensus.ApplyBlock(w.Params, b.Parent, w.Block(w.Name(b.Hash)), w.coins))
	}
	w.tip = top
	change := consensus.Change{From: a7, To: top, Detached: []*consensus.BlockIndex{a7}, Attached: []*consensus.BlockIndex{top.Parent, top}}
	if err := w.pool.Follow(w.now, w.chain(), change, w.body); err != nil {
		t.Fatal(err)
	}
	w.check()
	w.holds(txs[0], txs[1], txs[2], waits)
}

// A transaction that comes back may have more children than hang together: it
// stays with as many as may, the oldest.
func TestReorgTrimsClusters(t *testing.T) {
	const n = MaxClusterTxs + 5
	w := newWorld(t, Config{}, "genesis - a1..a6 - b7..b8", "a6")
	parent := w.Coinbase("a1")
	coins := w.split("a1", "a7", n)
	for _, coin := range coins {
		w.add(w.spend(coin, 1000))
	}
	before := w.pool.Entries()
	w.to("b8")
	if w.pool.Len() != MaxClusterTxs || w.pool.Spender(parent.OutPoint) == nil {
		t.Fatalf("%d entries, expected %d", w.pool.Len(), MaxClusterTxs)
	}
	for _, e := range before[:MaxClusterTxs-1] {
		if w.pool.Get(e.TxID) != e {
			t.Error("an older child left for a younger one")
		}
	}
}
