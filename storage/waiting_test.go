package storage

import (
	"slices"
	"sync"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
)

// Headers and bodies are there at once. A kill takes them, and only them, unless something
// was written after them.
func TestFreshBodies(t *testing.T) {
	writes := map[string]func(s subject, next *node) error{
		"Sync":       func(s subject, _ *node) error { return s.Sync() },
		"Connect":    func(s subject, next *node) error { return attach(s, next) },
		"Disconnect": func(s subject, next *node) error { return detach(s, next.parent) },
		"Flush":      func(s subject, _ *node) error { return s.Flush() },
		"ResetCoins": func(s subject, _ *node) error { return s.ResetCoins() },
		"Close":      func(s subject, _ *node) error { return s.Close() },
		"nothing":    func(subject, *node) error { return nil },
	}
	for name, write := range writes {
		t.Run(name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, w *world, s subject) {
				tip := w.grow(w.root, 0)
				must(t, attach(s, tip))
				side, known, next := w.grow(w.root, 0), w.grow(w.root, 0), w.grow(tip, 0)
				must(t, s.PutHeaders([]consensus.Record{known.record(consensus.RecordFailed)}))
				must(t, s.Sync())
				lone := w.grow(w.root, 0)
				must(t, s.PutHeaders([]consensus.Record{lone.record(0)}))
				for _, n := range []*node{side, known} {
					must(t, s.PutBlock(n.record(hasBody), n.block))
					b, err := s.Block(n.hash)
					must(t, err)
					if b.Hash() != n.hash {
						t.Error("another body")
					}
				}
				must(t, write(s, next))
				s = s.again(t)
				state, err := s.Load()
				must(t, err)
				kept := name != "nothing"
				for _, n := range []*node{side, known} {
					if _, err := s.Block(n.hash); kept != (err == nil) {
						t.Errorf("body after %s: %v", name, err)
					}
				}
				if got := slices.Contains(state.Records, side.record(hasBody)); got != kept {
					t.Errorf("record after %s: %v", name, got)
				}
				if got := slices.Contains(state.Records, lone.record(0)); got != kept {
					t.Errorf("header after %s: %v", name, got)
				}
				if want := known.record(consensus.RecordFailed); !kept && !slices.Contains(state.Records, want) {
					t.Errorf("the old record is gone: %v", state.Records)
				}
			})
		})
	}
}

// What Connect and Disconnect took is there for every reader, though no write followed.
// A kill takes the tip back to the last flush, and leaves what a node walks on with.
func TestStepsWithoutSync(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world, s subject) {
		a := w.grow(w.root, 2)
		must(t, attach(s, a))
		must(t, s.Flush())
		step := func(n *node) {
			t.Helper()
			must(t, s.PutBlock(n.record(hasBody), n.block))
			must(t, s.Connect(n.record(connected), n.height, n.block, n.delta))
		}
		back := func(n *node) {
			t.Helper()
			must(t, s.Disconnect(n.parent.record(connected), n.height, n.block, n.revert()))
		}
		b := w.grow(a, 3)
		c, side := w.grow(b, 2), w.grow(b, 1)
		step(b)
		step(c)
		if u, err := s.Undo(c.hash); err != nil || !slices.Equal(u.Spent, c.delta.Undo.Spent) {
			t.Errorf("undo data: %v", err)
		}
		back(c)
		step(side)
		must(t, agree(s, side, true))
		back(side)
		must(t, agree(s, b, true)) // its index entries are gone again
		step(c)
		s = s.again(t)
		must(t, agree(s, a, true))
		state, err := s.Load()
		must(t, err)
		for _, rec := range state.Records {
			if _, err := s.Block(rec.Hash); rec.Flags&hasBody != 0 && err != nil {
				t.Errorf("record %v promises a body: %v", rec.Hash, err)
			}
		}
		step(b)
		step(c)
		must(t, s.Sync())
		must(t, agree(s, c, true))
		s = s.again(t) // the coins are those of the last flush, and everything else is there
		must(t, agree(s, a, true))
		for _, n := range []*node{b, c} {
			if _, err := s.Block(n.hash); err != nil {
				t.Error(err)
			}
			must(t, s.Connect(n.record(connected), n.height, n.block, n.delta))
		}
		must(t, agree(s, c, true))
	})
}

// Bodies are read while they are written: nobody misses one, or waits for a lock that
// nobody gives back.
func TestReadWhileWritten(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world, s subject) {
		nodes := make([]*node, 50)
		for i := range nodes {
			nodes[i] = w.grow(w.root, 0)
		}
		put := make(chan *node, len(nodes))
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				for n := range put {
					for range 20 {
						if _, err := s.RawBlock(n.hash); err != nil {
							t.Errorf("a body that was put: %v", err)
							return
						}
					}
				}
			})
		}
		for i, n := range nodes {
			must(t, s.PutBlock(n.record(hasBody), n.block))
			put <- n
			if i%5 == 4 {
				must(t, s.Sync())
			}
		}
		close(put)
		all.Wait()
	})
}

// Bodies and undo data that wait are sealed where they lie, and whoever read them cannot get
// there.
func TestSealInPlace(t *testing.T) {
	w := newWorld(1)
	s, err := Open(w.params, Options{Dir: t.TempDir()})
	must(t, err)
	defer s.Close()
	n := w.grow(w.root, 2)
	must(t, s.PutBlock(n.record(hasBody), n.block))
	must(t, s.Connect(n.record(connected), n.height, n.block, n.delta))
	seen := make(map[byte]bool)
	for _, one := range s.waiting.list {
		if one.key[0] != prefixBlock && one.key[0] != prefixUndo {
			continue
		}
		seen[one.key[0]] = true
		sealed := seal(one.key, one.value)
		if &sealed[0] != &one.value[0] {
			t.Errorf("the value under %c was copied to be sealed", one.key[0])
		}
		_ = append(s.waiting.get(one.key), 1, 2, 3, 4)
		if _, err := unseal(one.key, sealed); err != nil {
			t.Errorf("after a reader appended to the value under %c: %v", one.key[0], err)
		}
	}
	if len(seen) != 2 {
		t.Errorf("of bodies and undo data %d wait, expected both", len(seen))
	}
}
