package main

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// The list is of use only as long as each edit fits the code as it is.
func TestEachEditFits(t *testing.T) {
	root := filepath.Join("..", "..")
	mutants, _, err := parse(rules)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, m := range mutants {
		if seen[m.String()] {
			t.Errorf("%s stands twice", m)
		}
		seen[m.String()] = true
		text, err := m.apply(root)
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := parser.ParseFile(token.NewFileSet(), m.file, text, 0); err != nil {
			t.Errorf("%s: %v", m, err)
		}
	}
}

func TestEachRuleHasAMutant(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "protocol.md"))
	if err != nil {
		t.Fatal(err)
	}
	mutants, exempt, err := parse(rules)
	if err != nil {
		t.Fatal(err)
	}
	listed := make(map[string]bool)
	for _, m := range mutants {
		listed[m.rule] = true
	}
	for _, e := range exempt {
		if listed[e.rule] {
			t.Errorf("%s has mutants, and a reason for having none", e.rule)
		}
		listed[e.rule] = true
	}
	for _, row := range regexp.MustCompile(`(?m)^\| ([A-Z]\d{1,2}) \|`).FindAllSubmatch(doc, -1) {
		if rule := string(row[1]); !listed[rule] {
			t.Errorf("rule %s of docs/protocol.md can be taken out, and nobody looks", rule)
		} else {
			delete(listed, rule)
		}
	}
	for rule := range listed {
		if rule[0] != 'M' && rule[0] != 'N' { // of the mempool and of the network
			t.Errorf("docs/protocol.md has no rule %s", rule)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, list := range []string{"H2", "H2 file.go", "- text before any entry"} {
		if _, _, err := parse(list); err == nil {
			t.Errorf("%q is read", list)
		}
	}
}

func TestFailuresNameTheInnermost(t *testing.T) {
	got := failures([]event{
		{Action: "fail", Package: "p", Test: "Top/a/x"}, {Action: "fail", Package: "p", Test: "Top/a"},
		{Action: "pass", Package: "p", Test: "Top/b"}, {Action: "fail", Package: "p", Test: "Top"}, {Action: "fail", Package: "p"},
	})
	if len(got) != 1 || got[0] != "Top/a/x" {
		t.Errorf("got %q, want Top/a/x alone", got)
	}
	late := []event{{Output: "panic: test timed out after 5m0s\n"}, {Action: "fail", Package: "p", Test: "Top/a"}}
	if got := failures(late); len(got) != 1 || got[0] != clock {
		t.Errorf("got %q, want %s", got, clock)
	}
	if got := failures([]event{{Action: "fail", Package: "p"}}); len(got) != 1 || got[0] != "p" {
		t.Errorf("got %q, want the package, which said no more", got)
	}
}

func TestShowing(t *testing.T) {
	cases := map[string][]string{"TestConformance/C/050_cb-amount-over": {"C3"}, "TestConformance/B/025_blk-weight-max": {"B11", "F8"}}
	for rule, want := range map[string]string{"C3": "^TestConformance$/^(C)$/^(050_cb-amount-over)$", "H1": ""} {
		if got := showing(rule, cases); got != want {
			t.Errorf("%s: %q, want %q", rule, got, want)
		}
	}
}
