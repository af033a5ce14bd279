package vectors

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"testing"
)

// Every file is read by a test, or there is a reason why none reads it. A file
// that is added shows up here.
func TestEveryFileHasItsPlace(t *testing.T) {
	why := maps.Clone(unused)
	for name, s := range sets {
		why[s.files] = name
	}
	used := map[string]bool{}
	err := fs.WalkDir(os.DirFS(Dir(t)), ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		known := false
		for pattern := range why {
			if ok, err := path.Match(pattern, file); err != nil {
				return err
			} else if ok {
				known, used[pattern] = true, true
			}
		}
		if !known {
			t.Errorf("%s: no test reads it, and no reason is given", file)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range slices.Sorted(maps.Keys(why)) {
		if !used[pattern] {
			t.Errorf("%s: there is no such file", pattern)
		}
		if reason, ok := unused[pattern]; ok {
			t.Logf("vectors: %s not used: %s", pattern, reason)
		}
	}
}

// recorder is a test that notes whether it failed.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Logf(string, ...any)   {}
func (r *recorder) Errorf(string, ...any) { r.failed = true }

func TestCounting(t *testing.T) {
	for _, c := range []struct {
		what  string
		count func(testing.TB)
		fails bool
	}{
		{"all ran", func(t testing.TB) { Ran(t, "bip340", 15) }, false},
		{"more than the list knows", func(t testing.TB) { Ran(t, "bip340", 16) }, false},
		{"one is missing", func(t testing.TB) { Ran(t, "bip340", 14) }, true},
		{"none ran", func(t testing.TB) { Ran(t, "bip340", 0) }, true},
		{"not listed", func(t testing.TB) { Ran(t, "bip999", 15) }, true},
		{"skipped with a reason", func(t testing.TB) { Skipped(t, "bip340", 4) }, false},
		{"skipped without", func(t testing.TB) { Skipped(t, "bip340", 5) }, true},
		{"skipped in a set without reasons", func(t testing.TB) { Skipped(t, "bip39", 1) }, true},
	} {
		r := &recorder{}
		if c.count(r); r.failed != c.fails {
			t.Errorf("%s: fails is %v", c.what, r.failed)
		}
	}
}
