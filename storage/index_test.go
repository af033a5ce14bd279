package storage

import (
	"errors"
	"sync"
	"testing"
)

// The index is not written with a step, but before anyone reads it.
func TestIndexFollows(t *testing.T) {
	w := newWorld(14)
	s, asked, err := openDying(w.params, tinyDB(t), 0, 0)
	must(t, err)
	a := w.grow(w.root, 2)
	must(t, attach(s, a))
	b := w.grow(a, 2)
	must(t, attach(s, b))
	must(t, detach(s, b))
	if s.indexed.Hash != w.root.hash || len(s.unindexed.moves) != 3 || s.unindexed.bytes == 0 {
		t.Errorf("the index is at %v, %d steps behind", s.indexed, len(s.unindexed.moves))
	}
	must(t, agree(s, a, true))
	if s.indexed != s.head.point || len(s.unindexed.moves) != 0 || s.unindexed.bytes != 0 {
		t.Errorf("the index is at %v, %d steps behind", s.indexed, len(s.unindexed.moves))
	}
	*asked = 0
	must(t, s.SyncIndex())
	if *asked != 0 {
		t.Errorf("%d commits for nothing", *asked)
	}
}

// How far the index is behind is bounded, in steps and in bytes.
func TestIndexBound(t *testing.T) {
	w := newWorld(15)
	s, _, err := openDying(w.params, tinyDB(t), 0, 0)
	must(t, err)
	at := w.root
	for range 2*maxUnflushed + 10 {
		at = w.grow(at, 0)
		must(t, attach(s, at))
		if n := len(s.unindexed.moves); n > maxUnflushed {
			t.Fatalf("%d steps behind", n)
		}
	}
	if s.indexed.Height < 2*maxUnflushed {
		t.Errorf("the index is at %v", s.indexed)
	}
	big := w.fan(at, 23_000, 0)
	size := big.block.Size()
	must(t, s.SyncIndex())
	must(t, attach(s, big))
	steps := 0
	for s.unindexed.bytes != size { // until it was emptied by the step before this one
		must(t, detach(s, big))
		must(t, attach(s, big))
		if steps += 2; steps > maxWaiting/size+3 {
			t.Fatalf("%d bytes behind after %d steps of %d", s.unindexed.bytes, steps, size)
		}
	}
	must(t, agree(s, big, true))
}

// Readers of the index, steps, a reset and the end get along.
func TestIndexInUse(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world, s subject) {
		a := w.grow(w.root, 3)
		must(t, attach(s, a))
		stop := make(chan struct{})
		var readers sync.WaitGroup
		for _, read := range []func() error{
			func() error { _, _, err := s.TxLocation(a.block.Txs[0].TxID()); return err },
			func() error { return s.SyncIndex() },
		} {
			readers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						if err := read(); err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrClosed) {
							t.Error(err)
							return
						}
					}
				}
			})
		}
		for range 20 {
			b := w.grow(a, 1)
			must(t, attach(s, b))
			must(t, detach(s, b))
		}
		must(t, s.ResetCoins())
		must(t, attach(s, a))
		must(t, agree(s, a, true))
		must(t, s.Close())
		close(stop)
		readers.Wait()
	})
}
