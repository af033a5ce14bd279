package chart

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Axis is one of the two axes of a plot.
type Axis struct {
	Label string // what, and in which unit
	Log   bool   // decades are as long as each other; what is not above 0 stands at the low end
	Whole bool   // of things that are counted: there is no number between them
	// Min and Max are the ends; where both are 0, the data decide.
	Min, Max float64
}

// scale maps values to pixels.
type scale struct {
	min, max float64
	log      bool
	from, to float64 // pixels
	whole    bool
}

// newScale takes the axis' ends, or round ones around the data.
func newScale(a Axis, low, high float64, from, to float64) scale {
	s := scale{a.Min, a.Max, a.Log, from, to, a.Whole}
	if a.Min == 0 && a.Max == 0 {
		s.min, s.max = low, high
	}
	if s.log {
		if !(s.max > 0) {
			s.max = 1
		}
		if !(s.min > 0) || s.min >= s.max {
			s.min = s.max / 1000
		}
		s.min = max(s.min, s.max/1e12) // more decades than anyone reads
		return s
	}
	if !(s.max > s.min) { // one value, or none
		s.max = s.min + max(1, math.Abs(s.min)*0.1)
	}
	return s
}

// at is the pixel of a value; beyond the ends it is that of the end.
func (s scale) at(x float64) float64 {
	x = min(max(x, s.min), s.max)
	share := (x - s.min) / (s.max - s.min)
	if s.log {
		share = math.Log(x/s.min) / math.Log(s.max/s.min)
	}
	return s.from + share*(s.to-s.from)
}

// tick is a place on an axis.
type tick struct {
	value float64
	label string
}

// ticks are round values, about n of them.
func (s scale) ticks(n int) []tick {
	if s.log {
		return s.logTicks(n)
	}
	step := roundStep((s.max - s.min) / float64(max(n, 1)))
	if s.whole {
		step = max(step, 1)
	}
	digits := max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	var list []tick
	for i := math.Ceil(s.min/step - 1e-9); i*step <= s.max+step*1e-9 && len(list) <= 2*n+1; i++ {
		value := i * step
		label := Decimal(value, digits)
		if value == 0 {
			label = "0"
		}
		list = append(list, tick{value, label})
	}
	return list
}

// roundStep is the least of 1, 2 and 5 times a power of ten that is not far below x.
func roundStep(x float64) float64 {
	if !(x > 0) || math.IsInf(x, 0) {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= 0.8*x {
			return m * power
		}
	}
	return 10 * power
}

func (s scale) logTicks(n int) []tick {
	decades := math.Log10(s.max / s.min)
	within := []float64{1}
	if decades <= float64(n)/3 {
		within = []float64{1, 2, 5}
	}
	every := max(1, int(math.Ceil(decades/float64(max(n, 1)))))
	var list []tick
	for k := int(math.Floor(math.Log10(s.min))); k <= int(math.Ceil(math.Log10(s.max))) && len(list) < 100; k++ {
		for _, m := range within {
			value := m * math.Pow(10, float64(k))
			if k%every == 0 && value >= s.min*(1-1e-9) && value <= s.max*(1+1e-9) {
				label := Number(value)
				if value >= 1e6 {
					label = exponent(strconv.FormatFloat(value, 'e', 2, 64))
				}
				list = append(list, tick{value, label})
			}
		}
	}
	return list
}

// Decimal writes a number with so many digits behind the point, and the thousands apart.
func Decimal(x float64, digits int) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return "–"
	}
	if math.Abs(x) >= 1e15 {
		return exponent(strconv.FormatFloat(x, 'e', 2, 64))
	}
	text := strconv.FormatFloat(math.Abs(x), 'f', min(max(digits, 0), 12), 64)
	whole, rest, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0 && len(whole) > 4; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if rest != "" {
		whole += "." + rest
	}
	if x < 0 && strings.ContainsAny(text, "123456789") {
		whole = "−" + whole
	}
	return whole
}

// Number writes a number with three significant digits, without zeros behind the point
// that say nothing.
func Number(x float64) string {
	if x == 0 || math.IsNaN(x) || math.IsInf(x, 0) {
		return Decimal(x, 0)
	}
	size := math.Floor(math.Log10(math.Abs(x)))
	switch {
	case size < -4:
		return exponent(strconv.FormatFloat(x, 'e', 2, 64))
	case size >= 3:
		return Decimal(x, 0)
	}
	text := Decimal(x, int(2-size))
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// exponent writes 1.50e-07 as 1.5e−7.
func exponent(text string) string {
	mantissa, power, _ := strings.Cut(text, "e")
	mantissa = strings.TrimRight(strings.TrimRight(mantissa, "0"), ".")
	n, err := strconv.Atoi(power)
	if err != nil {
		return text
	}
	return strings.ReplaceAll(fmt.Sprintf("%se%d", mantissa, n), "-", "−")
}

var prefixes = []struct {
	factor float64
	sign   string
}{{1e18, "E"}, {1e15, "P"}, {1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}, {1, ""}, {1e-3, "m"}, {1e-6, "µ"}, {1e-9, "n"}, {1e-12, "p"}}

// Prefix is the SI prefix that a quantity is read best with, and what to divide by.
func Prefix(x float64) (factor float64, sign string) {
	x = math.Abs(x)
	if x == 0 || math.IsNaN(x) || math.IsInf(x, 0) {
		return 1, ""
	}
	for _, p := range prefixes {
		if x >= p.factor*0.9995 { // what would be written as 1000 belongs to the next
			return p.factor, p.sign
		}
	}
	last := prefixes[len(prefixes)-1]
	return last.factor, last.sign
}

// Quantity writes a number with its unit and the SI prefix that it is read best with.
func Quantity(x float64, unit string) string {
	factor, sign := Prefix(x)
	return Number(x/factor) + "\u00a0" + sign + unit
}

// TimeUnit is the unit that a time of so many seconds is read best in, and its seconds.
func TimeUnit(s float64) (seconds float64, unit string) {
	switch {
	case s > 3*24*3600:
		return 24 * 3600, "days"
	case s > 3*3600:
		return 3600, "h"
	case s > 300:
		return 60, "min"
	case s >= 1:
		return 1, "s"
	}
	return 1e-3, "ms"
}
