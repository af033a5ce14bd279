package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/kapok-chain/kapok/testnet/record"
)

// disturbance is a time in which the network was not as the file's nodes and links make
// it, so that what was measured then says nothing of those.
type disturbance struct {
	span
	label string
	stops bool // fewer nodes mine for it
}

// disturbances finds them in the events: from a partition, a node's end or its start, a
// wrong clock, churn or an attack on until it is over and all nodes are at one tip. What
// the events do not end lasts.
func disturbances(run *record.Run) []disturbance {
	d := disturber{run: run, open: make(map[string]int), agreed: agreements(run)}
	for i := range run.Events {
		d.event(&run.Events[i])
	}
	slices.SortStableFunc(d.list, func(a, b disturbance) int { return cmp.Compare(a.from, b.from) })
	return d.list
}

type disturber struct {
	run    *record.Run
	list   []disturbance
	open   map[string]int // by what: its place in list, until it is over
	agreed []float64
}

func (d *disturber) event(e *record.Event) {
	switch e.Kind {
	case "partition":
		d.begin("partition", e.TimeS, "partition", false)
	case "heal":
		d.over("partition", e.TimeS)
	case "kill", "stop":
		for _, n := range e.Nodes {
			d.begin(fmt.Sprint("node ", n), e.TimeS, fmt.Sprintf("node %d down", n), true)
		}
	case "restart":
		for _, n := range e.Nodes {
			d.over(fmt.Sprint("node ", n), e.TimeS)
		}
	case "clock":
		for _, n := range e.Nodes {
			what := fmt.Sprint("clock ", n)
			if offset, known := e.Values["offset_s"].(float64); known && offset == 0 {
				d.over(what, e.TimeS)
			} else {
				d.begin(what, e.TimeS, fmt.Sprintf("clock %d wrong", n), false)
			}
		}
	case "churn":
		if _, runs := d.open["churn"]; runs {
			d.over("churn", e.TimeS)
		} else {
			d.begin("churn", e.TimeS, "churn", true)
		}
	case string(record.Selfish), string(record.DoubleSpend):
		what := fmt.Sprint(e.Kind, e.Nodes)
		if a := e.Attack; a != nil {
			d.begin(what, a.FromS, e.Kind, false)
			d.over(what, max(a.ToS, e.TimeS))
		} else {
			d.begin(what, e.TimeS, e.Kind, false)
		}
	}
}

func (d *disturber) begin(what string, at float64, label string, stops bool) {
	if _, runs := d.open[what]; runs {
		return
	}
	d.open[what] = len(d.list)
	d.list = append(d.list, disturbance{span{at, math.Inf(1)}, label, stops})
}

// over ends a disturbance at the first moment at which all nodes agree again.
func (d *disturber) over(what string, at float64) {
	i, runs := d.open[what]
	if !runs {
		return
	}
	delete(d.open, what)
	if j, _ := slices.BinarySearch(d.agreed, at); j < len(d.agreed) {
		d.list[i].to = d.agreed[j]
	}
}

// agreements lists the moments at which all nodes that were sampled had one tip.
func agreements(run *record.Run) (moments []float64) {
	for i := 0; i < len(run.Samples); {
		j, same := i, true
		for ; j < len(run.Samples) && run.Samples[j].TimeS == run.Samples[i].TimeS; j++ {
			same = same && run.Samples[j].Tip == run.Samples[i].Tip
		}
		if same {
			moments = append(moments, run.Samples[i].TimeS)
		}
		i = j
	}
	return moments
}

// span is a stretch of time, in seconds since the start. The end belongs to it, as the
// last block does of a run that is so many blocks long.
type span struct{ from, to float64 }

func (s span) has(t float64) bool { return t > s.from && t <= s.to }
func (s span) length() float64    { return max(0, s.to-s.from) }

// spans are some that do not overlap, in order.
type spans []span

// find is the place of the span that a moment is in, or -1.
func (s spans) find(t float64) int {
	i := sort.Search(len(s), func(i int) bool { return s[i].to >= t })
	if i < len(s) && s[i].has(t) {
		return i
	}
	return -1
}

// hold reports whether a time is in one of them from its beginning to its end.
func (s spans) hold(from, to float64) bool {
	i := sort.Search(len(s), func(i int) bool { return s[i].to >= to })
	return i < len(s) && from >= s[i].from
}

func (s spans) length() (sum float64) {
	for _, x := range s {
		sum += x.length()
	}
	return sum
}

// without is what remains of a time beside the disturbed ones.
func without(within span, disturbed []disturbance) (rest spans) {
	at := within.from
	for _, d := range disturbed { // in the order in which they begin
		if d.from > at && at < within.to {
			rest = append(rest, span{at, min(d.from, within.to)})
		}
		at = max(at, d.to)
	}
	if at < within.to {
		rest = append(rest, span{at, within.to})
	}
	return rest
}
