package storage

import (
	"bytes"
	"maps"
	"path/filepath"
	"reflect"
	"testing"
)

// A manifest that was cut between two entries reads as a whole one, and Badger would
// remove the tables of which it does not know any more.
func TestCutManifest(t *testing.T) {
	c := newCorrupted(t)
	name := filepath.Join(chainDir, manifestName)
	for kind, of := range map[string]sound{"closed": c.closed, "killed": c.killed} {
		for cut := range of.image[name].size {
			if cut%5 > 0 && cut > 12 {
				continue
			}
			bad := maps.Clone(of.image)
			f := bad[name]
			f.size -= 1 + cut
			f.data = f.data[:min(f.size, int64(len(f.data)))]
			bad[name] = f
			dir := t.TempDir()
			bad.write(t, dir)
			before := len(files(t, dir, tableExt))
			for range 2 {
				refused(t, c.params, Options{Dir: dir, Lean: true, Index: true}, ErrDamaged, manifestName, "start again")
			}
			if after := len(files(t, dir, tableExt)); after != before || before < 2 {
				t.Fatalf("%s, %d bytes cut: %d of %d tables are left", kind, 1+cut, after, before)
			}
		}
	}
}

// A database that lost its last commits is told from one that a kill left.
func TestMissingCommits(t *testing.T) {
	c := newCorrupted(t)
	for _, lost := range []bool{false, true} {
		bad := maps.Clone(c.killed.image)
		if lost {
			for name := range bad {
				if class(name) == ".mem" {
					delete(bad, name)
				}
			}
		}
		dir := t.TempDir()
		bad.write(t, dir)
		for life := range 2 { // what was met is remembered, until somebody has looked
			s, err := Open(c.params, Options{Dir: dir, Lean: true, Index: true})
			must(t, err)
			state, err := s.Load()
			must(t, err)
			if state.Suspect != lost || state.Clean != (life == 1 && !lost) {
				t.Errorf("commits lost: %v, life %d: %v, clean %v", lost, life, state.Suspect, state.Clean)
			}
			_, _, err = s.Recount(t.Context()) // without which it is as after the kill
			must(t, err)
			must(t, s.Close())
		}
	}
}

func TestInventoryText(t *testing.T) {
	for _, v := range []inventory{
		{genesis: "00ff", commits: 7, manifest: listed{size: 99, sum: 0xabcdef}},
		{genesis: "00ff", closed: true, files: []listed{{"MANIFEST", 99, 0xabcdef}, {"000001.sst", 1 << 40, 0}}},
	} {
		text := v.encode()
		if got, err := decodeInventory(text); err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%+v, %v; want %+v", got, err, v)
		}
		for i := range text {
			bad := bytes.Clone(text)
			bad[i] ^= 1
			_, err := decodeInventory(bad)
			wantIs(t, "flipped", err, ErrDamaged)
			_, err = decodeInventory(text[:i])
			wantIs(t, "cut", err, ErrDamaged)
		}
	}
	short, long := inventory{commits: 1}, inventory{commits: 1 << 63, manifest: listed{size: 1 << 60, sum: 1}}
	if a, b := len(short.encode()), len(long.encode()); a != b {
		t.Errorf("written in place, it has %d bytes, then %d", a, b)
	}
}
