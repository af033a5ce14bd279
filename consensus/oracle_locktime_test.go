package consensus

import (
	"fmt"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// heldBack is the verdict on a transaction whose lock has not run out, with
// the code that the rule has where it is broken.
func heldBack(free bool, code Code) Code {
	if free {
		return ""
	}
	return code
}

func oracleFinality(o *oracle) {
	for o.more() {
		height, mtp := 1+o.rng.Int32N(1_000), int64(lockTimeThreshold)+o.rng.Int64N(1_000)
		if o.rng.IntN(4) == 0 {
			height, mtp = lockTimeThreshold-5+o.rng.Int32N(10), int64(o.rng.Uint32())
		}
		tx := loose(1, 2)
		switch o.rng.IntN(4) {
		case 0:
			tx.LockTime = uint32(height) - 2 + o.rng.Uint32N(4)
		case 1:
			tx.LockTime = uint32(mtp) - 2 + o.rng.Uint32N(4)
		case 2:
			tx.LockTime = lockTimeThreshold - 2 + o.rng.Uint32N(4)
		}
		for i := range tx.Inputs {
			tx.Inputs[i].Sequence -= o.rng.Uint32N(2)
		}
		ours := CheckFinal(tx, uint32(height), mtp)
		theirs := blockchain.IsFinalizedTransaction(btcutil.NewTx(toWireTx(tx)), height, time.Unix(mtp, 0))
		o.judged(heldBack(ours, ErrNonFinal), heldBack(theirs, ErrNonFinal), nil, func() string {
			return fmt.Sprintf("height %d, median %d, %s", height, mtp, shown(tx))
		})
	}
	o.both(1_000, "", ErrNonFinal)
}

// twinLength is when a chain has seen enough and a new one begins, in blocks.
const twinLength = 150

// Relative locks are asked at every tip of a chain whose times stray, of coins
// at any height up to the block to come.
func oracleRelativeLocks(o *oracle) {
	for o.more() {
		c := newTwinChain(o)
		for c.parent.Height < twinLength && o.more() {
			c.connect(c.drawTime(c.block()))
			for range 20 {
				c.relativeLock()
			}
		}
	}
	o.both(1_000, "", ErrNonBIP68Final)
}

func (c *twinChain) relativeLock() {
	rng := c.o.rng
	tx := &Tx{Version: []uint32{0, 1, 2, 3, 1 << 31, rng.Uint32()}[rng.IntN(6)]}
	view := blockchain.NewUtxoViewpoint()
	var coins []Coin
	for i := range 1 + rng.IntN(3) {
		coin := Coin{Height: rng.Uint32N(c.parent.Height + 2)}
		in := TxIn{PrevOut: OutPoint{txid(i), 0}, Sequence: c.drawSequence(coin.Height)}
		coins, tx.Inputs = append(coins, coin), append(tx.Inputs, in)
		op := wire.OutPoint{Hash: chainhash.Hash(in.PrevOut.TxID)}
		view.Entries()[op] = blockchain.NewUtxoEntry(&wire.TxOut{}, int32(coin.Height), false)
	}
	_, err := SpendTx(c.p, c.parent, tx, coins)

	lock, theirErr := c.btcd.CalcSequenceLock(btcutil.NewTx(toWireTx(tx)), view, true)
	if theirErr != nil {
		c.o.Fatal(theirErr)
	}
	theirs := blockchain.SequenceLockActive(lock, int32(c.parent.Height)+1, c.btcd.BestSnapshot().MedianTime)
	c.o.judged(c.o.ourCode(err), heldBack(theirs, ErrNonBIP68Final), nil, func() string {
		return fmt.Sprintf("at height %d, median %d, coins %+v, %s", c.parent.Height+1, c.parent.MTP(), coins, shown(tx))
	})
}

// drawSequence is any number, or a relative lock that runs out about now for a
// coin of this height.
func (c *twinChain) drawSequence(height uint32) uint32 {
	rng := c.o.rng
	beside := rng.Uint32N(3)
	switch rng.IntN(4) {
	case 0:
		return rng.Uint32()
	case 1:
		return sequenceDisable | rng.Uint32()
	case 2:
		return (c.parent.Height + 2 - height - beside) & sequenceMask
	}
	elapsed := c.parent.MTP() - c.parent.Ancestor(height-min(height, 1)).MTP()
	return sequenceTime | (uint32(elapsed>>sequenceUnit)+1-beside)&sequenceMask
}
