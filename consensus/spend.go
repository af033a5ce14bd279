package consensus

import "fmt"

// lockTimeThreshold divides lock times: below it they are heights, from it on
// they are Unix seconds (Bitcoin Core, LOCKTIME_THRESHOLD).
const lockTimeThreshold = 500_000_000

// finalSequence in every input turns a transaction's lock time off.
const finalSequence = 0xffffffff

// CheckFinal reports whether the transaction's lock time lets it into a block
// of this height whose parent has the median time past mtp, in Unix seconds
// (BIP113; rule L1).
func CheckFinal(tx *Tx, height uint32, mtp int64) bool {
	limit := mtp
	if tx.LockTime < lockTimeThreshold {
		limit = int64(height)
	}
	if int64(tx.LockTime) < limit {
		return true
	}
	for i := range tx.Inputs {
		if tx.Inputs[i].Sequence != finalSequence {
			return false
		}
	}
	return true
}

// Relative lock times (BIP68).
const (
	sequenceDisable  = 1 << 31
	sequenceTime     = 1 << 22 // in units of 512 seconds, else in blocks
	sequenceMask     = 0xffff
	sequenceUnit     = 9 // 2^9 seconds
	sequenceVersions = 2 // the first version that relative locks bind
)

// checkSequence checks BIP68's relative lock of one input of a transaction of
// version 2 or above, in the block after parent (rule L2).
func checkSequence(parent *BlockIndex, sequence uint32, coin *Coin) error {
	if sequence&sequenceDisable != 0 {
		return nil
	}
	n := int64(sequence & sequenceMask)
	if sequence&sequenceTime == 0 {
		if first := int64(coin.Height) + n; int64(parent.Height)+1 < first {
			return policy(ErrNonBIP68Final, fmt.Sprintf("not before height %d", first))
		}
		return nil
	}
	var before uint32
	if coin.Height > 0 {
		before = coin.Height - 1
	}
	origin := parent.Ancestor(before)
	if origin == nil {
		return fmt.Errorf("a coin of height %d cannot be spent after height %d", coin.Height, parent.Height)
	}
	if first := origin.MTP() + n<<sequenceUnit; parent.MTP() < first {
		return policy(ErrNonBIP68Final, fmt.Sprintf("not before the median time %d", first))
	}
	return nil
}

// SpendTx judges what a transaction that passed CheckTx does with its coins,
// one per input, in the block after parent: rules C4, T11, T12 and L2, and
// returns the fee in units. Signatures are left to CheckSignatures.
//
// The kinds are those of a loose transaction, which an early coinbase spend
// (Temporary) and a relative lock (Policy) do not make invalid forever. In a
// block they do: ApplyBlock says so.
func SpendTx(p *Params, parent *BlockIndex, tx *Tx, coins []Coin) (fee int64, err error) {
	if len(coins) != len(tx.Inputs) {
		return 0, fmt.Errorf("a transaction with %d inputs spends %d coins", len(tx.Inputs), len(coins))
	}
	var in int64
	for i := range coins {
		c := &coins[i]
		if mature := uint64(c.Height) + uint64(p.Maturity); c.Coinbase && uint64(parent.Height)+1 < mature {
			return 0, temporary(ErrPrematureSpend, fmt.Sprintf("input %d: not before height %d", i, mature)) // C4
		}
		if c.Value < 0 || c.Value > MaxMoney || c.Value > MaxMoney-in {
			return 0, invalid(ErrInputSumTooLarge, fmt.Sprintf("inputs 0 to %d exceed %d units", i, int64(MaxMoney))) // T11
		}
		in += c.Value
	}
	out := tx.outputSum()
	if in < out {
		return 0, invalid(ErrInBelowOut, fmt.Sprintf("%d units in, %d units out", in, out)) // T12
	}
	if tx.Version >= sequenceVersions {
		for i := range coins {
			if err := checkSequence(parent, tx.Inputs[i].Sequence, &coins[i]); err != nil {
				return 0, within(fmt.Sprintf("input %d", i), err) // L2
			}
		}
	}
	return in - out, nil
}
