package storage

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A compaction whose table cannot be made loses keys. The store finds that out, does
// nothing more, and the directory is refused from then on.
func TestLostInCompaction(t *testing.T) {
	for _, blocked := range []bool{false, true} {
		t.Run(fmt.Sprintf("blocked=%v", blocked), func(t *testing.T) {
			for !lostInCompaction(t, blocked) {
			}
		})
	}
}

// lostInCompaction reports false where the compaction came before it could be blocked.
func lostInCompaction(t *testing.T, blocked bool) bool {
	dir := t.TempDir()
	w := newWorld(41)
	tip := w.root
	o := Options{Dir: dir, Index: true, Lean: true}
	for range 5 { // each leaves a table, and the next start compacts so many
		s, err := Open(w.params, o)
		must(t, err)
		tip = w.grow(tip, 3)
		must(t, attach(s, tip))
		must(t, s.Close())
	}
	s, err := Open(w.params, o)
	must(t, err)
	free := uint64(0)
	for _, table := range s.kv.db.Tables() {
		free = max(free, table.ID+1)
	}
	if blocked { // Badger makes no table over a file that is there
		must(t, os.WriteFile(filepath.Join(dir, chainDir, fmt.Sprintf("%06d.sst", free)), nil, 0o600))
	}
	compacted := func() bool { return len(s.kv.db.Tables()) < 5 }
	tick := time.NewTicker(10 * time.Millisecond) // Badger begins within a second
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); !compacted(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("no compaction within a minute")
		}
	}
	s.kv.log.watch.Load().idle(t)
	switch made := len(s.kv.db.Tables()); {
	case blocked && made > 0:
		kill(s) // the block may be in the way of its last table
		return false
	case blocked:
		<-s.kv.log.failed
	}
	err = attach(s, w.grow(tip, 1))
	if !blocked {
		must(t, err)
		must(t, s.Close())
		return true
	}
	if err == nil || !strings.Contains(err.Error(), "a compaction lost") {
		t.Errorf("a write after it: %v", err)
	}
	kill(s)
	refused(t, w.params, o, ErrDamaged, "away")
	return true
}

// idle waits until no compaction runs.
func (c *compactions) idle(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		c.mu.Lock()
		running := len(c.running)
		c.mu.Unlock()
		if running == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("a compaction does not end")
		}
	}
}
