package storage

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/kapok-chain/kapok/consensus"
)

// Badger keeps a chain on disk.
type Badger struct {
	params  *consensus.Params
	kv      *kv
	log     *badgerLog
	index   bool
	clean   bool        // as State.Clean
	suspect bool        // as State.Suspect
	damage  atomic.Bool // something was read, or found missing, that was written
	counted atomic.Bool // the coins are those that were kept count of
	fixed   bool        // Options.ReadOnly
	budget  int         // of the coin cache, in coins
	lock    *os.File

	// life is held for reading by whoever uses the database, and for writing
	// by Close.
	life   sync.RWMutex
	closed bool

	// indexing is held by whoever moves the index, and taken before mu.
	indexing sync.Mutex
	indexed  point // the tip that the index belongs to

	// mu guards what follows. It is not held while what waits is written.
	mu        sync.RWMutex
	syncing   bool       // somebody writes what waited, and let go of mu
	flushing  bool       // somebody writes coins beside that
	idle      *sync.Cond // of mu: syncing has ended, or flushing
	head      head       // of the coins in cache and disk together
	flushed   head       // of the coins on disk
	unflushed int        // moves of head since the last flush
	cache     coinCache
	below     coinCache // what was flushed last, or is on its way; nobody changes it
	pins      snapshots
	waiting   waiting
	unindexed unindexed
	pruned    uint32 // as State.Pruned; it never changes
	resumed   bool   // as Resumed
	broken    error  // the write that failed
}

var _ Store = (*Badger)(nil)

const (
	valueLogFile   = 64 << 20 // bytes
	valueThreshold = 1 << 10  // bytes; larger values go to the value log: bodies and undo data
)

// settings of Badger. Compression gains nothing on hashes and keys. Badger's
// own check of values stays off: it would turn a damaged value into an empty
// one without an error, and ours (seal) covers it. Nothing in the value log is
// ever replaced but by the same bytes, so it needs no garbage collection.
// Tables and their indexes are mapped from their files, so that Badger's caches are for
// what is compressed or encrypted: its cache of indexes is not even asked, and that of
// blocks counts each of them as all of its table that follows, and so holds but a few.
func settings(dir string, lean bool, log *badgerLog) badger.Options {
	o := badger.DefaultOptions(dir).
		WithSyncWrites(true).
		WithDetectConflicts(false).
		WithNumVersionsToKeep(1).
		WithCompression(options.None).
		WithChecksumVerificationMode(options.OnTableRead).
		WithMetricsEnabled(false).
		WithValueThreshold(valueThreshold).
		WithValueLogFileSize(valueLogFile).
		WithNumCompactors(2).
		WithNumGoroutines(2).
		WithBlockCacheSize(0).
		WithIndexCacheSize(0).
		WithLogger(log)
	if lean {
		return o.WithMemTableSize(memTable(dir, leanMemTable/2+rand.Int64N(leanMemTable/2))).WithNumMemtables(leanMemtables)
	}
	return o.WithMemTableSize(fullMemTable).WithNumMemtables(3)
}

// Sizes of a memtable, in bytes. A lean one is of half to all of its size, drawn when the
// store is opened: nodes of one machine that follow one chain write the same, and were their
// memtables of one size too, all would become tables at one moment, 80 ms of a core each.
const (
	fullMemTable  = 32 << 20
	leanMemTable  = 16 << 20
	leanMemtables = 2 // of a lean store; others have three
)

// memTable is the size, or the largest where a kill left memtables in dir: Badger ends the
// process where one that it reads again is larger than its setting, and the files do not
// say what that was.
func memTable(dir string, size int64) int64 {
	if left, _ := filepath.Glob(filepath.Join(dir, "*.mem")); len(left) > 0 {
		return fullMemTable
	}
	return size
}

// Open opens or creates the chain of a network. It finishes what a kill left
// unfinished before it returns: ErrLocked, ErrForeign, ErrNewerSchema,
// ErrDamaged.
func Open(p *consensus.Params, o Options) (*Badger, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("storage: data directory %q: %w", o.Dir, err)
	}
	take := claim
	if o.ReadOnly || o.Reindex || o.existing {
		take = visit
	}
	lock, err := take(dir, p, o.Beside)
	if err != nil {
		return nil, err
	}
	if err := checkLost(dir); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if err := finishSwap(dir, o.ReadOnly); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	log := newBadgerLog(o.Logger)
	log.lost = func(text string) error { return noteLost(dir, text) }
	kv, err := openBadger(settings(filepath.Join(dir, chainDir), o.Lean, log).WithReadOnly(o.ReadOnly), p.GenesisHash().String(), log)
	if err != nil {
		err = fmt.Errorf("storage: open the chain in %s: %w", dir, err)
		return nil, errors.Join(remedied(dir, err), lock.Close())
	}
	s, err := open(p, kv, o)
	if err != nil {
		err = fmt.Errorf("storage: recover the chain in %s: %w", dir, err)
		return nil, errors.Join(remedied(dir, err), kv.close(), lock.Close())
	}
	s.lock = lock
	return s, nil
}

