package storage

import (
	"errors"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/kapok-chain/kapok/consensus"
)

// openReindex opens a store of a tiny database for a reindex whose k-th commit from now
// on fails, and all after it; 0 is none.
func openReindex(p *consensus.Params, db *badger.DB, k int, restart bool) (*Badger, error) {
	kv := newKV(db, newBadgerLog(nil))
	asked := 0
	kv.commit = func(txn *badger.Txn) error {
		if asked++; k > 0 && asked >= k {
			return errKilled
		}
		return txn.Commit()
	}
	return open(p, kv, Options{Index: true, Reindex: true, Restart: restart})
}

// connectAll connects what lies between the tip and a node; bodies are there.
func connectAll(s *Badger, nodes []*node) error {
	for _, n := range nodes {
		if n.height <= s.head.Height {
			continue
		}
		if err := s.Connect(n.record(connected), n.height, n.block, n.delta); err != nil {
			return err
		}
	}
	return s.EndReindex()
}

// A reindex leaves what an ordinary life of the store left, whatever was wrong with
// records, coins, index and marks before.
func TestReindexMends(t *testing.T) {
	for name, spoil := range map[string]func(w *writer, tip *node, side *node){
		"nothing is wrong": func(*writer, *node, *node) {},
		"a damaged record": func(w *writer, tip, _ *node) { w.put(hashKey(prefixRecord, tip.parent.hash), []byte("?")) },
		"a lost record":    func(w *writer, tip, _ *node) { w.del(hashKey(prefixRecord, tip.parent.hash)) },
		"another's record": func(w *writer, tip, s *node) {
			w.put(hashKey(prefixRecord, tip.hash), encodeRecord(ptr(s.record(hasBody))))
		},
		"a failed one": func(w *writer, tip, _ *node) {
			w.put(hashKey(prefixRecord, tip.hash), encodeRecord(ptr(tip.record(hasBody|consensus.RecordFailed))))
		},
		"a lost genesis":  func(w *writer, tip, _ *node) { w.del(hashKey(prefixRecord, tip.chain()[0].parent.hash)) },
		"a lost tip":      func(w *writer, _, _ *node) { w.del(metaKey(metaTip)) },
		"a damaged tip":   func(w *writer, _, _ *node) { w.put(metaKey(metaTip), []byte("?")) },
		"a damaged index": func(w *writer, _, _ *node) { w.put(metaKey(metaIndex), []byte("?")) },
		"a lost coin":     func(w *writer, tip, _ *node) { w.del(coinKey(tip.outpoints()[0])) },
		"lost undo data":  func(w *writer, tip, _ *node) { w.del(hashKey(prefixUndo, tip.hash)) },
		"a lost body":     func(w *writer, _, s *node) { w.del(hashKey(prefixBlock, s.hash)) },
		"a body of nothing": func(w *writer, _, s *node) {
			w.put(hashKey(prefixBlock, s.hash), []byte("?"))
			w.del(hashKey(prefixRecord, s.hash))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(3)
			fork := w.fan(w.root, 20, 0)
			side := w.grow(fork, 1)
			tip := w.fan(w.grow(fork, 15), 60, 9)
			db := tinyDB(t)
			s, _, err := openDying(w.params, db, 0, 0)
			must(t, err)
			must(t, s.PutBlock(side.record(hasBody), side.block))
			must(t, walk(s, w.root, tip))
			must(t, s.Flush())
			wr := s.kv.writer()
			spoil(wr, tip, side)
			must(t, wr.commit())

			s, err = openReindex(w.params, db, 0, false)
			must(t, err)
			must(t, agree(s, w.root, true))
			state, err := s.Load()
			must(t, err)
			bodies := map[consensus.Hash]bool{}
			for _, rec := range state.Records {
				if name == "a lost body" && rec.Hash == side.hash {
					if rec != (consensus.Record{Header: side.block.Header, Hash: side.hash}) {
						t.Errorf("the record says %+v", rec)
					}
				} else if rec.Flags != hasBody || rec.Seq == 0 {
					t.Errorf("the record of %v says %v, %d", rec.Hash, rec.Flags, rec.Seq)
				}
				bodies[rec.Hash] = true
			}
			for _, n := range tip.chain() {
				if !bodies[n.hash] {
					t.Errorf("the block of height %d has no record", n.height)
				}
			}
			if want := name != "a body of nothing"; bodies[side.hash] != want {
				t.Errorf("the side branch has a record: %t, want %t", bodies[side.hash], want)
			}
			must(t, connectAll(s, tip.chain()))
			must(t, agree(s, tip, true))
			must(t, s.finish())
			s, _, err = openDying(w.params, db, 0, 0)
			must(t, err)
			must(t, agree(s, tip, true))
		})
	}
}

