package storage

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/kapok-chain/kapok/consensus"
)

func TestMain(m *testing.M) {
	if asChild() || asIdle() {
		return
	}
	goleak.VerifyTestMain(m,
		// Badger leaves these two behind when it refuses to open; a database
		// that was not closed would show others.
		goleak.IgnoreTopFunction("github.com/dgraph-io/ristretto/v2/z.(*AllocatorPool).freeupAllocators"),
		goleak.IgnoreTopFunction("github.com/dgraph-io/badger/v4.(*DB).monitorCache"))
}

// subject is a store under test, and how to take its process away.
type subject struct {
	Store
	// again returns the store as the next start finds it: after a kill, or,
	// when the store was closed, after an ordinary stop.
	again func(failer) subject
}

func memorySubject(m *Memory) subject {
	return subject{m, func(failer) subject { return memorySubject(m.Crash()) }}
}

func badgerSubject(t failer, p *consensus.Params, o Options) subject {
	t.Helper()
	s, err := Open(p, o)
	must(t, err)
	t.Cleanup(func() { kill(s) })
	return subject{s, func(t failer) subject {
		kill(s)
		return badgerSubject(t, p, o)
	}}
}

// kill takes a store away without a flush. What was committed is on disk, as it
// is after a kill -9 (TestKilled does that for real).
func kill(s *Badger) {
	s.life.Lock()
	defer s.life.Unlock()
	if !s.closed {
		s.closed = true
		_ = s.kv.db.Close()
		if s.kv.ledger != nil {
			_ = s.kv.ledger.file.Close()
		}
		_ = s.lock.Close()
	}
}

// eachStore runs a test over both stores.
func eachStore(t *testing.T, test func(t *testing.T, w *world, s subject)) {
	t.Run("memory", func(t *testing.T) {
		w := newWorld(1)
		test(t, w, memorySubject(OpenMemory(w.params, true)))
	})
	t.Run("badger", func(t *testing.T) {
		w := newWorld(1)
		test(t, w, badgerSubject(t, w.params, Options{Dir: t.TempDir(), Index: true, Lean: true}))
	})
}

func TestEmpty(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world, s subject) {
		state, err := s.Load()
		must(t, err)
		if len(state.Records) != 0 || state.Tip != w.params.GenesisHash() || !state.Clean || state.Sum != (consensus.CoinSum{}) {
			t.Errorf("an empty store says %+v", state)
		}
		must(t, agree(s, w.root, true))
		b, err := s.Block(w.root.hash)
		must(t, err)
		if b.Hash() != w.params.GenesisHash() {
			t.Error("genesis is not there")
		}
		if u, err := s.Undo(w.root.hash); err != nil || len(u.Spent) != 0 {
			t.Errorf("undo of genesis: %v, %v", u, err)
		}
	})
}

func TestNotFound(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world, s subject) {
		unknown := consensus.Hash{1, 2, 3}
		_, err := s.Block(unknown)
		wantIs(t, "Block", err, ErrNotFound)
		_, err = s.RawBlock(unknown)
		wantIs(t, "RawBlock", err, ErrNotFound)
		_, err = s.Undo(unknown)
		wantIs(t, "Undo", err, ErrNotFound)
		_, _, err = s.TxLocation(unknown)
		wantIs(t, "TxLocation", err, ErrNotFound)
		if list, err := s.History(testKey(1), Cursor{}, 10); err != nil || len(list) != 0 {
			t.Errorf("History = %v, %v", list, err)
		}
		if coins, err := s.Coins([]consensus.OutPoint{{TxID: unknown}}); err != nil || len(coins) != 0 {
			t.Errorf("Coins = %v, %v", coins, err)
		}
	})
}

func wantIs(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
	if consensus.AsRuleError(err) != nil {
		t.Errorf("%s: %v is a rule error: a fault of ours must not look like a peer's", what, err)
	}
}

// A body that is forgotten is not found, until it is put again; its record stays.
func TestForget(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world, s subject) {
		a := w.grow(w.root, 0)
		must(t, attach(s, a))
		must(t, s.Forget(a.hash))
		for range 2 {
			_, err := s.Block(a.hash)
			wantIs(t, "a forgotten body", err, ErrNotFound)
			state, err := s.Load()
			must(t, err)
			if len(state.Records) != 1 || state.Records[0] != a.record(connected) || s.Tip() != a.hash {
				t.Errorf("the records are %+v, the tip %v", state.Records, s.Tip())
			}
			must(t, s.Flush())
			s = s.again(t)
		}
		must(t, s.PutBlock(a.record(connected), a.block))
		s = s.again(t) // a kill: nothing synced it
		_, err := s.Block(a.hash)
		wantIs(t, "a body that only waited", err, ErrNotFound)
		must(t, s.PutBlock(a.record(connected), a.block))
		must(t, s.Sync())
		must(t, agree(s, a, true))
		_, err = s.Block(a.hash)
		must(t, err)
	})
}

