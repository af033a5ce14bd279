package spec_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kapok-chain/kapok/testnet/spec"
)

// docs/testnet.md has a row for every key that the reader knows, and no others.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/testnet.md")
	if err != nil {
		t.Fatal(err)
	}
	heading := regexp.MustCompile("^## `([^`]+)`$")
	row := regexp.MustCompile("^\\| `([a-z_]+)` \\|")
	documented := make(map[string][]string)
	label, keys := "", false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if m := heading.FindStringSubmatch(line); m != nil {
			label = m[1]
		} else if line == "## The run" {
			label = ""
		}
		if keys = keys && line != "" || strings.HasPrefix(line, "| key |"); !keys {
			continue
		}
		if m := row.FindStringSubmatch(line); m != nil {
			documented[label] = append(documented[label], m[1])
		}
	}
	tables := []string{"event", "links", "network", "nodes", "payments", "topology"} // keys at the top, described in a sentence
	documented[""] = append(documented[""], tables...)

	asked := make(map[string][]string)
	all := "[nodes]\ncount = 2\n[[nodes.node]]\nnode = 1\n[payments]\ncurve = [{ from = \"0s\", rate = 1 }]\n[[event]]\nat = \"1s\"\ndo = \"partition\"\nshare = 0.5\n"
	if _, err := spec.Parse([]byte(all), examples, now, spec.WithAsked(asked)); err != nil {
		t.Fatal(err)
	}
	for _, m := range []map[string][]string{documented, asked} {
		for label, keys := range m {
			slices.Sort(keys)
			m[label] = slices.Compact(keys)
		}
	}
	for label, keys := range asked {
		if got := documented[label]; !slices.Equal(got, keys) {
			t.Errorf("%q is documented with\n%v, and read with\n%v", label, got, keys)
		}
	}
	for label := range documented {
		if asked[label] == nil {
			t.Errorf("%q is documented, and not read", label)
		}
	}
}

// Each example is in the table of docs/testnet.md.
func TestDocsListExamples(t *testing.T) {
	text, err := os.ReadFile("../../docs/testnet.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(text), "## Examples")
	files, _ := filepath.Glob(examples + "/*.toml")
	for _, file := range files {
		if !strings.Contains(list, "`"+filepath.Base(file)+"`") {
			t.Errorf("%s is not listed", filepath.Base(file))
		}
	}
}