// Headers that lead nowhere are given up: the node asks for them again.
func TestReindexOfOrphans(t *testing.T) {
	w := newWorld(3)
	a := w.grow(w.root, 0)
	b := w.grow(a, 0)
	c := w.grow(b, 0)
	db := tinyDB(t)
	s, _, err := openDying(w.params, db, 0, 0)
	must(t, err)
	must(t, walk(s, w.root, a))
	must(t, s.PutHeaders([]consensus.Record{b.record(0), c.record(0)}))
	must(t, s.Flush())
	wr := s.kv.writer()
	wr.del(hashKey(prefixRecord, b.hash))
	must(t, wr.commit())
	if _, err := s.Load(); !errors.Is(err, ErrDamaged) {
		t.Fatalf("an orphan passes: %v", err)
	}
	s, err = openReindex(w.params, db, 0, false)
	must(t, err)
	state, err := s.Load()
	must(t, err)
	if len(state.Records) != 1 || state.Records[0].Hash != a.hash {
		t.Errorf("the records are %v", state.Records)
	}
}

// Killed before any of its commits, a reindex is gone on with by another, or its
// directory is opened by a node, and either comes to the same.
func TestReindexKilledAtEachCommit(t *testing.T) {
	w := newWorld(5)
	fork := w.fan(w.root, 20, 0)
	side := w.grow(fork, 1)
	tip := w.fan(w.fan(w.grow(fork, 15), 60, 9), 40, 20)
	db := openTiny(t)
	defer func() { must(t, db.Close()) }()
	resumed, node := 0, 0
	for k := 1; ; k++ {
		must(t, db.DropAll())
		s, _, err := openDying(w.params, db, 0, 0)
		must(t, err)
		must(t, s.PutBlock(side.record(hasBody), side.block))
		must(t, walk(s, w.root, tip))
		must(t, s.finish())

		if s, err = openReindex(w.params, db, k, false); err == nil {
			err = connectAll(s, tip.chain())
		}
		if err == nil {
			t.Logf("%d commits; %d were gone on with, %d by a node", k-1, resumed, node)
			if resumed < 3 || node < 3 {
				t.Error("too few")
			}
			break
		}
		wantIs(t, "killed", err, errKilled)
		if k%2 == 0 {
			node++
			if s, _, err = openDying(w.params, db, 0, 0); err == nil {
				judged(t, s, tip)
			}
		} else if s, err = openReindex(w.params, db, 0, false); err == nil && s.Resumed() {
			resumed++
		}
		if err != nil {
			t.Fatalf("after a kill at commit %d: %v", k, err)
		}
		must(t, connectAll(s, tip.chain()))
		if err := agree(s, tip, true); err != nil {
			t.Fatalf("after a kill at commit %d: %v", k, err)
		}
		if begun, err := s.kv.has(metaKey(metaReindex)); err != nil || begun {
			t.Fatalf("after a kill at commit %d the mark is there still: %v", k, err)
		}
	}
}

// judged makes sure that all blocks up to the tip are kept as ones that were.
func judged(t *testing.T, s *Badger, tip *node) {
	t.Helper()
	state, err := s.Load()
	must(t, err)
	for _, rec := range state.Records {
		for _, n := range tip.chain()[:state.Height] {
			if rec.Hash == n.hash && rec.Flags != connected {
				t.Errorf("the tip is at height %d, and the record of height %d says %v", state.Height, n.height, rec.Flags)
			}
		}
	}
}
