package rpc

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/kapok-chain/kapok/consensus"
)

// Amount is money in units. In JSON it is a number of coins with exactly eight
// decimals, and it never passes through a float.
type Amount int64

// amountDecimals is the number of decimals of a coin.
const amountDecimals = 8

// String returns the coins with eight decimals.
func (a Amount) String() string {
	sign, n := "", uint64(a)
	if a < 0 {
		sign, n = "-", -n
	}
	return fmt.Sprintf("%s%d.%08d", sign, n/consensus.UnitsPerCoin, n%consensus.UnitsPerCoin)
}

// MarshalJSON writes a number.
func (a Amount) MarshalJSON() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalJSON reads a number, or a string that holds one, as Core does.
func (a *Amount) UnmarshalJSON(text []byte) error {
	s := string(text)
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	parsed, err := ParseAmount(s)
	if err != nil {
		return err
	}
	*a = parsed
	return nil
}

var errAmount = errors.New("not an amount: a decimal number of coins with at most 8 decimals is expected")

// ParseAmount reads a decimal number of coins, such as 1, 0.00000001 or 5e-3.
// What a unit cannot express, or an int64 of units cannot hold, is refused.
func ParseAmount(s string) (Amount, error) {
	digits, exponent, ok := strings.Cut(strings.ToLower(s), "e")
	shift := amountDecimals
	if ok {
		e, err := strconv.Atoi(exponent)
		if err != nil || e < -18 || e > 18 {
			return 0, errAmount
		}
		shift += e
	}
	negative := strings.HasPrefix(digits, "-")
	digits = strings.TrimPrefix(digits, "-")
	whole, fraction, dot := strings.Cut(digits, ".")
	if whole == "" || dot && fraction == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return 0, errAmount
	}
	digits, shift = strings.TrimLeft(whole+fraction, "0"), shift-len(fraction)
	for shift < 0 && strings.HasSuffix(digits, "0") {
		digits, shift = digits[:len(digits)-1], shift+1
	}
	if digits == "" {
		return 0, nil
	}
	if shift < 0 || len(digits)+shift > 18 {
		return 0, errAmount
	}
	n, err := strconv.ParseInt(digits+strings.Repeat("0", shift), 10, 64)
	if err != nil {
		return 0, errAmount
	}
	if negative {
		n = -n
	}
	return Amount(n), nil
}
