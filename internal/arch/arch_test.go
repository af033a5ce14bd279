package arch

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/kapok-chain/kapok/"

// floors is the table of docs/architecture.md: a package imports only floors
// below its own, never a neighbour, but for the pairs in stairs.
var floors = map[string]int{
	"internal/sha256d":      0,
	"consensus/batch":       0,
	"consensus":             1,
	"consensus/conformance": 1, // tests alone, which may import upwards
	"address":               1,
	"p2p/peers":             1,
	"storage":               2,
	"mempool":               2,
	"miner":                 2,
	"p2p":                   2,
	"p2p/host":              2,
	"wallet":                2,
	"rpc":                   2,
	"explorer":              2,
	"energy":                2,
	"node":                  3,
	"sim/virtual":           3,
	"testnet/stats":         1,
	"testnet/report/chart":  1,
	"testnet/record":        2,
	"testnet/spec":          3,
	"testnet/report":        3,
	"testnet":               4,
	"sim":                   4,
	"cmd/kapok":             5,
}

// stairs are the imports between neighbours that the table allows.
var stairs = map[string]string{"p2p/host": "p2p"}

// helpers may be imported by tests of any floor, and by no product package.
var helpers = []string{"internal/chaintest", "internal/vectors", "internal/frugal", "internal/trap", "internal/arch"}

// owners are the outside packages that only some of ours may import.
var owners = map[string][]string{
	"github.com/dgraph-io/":                          {"storage"},
	"github.com/libp2p/":                             {"p2p/host"},
	"github.com/multiformats/":                       {"p2p/host"},
	"github.com/btcsuite/btcd/psbt/":                 {"wallet"},
	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain": {"wallet"},
	"github.com/btcsuite/btcd/address/":              {"address"},
	"github.com/btcsuite/btcd/btcec/":                {"consensus", "consensus/batch", "wallet", "internal/chaintest", "cmd/kapok"},
	"github.com/btcsuite/btcd/":                      {"address", "consensus", "consensus/batch", "wallet", "internal/chaintest", "cmd/kapok"},
	"github.com/urfave/cli/":                         {"cmd/kapok"},
	"github.com/schollz/progressbar/":                {"cmd/kapok"},
	"github.com/BurntSushi/toml":                     {"node", "testnet/spec", "sim", "cmd/kapok"},
	"github.com/klauspost/cpuid/":                    {"internal/sha256d", "energy"},
	"golang.org/x/crypto/":                           {"wallet"},
	"github.com/tyler-smith/go-bip39":                {"wallet"},
}

// pure are the packages, and files, that must depend on their arguments alone.
// What stands here is forbidden in them. Exempt by name: the Verifier of
// consensus, whose workers are joined before it returns, and the edges of the
// packages that have one.
var pure = map[string][]string{
	"consensus":       {"verify.go"},
	"consensus/batch": nil,
	"mempool":         nil,
	"p2p":             nil,
	"sim":             nil,
	"sim/virtual":     nil,
	"p2p/peers":       nil,
	"testnet/stats":   nil,
	"node":            {"runner.go", "runner_clock.go", "runner_edges.go", "runner_miner.go", "service.go", "network.go", "pages.go", "rpc_*.go"},
}

// goPackage is what `go list -json` says of a package.
type goPackage struct {
	ImportPath     string
	Dir            string
	GoFiles        []string
	Imports        []string
	IgnoredGoFiles []string
}

func TestFloors(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		if slices.Contains(helpers, name) || strings.HasPrefix(name, "internal/") && floors[name] == 0 && name != "internal/sha256d" {
			continue
		}
		floor, known := floors[name]
		if !known {
			t.Errorf("package %s is not in the floor table", name)
			continue
		}
		for _, path := range p.Imports {
			other, ours := strings.CutPrefix(path, module)
			if !ours {
				continue
			}
			if slices.Contains(helpers, other) {
				t.Errorf("%s imports the test helper %s", name, other)
			} else if floors[other] >= floor && stairs[name] != other {
				t.Errorf("%s (floor %d) imports %s (floor %d)", name, floor, other, floors[other])
			}
		}
	}
}

func TestOwners(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		for _, path := range p.Imports {
			for prefix, allowed := range owners {
				if strings.HasPrefix(path, prefix) && !slices.Contains(allowed, name) {
					t.Errorf("%s imports %s, which belongs to %v", name, path, allowed)
				}
			}
		}
	}
}

func TestDocs(t *testing.T) {
	for _, p := range packages(t) {
		if slices.Contains(p.GoFiles, "main.go") {
			continue // where a command's comment stands
		}
		if !slices.Contains(p.GoFiles, "doc.go") {
			t.Errorf("%s has no doc.go", strings.TrimPrefix(p.ImportPath, module))
		}
	}
}

func TestPurity(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		exempt, checked := pure[name]
		if !checked {
			continue
		}
		for _, file := range p.GoFiles {
			if !matches(exempt, file) {
				checkPure(t, name, filepath.Join(p.Dir, file))
			}
		}
	}
}

func matches(patterns []string, file string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, _ := filepath.Match(pattern, file)
		return ok
	})
}

// forbidden are the calls that would make a pure package depend on the world.
var forbidden = map[string][]string{
	"time": {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
	"os":   nil, // nil: all of the package
	"net":  nil, "net/http": nil, "log": nil, "log/slog": nil, "sync": nil, "sync/atomic": nil, "crypto/rand": nil, "io/fs": nil,
	"math/rand/v2": {"Int", "IntN", "Int32", "Int32N", "Int64", "Int64N", "Uint32", "Uint64", "Uint32N", "Uint64N", "Float64", "Perm", "Shuffle", "N", "ExpFloat64", "NormFloat64"},
	"math/rand":    nil,
}

func checkPure(t *testing.T, name, path string) {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	local := make(map[string]string) // name in the file -> import path
	for _, spec := range file.Imports {
		imported := strings.Trim(spec.Path.Value, `"`)
		calls, bad := forbidden[imported]
		if bad && calls == nil {
			t.Errorf("%s: %s imports %s", fset.Position(spec.Pos()), name, imported)
		}
		alias := strings.TrimSuffix(imported, "/v2")
		alias = alias[strings.LastIndex(alias, "/")+1:]
		if spec.Name != nil {
			alias = spec.Name.Name
		}
		local[alias] = imported
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			t.Errorf("%s: %s starts a goroutine", fset.Position(n.Pos()), name)
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Obj == nil && slices.Contains(forbidden[local[x.Name]], n.Sel.Name) {
				t.Errorf("%s: %s uses %s.%s", fset.Position(n.Pos()), name, x.Name, n.Sel.Name)
			}
		}
		return true
	})
}

// TestFileLength keeps files readable in one sitting. Generated code and
// assembly do not count.
func TestFileLength(t *testing.T) {
	const maxLines = 500
	root := moduleRoot(t)
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		head := text[:min(len(text), 400)]
		if lines := strings.Count(string(text), "\n"); lines > maxLines && !strings.Contains(string(head), "Code generated") {
			t.Errorf("%s has %d lines", path, lines)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(strings.TrimSpace(string(out)))
}

// packages lists the module's packages, for the platform of the test.
func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports,IgnoredGoFiles", "./...")
	cmd.Dir = moduleRoot(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	if len(list) == 0 {
		t.Fatal("no packages found")
	}
	return list
}
