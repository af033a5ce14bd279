package storage

import (
	"os"
	"path/filepath"
	"testing"
)

// A kill while Badger removes a memtable leaves it empty, and older than another. It
// may go where tables have what was in it, and only there.
func TestEmptiedMemtable(t *testing.T) {
	for _, test := range []struct {
		name  string
		lose  string // files that something else took away
		again bool   // it opens
	}{
		{"its entries are in a table", "", true},
		{"its entries are nowhere", ".sst", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			w, tip := built(t, dir) // closed: all is in tables
			s, err := Open(w.params, Options{Dir: dir, Index: true, Lean: true})
			must(t, err)
			defer func() { must(t, s.Close()) }()
			next := w.fan(tip, 20, 1)
			must(t, attach(s, next))
			must(t, s.Sync())
			dead := t.TempDir() // what a kill would leave by now
			must(t, os.CopyFS(dead, os.DirFS(dir)))
			if test.lose != "" {
				for _, path := range files(t, dead, test.lose) {
					must(t, os.Remove(path))
				}
			}
			must(t, os.WriteFile(filepath.Join(dead, chainDir, "00000.mem"), nil, 0o600))
			if !test.again {
				refused(t, w.params, Options{Dir: dead, Index: true, Lean: true}, ErrDamaged, "00000.mem")
				return
			}
			again, err := Open(w.params, Options{Dir: dead, Index: true, Lean: true})
			must(t, err)
			must(t, attach(again, next))
			must(t, agree(again, next, true))
			must(t, again.Close())
		})
	}
}

// Value logs with nothing in them are removed before Badger does it, in two steps.
func TestSpentValueLog(t *testing.T) {
	dir := t.TempDir()
	w, _ := built(t, dir)
	var spent string
	for _, path := range files(t, dir, ".vlog") {
		if info, err := os.Stat(path); err == nil && info.Size() == logHeader {
			spent = path
		}
	}
	if spent == "" {
		t.Fatal("no value log is empty")
	}
	must(t, os.WriteFile(filepath.Join(dir, chainDir, "000099.vlog"), make([]byte, logHeader), 0o600)) // the newest stays
	found, err := survey(filepath.Join(dir, chainDir))
	must(t, err)
	must(t, found.clearDead())
	if _, err := os.Stat(spent); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", spent, err)
	}
	s, err := Open(w.params, Options{Dir: dir, Index: true, Lean: true})
	must(t, err)
	must(t, s.Close())
}

// What Badger tries for ever is given up.
func TestGivenUp(t *testing.T) {
	log := newBadgerLog(nil)
	started := make(chan struct{})
	never := make(chan struct{})
	t.Cleanup(func() { close(never) })
	go func() {
		<-started
		log.Errorf("error flushing memtable to disk: %v, retrying", os.ErrPermission)
	}()
	err := log.wait(func() error {
		close(started)
		<-never
		return nil
	})
	if err == nil || err.Error() != "error flushing memtable to disk: permission denied, retrying" {
		t.Errorf("wait = %v", err)
	}
}
