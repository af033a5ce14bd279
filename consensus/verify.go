package consensus

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/btcsuite/btcd/btcec/v2/schnorr"

	"github.com/kapok-chain/kapok/consensus/batch"
)

// SigCheck is a transaction whose signatures remain to be checked, with the
// coins that it spends, one per input.
type SigCheck struct {
	Tx    *Tx
	Coins []Coin
}

// CheckSignatures judges the witnesses of all inputs against the coins that
// they spend, one coin per input: rules S5 to S9.
func CheckSignatures(tx *Tx, coins []Coin) error {
	signatures, err := appendSignatures(make([]batch.Signature, 0, len(tx.Inputs)), SigCheck{tx, coins})
	if err != nil {
		return err
	}
	for i := range signatures {
		if !isGood(&signatures[i]) {
			return invalid(ErrSig, fmt.Sprintf("input %d: the signature does not fit key, coins and transaction", i)) // S9
		}
	}
	return nil
}

// isGood verifies a signature by itself (BIP340).
func isGood(s *batch.Signature) bool {
	key, err := schnorr.ParsePubKey(s.Key[:])
	if err != nil {
		return false
	}
	signature, err := schnorr.ParseSignature(s.Signature[:])
	if err != nil {
		return false
	}
	return signature.Verify(s.Message[:], key)
}

// appendSignatures appends one signature per input, or says which rule the form
// of a witness breaks.
func appendSignatures(to []batch.Signature, check SigCheck) ([]batch.Signature, error) {
	hasher, err := NewSigHasher(check.Tx, txOuts(check.Coins))
	if err != nil {
		return nil, err
	}
	for i := range check.Tx.Inputs {
		s, err := hasher.signature(i, check.Coins[i].Key)
		if err != nil {
			return nil, err
		}
		to = append(to, s)
	}
	return to, nil
}

// signature returns what one input's witness has for the key that it spends, and the
// message that it must fit.
func (h *SigHasher) signature(input int, key [KeySize]byte) (batch.Signature, error) {
	signature, hashType, err := parseWitness(h.tx.Inputs[input].Witness)
	if err != nil {
		return batch.Signature{}, within(fmt.Sprintf("input %d", input), err)
	}
	message, err := h.Hash(input, hashType)
	return batch.Signature{Key: key, Message: message, Signature: signature}, err
}

// parseWitness takes the one form that a witness may have: a signature of 64
// bytes, or of 65 with the hash type behind.
func parseWitness(stack [][]byte) (signature [schnorr.SignatureSize]byte, hashType byte, err error) {
	if len(stack) != 1 {
		return signature, 0, invalid(ErrWitnessItems, fmt.Sprintf("%d witness items, not one signature", len(stack))) // S5
	}
	item := stack[0]
	switch len(item) {
	case schnorr.SignatureSize:
	case schnorr.SignatureSize + 1:
		hashType = item[schnorr.SignatureSize]
		if hashType == SigHashDefault {
			return signature, 0, invalid(ErrSigHashType, "the default hash type is written by leaving it out") // S7
		}
	default:
		return signature, 0, invalid(ErrSigSize, fmt.Sprintf("a signature of %d bytes, not 64 or 65", len(item))) // S6
	}
	return [schnorr.SignatureSize]byte(item[:schnorr.SignatureSize]), hashType, nil
}

// txOuts returns the outputs that the coins were created from, their scripts in
// one piece of memory.
func txOuts(coins []Coin) []TxOut {
	const size = 2 + KeySize
	outs, scripts := make([]TxOut, len(coins)), make([]byte, 0, size*len(coins))
	for i := range coins {
		scripts = append(append(scripts, op1, push32), coins[i].Key[:]...)
		outs[i] = TxOut{coins[i].Value, scripts[i*size : (i+1)*size : (i+1)*size]}
	}
	return outs
}

// Verifier checks the signatures of many transactions on several threads.
type Verifier struct {
	// Secret is this process's own random value, from which coefficients of
	// batch verification are drawn, so that nobody can choose signatures
	// against them. It never changes an answer.
	Secret [32]byte
	// Workers is the number of goroutines; less than 1 means 1.
	Workers int
}

// Limits of a batch, in signatures. With fewer than minBatch it costs nearly as much
// as they do one by one; more than maxBatch gain little, and take 1 kB of memory each.
const (
	minBatch = 8
	maxBatch = 4096
)

// Verify returns nil if all signatures are good, and otherwise the error of the
// first transaction in order that has a bad one, whatever the threads' timing.
// All workers have returned when it does, also on error (CVE-2024-52911).
func (v Verifier) Verify(checks []SigCheck) error {
	var (
		batches = v.divide(checks)
		next    atomic.Int64 // first batch that no worker has taken
		mu      sync.Mutex
		first   = len(checks) // lowest check found bad
		fault   error
	)
	isAfterFault := func(check int) bool {
		mu.Lock()
		defer mu.Unlock()
		return check >= first
	}
	work := func() {
		for {
			n := int(next.Add(1)) - 1
			if n >= len(batches) || isAfterFault(batches[n].from) {
				return
			}
			b := batches[n]
			if i, err := v.firstBad(checks[b.from:b.to]); err != nil {
				mu.Lock()
				if b.from+i < first {
					first, fault = b.from+i, err
				}
				mu.Unlock()
			}
		}
	}
	var workers sync.WaitGroup
	for range min(v.Workers, len(batches)) - 1 {
		workers.Go(work)
	}
	work()
	workers.Wait()
	return fault
}

// span is a range of checks.
type span struct{ from, to int }

// divide makes batches of about the same number of signatures, as many for each worker.
func (v Verifier) divide(checks []SigCheck) []span {
	all, workers := signatures(checks), max(1, v.Workers)
	number := workers * max(1, (all+workers*maxBatch-1)/(workers*maxBatch))
	size := max(minBatch, (all+number-1)/number)
	var batches []span
	from, n := 0, 0
	for i := range checks {
		n += len(checks[i].Tx.Inputs)
		if n >= size || i == len(checks)-1 {
			batches = append(batches, span{from, i + 1})
			from, n = i+1, 0
		}
	}
	return batches
}

// firstBad returns the first check that fails and its error. All signatures are
// verified at once; where they do not pass, or a witness has not the right form, each
// half of the checks by itself, and in the end one by one.
func (v Verifier) firstBad(checks []SigCheck) (int, error) {
	n := signatures(checks)
	if n < minBatch || len(checks) == 1 {
		for i, c := range checks {
			if err := CheckSignatures(c.Tx, c.Coins); err != nil {
				return i, err
			}
		}
		return 0, nil
	}
	all, err := make([]batch.Signature, 0, n), error(nil)
	for i := 0; i < len(checks) && err == nil; i++ {
		all, err = appendSignatures(all, checks[i])
	}
	if err == nil && batch.Verify(all, &v.Secret) {
		return 0, nil
	}
	half := len(checks) / 2
	if i, err := v.firstBad(checks[:half]); err != nil {
		return i, err
	}
	i, err := v.firstBad(checks[half:])
	return half + i, err
}

// signatures is how many there are to check.
func signatures(checks []SigCheck) (n int) {
	for i := range checks {
		n += len(checks[i].Tx.Inputs)
	}
	return n
}
