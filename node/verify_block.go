package node

import (
	"fmt"

	"github.com/kapok-chain/kapok/consensus"
)

// What a Verification does with one block.

// takeOff looks at a block as far down as the level says, and takes it off.
func (v *Verification) takeOff(b *consensus.BlockIndex) error {
	block, ok, err := v.body(b)
	if !ok || v.level < VerifyBody {
		return err
	}
	if err := consensus.CheckPow(v.params, &block.Header); err != nil {
		return v.broken(b, err)
	}
	if err := consensus.CheckBlock(v.params, block); err != nil {
		return v.broken(b, err)
	}
	if v.level < VerifyUndo {
		return nil
	}
	undo, ok, err := v.undo(b)
	if !ok {
		v.lost = true
		return err
	}
	delta, err := consensus.RevertBlock(block, b.Height, undo)
	if err != nil {
		v.lost = true
		v.found.add(b, DamagedUndo, err.Error(), "", "")
		return nil
	}
	if v.level < VerifyCoins || v.lost {
		return nil
	}
	return v.takeOffCoins(b, delta)
}

// putOn judges a block as if it came now, holds what was stored of it against
// the outcome, and puts it on.
func (v *Verification) putOn(b *consensus.BlockIndex) error {
	block, ok, err := v.body(b)
	if !ok {
		return err
	}
	if b.TxCount != uint32(len(block.Txs)) {
		v.found.add(b, DamagedRecord, "the number of transactions kept with the header is wrong", fmt.Sprint(len(block.Txs)), fmt.Sprint(b.TxCount))
	}
	if b.Parent == nil { // genesis is what the network says, and leaves no coins
		v.txs += len(block.Txs)
		return nil
	}
	err = consensus.CheckHeader(v.params, b.Parent, &block.Header, v.now)
	if err == nil {
		err = consensus.CheckBlock(v.params, block)
	}
	if err == nil {
		err = consensus.CheckBlockContext(v.params, b.Parent, block)
	}
	if err != nil {
		return v.broken(b, err)
	}
	undo, hasUndo, err := v.undo(b)
	if err != nil || v.lost {
		return err
	}
	coins, ok, err := v.coins(b, consensus.Prevouts(block))
	if !ok {
		return err
	}
	delta, err := consensus.ApplyBlock(v.params, b.Parent, block, coins)
	if err != nil {
		return v.broken(b, err)
	}
	if hasUndo {
		v.compareUndo(b, undo.Spent, delta.Undo.Spent)
	}
	v.move(b, delta)
	v.txs += len(block.Txs)
	if v.waiting < verifyBatch {
		return nil
	}
	return v.checkSignatures()
}

// move takes over what a block does.
func (v *Verification) move(b *consensus.BlockIndex, d *consensus.Delta) {
	v.view.move(d)
	if v.view.base == nil {
		for i := range d.Spent {
			v.sum.Remove(d.Spent[i].OutPoint, &d.Spent[i].Coin)
		}
		for i := range d.Created {
			v.sum.Add(d.Created[i].OutPoint, &d.Created[i].Coin)
		}
	}
	v.pending = append(v.pending, pendingChecks{b, d.Checks})
	v.waiting += 1 + len(d.Checks)
}

// checkSignatures checks those that wait. Only where one is bad is it looked for.
func (v *Verification) checkSignatures() error {
	pending := v.pending
	v.pending, v.waiting = nil, 0
	if len(pending) == 0 {
		return nil
	}
	var all []consensus.SigCheck
	for _, p := range pending {
		all = append(all, p.checks...)
	}
	err := v.verifier.Verify(all)
	if err == nil {
		v.judged = pending[len(pending)-1].block.Height
		return nil
	}
	for _, p := range pending {
		for _, check := range p.checks {
			if err := consensus.CheckSignatures(check.Tx, check.Coins); err != nil {
				rule := consensus.AsRuleError(err)
				if rule == nil {
					return fmt.Errorf("verify block %s: %w", p.block.Hash, err)
				}
				v.lost = true
				v.found.add(p.block, rule.Code, fmt.Sprintf("transaction %s: %s", check.Tx.TxID(), rule.Detail), "", "")
				return nil
			}
		}
		v.judged = p.block.Height
	}
	// A fault of ours, which must not pass for the rule that it speaks of: hence %v.
	return fmt.Errorf("signatures are bad together and good one by one: %v", err)
}

// broken takes note of a rule that a block breaks.
func (v *Verification) broken(b *consensus.BlockIndex, err error) error {
	rule := consensus.AsRuleError(err)
	if rule == nil {
		return fmt.Errorf("judge block %s: %w", b.Hash, err)
	}
	v.lost = true
	v.found.add(b, rule.Code, rule.Detail, "", "")
	return nil
}

// body reads a block. It is not ok where there is an error, or a finding.
func (v *Verification) body(b *consensus.BlockIndex) (block *consensus.Block, ok bool, err error) {
	block, err = v.stored.Block(b.Hash)
	switch {
	case isDamage(err):
		v.found.add(b, DamagedBody, err.Error(), "", "")
	case err != nil:
		return nil, false, fmt.Errorf("read block %s: %w", b.Hash, err)
	case block.Hash() != b.Hash:
		v.found.add(b, DamagedBody, "another block is stored in its place", b.Hash.String(), block.Hash().String())
	default:
		return block, true, nil
	}
	v.lost = true
	return nil, false, nil
}

// undo is body for undo data.
func (v *Verification) undo(b *consensus.BlockIndex) (undo *consensus.Undo, ok bool, err error) {
	undo, err = v.stored.Undo(b.Hash)
	switch {
	case isDamage(err):
		v.found.add(b, DamagedUndo, err.Error(), "", "")
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("read undo data of block %s: %w", b.Hash, err)
	}
	return undo, true, nil
}

// compareUndo finds the first coin of stored undo data that is not the one that
// the block spends.
func (v *Verification) compareUndo(b *consensus.BlockIndex, stored, spent []consensus.Coin) {
	for i := range min(len(stored), len(spent)) {
		if stored[i] != spent[i] {
			v.found.add(b, DamagedUndo, fmt.Sprintf("coin %d of the undo data is not the one that the block spends", i), coinText(&spent[i]), coinText(&stored[i]))
			return
		}
	}
	if len(stored) != len(spent) {
		v.found.add(b, DamagedUndo, "the undo data is not the block's", fmt.Sprintf("%d coins", len(spent)), fmt.Sprintf("%d coins", len(stored)))
	}
}

// coins is body for coins of the view.
func (v *Verification) coins(b *consensus.BlockIndex, outpoints []consensus.OutPoint) (found coinSet, ok bool, err error) {
	found, err = v.view.coins(outpoints)
	switch {
	case isDamage(err):
		v.lost = true
		v.found.add(b, DamagedCoin, err.Error(), "", "")
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("read the coins of block %s: %w", b.Hash, err)
	}
	return found, true, nil
}
