package storage

import (
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
	before := snapshot(t, marked)
	if s, err := Open(p, readOnly(marked)); err == nil {
		t.Error("a chain was read where none is", s.Close())
	}
	sameFiles(t, before, snapshot(t, marked))
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
