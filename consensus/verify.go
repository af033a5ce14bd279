package consensus

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/btcsuite/btcd/btcec/v2/schnorr"
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
	equations, err := appendEquations(make([]equation, 0, len(tx.Inputs)), SigCheck{tx, coins})
	if err != nil {
		return err
	}
	for i := range equations {
		if !equations[i].holds() {
			return invalid(ErrSig, fmt.Sprintf("input %d: the signature does not fit key, coins and transaction", i)) // S9
		}
	}
	return nil
}

// equation is one BIP340 signature to verify.
type equation struct {
	key, message [32]byte
	signature    [schnorr.SignatureSize]byte
}

// holds verifies the signature by itself (BIP340).
func (e *equation) holds() bool {
	key, err := schnorr.ParsePubKey(e.key[:])
	if err != nil {
		return false
	}
	signature, err := schnorr.ParseSignature(e.signature[:])
	if err != nil {
		return false
	}
	return signature.Verify(e.message[:], key)
}

// appendEquations appends one equation per input, or says which rule the form
// of a witness breaks.
func appendEquations(to []equation, check SigCheck) ([]equation, error) {
	hasher, err := NewSigHasher(check.Tx, txOuts(check.Coins))
	if err != nil {
		return nil, err
	}
	for i := range check.Tx.Inputs {
		e, err := hasher.equation(i, check.Coins[i].Key)
		if err != nil {
			return nil, err
		}
		to = append(to, e)
	}
	return to, nil
}

// equation returns what one input's witness claims for the key that it spends.
func (h *SigHasher) equation(input int, key [KeySize]byte) (equation, error) {
	signature, hashType, err := parseWitness(h.tx.Inputs[input].Witness)
	if err != nil {
		return equation{}, within(fmt.Sprintf("input %d", input), err)
	}
	message, err := h.Hash(input, hashType)
	return equation{key, message, signature}, err
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

// batchSize is the number of transactions that a worker takes at a time: small
// enough that the threads end together, large enough that they do not meet.
const batchSize = 16

// Verify returns nil if all signatures are good, and otherwise the error of the
// first transaction in order that has a bad one, whatever the threads' timing.
// All workers have returned when it does, also on error (CVE-2024-52911).
func (v Verifier) Verify(checks []SigCheck) error {
	var (
		next  atomic.Int64 // first check that no worker has taken
		mu    sync.Mutex
		first = len(checks) // lowest check found bad
		fault error
	)
	bound := func() int {
		mu.Lock()
		defer mu.Unlock()
		return first
	}
	work := func() {
		for {
			from := int(next.Add(batchSize)) - batchSize
			to := min(from+batchSize, bound())
			if from >= to {
				return
			}
			if i, err := firstBad(checks[from:to]); err != nil {
				mu.Lock()
				if from+i < first {
					first, fault = from+i, err
				}
				mu.Unlock()
			}
		}
	}
	var workers sync.WaitGroup
	batches := (len(checks) + batchSize - 1) / batchSize
	for range min(v.Workers, batches) - 1 {
		workers.Go(work)
	}
	work()
	workers.Wait()
	return fault
}

func firstBad(checks []SigCheck) (int, error) {
	for i, c := range checks {
		if err := CheckSignatures(c.Tx, c.Coins); err != nil {
			return i, err
		}
	}
	return 0, nil
}
