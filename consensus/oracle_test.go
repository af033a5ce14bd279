package consensus

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/blockchain"
)

// btcd is an independent implementation of the formats and rules that are
// Bitcoin's. TestOracle asks it and this package the same random questions.
// One comparison is one question that both sides were asked and whose two
// answers were compared: a transaction's txid is one, its weight another.
//
//	go test ./consensus -run Oracle -v                       20,000 comparisons
//	KAPOK_ORACLE=1000000 go test ./consensus -run Oracle -v  a million
//
// Each run draws new questions (go test repeats a run that passed from its cache,
// but for -count=1). Those of a run that failed come again with its seed, in
// KAPOK_ORACLE_SEED, and the same number of comparisons.

const (
	oracleEnv     = "KAPOK_ORACLE"
	oracleSeedEnv = "KAPOK_ORACLE_SEED"
	oracleTotal   = 20_000
)

// oracleParts are what is compared, with shares in thousandths that follow the
// cost of a question: a digest takes microseconds, a whole block milliseconds.
var oracleParts = []struct {
	name  string
	share int
	run   func(*oracle)
}{
	{"transactions", 130, oracleTransactions},
	{"damaged transactions", 110, oracleDamagedTransactions},
	{"transaction checks", 70, oracleTransactionChecks},
	{"headers and blocks", 90, oracleBlocks},
	{"damaged blocks", 70, oracleDamagedBlocks},
	{"block checks", 50, oracleBlockChecks},
	{"witness commitments", 30, oracleCommitments},
	{"coinbase heights", 20, oracleHeights},
	{"signature messages", 110, oracleSigHashes},
	{"signatures", 60, oracleSignatures},
	{"coins spent", 20, oracleSpends},
	{"compact targets and work", 60, oracleCompact},
	{"proof of work", 20, oraclePow},
	{"retargets", 30, oracleRetargets},
	{"headers in their place", 20, oracleHeadersInPlace},
	{"median times", 10, oracleMedianTimes},
	{"subsidies", 10, oracleSubsidies},
	{"absolute lock times", 20, oracleFinality},
	{"relative lock times", 30, oracleRelativeLocks},
	{"blocks in their place", 40, oracleBlocksInPlace},
}

func TestOracle(t *testing.T) {
	total := int(oracleSetting(t, oracleEnv, oracleTotal))
	seed := oracleSetting(t, oracleSeedEnv, rand.Uint64()>>1)
	compared, differ, shares := 0, 0, 0
	for _, part := range oracleParts {
		shares += part.share
		t.Run(part.name, func(t *testing.T) {
			h := fnv.New64a()
			h.Write([]byte(part.name))
			o := &oracle{
				T: t, name: part.name, want: (total*part.share + 999) / 1000,
				rng:      rand.New(rand.NewPCG(seed, h.Sum64())),
				repeat:   fmt.Sprintf("%s=%d %s=%d go test ./consensus -run '%s'", oracleEnv, total, oracleSeedEnv, seed, strings.ReplaceAll(t.Name(), "/", "$/^")+"$"),
				verdicts: map[Code]int{},
				excused:  map[string]int{},
			}
			defer func() {
				o.report()
				compared += o.compared
				differ += o.differ
			}()
			part.run(o)
		})
	}
	if shares != 1000 {
		t.Errorf("the shares add up to %d thousandths", shares)
	}
	t.Logf("oracle: total: %d compared, %d differ; seed %d", compared, differ, seed)
}

func oracleSetting(t *testing.T, env string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(env)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		t.Fatalf("%s: %v", env, err)
	}
	return n
}

// oracle is one part of TestOracle under way.
type oracle struct {
	*testing.T
	name     string
	rng      *rand.Rand
	want     int    // comparisons to make
	repeat   string // the command that asks the same questions again
	compared int
	differ   int
	verdicts map[Code]int   // on which both sides agree, "" for accepted
	excused  map[string]int // by reason: not compared, for the two differ on purpose
}

