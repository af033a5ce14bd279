package record

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// column is one column of a CSV file: its name, which holds the unit, and the way of
// its value to text and back. Both ways refuse the same values, so that what was
// written can be read.
type column[T any] struct {
	name string
	text func(*T) (string, error)
	read func(*T, string) error
	late bool // it came after the first version: files may be without it
}

// late is a column that files of before are without.
func late[T any](c column[T]) column[T] {
	c.late = true
	return c
}

// Bounds of what is read. They are far above what any run can come to, and low enough
// that sums and products of a few of them stay numbers.
const (
	maxSeconds = 1e8  // three years
	maxAmount  = 1e80 // hashes: above 2^256
	maxWhole   = 1e15 // counts, bytes, units: a float64 holds them exactly
	maxWord    = 128  // bytes of a hash, of a name
	maxText    = 4096 // bytes of a sentence, and of the description that a testnet file may have
)

func blockColumns(nodes int) []column[Block] {
	columns := []column[Block]{
		word("hash", func(b *Block) *string { return &b.Hash }, maxWord),
		word("parent", func(b *Block) *string { return &b.Parent }, maxWord),
		whole("height", func(b *Block) *uint32 { return &b.Height }),
		whole("miner", func(b *Block) *int { return &b.Miner }),
		oneOf("status", func(b *Block) *BlockStatus { return &b.Status }, Active, Stale, Withheld),
		seconds("found_s", func(b *Block) *float64 { return &b.FoundS }),
		whole("header_time_unix_s", func(b *Block) *uint32 { return &b.HeaderTime }),
		amount("difficulty_hashes", func(b *Block) *float64 { return &b.DifficultyHashes }),
		amount("hashes", func(b *Block) *float64 { return &b.Hashes }),
		whole("transactions", func(b *Block) *int { return &b.Transactions }),
		whole("size_bytes", func(b *Block) *int { return &b.SizeBytes }),
		whole("weight_units", func(b *Block) *int { return &b.WeightUnits }),
		whole("fees_units", func(b *Block) *int64 { return &b.FeesUnits }),
	}
	for i := range nodes {
		columns = append(columns, seconds(arrivalColumn(i+1), func(b *Block) *float64 {
			if b.ArrivalS == nil {
				b.ArrivalS = make([]float64, nodes)
			}
			return &b.ArrivalS[i]
		}))
	}
	return columns
}

const arrivalPrefix = "arrival_s_"

// arrivalColumn names the column of a node, counted from 1.
func arrivalColumn(node int) string { return arrivalPrefix + strconv.Itoa(node) }

var paymentColumns = []column[Payment]{
	whole("id", func(p *Payment) *int { return &p.ID }),
	word("txid", func(p *Payment) *string { return &p.TxID }, maxWord),
	whole("node", func(p *Payment) *int { return &p.Node }),
	seconds("due_s", func(p *Payment) *float64 { return &p.DueS }),
	seconds("submitted_s", func(p *Payment) *float64 { return &p.SubmittedS }),
	seconds("answered_s", func(p *Payment) *float64 { return &p.AnsweredS }),
	amount("fee_rate_units_per_vbyte", func(p *Payment) *float64 { return &p.FeeRate }),
	whole("vsize_bytes", func(p *Payment) *int { return &p.VSizeBytes }),
	seconds("accepted_s", func(p *Payment) *float64 { return &p.AcceptedS }),
	seconds("every_mempool_s", func(p *Payment) *float64 { return &p.EveryPoolS }),
	word("block", func(p *Payment) *string { return &p.Block }, maxWord),
	wholeOrNone("height", func(p *Payment) *uint32 { return &p.Height }),
	seconds("in_block_s", func(p *Payment) *float64 { return &p.InBlockS }),
	seconds("confirmed_1_s", func(p *Payment) *float64 { return &p.Confirmed1S }),
	seconds("confirmed_3_s", func(p *Payment) *float64 { return &p.Confirmed3S }),
	seconds("confirmed_6_s", func(p *Payment) *float64 { return &p.Confirmed6S }),
	oneOf("status", func(p *Payment) *PaymentStatus { return &p.Status }, Confirmed, Pending, Refused, Unanswered, Conflicted, Lost, Died),
	late(oneOf("role", func(p *Payment) *Role { return &p.Role }, "", DoubleSpend)),
	word("detail", func(p *Payment) *string { return &p.Detail }, maxText),
}

var sampleColumns = []column[Sample]{
	seconds("t_s", func(s *Sample) *float64 { return &s.TimeS }),
	whole("node", func(s *Sample) *int { return &s.Node }),
	whole("height", func(s *Sample) *uint32 { return &s.Height }),
	word("tip", func(s *Sample) *string { return &s.Tip }, maxWord),
	whole("mempool_txs", func(s *Sample) *int { return &s.MempoolTxs }),
	whole("mempool_vbytes", func(s *Sample) *int64 { return &s.MempoolBytes }),
	whole("peers", func(s *Sample) *int { return &s.Peers }),
	amount("hashes", func(s *Sample) *float64 { return &s.Hashes }),
	amount("hashes_due", func(s *Sample) *float64 { return &s.HashesDue }),
}

