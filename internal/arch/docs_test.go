package arch

import (
	"crypto/sha256"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
)

// The documents that number rules: the letters of protocol.md, which
// package consensus cites, and N of network.md, which the network cites.
var (
	ruleRow   = regexp.MustCompile(`(?m)^\| ([A-Z])(\d{1,2}) \|`)
	ruleBold  = regexp.MustCompile(`(?m)^\*\*(N)(\d{1,2})\*\*`)
	ruleCited = regexp.MustCompile(`\b[A-Z]\d{1,2}\b`)
	netCited  = regexp.MustCompile(`\bN\d{1,2}\b`)
)

func TestCitedRulesExist(t *testing.T) {
	protocol := ruleNumbers(t, "docs/protocol.md", ruleRow)
	network := ruleNumbers(t, "docs/network.md", ruleBold)
	for _, c := range []struct {
		dir   string
		cited *regexp.Regexp
		rules map[string]bool
	}{
		{"consensus", ruleCited, protocol},
		{"p2p", netCited, network},
		{"p2p/host", netCited, network},
	} {
		forEachComment(t, c.dir, func(at token.Position, text string) {
			for _, rule := range c.cited.FindAllString(text, -1) {
				if !c.rules[rule] {
					t.Errorf("%s cites rule %s, which no document has", at, rule)
				}
			}
		})
	}
}

// ruleNumbers returns the rules that a document defines, and checks that each
// letter's are numbered from 1 without a gap.
func ruleNumbers(t *testing.T, name string, definition *regexp.Regexp) map[string]bool {
	t.Helper()
	rules := make(map[string]bool)
	last := make(map[string]int)
	for _, m := range definition.FindAllStringSubmatch(readDoc(t, name), -1) {
		letter := m[1]
		last[letter]++
		if n, _ := strconv.Atoi(m[2]); n != last[letter] {
			t.Errorf("%s: rule %s%d stands where %s%d belongs", name, letter, n, letter, last[letter])
		}
		rules[letter+m[2]] = true
	}
	if len(rules) == 0 {
		t.Errorf("%s defines no rules", name)
	}
	return rules
}

func TestCodesAreDocumented(t *testing.T) {
	doc := readDoc(t, "docs/protocol.md")
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(moduleRoot(t), "consensus", "errors.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); !ok || typ.Name != "Code" {
			return true
		}
		code, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		codes++
		if word := regexp.MustCompile(`(^|[ |(])` + regexp.QuoteMeta(code) + `([ ,;\\|]|$)`); !word.MatchString(doc) {
			t.Errorf("docs/protocol.md does not say when %s is given", code)
		}
		return true
	})
	if codes < 40 {
		t.Errorf("found only %d codes", codes)
	}
}

// TestNetworksAreDocumented holds the tables of networks against the presets:
// what it says is missing is the row to be written.
func TestNetworksAreDocumented(t *testing.T) {
	doc := readDoc(t, "docs/protocol.md")
	want := func(text string) {
		if !strings.Contains(doc, text) {
			t.Errorf("docs/protocol.md lacks\n%s", text)
		}
	}
	for _, name := range consensus.PresetNames() {
		p, _ := consensus.Preset(name)
		want(fmt.Sprintf("| %s | %d | %s | %d | %08x | %08x | %d | %d | %d | %d | %s | %d, %d |\n", name, p.Spacing, p.Rule, p.HalfLife,
			p.StartBits, p.PowLimitBits, p.FutureLimit, p.Maturity, p.MaxWeight, p.HalvingInterval, p.HRP, p.P2PPort, p.RPCPort))
		want(fmt.Sprintf("| %s | %d | %d | %s | %s |\n", name, p.GenesisTime, p.GenesisNonce, p.GenesisText, p.GenesisHash()))
	}
	list := consensus.Main().CanonicalList()
	want(list)
	want(fmt.Sprintf("%x", sha256.Sum256([]byte(list))))
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	dropped = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// TestLinks follows every relative link of the documents, to the heading.
func TestLinks(t *testing.T) {
	root := moduleRoot(t)
	for _, doc := range documents(t, root) {
		for _, m := range link.FindAllStringSubmatch(readDoc(t, doc), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			path, anchor, _ := strings.Cut(m[1], "#")
			target := filepath.Join(filepath.Dir(doc), path)
			if path == "" {
				target = doc
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s links to %s, which does not exist", doc, m[1])
			} else if anchor != "" && !hasHeading(readDoc(t, target), anchor) {
				t.Errorf("%s links to %s, which has no such heading", doc, m[1])
			}
		}
	}
}

// hasHeading reports whether a heading has this anchor, as GitHub makes it.
func hasHeading(doc, anchor string) bool {
	for _, m := range heading.FindAllStringSubmatch(doc, -1) {
		if strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-") == anchor {
			return true
		}
	}
	return false
}

// documents lists the Markdown files, relative to the root.
func documents(t *testing.T, root string) []string {
	t.Helper()
	var docs []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root {
			return filepath.SkipDir
		}
		if filepath.Ext(path) == ".md" {
			name, err := filepath.Rel(root, path)
			docs = append(docs, name)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(docs) < 10 {
		t.Errorf("found only %d documents", len(docs))
	}
	return docs
}

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(moduleRoot(t), filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func forEachComment(t *testing.T, dir string, visit func(at token.Position, text string)) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(moduleRoot(t), filepath.FromSlash(dir), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	for _, path := range paths {
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range file.Comments {
			visit(fset.Position(group.Pos()), group.Text())
		}
	}
}
