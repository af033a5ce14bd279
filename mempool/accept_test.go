package mempool

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
)

const policy = consensus.Policy

func TestAlready(t *testing.T) { // 142 mp-already
	w := newWorld(t, Config{}, "genesis - a1..a5", "a5")
	tx := w.spend(w.Coinbase("a1"), 1000)
	w.add(tx)
	w.refused(tx, ErrInPool, policy)
	other, err := consensus.DecodeTx(tx.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	other.Inputs[0].Witness[0][0] ^= 1
	w.refused(other, ErrOtherWitness, policy)
	w.holds(tx)
}

func TestKnown(t *testing.T) { // 143 mp-known
	w := newWorld(t, Config{}, "genesis - a1..a5", "a5")
	tx := w.spend(w.Coinbase("a1"), 1000)
	w.add(tx)
	w.mine("a6", tx)
	w.holds()
	w.refused(tx, ErrKnown, policy)
}

func TestLocks(t *testing.T) { // 144 mp-nonfinal; 114, 115, 117, 119–123 loose
	w := newWorld(t, Config{}, "genesis - a1..a20", "a20")
	coin := w.split("a1", "a21", 2)[0]
	coin.Height = 21
	next, mtp := w.tip.Height+1, uint32(w.tip.MTP())
	lastMTP := uint32(w.Index("a20").MTP())
	const final = 0xffffffff
	cases := []struct {
		name     string
		version  uint32
		lock     uint32
		sequence uint32
		code     consensus.Code
	}{
		{"height reached", 2, next - 1, 0xfffffffe, ""},
		{"height not reached", 2, next, 0xfffffffe, ErrNonFinal},
		{"median time reached", 2, mtp - 1, 0xfffffffe, ""},
		{"median time not reached", 2, mtp, 0xfffffffe, ErrNonFinal},
		{"all sequences final", 2, next + 1000, final, ""},
		{"0 blocks", 2, 0, 0, ""},
		{"1 block", 2, 0, 1, ""},
		{"2 blocks", 2, 0, 2, consensus.ErrNonBIP68Final},
		{"65535 blocks", 2, 0, 0xffff, consensus.ErrNonBIP68Final},
		{"time reached", 2, 0, 1<<22 | (mtp-lastMTP)>>9, ""},
		{"time not reached", 2, 0, 1<<22 | ((mtp-lastMTP)>>9 + 1), consensus.ErrNonBIP68Final},
		{"disabled", 2, 0, 1<<31 | 9, ""},
		{"version 1", 1, 0, 9, ""},
		{"version 0x80000000", 0x80000000, 0, 9, consensus.ErrNonBIP68Final},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tx := w.Unsigned(chaintest.From(coin), chaintest.To("bob", coin.Value-1000))
			tx.Version, tx.LockTime, tx.Inputs[0].Sequence = c.version, c.lock, c.sequence
			w.Sign(tx, chaintest.From(coin), consensus.SigHashDefault)
			w.t, w.pool = t, New(Config{})
			if c.code == "" {
				w.add(tx)
			} else {
				w.refused(tx, c.code, policy)
			}
		})
	}
}

func TestRelayFee(t *testing.T) { // 145 mp-minfee
	w := newWorld(t, Config{}, "genesis - a1..a5", "a5")
	coin := w.Coinbase("a1")
	vsize := int64(w.spend(coin, 0).VSize())
	w.refused(w.spend(coin, vsize-1), ErrMinRelayFee, policy)
	w.add(w.spend(coin, vsize))
}

func TestDust(t *testing.T) { // 147 mp-dust
	w := newWorld(t, Config{}, "genesis - a1..a5", "a5")
	coin := w.Coinbase("a1")
	pay := func(value int64) *consensus.Tx {
		return w.Pay(chaintest.From(coin), chaintest.To("bob", value), chaintest.Data([]byte("no dust")), chaintest.To("alice", coin.Value-value-1000))
	}
	w.refused(pay(329), ErrDust, policy)
	w.refused(pay(0), ErrDust, policy)
	w.add(pay(330))
}

func TestConflict(t *testing.T) { // 148 mp-conflict-norbf
	w := newWorld(t, Config{}, "genesis - a1..a5", "a5")
	first := w.spend(w.Coinbase("a1"), 1000)
	w.add(first)
	w.refused(w.spend(w.Coinbase("a1"), 1_000_000), ErrConflict, policy)
	w.holds(first)
}

