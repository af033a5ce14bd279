package consensus

import (
	"bytes"
	"errors"
	"maps"
	"math/big"
	"reflect"
	"testing"

	"github.com/kapok-chain/kapok/internal/frugal"
)

// FuzzApplyBlock takes a block through all that is judged behind its header,
// and off again. So that changed bytes lead to the rules on coins, not to a
// wrong Merkle root, what depends on other bytes is repaired first, and the dice
// say which coins there are.
func FuzzApplyBlock(f *testing.F) {
	w := newFuzzWorld(f)
	for _, seed := range applySeeds(f) {
		f.Add(seed.raw, seed.steer)
	}
	f.Fuzz(func(t *testing.T, raw, steer []byte) { w.apply(t, raw, steer) })
}

// What the first byte of the dice leaves as it is.
const (
	asIsHeight  = 1 << iota // of the coinbase
	asIsLinks               // of inputs to earlier transactions
	asIsClaim               // of the coinbase: all that it may
	asIsSigs                // of the inputs
	asIsWitness             // commitment of the coinbase
	asIsRoot                // of the header
	oldCoinbase             // the coinbase's first output is a coin already
)

// prepare repairs a block and draws its coins. all reports whether every input
// has a good signature then.
func (w *fuzzWorld) prepare(t *testing.T, b *Block, d *dice) (coins map[OutPoint]Coin, all bool) {
	coins = map[OutPoint]Coin{}
	asIs := d.roll(256)
	if len(b.Txs) == 0 {
		return coins, false
	}
	height := w.parent.Height + 1
	if cb := b.Txs[0]; cb.IsCoinbase() && asIs&asIsHeight == 0 {
		cb.Inputs[0].ScriptSig = append(CoinbaseHeightScript(height), 0)
	}
	known, fees := map[OutPoint]Coin{}, new(big.Int)
	all = asIs&asIsSigs == 0
	for i, tx := range b.Txs[1:] {
		if asIs&asIsLinks == 0 {
			link(b, i+1)
		}
		spent := w.draw(d, tx, coins, known)
		for _, c := range spent {
			fees.Add(fees, big.NewInt(c.Value))
		}
		for _, o := range tx.Outputs {
			fees.Sub(fees, big.NewInt(o.Value))
		}
		all = all && len(spent) == len(tx.Inputs) && i < 4 && w.sign(t, d, tx, spent)
		forEachCoin(tx, tx.TxID(), height, false, func(e CoinEntry) { known[e.OutPoint] = e.Coin })
	}
	w.close(b, asIs, fees)
	for _, tx := range b.Txs { // no chain has coins of transactions that are yet to come
		txid := tx.TxID()
		maps.DeleteFunc(coins, func(op OutPoint, _ Coin) bool { return op.TxID == txid })
	}
	if op := (OutPoint{b.Txs[0].TxID(), 0}); asIs&oldCoinbase != 0 {
		coins[op] = w.coin(d, 1)
	}
	return coins, all
}

// link makes txids of the form 01 00 00 ... those of the block's transaction 1.
func link(b *Block, i int) {
	for j := range b.Txs[i].Inputs {
		prev := &b.Txs[i].Inputs[j].PrevOut
		if n := int(prev.TxID[0]); prev.TxID == (Hash{byte(n)}) && n > 0 && n < i {
			prev.TxID = b.Txs[n].TxID()
		}
	}
}

// draw puts the coins that a transaction spends into the set, but for those of
// the block and a few that are to be missing, and returns those that there are.
func (w *fuzzWorld) draw(d *dice, tx *Tx, coins, known map[OutPoint]Coin) (spent []Coin) {
	open := int64(0)
	for _, o := range tx.Outputs {
		open += max(0, min(o.Value, MaxMoney))
	}
	for _, in := range tx.Inputs {
		c, ok := known[in.PrevOut]
		if !ok {
			if c, ok = coins[in.PrevOut]; !ok {
				if d.roll(32) == 31 {
					continue
				}
				c = w.coin(d, open)
				coins[in.PrevOut] = c
			}
		}
		open = max(0, open-c.Value)
		spent = append(spent, c)
	}
	return spent
}