// verdict is what both sides say about one thing: the code of a refusal, or ""
// for "accepted".
type verdict struct{ ours, theirs Code }

// maxDifferences ends a part that differs everywhere.
const maxDifferences = 3

// more reports whether the part has questions left to ask.
func (o *oracle) more() bool { return o.compared < o.want }

// same compares the answers to one question about a thing.
func same[T comparable](o *oracle, question string, ours, theirs T, about any) {
	o.Helper()
	o.compared++
	if ours != theirs {
		o.differs(question, fmt.Sprint(ours), fmt.Sprint(theirs), about)
	}
}

// sameBytes compares two encodings.
func sameBytes(o *oracle, question string, ours, theirs []byte, about any) {
	o.Helper()
	o.compared++
	if !bytes.Equal(ours, theirs) {
		o.differs(question, fmt.Sprintf("%x", ours), fmt.Sprintf("%x", theirs), about)
	}
}

func (o *oracle) differs(question, ours, theirs string, about any) {
	o.Helper()
	o.differ++
	o.Errorf("%s: %s, by btcd %s\nof %s\nagain: %s", question, ours, theirs, shown(about), o.repeat)
	if o.differ == maxDifferences {
		o.FailNow()
	}
}

// judged compares what both sides say about a thing. onPurpose names the pairs
// of verdicts that differ by design, each with its reason; such a pair is
// counted apart and is no comparison. It returns whether both accept.
func (o *oracle) judged(ours, theirs Code, onPurpose map[verdict]string, about any) bool {
	o.Helper()
	if ours == theirs {
		o.verdicts[ours]++
	} else if reason, ok := onPurpose[verdict{ours, theirs}]; ok {
		o.excused[reason]++
		return false
	}
	same(o, "verdict", orAccepted(ours), orAccepted(theirs), about)
	return ours == "" && theirs == ""
}

func orAccepted(c Code) Code { return cmp.Or(c, "accepted") }

// shown writes the thing that a question is about: bytes as hex, blocks and
// transactions as their bytes, and what takes long to write by calling it.
func shown(about any) string {
	switch v := about.(type) {
	case *Tx:
		return fmt.Sprintf("transaction %x", v.Bytes())
	case *Block:
		return fmt.Sprintf("block %x", v.Bytes())
	case []byte:
		return fmt.Sprintf("bytes %x", v)
	case func() string:
		return v()
	}
	return fmt.Sprintf("%+v", about)
}

// refused stands for any refusal.
const refused Code = "refused"

func verdictOf(err error) Code {
	if err != nil {
		return refused
	}
	return ""
}

// count is how many things there were, and to how many both sides said this.
func (o *oracle) count(said Code) (n, all int) {
	for code, times := range o.verdicts {
		all += times
		if code == said || code != "" && said == refused {
			n += times
		}
	}
	return n, all
}

// enough is how often a verdict must be due before its absence means anything.
const enough = 5

// tooFew reports whether n of all are fewer than so many of 10,000.
func tooFew(n, all, in10000 int) bool {
	return all*in10000 >= enough*10_000 && n*10_000 < all*in10000
}

// both checks that each verdict, a code or "" for "accepted", was what both
// sides said to at least so many of 10,000 things: a generator that makes only
// garbage, or none, compares nothing.
func (o *oracle) both(in10000 int, codes ...Code) {
	o.Helper()
	for _, code := range codes {
		if n, all := o.count(code); tooFew(n, all, in10000) {
			o.Errorf("both sides said %q to %d of %d, too few to mean anything", orAccepted(code), n, all)
		}
	}
}

func (o *oracle) report() {
	line := fmt.Sprintf("oracle: %s: %d compared, %d differ", o.name, o.compared, o.differ)
	if len(o.verdicts) > 0 {
		yes, _ := o.count("")
		no, _ := o.count(refused)
		line += fmt.Sprintf("; accepted by both %d, refused by both %d", yes, no)
	}
	o.Log(line)
	for _, code := range slices.Sorted(maps.Keys(o.verdicts)) {
		o.Logf("  both say %s: %d", orAccepted(code), o.verdicts[code])
	}
	for _, reason := range slices.Sorted(maps.Keys(o.excused)) {
		o.Logf("  apart on purpose, not compared: %d: %s", o.excused[reason], reason)
	}
}

