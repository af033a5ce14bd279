package spec_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/kapok-chain/kapok/testnet/spec"
)

// An unknown key is found on its line, whatever stands before it.
func TestLines(t *testing.T) {
	for _, text := range []string{
		"HERE = 1\n",
		"# [nodes]\n\n  HERE = 1\n",
		"description = \"\"\"\n[nodes]\na = \\\"\"\" b\n\"\"\"\"\"\nHERE = 1\n",
		"description = '''\n''HERE = 2'\n'''\nHERE = 1\n",
		"description = \"# \\\" [ { HERE\"\nHERE = 1\n",
		"description = 'C:\\'\nHERE = 1\n",
		"name = \"a\" # \"\n[links] # [[event]]\nHERE = 1\n",
		"[nodes]\nshares = [\n 1, # ]\n 2,\n]\nHERE = 1\n",
		"[[event]]\nat = \"1s\"\n[[event]]\nHERE = 1\n[[event]]\nat = \"3s\"\n",
		"[[event]]\nat = \"1s\"\n[[event]]\nat = \"2s\"\n[[nodes.node]]\nnode = 1\n[[nodes.node]]\nHERE = 1\n[[nodes.node]]\nnode = 3\n",
		"event = [\n {\n at = \"1s\" },\n { do = \"x\", at = \"2s\",\n HERE = 1 },\n { at = \"3s\" } ]\n",
		"[payments]\ncurve = [{ from = \"0s\", rate = 1 }, { from = \"1s\", rate = 1 },\n  { from = \"2s\", HERE = 1 }]\n",
		"[payments.fees]\nkind = \"constant\"\nHERE = 1\n",
		"payments.rate = 1\npayments . \"fees\" . HERE = 1\n",
		"[payments]\nfees.rate = 1\nfees.HERE = 1\n",
		"name = \"dos\"\r\n[network]\r\nHERE = 1\r\n",
		"\ufeff\nHERE = 1\n",
		"HERE.a.b = 1\n",
		"description = \"}\"\nevent = [{ at = \"}\" },\n { do = \"{\",\n HERE = 1 }]\n",
		"name = \"a\"\n[HERE]\n",
		"name = \"a\"\n[[HERE]]\n[[HERE]]\n",
	} {
		before, _, _ := strings.Cut(text, "HERE")
		if inside := strings.Index(text, "\nHERE"); inside >= 0 {
			before = text[:inside+1] // not in a string
		}
		want := strings.Count(before, "\n") + 1
		_, err := spec.Build([]byte(text), ".", now)
		var all spec.Errors
		if !errors.As(err, &all) {
			t.Fatalf("%v in\n%s", err, text)
		}
		found := false
		for _, e := range all {
			if strings.Contains(e.Text, `"HERE" is unknown`) {
				found = true
				if e.Line != want {
					t.Errorf("line %d, want %d in\n%s", e.Line, want, text)
				}
			}
		}
		if !found {
			t.Errorf("%v in\n%s", err, text)
		}
	}
}