// close makes coinbase and header fit the transactions.
func (w *fuzzWorld) close(b *Block, asIs int, fees *big.Int) {
	cb := b.Txs[0]
	if fees.Add(fees, big.NewInt(w.p.Subsidy(w.parent.Height+1))); asIs&asIsClaim == 0 && len(cb.Outputs) > 0 && fees.IsInt64() {
		cb.Outputs[0].Value = max(0, min(fees.Int64(), MaxMoney))
	}
	if asIs&asIsWitness == 0 && len(cb.Inputs) > 0 {
		cb.Inputs[0].Witness = [][]byte{make([]byte, ReservedSize)}
		cb.Outputs = append(cb.Outputs, TxOut{Script: CommitmentScript(WitnessRoot(b), [ReservedSize]byte{})})
	}
	if asIs&asIsRoot == 0 {
		reroot(b)
	}
}

// apply is one run of FuzzApplyBlock; it returns the refusal.
func (w *fuzzWorld) apply(t *testing.T, raw, steer []byte) error {
	b, err := DecodeBlock(raw)
	if err != nil {
		return err
	}
	d := dice(steer)
	coins, signed := w.prepare(t, b, &d)
	size := b.Size()
	frugal.Call(t, "CheckBlock", size, func() { err = CheckBlock(w.p, b) })
	if w.doc.verdict(t, err, Invalid, Mutated) {
		return err
	}
	frugal.Call(t, "CheckBlockContext", size, func() { err = CheckBlockContext(w.p, w.parent, b) })
	if w.doc.verdict(t, err, Invalid, Mutated) {
		return err
	}
	before := maps.Clone(coins)
	var delta *Delta
	frugal.Call(t, "ApplyBlock", size, func() { delta, err = ApplyBlock(w.p, w.parent, b, coins) })
	if !maps.Equal(coins, before) {
		t.Fatalf("the coins changed (%v)", err)
	}
	after, fees, faults := applyNaively(w.p, w.parent, b, coins)
	if w.doc.verdict(t, err, Invalid) {
		if delta != nil || !faults[AsRuleError(err).Code] {
			t.Fatalf("%v, broken are %v", err, faults)
		}
		return err
	}
	if len(faults) > 0 || delta.Fees != fees {
		t.Fatalf("accepted with %d in fees, not %d; broken are %v", delta.Fees, fees, faults)
	}
	w.checkDelta(t, b, delta, before, after)
	frugal.Call(t, "Verify", size, func() { err = Verifier{Workers: 1}.Verify(delta.Checks) })
	if w.doc.verdict(t, err, Invalid) && signed {
		t.Fatalf("signed, and %v", err)
	}
	return err
}

