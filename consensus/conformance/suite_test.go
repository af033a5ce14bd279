package conformance

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// conformanceCase is one named case.
type conformanceCase struct {
	number int    // of the list that all implementations share
	name   string // likewise
	rules  string // of docs/protocol.md, or of docs/mempool.md; separated by spaces
	run    func(*stage)
	// door says how the case enters where no block can carry it; otherwise it is
	// what the stage noted.
	door string
	// deferred says why the case does not apply, or not yet. It has no run then.
	deferred string
	// partly says which half of an applied case is not built.
	partly string
}

// groups are all cases, in the order of the list.
var groups = []struct {
	letter, about string
	cases         []conformanceCase
}{
	{"A", "headers", headerCases},
	{"B", "block structure, merkle, witness", blockCases},
	{"C", "coinbases", coinbaseCases},
	{"D", "transactions by themselves", transactionCases},
	{"E", "inputs, amounts, signatures", inputCases},
	{"F", "lock times", lockTimeCases},
	{"G", "reorganisation and chain choice", reorgCases},
	{"H", "mempool and relay policy", mempoolCases},
}

// lastCase is the highest number of the list, which has no gaps. One of them,
// neverApplies, is of a rule that this chain does not have.
const (
	lastCase     = 156
	neverApplies = 62
)

func TestConformance(t *testing.T) {
	var applied int
	var deferred, partly []string
	var never string
	next := 1
	for _, group := range groups {
		for _, c := range group.cases {
			if c.number != next {
				t.Errorf("case %d %s stands where number %d belongs", c.number, c.name, next)
			}
			next = c.number + 1
			name := fmt.Sprintf("%s/%03d %s", group.letter, c.number, c.name)
			if c.deferred != "" {
				line := fmt.Sprintf("%d %s: %s", c.number, c.name, c.deferred)
				if c.number == neverApplies {
					never = line
				} else {
					deferred = append(deferred, line)
				}
				t.Run(name, func(t *testing.T) { t.Skip("deferred: " + c.deferred) })
				continue
			}
			applied++
			if c.partly != "" {
				partly = append(partly, fmt.Sprintf("%d %s: %s", c.number, c.name, c.partly))
			}
			t.Run(name, func(t *testing.T) {
				s := newStage(t)
				c.run(s)
				s.settled()
				door := c.door
				if door == "" {
					door = strings.Join(slices.Sorted(maps.Keys(s.doors)), ", ")
				}
				t.Logf("rules %s; doors: %s", c.rules, door)
			})
		}
	}
	if next != lastCase+1 {
		t.Errorf("the list ends with case %d, not %d", next-1, lastCase)
	}
	t.Logf("conformance: %d named cases, and number %d, which never applies: %d applied, %d deferred",
		applied+len(deferred), neverApplies, applied, len(deferred))
	t.Log(never)
	for _, p := range partly {
		t.Logf("partly: %s", p)
	}
	for _, d := range deferred {
		t.Logf("deferred: %s", d)
	}
}

// TestCasesAreNamed keeps the list usable for mutation: each case that applies
// names its rules, and no name stands twice.
func TestCasesAreNamed(t *testing.T) {
	var names []string
	for _, group := range groups {
		for _, c := range group.cases {
			if slices.Contains(names, c.name) {
				t.Errorf("two cases are called %s", c.name)
			}
			names = append(names, c.name)
			if applies := c.deferred == ""; applies != (c.run != nil) || applies && c.rules == "" {
				t.Errorf("case %d %s either runs and names rules, or is deferred", c.number, c.name)
			}
		}
	}
}

// longRun reports whether the cases that come in a small and a full size run in
// the full one: KAPOK_LONG=1.
func longRun() bool { return os.Getenv("KAPOK_LONG") != "" }

// size is the small one in go test, and a quarter of it under -short.
func size(small, full int) int {
	switch {
	case longRun():
		return full
	case testing.Short():
		return (small + 3) / 4
	}
	return small
}
