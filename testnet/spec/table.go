package spec

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Error is one thing that is wrong with a file.
type Error struct {
	File string // as Read was given it; "" from Parse
	Line int    // counted from 1; 0: unknown
	Text string // what was found, and what was expected
}

func (e *Error) Error() string {
	switch {
	case e.File == "" && e.Line == 0:
		return e.Text
	case e.File == "":
		return fmt.Sprintf("line %d: %s", e.Line, e.Text)
	case e.Line == 0:
		return e.File + ": " + e.Text
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text)
}

// Errors is what is wrong with a file, by line, each on a line of its own.
type Errors []*Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap is for errors.As.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

// maxErrors is how many of them are told: more than that is another kind of file.
const maxErrors = 20

// document is a file while it is read. What is wrong is collected, so that it is told
// all at once.
type document struct {
	dir    string
	lines  map[string]int
	errors Errors
	asked  map[string][]string // keys by label, for the test of docs/testnet.md
}

// fail notes what is wrong at a line.
func (d *document) fail(line int, format string, args ...any) {
	d.errors = append(d.errors, &Error{Line: line, Text: fmt.Sprintf(format, args...)})
}

// err is what is wrong so far, by line.
func (d *document) err() error {
	if len(d.errors) == 0 {
		return nil
	}
	slices.SortStableFunc(d.errors, func(a, b *Error) int { return cmp.Compare(a.Line, b.Line) })
	return d.errors[:min(len(d.errors), maxErrors)]
}

// table is a table of the file. Its methods return the value of a key; where there is
// none, or one that is impossible, they return the fallback, the latter with an error.
type table struct {
	doc    *document
	label  string // as "[links]", for people
	path   string // as "event[1]", for lines
	values map[string]any
	asked  []string
}

// take returns the value of a key as it was parsed, and remembers that it is known.
func (t *table) take(key string) (any, bool) {
	t.asked = append(t.asked, key)
	v, ok := t.values[key]
	return v, ok
}

// has reports whether the file has a key.
func (t *table) has(key string) bool {
	_, ok := t.values[key]
	return ok
}

func (t *table) pathOf(key string) string {
	if t.path == "" {
		return key
	}
	return t.path + "." + key
}

// line is where a key stands, or else its table.
func (t *table) line(key string) int {
	if line, ok := t.doc.lines[t.pathOf(key)]; ok {
		return line
	}
	return t.doc.lines[t.path]
}

// named is a key as people are told about it.
func (t *table) named(key string) string {
	return strings.TrimSpace(t.label + " " + key)
}

// wrong says that a value is not what was expected.
func (t *table) wrong(key string, v any, expected string, args ...any) {
	t.doc.fail(t.line(key), "%s %s: expected %s", t.named(key), shown(v), fmt.Sprintf(expected, args...))
}

// missing says that a key is not there.
func (t *table) missing(key, expected string, args ...any) {
	t.doc.fail(t.doc.lines[t.path], "%s is missing: expected %s", t.named(key), fmt.Sprintf(expected, args...))
}

// shown is a value in a message, no longer than a line bears.
func shown(v any) string {
	const most = 60
	text := ""
	switch v := v.(type) {
	case string:
		text = strconv.Quote(v)
	case map[string]any:
		return "{…}"
	case []map[string]any:
		return "[{…}]"
	case time.Time:
		text = v.Format(time.RFC3339)
	default:
		text = fmt.Sprint(v)
	}
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// text is a string of at most so many bytes without control characters.
func (t *table) text(key, fallback string, most int) string {
	v, ok := t.take(key)
	if !ok {
		return fallback
	}
	s, ok := v.(string)
	if !ok || len(s) > most || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' }) {
		t.wrong(key, v, "a text of at most %d bytes", most)
		return fallback
	}
	return s
}

// choice is one of a few words.
func (t *table) choice(key, fallback string, options ...string) string {
	v, ok := t.take(key)
	if !ok {
		return fallback
	}
	s, _ := v.(string)
	if !slices.Contains(options, s) {
		t.wrong(key, v, "one of %s", quoted(options))
		return fallback
	}
	return s
}

func quoted(words []string) string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = strconv.Quote(w)
	}
	return strings.Join(all, ", ")
}