// checkDelta holds what a block does to the coins against the model's set, and
// takes it off again.
func (w *fuzzWorld) checkDelta(t *testing.T, b *Block, delta *Delta, before, after map[OutPoint]Coin) {
	restricted := map[OutPoint]Coin{}
	for _, op := range Prevouts(b) {
		if c, ok := before[op]; ok {
			restricted[op] = c
		}
	}
	if again, err := ApplyBlock(w.p, w.parent, b, restricted); err != nil || !reflect.DeepEqual(again, delta) {
		t.Fatalf("with no coins but those of Prevouts: %v", err)
	}
	set := maps.Clone(before)
	change(t, set, delta)
	if !maps.Equal(set, after) {
		t.Fatalf("%d coins, the model has %d", len(set), len(after))
	}
	claimed := b.Txs[0].outputSum()
	if burnt := delta.Fees + w.p.Subsidy(w.parent.Height+1) - claimed; burnt < 0 || worth(set)-worth(before) != claimed-delta.Fees {
		t.Fatalf("%d units become %d with %d in fees and %d claimed", worth(before), worth(set), delta.Fees, claimed)
	}
	undo, err := DecodeUndo(delta.Undo.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	var back *Delta
	frugal.Call(t, "RevertBlock", b.Size(), func() { back, err = RevertBlock(b, w.parent.Height+1, undo) })
	if err != nil {
		t.Fatal(err)
	}
	change(t, set, back)
	if !maps.Equal(set, before) || back.Fees != 0 || len(back.Checks) != 0 {
		t.Fatalf("%d coins before, %d after the block was taken off", len(before), len(set))
	}
	if raw := b.Bytes(); len(undo.Spent) > 0 {
		undo.Spent = undo.Spent[1:]
		if _, err := RevertBlock(b, w.parent.Height+1, undo); err == nil || AsRuleError(err) != nil || !bytes.Equal(raw, b.Bytes()) {
			t.Fatalf("undo data of one coin too few: %v", err)
		}
	}
}

// change does what a delta says, which must be possible.
func change(t *testing.T, set map[OutPoint]Coin, delta *Delta) {
	for _, e := range delta.Spent {
		if c, ok := set[e.OutPoint]; !ok || c != e.Coin {
			t.Fatalf("%s is spent as %+v and is %+v", e.OutPoint, e.Coin, c)
		}
		delete(set, e.OutPoint)
	}
	for _, e := range delta.Created {
		if _, ok := set[e.OutPoint]; ok {
			t.Fatalf("%s is created, and is there", e.OutPoint)
		}
		set[e.OutPoint] = e.Coin
	}
}

func worth(set map[OutPoint]Coin) (sum int64) { // a handful of coins: it cannot wrap
	for _, c := range set {
		sum += c.Value
	}
	return sum
}

// applyNaively changes a copy of the coins transaction by transaction, and names
// the rules that the first bad one breaks.
func applyNaively(p *Params, parent *BlockIndex, b *Block, coins map[OutPoint]Coin) (set map[OutPoint]Coin, fees int64, faults map[Code]bool) {
	set = maps.Clone(coins)
	for i, tx := range b.Txs {
		var spent []Coin
		for _, in := range tx.Inputs {
			c, ok := set[in.PrevOut]
			if !ok && i > 0 {
				return nil, 0, map[Code]bool{ErrInputsMissingOrSpent: true}
			}
			delete(set, in.PrevOut)
			spent = append(spent, c)
		}
		if i > 0 {
			if faults := spendFaults(p, parent, tx, spent); len(faults) > 0 {
				faults[ErrNonFinal] = faults[ErrNonBIP68Final]
				return nil, 0, faults
			}
			for _, c := range spent {
				fees += c.Value
			}
			if fees -= tx.outputSum(); fees > MaxMoney {
				return nil, 0, map[Code]bool{ErrFeeOutOfRange: true}
			}
		}
		for j, out := range tx.Outputs {
			op := OutPoint{tx.TxID(), uint32(j)}
			if _, ok := set[op]; ok && i == 0 {
				return nil, 0, map[Code]bool{ErrBIP30: true}
			}
			if len(out.Script) == 2+KeySize && out.Script[0] == op1 { // CheckBlock has seen the rest
				set[op] = Coin{out.Value, [KeySize]byte(out.Script[2:]), parent.Height + 1, i == 0}
			}
		}
	}
	if b.Txs[0].outputSum() > fees+p.Subsidy(parent.Height+1) {
		return nil, 0, map[Code]bool{ErrCoinbaseAmount: true}
	}
	return set, fees, nil
}

type applySeed struct {
	raw, steer []byte
	want       Code
}

func applySeeds(t testing.TB) map[string]applySeed {
	block := func(txs ...*Tx) *Block {
		return &Block{Txs: append([]*Tx{coinbaseTx(sceneHeight+1, pay(0, 7))}, txs...)}
	}
	raw := func(txs ...*Tx) []byte { return block(txs...).Bytes() }
	of := func(n byte, tx *Tx) *Tx { // spends the first output of the block's n-th transaction
		tx.Inputs[0].PrevOut = OutPoint{Hash{n}, 0}
		return tx
	}
	paying := func(value int64, n int) *Tx {
		tx := loose(n)
		tx.Outputs = []TxOut{pay(value, 1)}
		return tx
	}
	burn := loose(3)
	burn.Outputs = []TxOut{data("gone")}
	_, good := goodBlock(t, 2)
	return map[string]applySeed{
		"coinbase alone":      {raw(), nil, ""},
		"two payments":        {raw(loose(1, 2), loose(3)), nil, ""},
		"chain of three":      {raw(loose(1), of(1, loose(0)), of(2, loose(0))), nil, ""},
		"all to miner":        {raw(burn), nil, ""},
		"less claimed":        {block(loose(1)).Bytes(), []byte{asIsClaim}, ""},
		"not signed":          {raw(loose(1)), []byte{asIsSigs}, ErrWitnessItems},
		"as it came":          {good.Bytes(), []byte{asIsHeight | asIsLinks | asIsClaim | asIsSigs | asIsWitness | asIsRoot}, ErrCoinbaseAmount},
		"wrong root":          {raw(loose(1)), []byte{asIsRoot}, ErrMerkleRoot},
		"no commitment":       {raw(loose(1)), []byte{asIsWitness}, ErrUnexpectedWitness},
		"wrong height":        {(&Block{Txs: []*Tx{coinbaseTx(7)}}).Bytes(), []byte{asIsHeight}, ErrCoinbaseHeight},
		"no transactions":     {(&Block{}).Bytes(), nil, ErrBlockLength},
		"two coinbases":       {raw(coinbaseTx(sceneHeight+1, pay(0, 7))), nil, ErrCoinbaseMultiple},
		"locked":              {raw(lockedBy(loose(1), sceneHeight+1)), nil, ErrNonFinal},
		"claims too much":     {block(loose(1)).with(51 * UnitsPerCoin), []byte{asIsClaim}, ErrCoinbaseAmount},
		"overwrites a coin":   {raw(), []byte{oldCoinbase}, ErrBIP30},
		"missing coin":        {raw(loose(1)), []byte{0, 31}, ErrInputsMissingOrSpent},
		"spent twice":         {raw(loose(1), loose(1)), nil, ErrInputsMissingOrSpent},
		"repeated at the end": {raw(loose(1), loose(2), loose(2)), nil, ErrDuplicateTxs},
		"spent by another":    {raw(loose(1), paying(7, 1)), nil, ErrInputsMissingOrSpent},
		"spent in the block":  {raw(loose(1), of(1, loose(0)), of(1, paying(7, 0))), nil, ErrInputsMissingOrSpent},
		"later transaction":   {raw(of(2, loose(0)), loose(1)), []byte{0, 31}, ErrInputsMissingOrSpent},
		"fees over limit":     {raw(paying(1, 1), paying(1, 2)), []byte{0, 0, 0, 7, 0, 0, 0, 0, 0, 7}, ErrFeeOutOfRange},
		"values over limit":   {raw(loose(1, 2)), []byte{0, 0, 0, 7, 0, 0, 0, 0, 3}, ErrInputSumTooLarge},
		"young coinbase":      {raw(loose(1)), []byte{0, 0, 0, 0, 200, 1}, ErrPrematureSpend},
		"relative lock":       {raw(lockedFor(loose(1), 10)), []byte{0, 0, 0, 0, 128 + 9}, ErrNonFinal},
		"relative lock over":  {raw(lockedFor(loose(1), 10)), []byte{0, 0, 0, 0, 128 + 10}, ""},
	}
}

// with lets the coinbase claim a value.
func (b *Block) with(value int64) []byte {
	b.Txs[0].Outputs[0].Value = value
	return b.Bytes()
}

func lockedFor(tx *Tx, sequence uint32) *Tx {
	tx.Inputs[0].Sequence = sequence
	return tx
}

func TestApplySeeds(t *testing.T) {
	w := newFuzzWorld(t)
	for name, seed := range applySeeds(t) {
		t.Run(name, func(t *testing.T) {
			if err := w.apply(t, seed.raw, seed.steer); !errors.Is(err, seed.want) && (err != nil || seed.want != "") {
				t.Errorf("%v, want %q", err, seed.want)
			}
		})
	}
}