// open recovers the chain in an open database.
func open(p *consensus.Params, kv *kv, o Options) (*Badger, error) {
	budget := o.CoinCacheBytes
	if budget == 0 {
		budget = DefaultCoinCache
	}
	s := &Badger{params: p, kv: kv, log: kv.log, index: o.Index && !o.ReadOnly, fixed: o.ReadOnly, budget: budget / cachedCoinSize, cache: make(coinCache), pins: make(snapshots)}
	s.idle = sync.NewCond(&s.mu)
	start := s.recover
	switch {
	case o.ReadOnly:
		start = s.behold
	case o.Reindex:
		start = func() error { return s.reindex(o.Restart) }
	}
	if err := start(); err != nil {
		return nil, err
	}
	return s, nil
}

// behold is recover where nothing may be written: there must be nothing to do.
func (s *Badger) behold() error {
	fresh, err := s.checkGenesis()
	if err == nil && fresh {
		err = fmt.Errorf("there is none yet: %w", ErrNotFound)
	}
	if err != nil {
		return err
	}
	if s.clean, err = s.kv.has(metaKey(metaClean)); err != nil {
		return err
	}
	if !s.clean {
		return ErrUnclean
	}
	s.suspect = s.kv.partial
	if err := s.readPruned(); err != nil {
		return err
	}
	return s.readTip(func(point) error { return ErrUnclean })
}

// readTip reads the tip of the coins on disk, and passes on to finish the tip
// that an unfinished flush was on its way to.
func (s *Badger) readTip(finish func(to point) error) error {
	value, err := s.kv.get(metaKey(metaTip))
	if err != nil {
		return fmt.Errorf("tip of the coins: %w", damaged(err))
	}
	var to point
	if s.flushed, to, err = decodeTip(value); err != nil {
		return err
	}
	if to != (point{}) {
		if err := finish(to); err != nil {
			return fmt.Errorf("finish the flush of the coins: %w", err)
		}
	}
	s.head = s.flushed
	return nil
}

// Names of the meta keys.
const (
	metaGenesis = "genesis" // hash
	metaTip     = "tip"     // head of the coins on disk, and the tip of a flush that has begun
	metaIndex   = "index"   // tip of the index, block in motion
	metaReset   = "reset"   // a ResetCoins that has begun
	metaClean   = "clean"   // there while the store is closed
	metaSuspect = "suspect" // the last user met damage
	metaCommits = "commits" // number of the last commit
	metaReindex = "reindex" // a reindex that made the records anew, and waits for the coins
	metaPruned  = "pruned"  // height below which no bodies are, where some were pruned
)

// recover reads the state and finishes what was begun: see docs/storage.md.
func (s *Badger) recover() error {
	fresh, err := s.checkGenesis()
	if err != nil {
		return err
	}
	if fresh {
		if err := s.create(); err != nil {
			return err
		}
	}
	if s.clean, err = s.kv.has(metaKey(metaClean)); err != nil {
		return err
	}
	if s.suspect, err = s.kv.has(metaKey(metaSuspect)); err != nil {
		return err
	}
	s.suspect = s.suspect || s.kv.partial
	s.damage.Store(s.suspect)
	w := s.kv.writer()
	s.disclaim(w)
	w.del(metaKey(metaReindex)) // whoever opens the directory walks on; a later reindex begins anew
	if err := w.commit(); err != nil {
		return err
	}
	if err := s.readPruned(); err != nil {
		return err
	}
	return s.recoverCoins()
}

// recoverCoins finishes what was begun with coins and index.
func (s *Badger) recoverCoins() error {
	reset, err := s.kv.has(metaKey(metaReset))
	if err != nil {
		return err
	}
	if reset {
		if err := s.reset(); err != nil {
			return err
		}
	}
	err = s.readTip(s.redo)
	if err == nil && s.index {
		if err = s.catchUpIndex(); err != nil {
			err = fmt.Errorf("bring the index to the tip: %w", err)
		}
	}
	if errors.Is(err, ErrDamaged) && s.pruned > 0 {
		return fmt.Errorf("%v: %w", err, needsAll(s.pruned, "coins and index"))
	}
	if errors.Is(err, ErrDamaged) {
		// Coins and index follow from the bodies: they are made anew.
		s.log.log.Error("the coins or the index cannot be brought to the tip: they are made anew from the blocks", "err", err)
		s.suspect = true
		s.damage.Store(true)
		return s.reset()
	}
	return err
}

