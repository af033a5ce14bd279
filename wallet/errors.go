package wallet

import "fmt"

// Code names what the user, or the file or text that they brought, got wrong.
// It is itself an error, so that errors.Is(err, ErrPassphrase) works.
type Code string

func (c Code) Error() string { return string(c) }

// What can be wrong.
const (
	ErrAmount     Code = "bad amount"
	ErrWords      Code = "bad words"
	ErrDevWords   Code = "development words"
	ErrPassphrase Code = "wrong passphrase"
	ErrDamaged    Code = "damaged wallet file"
	ErrMissing    Code = "no wallet file"
	ErrExists     Code = "wallet file exists"
	ErrInUse      Code = "wallet file in use"
	ErrNewer      Code = "newer wallet format"
	ErrNetwork    Code = "wallet of another network"
	ErrWeakKDF    Code = "weak key derivation"
	ErrAddress    Code = "bad address"
	ErrForeign    Code = "address of another network"
	ErrDust       Code = "amount too small"
	ErrFunds      Code = "insufficient funds"
	ErrFeeRate    Code = "bad fee rate"
	ErrFeeTooHigh Code = "fee too high"
	ErrTooLarge   Code = "transaction too large"
	ErrKey        Code = "bad extended key"
	ErrPSBT       Code = "bad PSBT"
	ErrUnsigned   Code = "not fully signed"
	ErrWatchOnly  Code = "watch-only wallet"
)

// Fault is an error of the user: its code, and one sentence for them that says
// what was found and what to do next.
type Fault struct {
	Code   Code
	Detail string
}

func (f *Fault) Error() string { return f.Detail }

// Unwrap makes errors.Is(err, code) work.
func (f *Fault) Unwrap() error { return f.Code }

func fault(code Code, format string, args ...any) error {
	return &Fault{code, fmt.Sprintf(format, args...)}
}

// FundsError says that the coins do not suffice. It is an ErrFunds.
type FundsError struct {
	Need     int64 // units: the payments and the fee for as many coins as there are
	Have     int64 // units that can be spent now
	Immature int64 // units of mining rewards that must wait
	Pending  int64 // units from others that wait for their first confirmation
}

func (e *FundsError) Error() string {
	s := fmt.Sprintf("not enough to spend: %s needed with the fee, %s there", FormatAmount(e.Need), FormatAmount(e.Have))
	switch {
	case e.Pending > 0 && e.Immature > 0:
		s += fmt.Sprintf(" (%s more wait for a confirmation, %s more are rewards still too young)", FormatAmount(e.Pending), FormatAmount(e.Immature))
	case e.Pending > 0:
		s += fmt.Sprintf(" (%s more wait for a confirmation)", FormatAmount(e.Pending))
	case e.Immature > 0:
		s += fmt.Sprintf(" (%s more are mining rewards still too young)", FormatAmount(e.Immature))
	}
	if e.Pending+e.Immature > 0 {
		return s + ": wait for the next blocks, or send less"
	}
	return s + ": send less, or receive some first"
}

// Unwrap makes errors.Is(err, ErrFunds) work.
func (e *FundsError) Unwrap() error { return ErrFunds }
