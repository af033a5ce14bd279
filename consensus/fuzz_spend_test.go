package consensus

import (
	"errors"
	"math/big"
	"testing"

	"github.com/kapok-chain/kapok/internal/frugal"
)

// dice steer what a target does beside its raw bytes: a byte a decision, zeros
// when there are no more.
type dice []byte

func (d *dice) roll(n int) int {
	if len(*d) == 0 {
		return 0
	}
	b := (*d)[0]
	*d = (*d)[1:]
	return int(b) % n
}

// fuzzWorld is what spending targets share; it is only read.
type fuzzWorld struct {
	p      *Params
	parent *BlockIndex
	keys   [8][KeySize]byte
	number map[[KeySize]byte]int // of a key
	doc    documented
}

func newFuzzWorld(t testing.TB) *fuzzWorld {
	const spacing = 1 << sequenceUnit // seconds, so that relative locks end with a block
	w := &fuzzWorld{p: Regtest(), parent: chainOf(sceneHeight, spacing), number: map[[KeySize]byte]int{}, doc: readDocumented(t)}
	for n := range w.keys {
		w.keys[n] = publicKey(n)
		w.number[w.keys[n]] = n
	}
	return w
}

// fuzzValues are what a coin may be worth.
var fuzzValues = []int64{0, 1, 1_000, UnitsPerCoin, 50 * UnitsPerCoin, MaxMoney/2 + 1, MaxMoney - 1, MaxMoney}

// coin draws a coin; its first value is the one that suits the transaction.
func (w *fuzzWorld) coin(d *dice, suits int64) Coin {
	c := Coin{Value: max(0, min(suits, MaxMoney)), Key: w.keys[d.roll(8)]}
	if n := d.roll(len(fuzzValues) + 24); n < len(fuzzValues) && n > 0 {
		c.Value = fuzzValues[n]
	}
	age := d.roll(256) // 0 is old, mature and past any short lock
	c.Height = uint32(age)
	if age >= 128 {
		c.Height = w.parent.Height + 1 - uint32(age-128)
	}
	c.Coinbase = d.roll(4) == 1
	return c
}

// sign signs what it can: not an input whose hash type wants an output that is
// not there, nor one whose key is a stranger's.
func (w *fuzzWorld) sign(t *testing.T, d *dice, tx *Tx, coins []Coin) (all bool) {
	hasher, err := NewSigHasher(tx, txOuts(coins))
	if err != nil {
		t.Fatal(err)
	}
	all = true
	for i := range tx.Inputs {
		hashType := []byte{SigHashDefault, SigHashAll, SigHashNone, SigHashSingle, 0x81, 0x82, 0x83}[d.roll(7)]
		message, err := hasher.Hash(i, hashType)
		n, ours := w.number[coins[i].Key]
		if err != nil || !ours {
			all = false
			continue
		}
		tx.Inputs[i].Witness = [][]byte{signMessage(t, n, message, hashType)}
	}
	return all
}

// spendFaults names the rules that SpendTx has to find broken, each asked for by
// itself and in other terms: sums without bounds, BIP68 as Bitcoin Core's
// CalculateSequenceLocks has it, ancestors by walking.
func spendFaults(p *Params, parent *BlockIndex, tx *Tx, coins []Coin) map[Code]bool {
	faults := map[Code]bool{}
	limit, in, out := big.NewInt(MaxMoney), new(big.Int), new(big.Int)
	for _, c := range coins {
		if c.Coinbase && int64(parent.Height)+1-int64(c.Height) < int64(p.Maturity) {
			faults[ErrPrematureSpend] = true
		}
		if in.Add(in, big.NewInt(c.Value)); c.Value < 0 || c.Value > MaxMoney || in.Cmp(limit) > 0 {
			faults[ErrInputSumTooLarge] = true
		}
	}
	for _, o := range tx.Outputs {
		out.Add(out, big.NewInt(o.Value))
	}
	if out.Cmp(in) > 0 {
		faults[ErrInBelowOut] = true
	}
	if tx.Version < 2 {
		return faults
	}
	lastHeight, lastTime := int64(-1), int64(-1) // the last ones at which it is locked
	for i, in := range tx.Inputs {
		if in.Sequence>>31 == 1 {
			continue
		}
		height, n := int64(coins[i].Height), int64(in.Sequence&0xffff)
		if in.Sequence>>22&1 == 0 {
			lastHeight = max(lastHeight, height+n-1)
			continue
		}
		before := parent
		for int64(before.Height) > max(height-1, 0) {
			before = before.Parent
		}
		lastTime = max(lastTime, before.MTP()+512*n-1)
	}
	if lastHeight >= int64(parent.Height)+1 || lastTime >= parent.MTP() {
		faults[ErrNonBIP68Final] = true
	}
	return faults
}

// FuzzSpendTx judges a transaction with coins of the dice, and signs it where
// asked.
func FuzzSpendTx(f *testing.F) {
	w := newFuzzWorld(f)
	for _, seed := range spendSeeds(f) {
		f.Add(seed.raw, seed.steer, seed.sign)
	}
	f.Fuzz(func(t *testing.T, raw, steer []byte, sign bool) { w.spend(t, raw, steer, sign) })
}

type spendSeed struct {
	raw, steer []byte
	sign       bool
	want       Code
}