func TestClusterLimit(t *testing.T) { // 149 mp-cluster
	w := newWorld(t, Config{}, "genesis - a1..a5", "a5")
	txs := w.chainOf(w.Coinbase("a1"), MaxClusterTxs+1, 1000)
	w.add(txs[:MaxClusterTxs]...)
	w.refused(txs[MaxClusterTxs], ErrCluster, policy)

	// What joins two clusters counts both.
	w = newWorld(t, Config{}, "genesis - a1..a6", "a6")
	left := w.chainOf(w.Coinbase("a1"), MaxClusterTxs/2, 1000)
	right := w.chainOf(w.Coinbase("a2"), MaxClusterTxs/2, 1000)
	w.add(left...)
	w.add(right[:len(right)-1]...)
	joint := w.Pay(chaintest.From(w.Out(left[len(left)-1], 0), w.Out(right[len(right)-2], 0)), chaintest.To("bob", chaintest.Coins))
	w.add(joint)
	w.refused(w.spend(w.Out(joint, 0), 1000), ErrCluster, policy)
}

func TestClusterWeight(t *testing.T) { // 149 mp-cluster, by size
	w := newWorld(t, Config{}, "genesis - a1..a5", "a5")
	wide := w.wide(w.Coinbase("a1"), MaxTxWeight)
	if got := wide.Weight(); got > MaxTxWeight || got < MaxTxWeight-200 {
		t.Fatalf("weight %d", got)
	}
	w.add(wide)
	var accepted, weight int
	for i := range MaxClusterTxs {
		tx := w.Pay(chaintest.From(w.Out(wide, uint32(i))), chaintest.To("bob", 30_000))
		if weight = wide.Weight() + (accepted+1)*tx.Weight(); weight > MaxClusterWeight {
			w.refused(tx, ErrCluster, policy)
			break
		}
		w.add(tx)
		accepted++
	}
	if accepted == 0 || weight <= MaxClusterWeight {
		t.Errorf("%d children, weight %d", accepted, weight)
	}
}

// wide pays to as many outputs as a weight allows.
func (w *world) wide(coin chaintest.Coin, weight int) *consensus.Tx {
	const output = 4 * 43 // weight units
	n := (weight - w.spend(coin, 0).Weight() - 16) / output
	to := slices.Repeat([]chaintest.Output{chaintest.To("alice", 100_000)}, n)
	return w.Pay(chaintest.From(coin), append(to, chaintest.To("alice", 100_000))...)
}

func TestTooHeavy(t *testing.T) {
	w := newWorld(t, Config{}, "genesis - a1..a5", "a5")
	w.refused(w.wide(w.Coinbase("a1"), MaxTxWeight+400), ErrTxSize, policy)
}

func TestCoinbaseAndSize(t *testing.T) { // 80 tx-coinbase-mempool, 88 tx-size-small
	w := newWorld(t, Config{}, "genesis - a1..a5", "a5")
	w.refused(w.Block("a5").Txs[0], ErrCoinbase, policy)
	small := w.Unsigned(chaintest.From(w.Coinbase("a1")), chaintest.Data([]byte{1}))
	if size := small.StrippedSize(); size >= MinTxSize || size == 64 {
		t.Fatalf("%d bytes", size)
	}
	w.refused(small, ErrTxSizeSmall, policy)
}

func TestMissing(t *testing.T) { // 150 mp-orphan
	w := newWorld(t, Config{}, "genesis - a1..a5", "a5")
	txs := w.chainOf(w.Coinbase("a1"), 3, 1000)
	w.refused(txs[1], ErrMissing, policy)
	_, err := w.pool.Add(w.now, w.chain(), txs[1])
	var missing *MissingInputs
	if !errors.As(err, &missing) || !slices.Equal(missing.Parents, []consensus.Hash{txs[0].TxID()}) {
		t.Fatalf("got %v", err)
	}
	if !w.pool.AddOrphan(w.now, "p", txs[1]) || w.pool.AddOrphan(w.now, "q", txs[1]) {
		t.Fatal("the orphan was not kept once")
	}
	w.add(txs[0])
	children := w.pool.Children(txs[0].TxID())
	if len(children) != 1 || children[0].Tx != txs[1] || children[0].From != "p" || w.pool.Orphans() != 0 || w.pool.OrphanBytes() != 0 {
		t.Fatalf("children: %v", children)
	}
	w.add(txs[1], txs[2])
	w.holds(txs...)
}

