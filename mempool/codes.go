package mempool

import (
	"fmt"

	"github.com/kapok-chain/kapok/consensus"
)

// What the pool refuses beside the rules of consensus. The names are Bitcoin
// Core's, the kind is consensus.Policy: a block may hold such a transaction. What the rules of
// consensus refuse keeps the code and kind of consensus.SpendTx and the others.
const (
	ErrCoinbase     consensus.Code = "coinbase"
	ErrTxSize       consensus.Code = "tx-size"
	ErrTxSizeSmall  consensus.Code = "tx-size-small"
	ErrDust         consensus.Code = "dust"
	ErrNonFinal     consensus.Code = "non-final"
	ErrInPool       consensus.Code = "txn-already-in-mempool"
	ErrOtherWitness consensus.Code = "txn-same-nonwitness-data-in-mempool"
	ErrKnown        consensus.Code = "txn-already-known"
	ErrConflict     consensus.Code = "txn-mempool-conflict"
	ErrMissing      consensus.Code = "missing-inputs"
	ErrMinRelayFee  consensus.Code = "min relay fee not met"
	ErrPoolFee      consensus.Code = "mempool min fee not met"
	ErrPoolFull     consensus.Code = "mempool full"
	ErrCluster      consensus.Code = "too-large-cluster"
)

// MissingInputs is the refusal of a transaction some of whose inputs are
// neither coins nor outputs of entries. It is a RuleError with code ErrMissing
// (errors.Is and consensus.AsRuleError see it) that names the absent parents,
// for asking the sender.
type MissingInputs struct {
	Parents []consensus.Hash // txids, each once, in the order of the inputs
}

func (e *MissingInputs) Error() string { return e.rule().Error() }

// Unwrap returns the RuleError.
func (e *MissingInputs) Unwrap() error { return e.rule() }

func (e *MissingInputs) rule() *consensus.RuleError {
	detail := "no parent is named"
	if len(e.Parents) > 0 {
		detail = fmt.Sprintf("%d parents are not known, the first is %s", len(e.Parents), e.Parents[0])
	}
	return &consensus.RuleError{Code: ErrMissing, Kind: consensus.Policy, Detail: detail}
}

// refuse returns a policy refusal.
func refuse(code consensus.Code, format string, args ...any) error {
	return &consensus.RuleError{Code: code, Kind: consensus.Policy, Detail: fmt.Sprintf(format, args...)}
}