// asNumber is a whole number or one with a fraction.
func asNumber(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// number is within low and high, in a unit that the message names.
func (t *table) number(key string, fallback, low, high float64, unit string) float64 {
	v, ok := t.take(key)
	if !ok {
		return fallback
	}
	n, ok := asNumber(v)
	if !ok || !(n >= low && n <= high) {
		t.wrong(key, v, "%s%s to %s", of(unit), plain(low), plain(high))
		return fallback
	}
	return n
}

// plain is a number as one writes it.
func plain(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

func of(unit string) string {
	if unit == "" {
		return ""
	}
	return unit + " of "
}

// whole is a whole number within low and high.
func (t *table) whole(key string, fallback, low, high int64) int64 {
	v, ok := t.take(key)
	if !ok {
		return fallback
	}
	n, ok := v.(int64)
	if !ok || n < low || n > high {
		t.wrong(key, v, "a whole number of %d to %d", low, high)
		return fallback
	}
	return n
}

// flag is true or false.
func (t *table) flag(key string) bool {
	v, ok := t.take(key)
	if !ok {
		return false
	}
	b, ok := v.(bool)
	if !ok {
		t.wrong(key, v, "true or false")
	}
	return b
}

// duration is a text such as "500ms".
func (t *table) duration(key string, fallback, low, high time.Duration) time.Duration {
	v, ok := t.take(key)
	if !ok {
		return fallback
	}
	s, _ := v.(string)
	d, err := time.ParseDuration(s)
	if err != nil {
		t.wrong(key, v, `a duration such as "90s" or "1m30s"`)
		return fallback
	}
	if d < low || d > high {
		t.wrong(key, v, "%s to %s", short(low), short(high))
		return fallback
	}
	return d
}

// short is a duration without its zeros: 10m, not 10m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// unit is what may stand behind a number.
type unit struct {
	name   string
	factor float64
}

var (
	hashUnits = []unit{{"H/s", 1}, {"kH/s", 1e3}, {"MH/s", 1e6}, {"GH/s", 1e9}}
	byteUnits = []unit{ // in bytes a second
		{"bit/s", 1.0 / 8}, {"kbit/s", 1e3 / 8}, {"Mbit/s", 1e6 / 8}, {"Gbit/s", 1e9 / 8},
		{"B/s", 1}, {"kB/s", 1e3}, {"MB/s", 1e6}, {"GB/s", 1e9},
	}
)

// quantity is a text of a number and its unit, such as "20 Mbit/s", in the base unit,
// within what low and high say, which are written the same way.
func (t *table) quantity(key string, fallback float64, units []unit, low, high string) float64 {
	v, ok := t.take(key)
	if !ok {
		return fallback
	}
	s, _ := v.(string)
	n, ok := parseQuantity(s, units)
	least, _ := parseQuantity(low, units)
	most, _ := parseQuantity(high, units)
	if !ok || !(n >= least && n <= most) {
		t.wrong(key, v, "a text from %q to %q", low, high)
		return fallback
	}
	return n
}

func parseQuantity(s string, units []unit) (float64, bool) {
	number, name, _ := strings.Cut(s, " ")
	i := slices.IndexFunc(units, func(u unit) bool { return u.name == strings.TrimSpace(name) })
	n, err := strconv.ParseFloat(number, 64)
	if i < 0 || err != nil || math.IsNaN(n) {
		return 0, false
	}
	return n * units[i].factor, true
}

// list is an array; nil where there is none.
func (t *table) list(key, expected string) []any {
	v, ok := t.take(key)
	if !ok {
		return nil
	}
	switch v := v.(type) {
	case []any:
		return v
	case []map[string]any: // how the parser keeps an array of nothing but tables
		all := make([]any, len(v))
		for i := range v {
			all[i] = v[i]
		}
		return all
	}
	t.wrong(key, v, "%s", expected)
	return nil
}

// numbers is an array of numbers that are not negative, at most so many of them.
func (t *table) numbers(key string, most int) []float64 {
	list := t.list(key, "a list of numbers")
	if len(list) > most {
		t.wrong(key, list, "at most %d numbers", most)
		return nil
	}
	var all []float64
	for _, v := range list {
		n, ok := asNumber(v)
		if !ok || !(n >= 0 && n <= maxNumber) {
			t.wrong(key, v, "numbers of 0 to %s", plain(maxNumber))
			return nil
		}
		all = append(all, n)
	}
	return all
}

// maxNumber bounds numbers whose size alone means nothing, so that sums are finite.
const maxNumber = 1e12

// table is a table within t; an empty one where there is none.
func (t *table) table(key, label string) *table {
	inner := &table{doc: t.doc, label: label, path: t.pathOf(key)}
	v, ok := t.take(key)
	if !ok {
		return inner
	}
	inner.values, ok = v.(map[string]any)
	if !ok {
		t.wrong(key, v, "a table")
	}
	return inner
}

// tables is an array of tables, at most so many.
func (t *table) tables(key, label string, most int) []*table {
	list := t.list(key, "tables")
	if len(list) > most {
		t.doc.fail(t.line(key+"[0]"), "%s occurs %d times: expected at most %d", label, len(list), most)
		return nil
	}
	var all []*table
	for i, v := range list {
		inner := &table{doc: t.doc, label: label, path: t.pathOf(key) + "[" + strconv.Itoa(i) + "]"}
		var ok bool
		if inner.values, ok = v.(map[string]any); !ok {
			t.wrong(key, v, "tables")
			return nil
		}
		all = append(all, inner)
	}
	return all
}

// done says which keys are unknown. It is called when all others have been asked for.
func (t *table) done() {
	if t.doc.asked != nil {
		t.doc.asked[t.label] = t.asked
	}
	known := slices.Clone(t.asked)
	slices.Sort(known)
	for key := range t.values {
		if !slices.Contains(known, key) {
			t.doc.fail(t.line(key), "%s is unknown: expected one of %s", t.named(strconv.Quote(key)), strings.Join(slices.Compact(known), ", "))
		}
	}
}

// only says which keys mean nothing beside what another key says, as
// `for kind = "random"`.
func (t *table) only(allowed bool, why string, keys ...string) {
	if allowed {
		return
	}
	for _, key := range keys {
		if v, ok := t.values[key]; ok {
			t.wrong(key, v, "no such key %s", why)
		}
	}
}
