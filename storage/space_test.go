package storage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A commit that finds no room breaks the store before anything is written.
func TestNoSpace(t *testing.T) {
	w := newWorld(31)
	db := tinyDB(t)
	s, asked, err := openDying(w.params, db, 0, 0)
	must(t, err)
	*asked = 0
	full := true
	s.kv.room = func() error {
		if full {
			return ErrNoSpace
		}
		return nil
	}
	next := w.grow(w.root, 3)
	must(t, attach(lazy{s}, next)) // it waits in memory
	wantIs(t, "Sync", s.Sync(), ErrNoSpace)
	full = false
	wantIs(t, "Flush after it", s.Flush(), ErrNoSpace)
	if *asked != 0 {
		t.Errorf("%d commits", *asked)
	}
	again, _, err := openDying(w.params, db, 0, 0)
	must(t, err)
	must(t, attach(again, next))
	must(t, agree(again, next, true))
}

func TestRoom(t *testing.T) {
	o := settings(t.TempDir(), true, newBadgerLog(nil))
	if got := reserve(o); got != 128<<20 {
		t.Errorf("a lean node reserves %d bytes", got)
	}
	must(t, os.WriteFile(filepath.Join(o.Dir, "00001.mem"), nil, 0o600))
	if got := reserve(settings(o.Dir, true, newBadgerLog(nil))); got != 256<<20 {
		t.Errorf("a lean node that was killed reserves %d bytes", got)
	}
	must(t, room(o))
	must(t, room(o.WithDir(o.Dir+"/not made yet")))
	err := room(o.WithNumMemtables(1 << 30))
	wantIs(t, "more than there is", err, ErrNoSpace)
	if text := err.Error(); !strings.HasPrefix(text, "no space left: ") || !strings.Contains(text, o.Dir) {
		t.Errorf("it says %q", text)
	}
}