// Records come back parents first, with what was put last, in whatever order
// they went in; bodies come back byte by byte.
func TestRecordsAndBodies(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world, s subject) {
		a := w.grow(w.root, 0)
		b := w.grow(a, 2)
		c, side := w.grow(b, 2), w.grow(a, 1)
		headers := []consensus.Record{c.record(0), b.record(0), a.record(0), side.record(0)}
		must(t, s.PutHeaders(headers))
		must(t, s.PutBlock(a.record(hasBody), a.block))
		must(t, s.PutBlock(b.record(hasBody), b.block))
		must(t, s.PutHeaders([]consensus.Record{side.record(consensus.RecordFailed)}))
		must(t, s.Sync())
		for round := range 2 {
			state, err := s.Load()
			must(t, err)
			want := []consensus.Record{a.record(hasBody), b.record(hasBody), c.record(0), side.record(consensus.RecordFailed)}
			seen := map[consensus.Hash]bool{w.root.hash: true}
			for _, rec := range state.Records {
				if !slices.Contains(want, rec) {
					t.Errorf("unexpected record %+v", rec)
				}
				if !seen[rec.Header.Prev] {
					t.Errorf("%v comes before its parent", rec.Hash)
				}
				seen[rec.Hash] = true
			}
			if len(state.Records) != len(want) {
				t.Errorf("%d records, want %d", len(state.Records), len(want))
			}
			raw, err := s.RawBlock(b.hash)
			must(t, err)
			if !bytes.Equal(raw, b.block.Bytes()) {
				t.Error("the body changed")
			}
			_, err = s.Block(c.hash)
			wantIs(t, "a body that was never put", err, ErrNotFound)
			if round == 0 {
				s = s.again(t)
			}
		}
	})
}

// A reorganisation, a kill before and after a flush, and an ordinary restart.
func TestReorganiseAndRestart(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world, s subject) {
		fork := w.root
		for range 5 {
			fork = w.grow(fork, 3)
		}
		left, right := fork, fork
		for range 4 {
			left, right = w.grow(left, 3), w.grow(right, 4)
		}
		must(t, walk(s, w.root, left))
		must(t, agree(s, left, true))
		must(t, s.Flush())
		must(t, agree(s, left, true))
		must(t, walk(s, left, right))
		must(t, agree(s, right, true))

		s = s.again(t) // killed: the coins are those of the last flush
		state, err := s.Load()
		must(t, err)
		if state.Clean {
			t.Error("clean after a kill")
		}
		must(t, agree(s, left, true))
		must(t, walk(s, left, right))
		must(t, s.Close())
		must(t, s.Close())

		s = s.again(t)
		if state, err = s.Load(); err != nil || !state.Clean {
			t.Errorf("not clean after Close (%v)", err)
		}
		must(t, agree(s, right, true))
		if u, err := s.Undo(left.hash); err != nil || !slices.Equal(u.Spent, left.delta.Undo.Spent) {
			t.Errorf("the undo data of a detached block is gone: %v", err)
		}
		must(t, walk(s, right, w.root))
		must(t, agree(s, w.root, true))
	})
}

// What does not fit the tip is refused, and nothing moves.
func TestRefused(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world, s subject) {
		a := w.grow(w.root, 0)
		b := w.grow(a, 2)
		must(t, attach(s, a))
		must(t, s.PutBlock(b.record(hasBody), b.block))
		other := w.grow(w.root, 0)
		short := *b.delta
		short.Undo.Spent = nil
		long := *b.delta
		long.Undo.Spent = append(slices.Clone(b.delta.Undo.Spent), consensus.Coin{})
		for name, err := range map[string]error{
			"a sibling of the tip":      s.Connect(other.record(connected), 1, other.block, other.delta),
			"wrong height":              s.Connect(b.record(connected), 3, b.block, b.delta),
			"record of another block":   s.Connect(a.record(connected), 2, b.block, b.delta),
			"too little undo data":      s.Connect(b.record(connected), 2, b.block, &short),
			"too much undo data":        s.Connect(b.record(connected), 2, b.block, &long),
			"no body":                   func() error { n := w.grow(a, 0); return s.Connect(n.record(connected), 2, n.block, n.delta) }(),
			"detach what is not there":  detach(s, b),
			"detach at a wrong height":  s.Disconnect(w.root.record(connected), 2, a.block, a.revert()),
			"detach to a wrong parent":  s.Disconnect(b.record(connected), 1, a.block, a.revert()),
			"detach genesis":            s.Disconnect(w.root.record(connected), 0, w.root.block, &consensus.Delta{}),
			"detach the sibling of tip": detach(s, other),
		} {
			if err == nil {
				t.Errorf("%s: accepted", name)
			}
			wantNoRule(t, name, err)
		}
		must(t, agree(s, a, true))
		must(t, attach(s, b))
		must(t, agree(s, b, true))
	})
}

