package storage

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
)

// snapshot lists a directory with the contents of its files.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		files[path] = string(text)
		return err
	}))
	return files
}

func refused(t *testing.T, p *consensus.Params, o Options, want error, words ...string) {
	t.Helper()
	s, err := Open(p, o)
	if err == nil {
		t.Fatal("opened", s.Close())
	}
	wantIs(t, "Open", err, want)
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%q is more than one sentence", err)
	}
}

func TestLocked(t *testing.T) {
	p, dir := consensus.Regtest(), t.TempDir()
	s := badgerSubject(t, p, Options{Dir: dir, Lean: true})
	refused(t, p, Options{Dir: dir}, ErrLocked, dir, "another process")
	must(t, s.Close())
	again := badgerSubject(t, p, Options{Dir: dir, Lean: true})
	must(t, again.Close())
}

// Two processes, for real: the child finds the directory taken.
func TestLockedByProcess(t *testing.T) {
	p, dir := consensus.Regtest(), t.TempDir()
	s := badgerSubject(t, p, Options{Dir: dir, Lean: true})
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	out, err := cmd.Output()
	must(t, err)
	if text := string(out); !strings.HasPrefix(text, "error "+ErrLocked.Error()) {
		t.Errorf("the second process says %q", text)
	}
	must(t, s.Close())
}

func TestForeignNetwork(t *testing.T) {
	dir := t.TempDir()
	s := badgerSubject(t, consensus.Regtest(), Options{Dir: dir, Lean: true})
	must(t, s.Close())
	before := snapshot(t, dir)
	refused(t, consensus.Dev(), Options{Dir: dir}, ErrForeign, dir, "regtest", "dev")
	sameFiles(t, before, snapshot(t, dir))
}

// The mark may be copied from elsewhere; the chain still knows its network.
func TestForeignChain(t *testing.T) {
	dir := t.TempDir()
	s := badgerSubject(t, consensus.Regtest(), Options{Dir: dir, Lean: true})
	must(t, s.Close())
	must(t, writeMark(dir, markOf(consensus.Dev())))
	refused(t, consensus.Dev(), Options{Dir: dir, Lean: true}, ErrForeign, "dev")
}

func TestForeignDirectory(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "thesis.tex"), []byte("precious"), 0o600))
	before := snapshot(t, dir)
	refused(t, consensus.Regtest(), Options{Dir: dir, Beside: []string{"kapok.toml"}}, ErrForeign, dir, "thesis.tex")
	sameFiles(t, before, snapshot(t, dir))
}

func TestForeignMark(t *testing.T) {
	dir := t.TempDir()
	for _, text := range []string{"", "network=regtest\n", "kapok data directories\n"} {
		must(t, os.WriteFile(filepath.Join(dir, markFile), []byte(text), 0o600))
		refused(t, consensus.Regtest(), Options{Dir: dir}, ErrForeign)
	}
	must(t, os.WriteFile(filepath.Join(dir, markFile), []byte(markTitle+"\nnetwork=regtest\n"), 0o600))
	refused(t, consensus.Regtest(), Options{Dir: dir}, ErrDamaged, "schema")
}

func TestNewerSchema(t *testing.T) {
	p, dir := consensus.Regtest(), t.TempDir()
	newer := markOf(p)
	newer.schema = Schema + 1
	must(t, writeMark(dir, newer))
	before := snapshot(t, dir)
	refused(t, p, Options{Dir: dir}, ErrNewerSchema, "2", "1")
	sameFiles(t, before, snapshot(t, dir))
}

func TestNotADirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, nil, 0o600))
	if _, err := Open(consensus.Regtest(), Options{Dir: path}); err == nil {
		t.Error("opened a file")
	}
}

// A configuration may wait in the directory before the first start, and a kill
// may leave the first traces of one.
func TestBeside(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"kapok.toml", lockFile, markFile + ".tmp"} {
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	s := badgerSubject(t, consensus.Regtest(), Options{Dir: dir, Lean: true, Beside: []string{"kapok.toml"}})
	must(t, s.Close())
}

func sameFiles(t *testing.T, before, after map[string]string) {
	t.Helper()
	if len(before) != len(after) {
		t.Errorf("%d files before, %d after", len(before), len(after))
	}
	for path, text := range before {
		if after[path] != text {
			t.Errorf("%s changed", path)
		}
	}
}

// A mark that cannot be read says nothing about whose the directory is.
func TestUnreadableMarkIsNotForeign(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, markFile), 0o700)) // opens, but does not read
	if _, err := Open(consensus.Regtest(), Options{Dir: dir}); err == nil || errors.Is(err, ErrForeign) {
		t.Errorf("got %v", err)
	}
}