func TestInvalidForever(t *testing.T) {
	w := newWorld(t, Config{}, "genesis - a1..a5", "a5")
	coin := w.Coinbase("a1")

	tooMuch := w.Pay(chaintest.From(coin), chaintest.To("bob", coin.Value+1))
	w.refused(tooMuch, consensus.ErrInBelowOut, consensus.Invalid)

	twice := w.Pay(chaintest.From(coin, coin), chaintest.To("bob", coin.Value))
	w.refused(twice, consensus.ErrDuplicateInputs, consensus.Invalid)

	forged := w.spend(coin, 1000)
	forged.Inputs[0].Witness[0][40] ^= 1
	w.refused(forged, consensus.ErrSig, consensus.Invalid)

	parent := w.Pay(chaintest.From(coin), chaintest.Data([]byte("here")), chaintest.To("bob", coin.Value-1000))
	w.add(parent)
	out := w.Out(parent, 1)
	for _, index := range []uint32{0, 2, 0xfffffffe} {
		out.Index = index // data, or nothing at all
		w.refused(w.spend(out, 1000), consensus.ErrInputsMissingOrSpent, consensus.Invalid)
	}
}

func TestPrematureIsNobodysFault(t *testing.T) {
	w := newWorld(t, Config{}, "genesis - a1..a5", "a5")
	w.refused(w.spend(w.Coinbase("a4"), 1000), consensus.ErrPrematureSpend, consensus.Temporary)
	w.add(w.spend(w.Coinbase("a3"), 1000))
}

func TestMempoolParentCountsAsNextHeight(t *testing.T) { // 125 csv-mempool-parent
	w := newWorld(t, Config{}, "genesis - a1..a5", "a5")
	parent := w.spend(w.Coinbase("a1"), 1000)
	w.add(parent)
	child := func(sequence uint32) *consensus.Tx {
		coin := w.Out(parent, 0)
		tx := w.Unsigned(chaintest.From(coin), chaintest.To("bob", coin.Value-1000))
		tx.Inputs[0].Sequence = sequence
		return w.Sign(tx, chaintest.From(coin), consensus.SigHashDefault)
	}
	w.refused(child(1), consensus.ErrNonBIP68Final, policy)
	w.refused(child(1<<22|1), consensus.ErrNonBIP68Final, policy)
	w.add(child(0))
}

func TestDiskErrorIsOurs(t *testing.T) {
	w := newWorld(t, Config{}, "genesis - a1..a5", "a5")
	broken := errors.New("disk")
	c := w.chain()
	c.Coins = func([]consensus.OutPoint) (map[consensus.OutPoint]consensus.Coin, error) { return nil, broken }
	_, err := w.pool.Add(w.now, c, w.spend(w.Coinbase("a1"), 1000))
	if !errors.Is(err, broken) || consensus.AsRuleError(err) != nil {
		t.Errorf("got %v", err)
	}
}

// The signatures come last: what is refused for another reason costs none, and
// Check leaves no trace.
func TestCheckChangesNothing(t *testing.T) {
	w := newWorld(t, Config{}, "genesis - a1..a5", "a5")
	tx := w.spend(w.Coinbase("a1"), 12_345)
	e, err := w.pool.Check(w.now, w.chain(), tx)
	if err != nil || e.Fee != 12_345 || e.TxID != tx.TxID() {
		t.Fatalf("got %v, %v", e, err)
	}
	w.holds()
	forged := w.spend(w.Coinbase("a1"), 1)
	forged.Inputs[0].Witness[0][40] ^= 1
	w.refused(forged, ErrMinRelayFee, policy)
}

