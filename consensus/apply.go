package consensus

import "fmt"

// CoinEntry is a coin with its name.
type CoinEntry struct {
	OutPoint OutPoint
	Coin     Coin
}

// Delta is what a block does to the coin set, on its way in (ApplyBlock) or out
// (RevertBlock). Spent and Created are net: an output that the same block
// creates and spends is in neither. Both are in block order, and nothing is in
// both.
type Delta struct {
	Fees    int64       // units; zero from RevertBlock
	Undo    Undo        // takes the block off again; empty from RevertBlock
	Spent   []CoinEntry // leave the set
	Created []CoinEntry // enter the set
	Checks  []SigCheck  // for a Verifier; none from RevertBlock

	sum *CoinSum
}

// Sum is what the delta adds to the coin sum, modulo 2^64 and 2^256. It takes a third of
// a microsecond for each coin, the first time.
func (d *Delta) Sum() CoinSum {
	if d.sum == nil {
		d.sum = new(CoinSum)
		for i := range d.Spent {
			d.sum.Remove(d.Spent[i].OutPoint, &d.Spent[i].Coin)
		}
		for i := range d.Created {
			d.sum.Add(d.Created[i].OutPoint, &d.Created[i].Coin)
		}
	}
	return *d.sum
}

// Undo holds the coins that a block's inputs spend, those of the same block
// too, in block order.
type Undo struct {
	Spent []Coin
}

// Prevouts lists what ApplyBlock has to know of the coin set: which of these
// outputs are coins. They are what the inputs spend, but for the outputs of
// earlier transactions of the block, and the coinbase's own outputs, which must
// be new (BIP30).
func Prevouts(b *Block) []OutPoint {
	if len(b.Txs) == 0 {
		return nil
	}
	list := make([]OutPoint, 0, coinCount(b.Txs[0])+inputCount(b))
	earlier := make(map[Hash]struct{}, len(b.Txs))
	for i, txid := range b.TxIDs() {
		tx := b.Txs[i]
		if i == 0 {
			forEachCoin(tx, txid, 0, false, func(e CoinEntry) { list = append(list, e.OutPoint) })
		} else {
			for j := range tx.Inputs {
				if in := tx.Inputs[j].PrevOut; !contains(earlier, in.TxID) {
					list = append(list, in)
				}
			}
		}
		earlier[txid] = struct{}{}
	}
	return list
}

func contains[K comparable, V any](m map[K]V, k K) bool {
	_, ok := m[k]
	return ok
}

// forEachCoin calls visit with the outputs of a transaction that become coins:
// payments to a key, never OP_RETURN (rule T10).
func forEachCoin(tx *Tx, txid Hash, height uint32, coinbase bool, visit func(CoinEntry)) {
	for i := range tx.Outputs {
		if key, ok := OutputKey(tx.Outputs[i].Script); ok {
			visit(CoinEntry{
				OutPoint{txid, uint32(i)},
				Coin{Value: tx.Outputs[i].Value, Key: key, Height: height, Coinbase: coinbase},
			})
		}
	}
}

// coinCount is how many coins the transactions create.
func coinCount(txs ...*Tx) int {
	n := 0
	for _, tx := range txs {
		for i := range tx.Outputs {
			if _, ok := OutputKey(tx.Outputs[i].Script); ok {
				n++
			}
		}
	}
	return n
}

// ApplyBlock judges a block that passed CheckBlock and CheckBlockContext against
// the coins, and returns what it does to them: rules B12 to B14 and C3, and per
// transaction those of SpendTx, each Invalid. coins are those of Prevouts that
// exist; the map is only read. Signatures are left to the caller, in
// Delta.Checks: until they are verified the block is not valid.
func ApplyBlock(p *Params, parent *BlockIndex, b *Block, coins map[OutPoint]Coin) (*Delta, error) {
	height := parent.Height + 1
	v := newView(b, coins)
	d := &Delta{
		Undo:   Undo{Spent: make([]Coin, 0, inputCount(b))},
		Checks: make([]SigCheck, 0, len(b.Txs)-1),
	}
	for i, txid := range b.TxIDs() {
		tx := b.Txs[i]
		if i == 0 {
			for j := range tx.Outputs {
				if old := (OutPoint{txid, uint32(j)}); contains(coins, old) {
					return nil, invalid(ErrBIP30, fmt.Sprintf("the coinbase would overwrite the coin %s", old)) // B12
				}
			}
		} else {
			fee, err := v.spend(p, parent, tx, d)
			if err != nil {
				return nil, within(fmt.Sprintf("transaction %d (%s)", i, txid), inBlock(err))
			}
			if fee > MaxMoney-d.Fees {
				return nil, invalid(ErrFeeOutOfRange, fmt.Sprintf("the fees of transactions 1 to %d exceed %d units", i, int64(MaxMoney))) // B14
			}
			d.Fees += fee
		}
		v.create(tx, txid, height, i == 0)
	}
	if got, most := b.Txs[0].outputSum(), d.Fees+p.Subsidy(height); got > most {
		return nil, invalid(ErrCoinbaseAmount, fmt.Sprintf("the coinbase pays %d units, subsidy and fees are %d", got, most)) // C3
	}
	d.Spent, d.Created = v.net()
	return d, nil
}

