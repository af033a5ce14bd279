package wallet

import (
	"math/bits"
	"strconv"
	"strings"

	"github.com/kapok-chain/kapok/consensus"
)

// Unit is the name of a coin in amounts for people.
const Unit = "KPK"

// decimals is the number of digits behind the point of an amount: 10^8 units.
const decimals = 8

// maxNumber bounds a number that is worth reading, in characters: 21 million
// coins with eight decimals take 17.
const maxNumber = 32

// ParseAmount reads coins, "1.5" or "1.5 KPK", as units. It is exact: at most
// eight decimals, no exponent, no sign, no grouping, and no more than there can
// be. The error is an ErrAmount.
func ParseAmount(text string) (int64, error) {
	number := strings.TrimSpace(text)
	if n := len(number) - len(Unit); n > 0 && strings.EqualFold(number[n:], Unit) {
		number = strings.TrimRight(number[:n], " ")
	}
	units, ok := parseDecimal(number, decimals)
	if !ok {
		return 0, fault(ErrAmount, "%q is not an amount: write coins with at most %d decimals, such as 1.5", clip(text), decimals)
	}
	if units > consensus.MaxMoney {
		return 0, fault(ErrAmount, "%s is more than there will ever be (%s): write a smaller amount", clip(text), FormatAmount(consensus.MaxMoney))
	}
	return units, nil
}

// FormatAmount writes units as coins, exactly: 150000000 is "1.5 KPK".
func FormatAmount(units int64) string { return FormatCoins(units) + " " + Unit }

// FormatCoins writes units as coins without the unit: 150000000 is "1.5".
func FormatCoins(units int64) string { return formatDecimal(units, decimals) }

// FeeRate is a price in units per 1000 virtual bytes, as Bitcoin Core counts it.
type FeeRate int64

// Bounds of a fee rate. The lower one is what nodes relay by default; the upper
// one is where a typing error is likelier than a wish.
const (
	MinFeeRate FeeRate = 1000
	MaxFeeRate FeeRate = 10_000_000
)

// PerVB is a rate of whole units per virtual byte.
func PerVB(units int64) FeeRate { return FeeRate(units * 1000) }

// ParseFeeRate reads units per virtual byte with at most three decimals, such
// as "2.5". The error is an ErrFeeRate.
func ParseFeeRate(text string) (FeeRate, error) {
	rate, ok := parseDecimal(strings.TrimSpace(text), 3)
	if !ok {
		return 0, fault(ErrFeeRate, "%q is not a fee rate: write units per virtual byte, such as 2.5", clip(text))
	}
	return FeeRate(rate), FeeRate(rate).check()
}

func (r FeeRate) check() error {
	if r < MinFeeRate || r > MaxFeeRate {
		return fault(ErrFeeRate, "a fee rate of %s is out of range: choose one from %s to %s", r, MinFeeRate, MaxFeeRate)
	}
	return nil
}

// String writes "2.5 units/vB".
func (r FeeRate) String() string { return formatDecimal(int64(r), 3) + " units/vB" }

// Fee is the price of a size in virtual bytes, rounded up to a unit.
func (r FeeRate) Fee(vsize int) int64 { return (int64(r)*int64(vsize) + 999) / 1000 }

// feeOfWeight is the price of weight units, rounded up to a unit.
func (r FeeRate) feeOfWeight(weight int) int64 {
	const scale = 1000 * consensus.WitnessScale
	return (int64(r)*int64(weight) + scale - 1) / scale
}

// parseDecimal reads a number with at most places decimals, scaled to a whole.
func parseDecimal(s string, places int) (int64, bool) {
	whole, frac, point := strings.Cut(s, ".")
	if len(s) > maxNumber || len(frac) > places || whole == "" || point && frac == "" {
		return 0, false
	}
	var n uint64
	for _, c := range []byte(whole + frac + strings.Repeat("0", places-len(frac))) {
		if c < '0' || c > '9' {
			return 0, false
		}
		hi, lo := bits.Mul64(n, 10)
		sum, carry := bits.Add64(lo, uint64(c-'0'), 0)
		if hi+carry > 0 {
			return 0, false
		}
		n = sum
	}
	return int64(n), n <= 1<<63-1
}

func formatDecimal(n int64, places int) string {
	digits, sign := strconv.FormatUint(magnitude(n), 10), ""
	if n < 0 {
		sign = "-"
	}
	if missing := places + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	whole, frac := digits[:len(digits)-places], strings.TrimRight(digits[len(digits)-places:], "0")
	if frac != "" {
		frac = "." + frac
	}
	return sign + whole + frac
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

// clip bounds how much of a text from outside an error repeats.
func clip(s string) string {
	const most = 100 // bytes; longer than an address
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
