package mempool

import (
	"slices"
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// Add judges a loose transaction and takes it in. The cheap checks come first,
// the signatures last. What is refused with consensus.Invalid is invalid for
// everybody, forever; whatever depends on this pool, on the tip or on the clock
// is refused with consensus.Policy or consensus.Temporary. Where inputs are missing the error is a
// *MissingInputs, and the transaction may wait as an orphan (AddOrphan).
func (p *Pool) Add(now time.Time, c Chain, tx *consensus.Tx) (*Entry, error) {
	e, err := p.Check(now, c, tx)
	if err == nil {
		err = p.enter(now, e)
	}
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Admit takes in what Judge returned a while ago, once its signatures are known to
// be good. Pool, tip and clock may have moved: all that depends on them is judged
// anew. The signatures do not: a coin's name says which key and value it has.
func (p *Pool) Admit(now time.Time, c Chain, e *Entry) error {
	e.Time, e.Height, e.parents, e.children = now, c.Tip.Height, nil, nil
	if err := p.judgeHere(now, c, e); err != nil {
		return err
	}
	return p.enter(now, e)
}

// enter takes in a judged entry, unless it is the first that would have to leave.
func (p *Pool) enter(now time.Time, e *Entry) error {
	e.onChain, e.lookedAt = nil, nil
	p.append(e)
	p.trim(now)
	if p.byTxID[e.TxID] != e {
		return refuse(ErrPoolFull, "%d units for %d vB are too little to stay among %d bytes of transactions", e.Fee, e.VSize, p.cfg.MaxBytes)
	}
	return nil
}

// Trial judges transactions in order, each as if those before it were in the
// pool, and leaves the pool as it was (testmempoolaccept). For each there is
// an entry or an error; one that is ours, and no RuleError, ends it early.
func (p *Pool) Trial(now time.Time, c Chain, txs []*consensus.Tx) (entries []*Entry, errs []error) {
	for _, tx := range txs {
		e, err := p.Check(now, c, tx)
		entries, errs = append(entries, e), append(errs, err)
		if err == nil {
			p.append(e) // without trimming: nothing else may leave for it
		} else if consensus.AsRuleError(err) == nil {
			break
		}
	}
	for i := len(entries) - 1; i >= 0; i-- {
		if errs[i] == nil {
			p.remove(entries[i])
		}
	}
	return entries, errs
}

// Check judges like Add and changes nothing. The entry it returns is not in
// the pool.
func (p *Pool) Check(now time.Time, c Chain, tx *consensus.Tx) (*Entry, error) {
	e, err := p.Judge(now, c, tx)
	if err != nil {
		return nil, err
	}
	if err := consensus.CheckSignatures(tx, e.Coins); err != nil {
		return nil, err
	}
	return e, nil
}

// Judge is Check but for the signatures, which the caller checks against the entry's
// coins before Admit takes it in.
func (p *Pool) Judge(now time.Time, c Chain, tx *consensus.Tx) (*Entry, error) {
	if err := checkForm(c.Params, tx); err != nil {
		return nil, err
	}
	e := newEntry(now, c.Tip, tx)
	if err := p.judgeHere(now, c, e); err != nil {
		return nil, err
	}
	return e, nil
}

// judgeHere judges what depends on the chain, the pool and the clock.
func (p *Pool) judgeHere(now time.Time, c Chain, e *Entry) error {
	if err := checkFinal(c, e.Tx); err != nil {
		return err
	}
	if err := p.checkNew(e); err != nil {
		return err
	}
	if err := p.place(e, c); err != nil {
		return err
	}
	if err := p.checkFee(now, e); err != nil {
		return err
	}
	return checkCluster(e)
}

// checkAlone judges a transaction by itself and its place in time (M1–M6).
func checkAlone(c Chain, tx *consensus.Tx) error {
	if err := checkForm(c.Params, tx); err != nil {
		return err
	}
	return checkFinal(c, tx)
}

// checkFinal judges a transaction's place in time (M6).
func checkFinal(c Chain, tx *consensus.Tx) error {
	if height := c.Tip.Height + 1; !consensus.CheckFinal(tx, height, c.Tip.MTP()) {
		return refuse(ErrNonFinal, "lock time %d, the next block has height %d and median time %d", tx.LockTime, height, c.Tip.MTP())
	}
	return nil
}

// checkForm judges what no chain can change.
func checkForm(params *consensus.Params, tx *consensus.Tx) error {
	if err := consensus.CheckTx(params, tx); err != nil {
		return err
	}
	if tx.IsCoinbase() {
		return refuse(ErrCoinbase, "a coinbase comes in a block only")
	}
	if weight := tx.Weight(); weight > MaxTxWeight {
		return refuse(ErrTxSize, "weight %d, at most %d is relayed", weight, MaxTxWeight)
	}
	for i := range tx.Outputs {
		out := &tx.Outputs[i]
		if _, isCoin := consensus.OutputKey(out.Script); isCoin && out.Value < DustLimit {
			return refuse(ErrDust, "output %d has %d units, the least is %d", i, out.Value, DustLimit)
		}
	}
	if size := tx.StrippedSize(); size < MinTxSize {
		return refuse(ErrTxSizeSmall, "%d bytes without witness, the least is %d", size, MinTxSize)
	}
	return nil
}

// checkNew judges a transaction against those in the pool (M7, M8).
func (p *Pool) checkNew(e *Entry) error {
	if p.byWTxID[e.WTxID] != nil {
		return refuse(ErrInPool, "")
	}
	if p.byTxID[e.TxID] != nil {
		return refuse(ErrOtherWitness, "")
	}
	for i := range e.Tx.Inputs {
		op := e.Tx.Inputs[i].PrevOut
		if rival := p.spender[op]; rival != nil {
			return refuse(ErrConflict, "%s is spent by %s already", op, rival.TxID)
		}
	}
	return nil
}

// place finds an entry's coins, parents and children, and judges it in the next
// block (M9, M10).
func (p *Pool) place(e *Entry, c Chain) error {
	if err := p.findCoins(e, c); err != nil {
		return err
	}
	for i := range e.Tx.Outputs {
		child := p.spender[consensus.OutPoint{TxID: e.TxID, Index: uint32(i)}]
		if child != nil && !slices.Contains(e.children, child) {
			e.children = append(e.children, child)
		}
	}
	var err error
	e.Fee, err = consensus.SpendTx(c.Params, c.Tip, e.Tx, e.Coins)
	return err
}

// findCoins fills in the coins of an entry, and its parents.
func (p *Pool) findCoins(e *Entry, c Chain) error {
	var confirmed []consensus.OutPoint
	for i := range e.Tx.Inputs {
		if op := e.Tx.Inputs[i].PrevOut; p.byTxID[op.TxID] == nil {
			confirmed = append(confirmed, op)
		}
	}
	if len(confirmed) > 0 && !e.looked(confirmed, c.Tip) {
		var err error
		if e.onChain, err = c.Coins(confirmed); err != nil {
			return err
		}
		e.lookedAt = c.Tip
	}
	e.Coins = make([]consensus.Coin, len(e.Tx.Inputs))
	var missing []consensus.Hash
	for i := range e.Tx.Inputs {
		op := e.Tx.Inputs[i].PrevOut
		var found bool
		if parent := p.byTxID[op.TxID]; parent != nil {
			if e.Coins[i], found = parent.coin(op.Index, c.Tip); !found {
				return &consensus.RuleError{Code: consensus.ErrInputsMissingOrSpent, Kind: consensus.Invalid, Detail: op.String() + " is no coin of its transaction"}
			}
			if !slices.Contains(e.parents, parent) {
				e.parents = append(e.parents, parent)
			}
		} else if e.Coins[i], found = e.onChain[op]; !found && !slices.Contains(missing, op.TxID) {
			missing = append(missing, op.TxID)
		}
	}
	if len(missing) > 0 {
		return whyMissing(e, c, missing)
	}
	return nil
}

// looked reports whether all of these coins were found before, at the same tip.
func (e *Entry) looked(outpoints []consensus.OutPoint, tip *consensus.BlockIndex) bool {
	if e.lookedAt != tip {
		return false
	}
	for _, op := range outpoints {
		if _, found := e.onChain[op]; !found {
			return false
		}
	}
	return true
}

// coin returns one of the coins that an entry creates: as if in the block after
// the tip (BIP68 counts from there).
func (e *Entry) coin(index uint32, tip *consensus.BlockIndex) (consensus.Coin, bool) {
	if uint64(index) >= uint64(len(e.Tx.Outputs)) {
		return consensus.Coin{}, false
	}
	out := &e.Tx.Outputs[index]
	key, ok := consensus.OutputKey(out.Script)
	return consensus.Coin{Value: out.Value, Key: key, Height: tip.Height + 1}, ok
}

// whyMissing tells a transaction that is in the chain already, as far as its
// coins still show it, from one whose parents have not come.
func whyMissing(e *Entry, c Chain, missing []consensus.Hash) error {
	outputs := make([]consensus.OutPoint, len(e.Tx.Outputs))
	for i := range outputs {
		outputs[i] = consensus.OutPoint{TxID: e.TxID, Index: uint32(i)}
	}
	created, err := c.Coins(outputs)
	if err != nil {
		return err
	}
	if len(created) > 0 {
		return refuse(ErrKnown, "%s is in the chain", e.TxID)
	}
	return &MissingInputs{Parents: missing}
}

// checkFee holds an entry against the pool's floor and the relay fee (M12,
// M13).
func (p *Pool) checkFee(now time.Time, e *Entry) error {
	if floor := p.floor.at(now, p.bytes, p.cfg); e.Fee < feeAt(floor, e.VSize) {
		return refuse(ErrPoolFee, "%d units for %d vB, the pool wants %d", e.Fee, e.VSize, feeAt(floor, e.VSize))
	}
	if least := feeAt(p.cfg.MinRelayFee, e.VSize); e.Fee < least {
		return refuse(ErrMinRelayFee, "%d units for %d vB, the least is %d", e.Fee, e.VSize, least)
	}
	return nil
}

// checkCluster bounds what an entry would tie together (M11).
func checkCluster(e *Entry) error {
	weight := 0
	cluster := reach(append([]*Entry{e}, relatives(e)...), relatives)
	for _, member := range cluster {
		weight += member.Weight
	}
	if len(cluster) > MaxClusterTxs || weight > MaxClusterWeight {
		return refuse(ErrCluster, "%d transactions of weight %d hang together, at most %d of %d may", len(cluster), weight, MaxClusterTxs, MaxClusterWeight)
	}
	return nil
}