func TestEntry(t *testing.T) {
	w := newWorld(t, Config{}, "genesis - a1..a5", "a5")
	txs := w.chainOf(w.Coinbase("a1"), 4, 1000)
	w.add(txs...)
	ids := func(entries []*Entry) (ids []consensus.Hash) {
		for _, e := range entries {
			ids = append(ids, e.TxID)
		}
		return ids
	}
	all := ids(w.pool.Entries())
	e := w.pool.Get(txs[2].TxID())
	if !slices.Equal(ids(e.Ancestors()), all[:2]) || !slices.Equal(ids(e.Descendants()), all[3:]) ||
		!slices.Equal(ids(e.Parents()), all[1:2]) || !slices.Equal(ids(e.Children()), all[3:]) {
		t.Error("the relatives are wrong")
	}
	if coin, ok := w.pool.Coin(w.Out(txs[3], 0).OutPoint, w.chain()); !ok || coin.Height != 6 || coin.Value != w.Out(txs[3], 0).Value {
		t.Errorf("coin %v, %v", coin, ok)
	}
	if _, ok := w.pool.Coin(w.Out(txs[2], 0).OutPoint, w.chain()); ok {
		t.Error("a spent output is a coin")
	}
}

// What Judge found may be outdated when Admit comes: a rival, a block, a parent that has
// left. While the tip is the same the chain is asked once.
func TestAdmitJudgesAnew(t *testing.T) {
	judge := func(w *world, tx *consensus.Tx) *Entry {
		e, err := w.pool.Judge(w.now, w.chain(), tx)
		if err != nil {
			t.Fatal(err)
		}
		w.reads = 0
		return e
	}
	admit := func(w *world, e *Entry, code consensus.Code) {
		t.Helper()
		err := w.pool.Admit(w.now, w.chain(), e)
		if rule := consensus.AsRuleError(err); rule == nil && (err != nil || code != "") || rule != nil && rule.Code != code {
			t.Errorf("got %v, expected %q", err, code)
		}
		w.check()
	}
	t.Run("nothing moved", func(t *testing.T) {
		w := newWorld(t, Config{}, "genesis - a1..a5", "a5")
		tx := w.spend(w.Coinbase("a1"), 1000)
		e := judge(w, tx)
		w.now = w.now.Add(time.Second)
		admit(w, e, "")
		w.holds(tx)
		if w.reads != 0 || e.onChain != nil || !e.Time.Equal(w.now) {
			t.Errorf("the chain was asked %d times; time %v", w.reads, e.Time)
		}
	})
	t.Run("the tip moved", func(t *testing.T) {
		w := newWorld(t, Config{}, "genesis - a1..a5", "a5")
		tx := w.spend(w.Coinbase("a1"), 1000)
		e := judge(w, tx)
		w.mine("a6")
		w.reads = 0
		admit(w, e, "")
		if w.reads != 1 || e.Height != 6 {
			t.Errorf("the chain was asked %d times; height %d", w.reads, e.Height)
		}
	})
	t.Run("a rival came", func(t *testing.T) {
		w := newWorld(t, Config{}, "genesis - a1..a5", "a5")
		e := judge(w, w.spend(w.Coinbase("a1"), 1000))
		w.add(w.spend(w.Coinbase("a1"), 2000))
		admit(w, e, ErrConflict)
	})
	t.Run("it came", func(t *testing.T) {
		w := newWorld(t, Config{}, "genesis - a1..a5", "a5")
		tx := w.spend(w.Coinbase("a1"), 1000)
		e := judge(w, tx)
		w.add(tx)
		admit(w, e, ErrInPool)
	})
	t.Run("its coin was spent", func(t *testing.T) {
		w := newWorld(t, Config{}, "genesis - a1..a5", "a5")
		e := judge(w, w.spend(w.Coinbase("a1"), 1000))
		w.mine("a6", w.spend(w.Coinbase("a1"), 2000))
		admit(w, e, ErrMissing)
	})
	t.Run("its parent was confirmed", func(t *testing.T) {
		w := newWorld(t, Config{}, "genesis - a1..a5", "a5")
		txs := w.chainOf(w.Coinbase("a1"), 2, 1000)
		w.add(txs[0])
		e := judge(w, txs[1])
		w.mine("a6", txs[0])
		admit(w, e, "")
		if len(e.Parents()) != 0 || e.Coins[0].Height != 6 {
			t.Errorf("parents %v, coin %v", e.Parents(), e.Coins[0])
		}
	})
	t.Run("its parent left", func(t *testing.T) {
		w := newWorld(t, Config{Expiry: time.Hour}, "genesis - a1..a5", "a5")
		txs := w.chainOf(w.Coinbase("a1"), 2, 1000)
		w.add(txs[0])
		e := judge(w, txs[1])
		w.now = w.now.Add(2 * time.Hour)
		w.pool.Expire(w.now)
		admit(w, e, ErrMissing)
		w.holds()
	})
}
