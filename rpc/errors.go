package rpc

import (
	"errors"
	"fmt"

	"github.com/kapok-chain/kapok/consensus"
)

// Error codes: those of JSON-RPC 2.0 and those of Bitcoin Core (rpc/protocol.h).
const (
	CodeParse          = -32700 // not JSON
	CodeInvalidRequest = -32600 // JSON, but no request
	CodeNoMethod       = -32601
	CodeInvalidParams  = -32602
	CodeInternal       = -32603 // a fault of our own

	CodeMisc              = -1
	CodeType              = -3 // a parameter has another JSON type than expected
	CodeAddressOrKey      = -5 // also: unknown block or transaction
	CodeNotConnected      = -9
	CodeSyncing           = -10
	CodeInvalidParameter  = -8
	CodeDeserialization   = -22
	CodeNodeAlreadyAdded  = -23
	CodeNodeNotAdded      = -24
	CodeVerify            = -25 // missing inputs, or a limit that the caller set
	CodeVerifyRejected    = -26 // a rule or policy refuses it
	CodeAlreadyInChain    = -27
	CodeNodeNotConnected  = -29
	CodeInvalidIPOrSubnet = -30
)

// Error is what a failed call answers.
type Error struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return fmt.Sprintf("%s (code %d)", e.Message, e.Code) }

func fail(code int, format string, args ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// failRule answers with a rule's code and detail.
func failRule(code int, rule *consensus.RuleError) error { return fail(code, "%s", ruleText(rule)) }

// ruleText is a rule's code and detail, written as Core does.
func ruleText(rule *consensus.RuleError) string {
	if rule.Detail == "" {
		return string(rule.Code)
	}
	return string(rule.Code) + ", " + rule.Detail
}

// asError turns a handler's error into what the caller sees, and reports
// whether it is a fault of our own, which is to be logged.
func asError(err error) (answer *Error, ours bool) {
	if errors.As(err, &answer) {
		return answer, false
	}
	if rule := consensus.AsRuleError(err); rule != nil {
		errors.As(failRule(CodeVerifyRejected, rule), &answer)
		return answer, false
	}
	switch {
	case errors.Is(err, ErrNotFound):
		return &Error{CodeAddressOrKey, err.Error()}, false
	case errors.Is(err, ErrNoIndex), errors.Is(err, ErrNoBody), errors.Is(err, ErrVerifying):
		return &Error{CodeMisc, err.Error()}, false
	}
	if errors.Is(err, ErrPruned) {
		return &Error{CodeMisc, "Block not available (pruned data)"}, false // Core's words, which its tools look for
	}
	return &Error{CodeInternal, "internal error: " + err.Error()}, true
}
