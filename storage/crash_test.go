package storage

import (
	"errors"
	"maps"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/kapok-chain/kapok/consensus"
)

var errKilled = errors.New("killed by the test")

// tinyDB is Badger with transactions so small that every block and every flush
// takes several. It outlives the stores opened on it, as a disk outlives
// processes.
func tinyDB(t testing.TB) *badger.DB {
	t.Helper()
	db := openTiny(t)
	t.Cleanup(func() { must(t, db.Close()) })
	return db
}

func openTiny(t testing.TB) *badger.DB {
	t.Helper()
	o := settings(t.TempDir(), true, newBadgerLog(nil)).WithMemTableSize(48 << 10).WithSyncWrites(false)
	db, err := badger.Open(o)
	must(t, err)
	return db
}

// openDying opens a store whose k-th commit from now on, and all after it, fail
// and write nothing: what a kill before that commit leaves. Without a kill, k
// is 0. It returns how many commits were asked for.
func openDying(p *consensus.Params, db *badger.DB, k, cache int) (s *Badger, asked *int, err error) {
	asked = new(int)
	kv := newKV(db, newBadgerLog(nil))
	kv.commit = func(txn *badger.Txn) error {
		if *asked++; k > 0 && *asked >= k {
			return errKilled
		}
		return txn.Commit()
	}
	s, err = open(p, kv, Options{Index: true, CoinCacheBytes: cache})
	return s, asked, err
}

// lazy is a store that is not told to sync between the steps.
type lazy struct{ *Badger }

func (lazy) Sync() error { return nil }

// ticking is a store whose index follows each step.
type ticking struct{ *Badger }

func (s ticking) Sync() error { return errors.Join(s.Badger.Sync(), s.Badger.SyncIndex()) }

// TestKilledAtEachCommit runs a reorganisation of big blocks and kills it before
// its k-th commit, for every k; then it kills the recovery, at every commit of
// it in turn; then it looks. Every step is synced, with its index entries or without
// them, or none until a flush.
func TestKilledAtEachCommit(t *testing.T) {
	t.Run("indexed", func(t *testing.T) { killedAtEachCommit(t, 4, func(s *Badger) Store { return ticking{s} }) })
	t.Run("synced", func(t *testing.T) { killedAtEachCommit(t, 0, func(s *Badger) Store { return s }) })
	t.Run("gathered", func(t *testing.T) { killedAtEachCommit(t, 0, func(s *Badger) Store { return lazy{s} }) })
}

// killedAtEachCommit wants so many kills between two pieces of the index.
func killedAtEachCommit(t *testing.T, pieces int, as func(*Badger) Store) {
	w := newWorld(5)
	fork := w.fan(w.root, 20, 0)
	left := w.fan(w.grow(fork, 15), 200, 9) // with coins that come and go in one block
	right := w.fan(w.fan(fork, 130, 9), 20, 90)
	life := func(s *Badger) error {
		for _, step := range []func() error{
			func() error { return walk(as(s), w.root, left) },
			s.Flush,
			func() error { return walk(as(s), left, right) },
			s.Flush,
			func() error { return walk(as(s), right, left) },
			s.ResetCoins,
			func() error { return walk(as(s), w.root, fork) },
			s.Sync,
		} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	}
	nodes := append(append([]*node{w.root}, left.chain()...), right.chain()...)

	recoveries, markers := 0, map[string]int{}
	db := openTiny(t)
	defer func() { must(t, db.Close()) }()
	for k := 1; ; k++ {
		must(t, db.DropAll())
		s, _, err := openDying(w.params, db, k, 0)
		if err == nil {
			err = life(s)
		}
		if err == nil {
			t.Logf("%d commits, %d recoveries, markers found: %v", k-1, recoveries, markers)
			if markers[metaTip] < 4 || markers[metaReset] == 0 || markers[metaIndex] < pieces {
				t.Error("the blocks are too small to be split")
			}
			break
		}
		wantIs(t, "killed", err, errKilled)
		if s != nil {
			wantIs(t, "a write after a failed one", s.PutHeaders(nil), errKilled)
		}
		countMarkers(t, newKV(db, newBadgerLog(nil)), markers)
		for j := 1; ; j++ {
			if _, _, err = openDying(w.params, db, j, 0); err == nil {
				break
			}
			if recoveries++; !errors.Is(err, errKilled) {
				t.Fatalf("after a kill at commit %d: recovery: %v", k, err)
			}
		}
		if s, _, err = openDying(w.params, db, 0, 0); err != nil {
			t.Fatalf("after a kill at commit %d: %v", k, err)
		}
		at := find(t, nodes, s.Tip())
		if err := agree(s, at, true); err != nil {
			t.Fatalf("after a kill at commit %d: %v", k, err)
		}
		if k%4 > 0 { // catching up is slow, and the same each time
			continue
		}
		must(t, walk(s, at, right))
		if err := agree(s, right, true); err != nil {
			t.Fatalf("after a kill at commit %d, caught up: %v", k, err)
		}
	}
}