// ourCode is the code of a refusal by this package, whose only other errors
// would be our own fault.
func (o *oracle) ourCode(err error) Code {
	o.Helper()
	if err == nil {
		return ""
	}
	rule := AsRuleError(err)
	if rule == nil {
		o.Fatalf("not a rule's error: %v\nagain: %s", err, o.repeat)
	}
	return rule.Code
}

// btcdCodes are our names of btcd's refusals.
var btcdCodes = map[blockchain.ErrorCode]Code{
	blockchain.ErrNoTxInputs:           ErrNoInputs,
	blockchain.ErrNoTxOutputs:          ErrNoOutputs,
	blockchain.ErrTxTooBig:             ErrTxOversize,
	blockchain.ErrBadTxOutValue:        ErrOutputTooLarge, // one code for all amounts
	blockchain.ErrDuplicateTxInputs:    ErrDuplicateInputs,
	blockchain.ErrBadCoinbaseScriptLen: ErrCoinbaseLength,
	blockchain.ErrBadTxInput:           ErrNullPrevOut,

	blockchain.ErrUnexpectedDifficulty: ErrBadDiffBits,
	blockchain.ErrHighHash:             ErrHighHash,
	blockchain.ErrTimeTooNew:           ErrTimeTooNew,
	blockchain.ErrTimeTooOld:           ErrTimeTooOld,
	blockchain.ErrBlockVersionTooOld:   ErrBadVersion,

	blockchain.ErrNoTransactions:            ErrBlockLength,
	blockchain.ErrBlockTooBig:               ErrBlockLength,
	blockchain.ErrBlockWeightTooHigh:        ErrBlockWeight,
	blockchain.ErrFirstTxNotCoinbase:        ErrCoinbaseMissing,
	blockchain.ErrMultipleCoinbases:         ErrCoinbaseMultiple,
	blockchain.ErrBadMerkleRoot:             ErrMerkleRoot,
	blockchain.ErrDuplicateTx:               ErrDuplicateTxs,
	blockchain.ErrUnexpectedWitness:         ErrUnexpectedWitness,
	blockchain.ErrInvalidWitnessCommitment:  ErrWitnessNonceSize,
	blockchain.ErrWitnessCommitmentMismatch: ErrWitnessMerkle,
	blockchain.ErrMissingCoinbaseHeight:     ErrCoinbaseHeight,
	blockchain.ErrBadCoinbaseHeight:         ErrCoinbaseHeight,

	blockchain.ErrUnfinalizedTx:    ErrNonFinal,
	blockchain.ErrMissingTxOut:     ErrInputsMissingOrSpent,
	blockchain.ErrOverwriteTx:      ErrBIP30,
	blockchain.ErrImmatureSpend:    ErrPrematureSpend,
	blockchain.ErrSpendTooHigh:     ErrInBelowOut,
	blockchain.ErrBadFees:          ErrFeeOutOfRange,
	blockchain.ErrBadCoinbaseValue: ErrCoinbaseAmount,
	blockchain.ErrScriptMalformed:  ErrSig,
	blockchain.ErrScriptValidation: ErrSig, // one code for all that its interpreter refuses
}

// btcdCode is our name of a refusal by btcd, or btcd's where we have none.
func (o *oracle) btcdCode(err error) Code {
	o.Helper()
	var rule blockchain.RuleError
	if err == nil {
		return ""
	} else if !errors.As(err, &rule) {
		o.Fatalf("no rule error of btcd: %v\nagain: %s", err, o.repeat)
	}
	if code, ok := btcdCodes[rule.ErrorCode]; ok {
		return code
	}
	return Code(rule.ErrorCode.String())
}
