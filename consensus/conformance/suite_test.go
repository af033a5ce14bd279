package conformance

import (
	"fmt"
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
	// all doors of the stage.
	door string
	// deferred says why the case does not apply, or not yet. It has no run then.
	deferred string
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

// lastCase is the highest number of the list, which has no gaps.
const lastCase = 156

func TestConformance(t *testing.T) {
	var applied int
	var deferred []string
	next := 1
	for _, group := range groups {
		for _, c := range group.cases {
			if c.number != next {
				t.Errorf("case %d %s stands where number %d belongs", c.number, c.name, next)
			}
			next = c.number + 1
			name := fmt.Sprintf("%s/%03d %s", group.letter, c.number, c.name)
			if c.deferred != "" {
				deferred = append(deferred, fmt.Sprintf("%d %s: %s", c.number, c.name, c.deferred))
				t.Run(name, func(t *testing.T) { t.Skip("deferred: " + c.deferred) })
				continue
			}
			applied++
			t.Run(name, func(t *testing.T) {
				s := newStage(t)
				c.run(s)
				s.settled()
				door := c.door
				if door == "" {
					door = strings.Join(s.doors(), ", ")
				}
				t.Logf("rules %s; doors: %s", c.rules, door)
			})
		}
	}
	if next != lastCase+1 {
		t.Errorf("the list ends with case %d, not %d", next-1, lastCase)
	}
	t.Logf("conformance: %d cases, %d applied, %d deferred", applied+len(deferred), applied, len(deferred))
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
