package consensus

import (
	"errors"
	"fmt"
)

// Code names a rule that something from outside broke. The names are Bitcoin
// Core's where it has one; docs/protocol.md lists each with its rule. A Code is
// itself an error, so that callers may write errors.Is(err, ErrHighHash).
type Code string

func (c Code) Error() string { return string(c) }

// Kind says what a broken rule means for the thing that broke it.
type Kind uint8

const (
	// Invalid things are invalid for everybody, forever: remember and punish.
	Invalid Kind = iota + 1
	// Mutated blocks may be a damaged copy of a valid block with the same
	// hash: refuse the copy, never remember the hash as failed.
	Mutated
	// Temporary refusals may turn into acceptance later (a time, a parent).
	Temporary
	// Policy refusals are this node's choice: a block may contain the thing.
	Policy
	// Malformed bytes do not decode: refuse and remember nothing.
	Malformed
)

// String returns the kind's lower-case name.
func (k Kind) String() string {
	switch k {
	case Invalid:
		return "invalid"
	case Mutated:
		return "mutated"
	case Temporary:
		return "temporary"
	case Policy:
		return "policy"
	case Malformed:
		return "malformed"
	}
	return "unknown"
}

// RuleError is the peer's (or the user's) fault: what they sent broke a rule.
// Our own faults, such as a failing disk, are never RuleErrors.
type RuleError struct {
	Code   Code
	Kind   Kind
	Detail string // for people: what was found and what was expected
}

func (e *RuleError) Error() string {
	if e.Detail == "" {
		return string(e.Code)
	}
	return string(e.Code) + ": " + e.Detail
}

// Unwrap makes errors.Is(err, code) work.
func (e *RuleError) Unwrap() error { return e.Code }

// AsRuleError returns the RuleError in err's chain, or nil where err is one of
// our own faults.
func AsRuleError(err error) *RuleError {
	var rule *RuleError
	if errors.As(err, &rule) {
		return rule
	}
	return nil
}

// within says where in a larger thing a rule was broken, and keeps code and kind.
func within(where string, err error) error {
	rule := AsRuleError(err)
	if rule == nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	detail := where
	if rule.Detail != "" {
		detail += ": " + rule.Detail
	}
	return &RuleError{rule.Code, rule.Kind, detail}
}

func invalid(code Code, detail string) error   { return &RuleError{code, Invalid, detail} }
func mutated(code Code, detail string) error   { return &RuleError{code, Mutated, detail} }
func temporary(code Code, detail string) error { return &RuleError{code, Temporary, detail} }
func policy(code Code, detail string) error    { return &RuleError{code, Policy, detail} }
func malformed(code Code, detail string) error { return &RuleError{code, Malformed, detail} }

// Header rules.
const (
	ErrHighHash         Code = "high-hash"
	ErrBadDiffBits      Code = "bad-diffbits"
	ErrTimeTooOld       Code = "time-too-old"
	ErrTimeWarp         Code = "time-timewarp-attack"
	ErrTimeNegative     Code = "time-negative-period"
	ErrTimeTooNew       Code = "time-too-new"
	ErrBadVersion       Code = "bad-version"
	ErrPrevNotFound     Code = "prev-blk-not-found"
	ErrPrevInvalid      Code = "bad-prevblk"
	ErrDuplicate        Code = "duplicate"
	ErrDuplicateInvalid Code = "duplicate-invalid"
	ErrTooLittleWork    Code = "too-little-chainwork"
)

// Block rules.
const (
	ErrBlockLength          Code = "bad-blk-length"
	ErrBlockWeight          Code = "bad-blk-weight"
	ErrMerkleRoot           Code = "bad-txnmrklroot"
	ErrDuplicateTxs         Code = "bad-txns-duplicate"
	ErrTx64Bytes            Code = "bad-txns-64byte"
	ErrCoinbaseMissing      Code = "bad-cb-missing"
	ErrCoinbaseMultiple     Code = "bad-cb-multiple"
	ErrCoinbaseHeight       Code = "bad-cb-height"
	ErrCoinbaseLength       Code = "bad-cb-length"
	ErrCoinbaseAmount       Code = "bad-cb-amount"
	ErrFeeOutOfRange        Code = "bad-txns-accumulated-fee-outofrange"
	ErrUnexpectedWitness    Code = "unexpected-witness"
	ErrWitnessMerkle        Code = "bad-witness-merkle-match"
	ErrWitnessNonceSize     Code = "bad-witness-nonce-size"
	ErrNonFinal             Code = "bad-txns-nonfinal"
	ErrBIP30                Code = "bad-txns-BIP30"
	ErrInputsMissingOrSpent Code = "bad-txns-inputs-missingorspent"
)

// ErrNonBIP68Final is what ErrNonFinal is called where a relative lock holds
// back a loose transaction.
const ErrNonBIP68Final Code = "non-BIP68-final"

// Transaction rules.
const (
	ErrNoInputs          Code = "bad-txns-vin-empty"
	ErrNoOutputs         Code = "bad-txns-vout-empty"
	ErrTxOversize        Code = "bad-txns-oversize"
	ErrOutputNegative    Code = "bad-txns-vout-negative"
	ErrOutputTooLarge    Code = "bad-txns-vout-toolarge"
	ErrOutputSumTooLarge Code = "bad-txns-txouttotal-toolarge"
	ErrDuplicateInputs   Code = "bad-txns-inputs-duplicate"
	ErrNullPrevOut       Code = "bad-txns-prevout-null"
	ErrScriptSig         Code = "bad-txin-scriptsig"
	ErrOutputType        Code = "bad-txns-output-type"
	ErrOpReturnSize      Code = "bad-txns-opreturn-size"
	ErrOpReturnValue     Code = "bad-txns-opreturn-value"
	ErrPrematureSpend    Code = "bad-txns-premature-spend-of-coinbase"
	ErrInBelowOut        Code = "bad-txns-in-belowout"
	ErrInputSumTooLarge  Code = "bad-txns-inputvalues-outofrange"
	ErrWitnessItems      Code = "bad-witness-items"
	ErrSigSize           Code = "bad-sig-size"
	ErrSigHashType       Code = "bad-sig-hashtype"
	ErrSigSingle         Code = "bad-sig-single"
	ErrSig               Code = "bad-sig"
)

// Decoding. The kind is always Malformed.
const (
	ErrDecodeCompactSize Code = "decode-compactsize"
	ErrDecodeTrailing    Code = "decode-trailing"
	ErrDecodeTruncated   Code = "decode-truncated"
	ErrDecodeCount       Code = "decode-count"
	ErrDecodeSuperfluous Code = "decode-superfluous-witness"
	ErrDecodeFlag        Code = "decode-flag"
)