// TestWhereverAPieceEnds makes flushes of many sizes, so that the pieces end
// before and after each kind of write, and kills one of the pieces.
func TestWhereverAPieceEnds(t *testing.T) {
	w := newWorld(11)
	db, at := tinyDB(t), w.root
	for n := range 90 {
		s, _, err := openDying(w.params, db, 0, 0)
		must(t, err)
		next := w.fan(at, 60+n, len(at.coins))
		must(t, attach(s, next))
		asked := 0
		s.kv.commit = func(txn *badger.Txn) error {
			if asked++; asked == 2+n%3 {
				return errKilled
			}
			return txn.Commit()
		}
		if err := s.Flush(); err != nil {
			wantIs(t, "flush", err, errKilled)
		}
		if s, _, err = openDying(w.params, db, 0, 0); err != nil {
			t.Fatalf("%d outputs: %v", 60+n, err)
		}
		if s.head != (head{point{next.hash, next.height}, next.sum()}) || s.indexed != s.head.point {
			t.Fatalf("%d outputs: at %v, want %v; the index at %v", 60+n, s.head, next.hash, s.indexed)
		}
		at = next
	}
}

// countMarkers counts what a recovery has to finish.
func countMarkers(t *testing.T, kv *kv, found map[string]int) {
	t.Helper()
	on, err := kv.has(metaKey(metaReset))
	must(t, err)
	if on {
		found[metaReset]++
	}
	if value, err := kv.get(metaKey(metaTip)); err == nil {
		_, to, err := decodeTip(value)
		must(t, err)
		if to != (point{}) {
			found[metaTip]++
		}
	}
	if value, err := kv.get(metaKey(metaIndex)); err == nil {
		_, moving, err := decodeIndexTip(value)
		must(t, err)
		if moving != (point{}) {
			found[metaIndex]++
		}
	}
}

// TestSplit makes sure that small and big go the same road: with a marker on
// disk in between only when there is an in between.
func TestSplit(t *testing.T) {
	w := newWorld(6)
	small := w.grow(w.root, 0)
	big := w.fan(w.grow(small, 40), 300, 9)
	s, asked, err := openDying(w.params, tinyDB(t), 0, 0)
	must(t, err)
	*asked = 0
	must(t, attach(s, small))
	must(t, s.Flush())
	must(t, s.SyncIndex())
	if *asked != 4 { // connect with the body, flush, index, and behind the index
		t.Errorf("a small block took %d commits, want 4", *asked)
	}
	must(t, attach(s, big.parent))
	must(t, s.PutBlock(big.record(hasBody), big.block))
	*asked = 0
	must(t, s.Connect(big.record(connected), big.height, big.block, big.delta))
	must(t, s.SyncIndex())
	if *asked < 3 {
		t.Errorf("a big block took %d commits, want at least 3", *asked)
	}
	marker := 0
	inner := s.kv.commit
	s.kv.commit = func(txn *badger.Txn) error {
		err := inner(txn)
		found := map[string]int{}
		countMarkers(t, s.kv, found)
		marker += found[metaTip]
		return err
	}
	*asked = 0
	must(t, s.Flush())
	if *asked < 2 || marker != *asked-1 {
		t.Errorf("%d commits of a flush left the marker %d times", *asked, marker)
	}
	must(t, agree(s, big, true))
}

// TestManyFreshBodies: what waits in memory is bounded.
func TestManyFreshBodies(t *testing.T) {
	w := newWorld(11)
	s, asked, err := openDying(w.params, tinyDB(t), 0, 0)
	must(t, err)
	*asked = 0
	big := w.fan(w.root, 23_000, 0)
	size := len(big.block.Bytes())
	for i := range maxWaiting/size + 1 {
		if *asked != 0 {
			t.Fatalf("written after %d bodies of %d bytes", i, size)
		}
		must(t, s.PutBlock(big.record(hasBody), big.block))
	}
	if *asked != 1 || s.waiting.bytes != 0 {
		t.Errorf("%d commits, %d bytes wait", *asked, s.waiting.bytes)
	}
}

