package explorer

import (
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"

	"github.com/kapok-chain/kapok/address"
	"github.com/kapok-chain/kapok/consensus"
)

// functions are what templates may call.
func functions() template.FuncMap {
	return template.FuncMap{
		"short": short, "coins": coins, "age": age, "zeros": zeros, "clock": clock, "rate": rate,
		"count": count, "millis": millis, "si": si,
	}
}

// short keeps both ends of a hash or a key.
func short(v any) string {
	s := fmt.Sprint(v)
	if len(s) <= 18 {
		return s
	}
	return s[:8] + "…" + s[len(s)-8:]
}

// split is a text whose parts differ in weight.
type split struct{ Head, Tail string }

// zeros sets a hash's leading zeros apart: they are the work.
func zeros(h consensus.Hash) split {
	s := h.String()
	rest := strings.TrimLeft(s, "0")
	return split{s[:len(s)-len(rest)], rest}
}

// coins writes an amount with eight decimals; trailing zeros are the tail.
func coins(units int64) split {
	sign := ""
	if units < 0 {
		sign, units = "−", -units
	}
	text := fmt.Sprintf("%s%s.%08d", sign, count(units/consensus.UnitsPerCoin), units%consensus.UnitsPerCoin)
	head := strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	return split{head, text[len(head):]}
}

// count groups digits by thousands, with narrow spaces.
func count(n any) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// age says how long something took, or is ago.
func age(d time.Duration) string {
	switch d = max(0, d); {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%s days", count(int64(d.Hours()/24)))
}

func clock(unix uint32) string {
	return time.Unix(int64(unix), 0).UTC().Format("2006-01-02 15:04:05 UTC")
}

// rate is a fee rate in units per virtual byte.
func rate(fee int64, vsize int) string {
	return fmt.Sprintf("%.1f", float64(fee)/float64(max(1, vsize)))
}

func millis(d time.Duration) string {
	if d == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
}

// si writes a big number with a prefix: 12.3 M.
func si(x float64) string {
	if x < 1000 {
		return fmt.Sprintf("%.3g\u202f", x)
	}
	const prefixes = "kMGTPEZY"
	power := min(int(math.Log10(x))/3, len(prefixes))
	return fmt.Sprintf("%.3g\u202f%c", x/math.Pow(1000, float64(power)), prefixes[power-1])
}

// addressOf is "" for an output that pays to no key.
func addressOf(p *consensus.Params, script []byte) string {
	key, ok := consensus.OutputKey(script)
	if !ok {
		return ""
	}
	return address.Encode(p.HRP, key)
}

// dataOf shows what an OP_RETURN output carries: its text where it is printable.
func dataOf(script []byte) string {
	const header = 2 // OP_RETURN and the length of the push
	if len(script) <= header {
		return ""
	}
	data := script[header:]
	for _, c := range data {
		if c < ' ' || c > '~' {
			return fmt.Sprintf("%x", data)
		}
	}
	return string(data)
}