// inBlock turns the kinds of a loose transaction into those of one in a block,
// where the place is given and there is nothing to wait for.
func inBlock(err error) error {
	rule := AsRuleError(err)
	if rule == nil {
		return err
	}
	code := rule.Code
	if code == ErrNonBIP68Final {
		code = ErrNonFinal // L2, as Core says it of a block
	}
	return invalid(code, rule.Detail)
}

func inputCount(b *Block) int {
	n := 0
	for _, tx := range b.Txs[1:] {
		n += len(tx.Inputs)
	}
	return n
}

// view is the coin set as it is in the middle of a block.
type view struct {
	set   map[OutPoint]Coin     // before the block; only read
	spent map[OutPoint]struct{} // of set
	fresh map[OutPoint]int32    // position in made of what the block created and has not spent
	made  []CoinEntry           // all that the block created, in order
	gone  []CoinEntry           // what it spent of set, in order
}

// newView makes room for all that the block can do, once: what grows by
// doubling costs several times what it holds in the end.
func newView(b *Block, set map[OutPoint]Coin) *view {
	inputs, coins := inputCount(b), coinCount(b.Txs...)
	return &view{
		set:   set,
		spent: make(map[OutPoint]struct{}, min(inputs, len(set))),
		fresh: make(map[OutPoint]int32, coins),
		made:  make([]CoinEntry, 0, coins),
		gone:  make([]CoinEntry, 0, inputs),
	}
}

// spend takes a transaction's coins out, judges the spending and adds to undo
// data and signature checks.
func (v *view) spend(p *Params, parent *BlockIndex, tx *Tx, d *Delta) (fee int64, err error) {
	from := len(d.Undo.Spent)
	for i := range tx.Inputs {
		coin, ok := v.take(tx.Inputs[i].PrevOut)
		if !ok {
			return 0, invalid(ErrInputsMissingOrSpent, fmt.Sprintf("input %d: %s is no coin", i, tx.Inputs[i].PrevOut)) // B13
		}
		d.Undo.Spent = append(d.Undo.Spent, coin)
	}
	coins := d.Undo.Spent[from:len(d.Undo.Spent):len(d.Undo.Spent)]
	d.Checks = append(d.Checks, SigCheck{tx, coins})
	return SpendTx(p, parent, tx, coins)
}

func (v *view) take(op OutPoint) (Coin, bool) {
	if at, ok := v.fresh[op]; ok {
		delete(v.fresh, op)
		return v.made[at].Coin, true
	}
	coin, ok := v.set[op]
	if !ok || contains(v.spent, op) {
		return Coin{}, false
	}
	v.spent[op] = struct{}{}
	v.gone = append(v.gone, CoinEntry{op, coin})
	return coin, true
}

func (v *view) create(tx *Tx, txid Hash, height uint32, coinbase bool) {
	forEachCoin(tx, txid, height, coinbase, func(e CoinEntry) {
		v.fresh[e.OutPoint] = int32(len(v.made))
		v.made = append(v.made, e)
	})
}

// net returns what the block spent of the set, and what it leaves in it.
func (v *view) net() (gone, left []CoinEntry) {
	left = make([]CoinEntry, 0, len(v.fresh))
	for _, e := range v.made {
		if contains(v.fresh, e.OutPoint) {
			left = append(left, e)
		}
	}
	return v.gone, left
}

// RevertBlock returns what taking a block off does to the coin set: the
// opposite of ApplyBlock, from the undo data that ApplyBlock returned. The
// block was valid, so that every error is our own: block and undo data do not
// belong together.
func RevertBlock(b *Block, height uint32, u *Undo) (*Delta, error) {
	if len(b.Txs) == 0 || len(u.Spent) != inputCount(b) {
		return nil, fmt.Errorf("undo data of %d coins does not fit the block at height %d", len(u.Spent), height)
	}
	v := newView(b, nil)
	rest := u.Spent
	for i, txid := range b.TxIDs() {
		tx := b.Txs[i]
		if i > 0 {
			for j := range tx.Inputs {
				if err := v.untake(tx.Inputs[j].PrevOut, rest[j]); err != nil {
					return nil, fmt.Errorf("undo data of the block at height %d, transaction %d: %w", height, i, err)
				}
			}
			rest = rest[len(tx.Inputs):]
		}
		v.create(tx, txid, height, i == 0)
	}
	returned, removed := v.net()
	return &Delta{Spent: removed, Created: returned}, nil
}

// untake spends with the coin that undo data names in place of a coin set.
func (v *view) untake(op OutPoint, coin Coin) error {
	at, ok := v.fresh[op]
	if !ok {
		v.gone = append(v.gone, CoinEntry{op, coin})
		return nil
	}
	if v.made[at].Coin != coin {
		return fmt.Errorf("the coin %s is not what the block created", op)
	}
	delete(v.fresh, op)
	return nil
}
