package consensus

import (
	"fmt"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/btcsuite/btcd/btcec/v2"
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
			return badSignature(i) // S9
		}
	}
	return nil
}

func badSignature(input int) error {
	return invalid(ErrSig, fmt.Sprintf("input %d: the signature does not fit key, coins and transaction", input))
}

// isGood verifies a signature by itself (BIP340). The library reads an s from the group's
// order on as what it is modulo that.
func isGood(s *batch.Signature) bool {
	if new(btcec.ModNScalar).SetByteSlice(s.Signature[32:]) {
		return false
	}
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

// Limits of what a worker verifies at once, in signatures. Fewer than minBatch are not
// divided: together they cost half of what they do one by one. More than maxBatch gain
// little, and take 1 kB of memory each.
const (
	minBatch = 8
	maxBatch = 4096
)

// formPiece is how many transactions' forms a worker looks at at a time.
const formPiece = 64

// Verify returns nil if all signatures are good, and otherwise the error of the
// first transaction in order that has a bad one, whatever the threads' timing.
// All workers have returned when it does, also on error (CVE-2024-52911).
func (v Verifier) Verify(checks []SigCheck) error {
	inputs := make([]int, len(checks)+1) // of the transactions before each
	for i := range checks {
		inputs[i+1] = inputs[i] + len(checks[i].Tx.Inputs)
	}
	all := make([]batch.Signature, inputs[len(checks)])

	// The form of the witnesses, and what was signed. What comes after a bad form does
	// not matter any more.
	forms := make([]error, len(checks))
	formless := v.first(len(checks), 1, formPiece, func(from, to int) int {
		for i := from; i < to; i++ {
			if _, forms[i] = appendSignatures(all[inputs[i]:inputs[i]], checks[i]); forms[i] != nil {
				return i
			}
		}
		return to
	})
	all = all[:inputs[formless]]

	bad := v.first(len(all), minBatch, maxBatch, func(from, to int) int { return from + firstBad(all[from:to], &v.Secret, false) })
	if bad < len(all) {
		check := sort.SearchInts(inputs, bad+1) - 1
		return badSignature(bad - inputs[check]) // S9
	}
	if formless < len(checks) {
		return forms[formless]
	}
	return nil
}

// first looks for the first of n things that is bad, n where none is, on all workers.
// They take pieces of least to most things, in order, as many for each; look returns
// the first bad one of a piece, or its end.
func (v Verifier) first(n, least, most int, look func(from, to int) int) int {
	workers := max(1, v.Workers)
	pieces := workers * max(1, (n+workers*most-1)/(workers*most))
	size := max(least, (n+pieces-1)/pieces)
	var next, found atomic.Int64
	found.Store(int64(n))
	work := func() {
		for {
			from := int(next.Add(int64(size))) - size
			if from >= int(found.Load()) {
				return
			}
			to := min(from+size, n)
			bad := int64(look(from, to))
			for old := found.Load(); bad < int64(to) && bad < old; old = found.Load() {
				found.CompareAndSwap(old, bad)
			}
		}
	}
	var others sync.WaitGroup
	for range min(workers, (n+size-1)/size) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
	return int(found.Load())
}

// firstBad returns the first signature that is bad, or how many there are: 1 or more. All are
// verified at once, unless one is known to be bad; where they do not pass, each half by
// itself, and a single one by the library, which has the last word. That is about twice
// the work of good ones.
func firstBad(signatures []batch.Signature, secret *[32]byte, known bool) int {
	n := len(signatures)
	if !known && batch.Verify(signatures, secret) {
		return n
	}
	if n == 1 {
		if isGood(&signatures[0]) {
			return 1
		}
		return 0
	}
	half := n / 2
	if i := firstBad(signatures[:half], secret, false); i < half {
		return i
	}
	return half + firstBad(signatures[half:], secret, true)
}