func spendSeeds(t testing.TB) map[string]spendSeed {
	two, _ := signed(t, SigHashAll)
	locked := func(version, sequence uint32) []byte {
		tx := loose(1)
		tx.Version, tx.Inputs[0].Sequence = version, sequence
		return tx.Bytes()
	}
	one := loose(1).Bytes()
	return map[string]spendSeed{
		"two inputs":         {two.Bytes(), nil, true, ""},
		"every hash type":    {two.Bytes(), []byte{1, 0, 0, 0, 2, 0, 0, 0, 4, 3}, true, ""},
		"single, no output":  {loose(1, 2).Bytes(), []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 3}, true, ErrWitnessItems},
		"not signed":         {one, nil, false, ErrWitnessItems},
		"signed otherwise":   {two.Bytes(), []byte{3, 0, 0, 0, 3}, false, ErrSig},
		"young coinbase":     {one, []byte{0, 0, 200, 1}, true, ErrPrematureSpend},
		"just mature":        {one, []byte{0, 0, 128 + 100, 1}, true, ""},
		"values over limit":  {two.Bytes(), []byte{0, 7, 0, 0, 0, 2}, true, ErrInputSumTooLarge},
		"poor coin":          {one, []byte{0, 1}, true, ErrInBelowOut},
		"version 1 ignores":  {locked(1, 0xffff), []byte{0, 0, 128}, true, ""},
		"height lock":        {locked(2, 10), []byte{0, 0, 128 + 9}, true, ErrNonBIP68Final},
		"height lock over":   {locked(2, 10), []byte{0, 0, 128 + 10}, true, ""},
		"time lock":          {locked(2, 1<<22|10), []byte{0, 0, 128 + 9}, true, ErrNonBIP68Final},
		"time lock over":     {locked(2, 1<<22|10), []byte{0, 0, 128 + 10}, true, ""},
		"version is wide":    {locked(1<<31, 10), []byte{0, 0, 128}, true, ErrNonBIP68Final},
		"disabled lock":      {locked(2, 1<<31|10), []byte{0, 0, 128}, true, ""},
		"a coin too early":   {locked(2, 0), []byte{0, 0, 128}, true, ""},
		"refused by CheckTx": {(&Tx{Version: 2, Inputs: loose(1).Inputs, Outputs: []TxOut{{Script: []byte{op1}}}}).Bytes(), nil, true, ErrOutputType},
	}
}

func TestSpendSeeds(t *testing.T) {
	w := newFuzzWorld(t)
	for name, seed := range spendSeeds(t) {
		t.Run(name, func(t *testing.T) {
			if err := w.spend(t, seed.raw, seed.steer, seed.sign); !errors.Is(err, seed.want) && (err != nil || seed.want != "") {
				t.Errorf("%v, want %q", err, seed.want)
			}
		})
	}
}

// spend is one run of FuzzSpendTx; it returns the refusal.
func (w *fuzzWorld) spend(t *testing.T, raw, steer []byte, sign bool) error {
	tx, err := DecodeTx(raw)
	if err != nil {
		return err
	}
	if err := CheckTx(w.p, tx); err != nil || tx.IsCoinbase() {
		w.doc.verdict(t, err, Invalid)
		return err
	}
	d := dice(steer)
	coins, open := make([]Coin, len(tx.Inputs)), tx.outputSum()
	for i := range coins {
		coins[i] = w.coin(&d, open)
		open = max(0, open-coins[i].Value)
	}
	var fee int64
	frugal.Call(t, "SpendTx", len(raw), func() { fee, err = SpendTx(w.p, w.parent, tx, coins) })
	faults := spendFaults(w.p, w.parent, tx, coins)
	if w.doc.verdict(t, err, Invalid, Temporary, Policy) {
		if !faults[AsRuleError(err).Code] {
			t.Fatalf("%v, broken are %v", err, faults)
		}
		return err
	}
	sum := int64(0)
	for _, c := range coins {
		sum += c.Value
	}
	if len(faults) > 0 || fee != sum-tx.outputSum() || fee < 0 || fee > MaxMoney {
		t.Fatalf("accepted with fee %d of %d units, broken are %v", fee, sum, faults)
	}
	return w.signatures(t, &d, tx, coins, len(raw), sign)
}

// signatures judges the witnesses: as they are, or made anew, which must pass,
// and then with one bit changed, which must not.
func (w *fuzzWorld) signatures(t *testing.T, d *dice, tx *Tx, coins []Coin, input int, sign bool) error {
	const most = 4 // inputs that are signed: it takes a while
	all := sign && len(coins) <= most && w.sign(t, d, tx, coins)
	var err error
	frugal.Call(t, "CheckSignatures", input, func() { err = CheckSignatures(tx, coins) })
	if w.doc.verdict(t, err, Invalid) {
		if all {
			t.Fatalf("signed, and %v", err)
		}
		return err
	}
	i, bit := d.roll(len(coins)), d.roll(256)
	item := tx.Inputs[i].Witness[0]
	item[bit/8] ^= 1 << (bit % 8)
	if !w.doc.verdict(t, CheckSignatures(tx, coins), Invalid) {
		t.Fatalf("input %d: bit %d of the signature means nothing", i, bit)
	}
	item[bit/8] ^= 1 << (bit % 8)
	return nil
}