// seconds is a time since the start, to the microsecond; NaN is an empty field.
func seconds[T any](name string, at func(*T) *float64) column[T] {
	return number(name, at, "seconds since the start", -maxSeconds, maxSeconds, func(x float64) string {
		return strconv.FormatFloat(math.Round(x*1e6)/1e6, 'f', -1, 64)
	})
}

// amount is a number that is not below 0; NaN is an empty field.
func amount[T any](name string, at func(*T) *float64) column[T] {
	return number(name, at, "a number", 0, maxAmount, func(x float64) string {
		if x == math.Trunc(x) && x <= maxWhole {
			return strconv.FormatFloat(x, 'f', 0, 64)
		}
		return strconv.FormatFloat(x, 'g', -1, 64)
	})
}

func number[T any](name string, at func(*T) *float64, what string, least, most float64, format func(float64) string) column[T] {
	outside := func(text string) error {
		return fmt.Errorf("%s, want %s from %g to %g, or nothing", quote(text), what, least, most)
	}
	return column[T]{name: name,
		text: func(row *T) (string, error) {
			x := *at(row)
			switch {
			case math.IsNaN(x):
				return "", nil
			case x < least || x > most:
				return "", outside(format(x))
			}
			return format(x), nil
		},
		read: func(row *T, text string) error {
			if text == "" {
				*at(row) = math.NaN()
				return nil
			}
			x, err := strconv.ParseFloat(text, 64)
			if err != nil || strings.Trim(text, "+-.0123456789eE") != "" || !(x >= least && x <= most) {
				return outside(text)
			}
			*at(row) = x
			return nil
		}}
}

// whole is a count.
func whole[T any, I int | int64 | uint32](name string, at func(*T) *I) column[T] {
	outside := func(text string) error {
		return fmt.Errorf("%s, want a whole number that is not below 0", quote(text))
	}
	return column[T]{name: name,
		text: func(row *T) (string, error) {
			n := int64(*at(row))
			text := strconv.FormatInt(n, 10)
			if n < 0 || n > maxWhole {
				return "", outside(text)
			}
			return text, nil
		},
		read: func(row *T, text string) error {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil || n < 0 || n > maxWhole || int64(I(n)) != n {
				return outside(text)
			}
			*at(row) = I(n)
			return nil
		}}
}

// wholeOrNone is a count in which 0 means that there is none, and is an empty field.
func wholeOrNone[T any, I int | int64 | uint32](name string, at func(*T) *I) column[T] {
	count := whole(name, at)
	return column[T]{name: name,
		text: func(row *T) (string, error) {
			if *at(row) == 0 {
				return "", nil
			}
			return count.text(row)
		},
		read: func(row *T, text string) error {
			if text == "" {
				*at(row) = 0
				return nil
			}
			return count.read(row, text)
		}}
}

// word is text of one line. What could break the line is written as a space, so that
// a row is a line in every program that reads the file, and is read as one, so that a
// terminal shows what other programs wrote and does nothing else.
func word[T any](name string, at func(*T) *string, most int) column[T] {
	return column[T]{name: name,
		text: func(row *T) (string, error) { return oneLine(*at(row), most), nil },
		read: func(row *T, text string) error {
			if len(text) > most {
				return fmt.Errorf("%d bytes, want %d at most", len(text), most)
			}
			*at(row) = oneLine(text, most)
			return nil
		}}
}

// oneLine is text without control characters and without those that turn the direction of
// writing around (Unicode's Bidi_Control), and cut where it is too long.
func oneLine(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return text
}

// oneOf is a word out of few.
func oneOf[T any, S ~string](name string, at func(*T) *S, known ...S) column[T] {
	check := func(text string) error {
		if !slices.Contains(known, S(text)) {
			return fmt.Errorf("%s, want one of %v", quote(text), known)
		}
		return nil
	}
	return column[T]{name: name,
		text: func(row *T) (string, error) { return string(*at(row)), check(string(*at(row))) },
		read: func(row *T, text string) error {
			*at(row) = S(text)
			return check(text)
		}}
}

// quote shows a field in an error, and not more of it than a line can hold.
func quote(text string) string {
	if text == "" {
		return "nothing"
	}
	if len(text) > 40 {
		text = text[:40] + "…"
	}
	return strconv.Quote(text)
}

// header is the first line of a file.
func header[T any](columns []column[T]) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	return names
}

// absent is the place of a late column that a file is without.
const absent = -1

// locate finds the columns in a header, which may hold others as well: their places.
func locate[T any](columns []column[T], header []string) ([]int, error) {
	at := make(map[string]int, len(header))
	for i, name := range header {
		if _, twice := at[name]; twice {
			return nil, fmt.Errorf("column %s stands there twice", quote(name))
		}
		at[name] = i
	}
	places := make([]int, len(columns))
	arrivals := 0
	for i, c := range columns {
		place, known := at[c.name]
		if !known && c.late {
			place = absent
		} else if !known {
			return nil, fmt.Errorf("there is no column %s", c.name)
		}
		places[i] = place
		if strings.HasPrefix(c.name, arrivalPrefix) {
			arrivals++
		}
	}
	if _, more := at[arrivalColumn(arrivals+1)]; more && arrivals > 0 {
		return nil, fmt.Errorf("column %s is of a node that the manifest does not have", arrivalColumn(arrivals+1))
	}
	return places, nil
}
