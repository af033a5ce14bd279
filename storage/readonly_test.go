package storage

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
)

// A read-only store shows what was closed, refuses every write, and leaves no
// trace: not a byte, not a time, not a file.
func TestReadOnly(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Badger reads without writing on other systems only")
	}
	dir := t.TempDir()
	w, tip := built(t, dir)
	before, times := snapshot(t, dir), changeTimes(t, dir)
	s, err := Open(w.params, Options{Dir: dir, Index: true, Lean: true, ReadOnly: true})
	must(t, err)
	must(t, agree(s, tip, false))
	state, err := s.Load()
	must(t, err)
	if len(state.Records) != int(tip.height) || state.Tip != tip.hash || !state.Clean || state.Sum != s.Sum() {
		t.Errorf("it says %d records, %+v", len(state.Records), state)
	}
	next := w.grow(tip, 0)
	rec := next.record(hasBody)
	for name, err := range map[string]error{
		"PutHeaders": s.PutHeaders([]consensus.Record{rec}),
		"PutBlock":   s.PutBlock(rec, next.block),
		"Sync":       s.Sync(),
		"Connect":    s.Connect(rec, next.height, next.block, next.delta),
		"ResetCoins": s.ResetCoins(),
		"Flush":      s.Flush(),
	} {
		wantIs(t, name, err, ErrReadOnly)
	}
	refused(t, w.params, Options{Dir: dir, Lean: true}, ErrLocked) // nobody writes meanwhile
	must(t, s.Close())
	sameFiles(t, before, snapshot(t, dir))
	for path, at := range changeTimes(t, dir) {
		if times[path] != at {
			t.Errorf("%s was touched", path)
		}
	}
	again := badgerSubject(t, w.params, Options{Dir: dir, Index: true, Lean: true})
	must(t, agree(again, tip, true))
	must(t, again.Close())
}

func changeTimes(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	times := make(map[string]int64)
	for path := range snapshot(t, dir) {
		info, err := os.Stat(path)
		must(t, err)
		times[path] = info.ModTime().UnixNano()
	}
	return times
}

// Where there is nothing to read, or something to be repaired first, nothing is
// made and nothing is repaired.
func TestReadOnlyRefuses(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Badger reads without writing on other systems only")
	}
	readOnly := func(dir string) Options {
		return Options{Dir: dir, Lean: true, ReadOnly: true, Beside: []string{"kapok.toml"}}
	}
	p := consensus.Regtest()

	nowhere := filepath.Join(t.TempDir(), "nowhere")
	refused(t, p, readOnly(nowhere), ErrNotFound, nowhere)
	if _, err := os.Stat(nowhere); err == nil {
		t.Error("a directory was made")
	}
	fresh := t.TempDir()
	must(t, os.WriteFile(filepath.Join(fresh, "kapok.toml"), nil, 0o600))
	refused(t, p, readOnly(fresh), ErrNotFound, fresh)
	foreign := t.TempDir()
	must(t, os.WriteFile(filepath.Join(foreign, "diary.txt"), nil, 0o600))
	refused(t, p, readOnly(foreign), ErrForeign, foreign)

	busy := t.TempDir()
	s := badgerSubject(t, p, Options{Dir: busy, Lean: true})
	refused(t, p, readOnly(busy), ErrLocked, busy)
	must(t, s.Close())
	refused(t, consensus.Dev(), readOnly(busy), ErrForeign, busy)

	marked := t.TempDir()
	must(t, writeMark(marked, markOf(p)))
	for _, make := range []func() error{ // further and further did a node come before it died
		func() error { return nil },
		func() error { return os.WriteFile(filepath.Join(marked, lockFile), nil, 0o600) },
		func() error { return os.Mkdir(filepath.Join(marked, chainDir), 0o700) },
	} {
		must(t, make())
		before := snapshot(t, marked)
		refused(t, p, readOnly(marked), ErrNotFound, marked)
		sameFiles(t, before, snapshot(t, marked))
	}
}

// What is missing in a directory that holds a chain is told, and nothing is put
// in its place.
func TestReadOnlyOfAPartialCopy(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Badger reads without writing on other systems only")
	}
	for name, want := range map[string]error{
		lockFile:                            fs.ErrNotExist,
		filepath.Join(chainDir, "MANIFEST"): ErrDamaged,
	} {
		dir := t.TempDir()
		w, _ := built(t, dir)
		must(t, os.Remove(filepath.Join(dir, name)))
		before := snapshot(t, dir)
		refused(t, w.params, Options{Dir: dir, Lean: true, ReadOnly: true}, want, dir, filepath.Base(name))
		sameFiles(t, before, snapshot(t, dir))
	}
	dir := t.TempDir()
	w, _ := built(t, dir)
	logs := files(t, dir, ".vlog")
	must(t, os.Truncate(logs[0], 0))
	refused(t, w.params, Options{Dir: dir, Lean: true, ReadOnly: true}, ErrDamaged, filepath.Base(logs[0]))

	dir = t.TempDir()
	w, _ = built(t, dir)
	must(t, os.WriteFile(filepath.Join(dir, chainDir, "000099.vlog"), nil, 0o600))
	refused(t, w.params, Options{Dir: dir, Lean: true, ReadOnly: true}, ErrUnclean, dir)

	copied := t.TempDir()
	w, _ = built(t, copied)
	must(t, os.Remove(filepath.Join(copied, lockFile)))
	refused(t, w.params, Options{Dir: copied, Lean: true, ReadOnly: true}, fs.ErrNotExist, "is a copy", "make it, empty")
}

// After a kill the coins are behind and Badger's own log is open. That is for a
// store to repair that may write.
func TestReadOnlyAfterAKill(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Badger reads without writing on other systems only")
	}
	dir := t.TempDir()
	w, tip := built(t, dir)
	s, err := Open(w.params, Options{Dir: dir, Index: true, Lean: true})
	must(t, err)
	must(t, attach(s, w.grow(tip, 1)))
	kill(s) // the database is closed, the chain is not
	before := snapshot(t, dir)
	refused(t, w.params, Options{Dir: dir, Lean: true, ReadOnly: true}, ErrUnclean, dir)
	sameFiles(t, before, snapshot(t, dir))
}