// checkGenesis reports whether the database is empty, and fails where it
// belongs to another network or lost its beginning.
func (s *Badger) checkGenesis() (fresh bool, err error) {
	value, err := s.kv.get(metaKey(metaGenesis))
	if errors.Is(err, ErrNotFound) {
		empty := true
		err := s.kv.view(func(txn *badger.Txn) error {
			it := txn.NewIterator(badger.IteratorOptions{})
			defer it.Close()
			it.Rewind()
			empty = !it.Valid()
			return nil
		})
		if err == nil && !empty {
			err = fmt.Errorf("the name of the network is missing: %w", ErrDamaged)
		}
		return true, err
	}
	if err != nil {
		return false, err
	}
	if want := s.params.GenesisHash(); string(value) != string(want[:]) {
		return false, fmt.Errorf("%w: the chain is not that of network %s", ErrForeign, s.params.Name)
	}
	return false, nil
}

// create writes genesis.
func (s *Badger) create() error {
	hash := s.params.GenesisHash()
	w := s.kv.writer()
	s.putGenesis(w)
	w.put(metaKey(metaTip), encodeTip(head{point: point{Hash: hash}}, point{}))
	w.put(metaKey(metaGenesis), hash[:])
	w.put(metaKey(metaClean), nil)
	return w.commit()
}

// putGenesis writes the block alone.
func (s *Badger) putGenesis(w *writer) {
	hash, b := s.params.GenesisHash(), s.params.Genesis()
	w.put(hashKey(prefixBlock, hash), b.Bytes())
	w.put(hashKey(prefixUndo, hash), new(consensus.Undo).Append(nil))
	w.put(hashKey(prefixRecord, hash), encodeRecord(&consensus.Record{
		Header: b.Header, Hash: hash, TxCount: uint32(len(b.Txs)), Flags: consensus.RecordHasBody | consensus.RecordConnected,
	}))
}

// damaged turns "not found" into damage, where something must be there.
func damaged(err error) error {
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("missing: %w", ErrDamaged)
	}
	return err
}

// Load returns everything that the block tree is built from.
func (s *Badger) Load() (*State, error) {
	if err := s.reading(); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	s.mu.Lock() // records are not read from memory
	defer s.mu.Unlock()
	s.awaitIdle()
	if err := s.syncWaiting(); err != nil {
		return nil, err
	}
	state := &State{Tip: s.head.Hash, Height: s.head.Height, Sum: s.head.Sum, Pruned: s.pruned, Clean: s.clean && !s.suspect, Suspect: s.suspect}
	prefix := []byte{prefixRecord}
	err := s.kv.view(func(txn *badger.Txn) error {
		return each(txn, prefix, prefix, func(key, value []byte) (bool, error) {
			if len(key) != 1+consensus.HashSize {
				return false, fmt.Errorf("key of a header has %d bytes: %w", len(key), ErrDamaged)
			}
			rec, err := decodeRecord(consensus.Hash(key[1:]), value)
			state.Records = append(state.Records, rec)
			return true, err
		})
	})
	if err == nil {
		state.Records, err = parentsFirst(s.params.GenesisHash(), state.Records)
	}
	if err != nil {
		err = s.met(fmt.Errorf("storage: load headers: %w", err))
		if errors.Is(err, ErrDamaged) { // headers are in the bodies, too
			err = fmt.Errorf("%w; run \"kapok chain reindex --datadir %s\"", err, filepath.Dir(s.kv.db.Opts().Dir))
		}
		return nil, err
	}
	return state, nil
}

// Tip is the block that the coins belong to.
func (s *Badger) Tip() consensus.Hash {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.head.Hash
}

// Sum is the coin sum at Tip.
func (s *Badger) Sum() consensus.CoinSum {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.head.Sum
}

// Close flushes, marks the store as closed in order, and gives the directory
// free. A second Close does nothing. After a failed write nothing more is written: the
// directory is as a kill would leave it, and locked until the process ends.
func (s *Badger) Close() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return nil
	}
	if err := s.closeChain(); err != nil {
		return err
	}
	return s.lock.Close()
}

// closeChain is Close for whoever holds life and goes on to use the directory.
func (s *Badger) closeChain() error {
	s.closed = true
	if err := s.finish(); err != nil {
		return err
	}
	s.kv.log.log.Debug("closing the database")
	if err := s.kv.close(); err != nil {
		return fmt.Errorf("storage: close the database: %w", err)
	}
	return nil
}

// finish writes what a start after an ordered stop finds.
func (s *Badger) finish() error {
	if err := s.syncIndex(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.awaitIdle()
	if s.broken != nil || s.fixed {
		return s.broken
	}
	if err := s.flush(); err != nil {
		return err
	}
	w := s.kv.writer()
	if !s.leave(w) {
		return nil
	}
	return s.commit(w)
}

// met passes an error of a read on, and remembers damage: the next start looks at
// everything.
func (s *Badger) met(err error) error {
	if errors.Is(err, ErrDamaged) {
		s.damage.Store(true)
	}
	return err
}

// SizeOnDisk is about how many bytes the chain takes on disk, as of the last
// minute.
func (s *Badger) SizeOnDisk() int64 {
	lsm, vlog := s.kv.db.Size()
	return lsm + vlog
}