// TestBeyondTheLimit takes blocks as big as the weight limit allows, with the
// settings of a lean node: neither the index entries of one nor the coins of
// two fit into one transaction of Badger. A kill in the middle of the flush
// leaves them to redo.
func TestBeyondTheLimit(t *testing.T) {
	w := newWorld(10)
	half := w.fan(w.root, 23_000, 0)
	one := w.fan(half, 7_000, 0)
	two := w.fan(one, 1000, 17_000)
	dir := t.TempDir()
	s, err := Open(w.params, Options{Dir: dir, Index: true, Lean: true})
	must(t, err)
	defer func() { kill(s) }()
	must(t, walk(s, w.root, one))
	commits := 0
	s.kv.commit = func(txn *badger.Txn) error {
		if commits++; commits == 2 {
			return errKilled
		}
		return txn.Commit()
	}
	wantIs(t, "flush", s.Flush(), errKilled)
	kill(s)

	s, err = Open(w.params, Options{Dir: dir, Index: true, Lean: true})
	must(t, err)
	if s.Tip() != one.hash {
		t.Fatalf("the flush was not redone: the tip is %v", s.Tip())
	}
	must(t, attach(s, two))
	must(t, s.Close())
	s, err = Open(w.params, Options{Dir: dir, Index: true, Lean: true})
	must(t, err)
	must(t, agree(s, two, true))
	must(t, detach(s, two))
	must(t, agree(s, one, true))
}

// The budget of the coin cache bounds it, and what it evicts is on disk.
func TestCacheBudget(t *testing.T) {
	const coins = 50
	w := newWorld(7)
	s, _, err := openDying(w.params, tinyDB(t), 0, coins*cachedCoinSize)
	must(t, err)
	at := w.root
	for range 40 {
		next := w.grow(at, 3)
		must(t, attach(s, next))
		if at = next; len(s.cache) > coins+20 {
			t.Fatalf("%d coins in the cache", len(s.cache))
		}
	}
	if s.flushed.Height == 0 {
		t.Error("never flushed")
	}
	must(t, agree(s, at, true))
}

// A chain that outgrows the blocks that a restart may have to connect again is
// flushed, however small its coins.
func TestFlushedEveryNow(t *testing.T) {
	w := newWorld(8)
	db := tinyDB(t)
	s, _, err := openDying(w.params, db, 0, 0)
	must(t, err)
	m := OpenMemory(w.params, false)
	at := w.root
	for range maxUnflushed + 3 {
		at = w.grow(at, 0)
		must(t, attach(s, at))
		must(t, attach(m, at))
		at.coins = maps.Clone(w.root.coins) // keep the test linear
	}
	again, _, err := openDying(w.params, db, 0, 0)
	must(t, err)
	if left := m.Crash(); again.head != left.head || again.head.Height != maxUnflushed {
		t.Errorf("after a kill Badger stands at %d, Memory at %d; want %d", again.head.Height, left.head.Height, maxUnflushed)
	}
}

// The index may be turned off and on again: it catches up by itself.
func TestIndexLater(t *testing.T) {
	w := newWorld(9)
	fork := w.grow(w.grow(w.root, 0), 5)
	left, right := w.grow(w.grow(fork, 9), 9), w.grow(w.grow(w.grow(fork, 9), 9), 9)
	db := tinyDB(t)
	openIndex := func(on bool) *Badger {
		s, err := open(w.params, newKV(db, newBadgerLog(nil)), Options{Index: on})
		must(t, err)
		return s
	}
	s := openIndex(true)
	must(t, walk(s, w.root, left))
	must(t, s.Flush())
	s = openIndex(false)
	must(t, walk(s, left, right))
	must(t, s.Flush())
	_, _, err := s.TxLocation(w.root.hash)
	wantIs(t, "TxLocation without an index", err, ErrNoIndex)
	_, err = s.History(testKey(0), Cursor{}, 1)
	wantIs(t, "History without an index", err, ErrNoIndex)
	must(t, agree(openIndex(true), right, true))
}