func wantNoRule(t *testing.T, what string, err error) {
	t.Helper()
	if consensus.AsRuleError(err) != nil {
		t.Errorf("%s: %v is a rule error", what, err)
	}
}

func TestClosed(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world, s subject) {
		a := w.grow(w.root, 0)
		must(t, s.Close())
		_, loadErr := s.Load()
		_, blockErr := s.Block(w.root.hash)
		_, undoErr := s.Undo(w.root.hash)
		_, coinErr := s.Coins(nil)
		_, snapshotErr := s.Snapshot()
		_, _, placeErr := s.TxLocation(a.hash)
		_, historyErr := s.History(testKey(0), Cursor{}, 1)
		_, _, countErr := s.Recount(t.Context())
		for what, err := range map[string]error{
			"Load": loadErr, "Block": blockErr, "Undo": undoErr, "Coins": coinErr, "Snapshot": snapshotErr, "TxLocation": placeErr,
			"History": historyErr, "Recount": countErr, "PutHeaders": s.PutHeaders(nil),
			"PutBlock": s.PutBlock(a.record(hasBody), a.block), "Sync": s.Sync(), "Connect": attach(s, a),
			"Disconnect": detach(s, a), "Flush": s.Flush(), "ResetCoins": s.ResetCoins(),
			"ForEachCoin": s.ForEachCoin(func(consensus.OutPoint, consensus.Coin) error { return nil }),
		} {
			wantIs(t, what, err, ErrClosed)
		}
	})
}

func TestResetCoins(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world, s subject) {
		tip := w.root
		for range 6 {
			tip = w.grow(tip, 3)
		}
		must(t, walk(s, w.root, tip))
		must(t, s.Flush())
		must(t, s.ResetCoins())
		must(t, agree(s, w.root, true))
		s = s.again(t)
		must(t, agree(s, w.root, true))
		must(t, walk(s, w.root, tip))
		must(t, agree(s, tip, true))
	})
}

// A snapshot shows the coins of its moment: after moves of the tip, a flush of
// the cache and a change of the same coins on disk. It does not survive a reset.
func TestSnapshot(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world, s subject) {
		old := w.root
		for range 4 {
			old = w.grow(old, 3)
		}
		must(t, walk(s, w.root, old))
		tip := old
		for range 6 {
			tip = w.grow(tip, 3)
		}
		ask := slices.Collect(maps.Keys(old.coins))
		for n := tip; n != old; n = n.parent { // those that came and went, too
			for _, tx := range n.block.Txs {
				for i := range tx.Outputs {
					ask = append(ask, consensus.OutPoint{TxID: tx.TxID(), Index: uint32(i)})
				}
			}
		}
		for _, flushed := range []bool{false, true} {
			if flushed {
				must(t, s.Flush())
			}
			snapshot, err := s.Snapshot()
			must(t, err)
			must(t, walk(s, old, tip))
			must(t, s.Flush())
			if got, err := snapshot.Coins(ask); err != nil || !maps.Equal(got, old.coins) {
				t.Errorf("flushed %v: %d coins, want %d: %v", flushed, len(got), len(old.coins), err)
			}
			snapshot.Close()
			must(t, walk(s, tip, old))
			must(t, agree(s, old, true))
		}

		snapshot, err := s.Snapshot()
		must(t, err)
		must(t, s.ResetCoins())
		_, err = snapshot.Coins(ask)
		wantIs(t, "a snapshot from before the reset", err, ErrReset)
		snapshot.Close()

		snapshot, err = s.Snapshot()
		must(t, err)
		must(t, s.Close())
		_, err = snapshot.Coins(ask)
		wantIs(t, "a snapshot of a closed store", err, ErrClosed)
		snapshot.Close()
	})
}

func TestHistoryLimit(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world, s subject) {
		must(t, walk(s, w.root, w.grow(w.grow(w.root, 0), 20)))
		for _, limit := range []int{-1, 0, 1, 2} {
			for k := range testKeys {
				list, err := s.History(testKey(k), Cursor{}, limit)
				if err != nil || len(list) > max(limit, 0) {
					t.Errorf("limit %d: %d entries, %v", limit, len(list), err)
				}
			}
		}
	})
}

func TestForEachCoinStops(t *testing.T) {
	eachStore(t, func(t *testing.T, w *world, s subject) {
		must(t, walk(s, w.root, w.grow(w.grow(w.root, 0), 5)))
		stop := errors.New("enough")
		calls := 0
		err := s.ForEachCoin(func(consensus.OutPoint, consensus.Coin) error { calls++; return stop })
		if !errors.Is(err, stop) || calls != 1 {
			t.Errorf("%d calls, error %v", calls, err)
		}
	})
}
