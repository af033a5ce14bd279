package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/kapok-chain/kapok/consensus"
)

// Badger keeps a chain on disk.
type Badger struct {
	params *consensus.Params
	kv     *kv
	index  bool
	clean  bool // as State.Clean
	fixed  bool // Options.ReadOnly
	budget int  // of the coin cache, in coins
	lock   *os.File

	// life is held for reading by whoever uses the database, and for writing
	// by Close.
	life   sync.RWMutex
	closed bool

	// mu guards what follows.
	mu        sync.RWMutex
	head      head // of the coins in cache and disk together
	flushed   head // of the coins on disk
	unflushed int  // moves of head since the last flush
	cache     coinCache
	pins      snapshots
	waiting   waiting
	indexed   point // the tip that the index belongs to
	broken    error // the write that failed
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
		WithLogger(log)
	if lean {
		return o.WithMemTableSize(16 << 20).WithNumMemtables(2).WithBlockCacheSize(8 << 20).WithIndexCacheSize(4 << 20)
	}
	return o.WithMemTableSize(64 << 20).WithNumMemtables(3).WithBlockCacheSize(64 << 20).WithIndexCacheSize(32 << 20)
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
	if o.ReadOnly {
		take = visit
	}
	lock, err := take(dir, p, o.Beside)
	if err != nil {
		return nil, err
	}
	if err := checkLost(dir); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	log := newBadgerLog(o.Logger)
	log.lost = func(text string) error { return noteLost(dir, text) }
	db, err := openBadger(settings(filepath.Join(dir, chainDir), o.Lean, log).WithReadOnly(o.ReadOnly), log)
	if err != nil {
		err = fmt.Errorf("storage: open the chain in %s: %w", dir, err)
		return nil, errors.Join(err, lock.Close())
	}
	s, err := open(p, newKV(db, log), o)
	if err != nil {
		err = fmt.Errorf("storage: recover the chain in %s: %w", dir, err)
		return nil, errors.Join(err, log.wait(db.Close), lock.Close())
	}
	s.lock = lock
	return s, nil
}

// openBadger opens the database. Badger panics on some kinds of damage, which
// must not look like a bug of ours.
func openBadger(o badger.Options, log *badgerLog) (*badger.DB, error) {
	prepare := checkClosed
	if !o.ReadOnly {
		prepare = clearDead
		if err := room(o); err != nil {
			return nil, err
		}
	}
	if err := prepare(o.Dir); err != nil {
		return nil, err
	}
	opened := make(chan *badger.DB, 1)
	err := log.wait(func() (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("badger gave up: %v: %w", r, ErrDamaged)
			}
		}()
		db, err := badger.Open(o)
		opened <- db
		return err
	})
	if err == nil {
		db := <-opened
		log.watch.Store(&compactions{tables: db.Tables, running: make(map[int]*compaction)}) // none begins before
		return db, nil
	}
	if strings.Contains(err.Error(), "checksum") { // by its text alone: Badger does not wrap errors
		err = fmt.Errorf("%v: %w", err, ErrDamaged)
	}
	return nil, err
}

// open recovers the chain in an open database.
func open(p *consensus.Params, kv *kv, o Options) (*Badger, error) {
	budget := o.CoinCacheBytes
	if budget == 0 {
		budget = DefaultCoinCache
	}
	s := &Badger{params: p, kv: kv, index: o.Index && !o.ReadOnly, fixed: o.ReadOnly, budget: budget / cachedCoinSize, cache: make(coinCache), pins: make(snapshots)}
	start := s.recover
	if o.ReadOnly {
		start = s.behold
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
	w := s.kv.writer()
	w.del(metaKey(metaClean))
	if err := w.commit(); err != nil {
		return err
	}
	reset, err := s.kv.has(metaKey(metaReset))
	if err != nil {
		return err
	}
	if reset {
		if err := s.reset(); err != nil {
			return err
		}
	}
	if err := s.readTip(s.redo); err != nil {
		return err
	}
	if s.index {
		if err := s.catchUpIndex(); err != nil {
			return fmt.Errorf("bring the index to the tip: %w", err)
		}
	}
	return nil
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
	hash, b := s.params.GenesisHash(), s.params.Genesis()
	w := s.kv.writer()
	w.put(hashKey(prefixBlock, hash), b.Bytes())
	w.put(hashKey(prefixUndo, hash), new(consensus.Undo).Append(nil))
	w.put(hashKey(prefixRecord, hash), encodeRecord(&consensus.Record{
		Header: b.Header, Hash: hash, TxCount: uint32(len(b.Txs)), Flags: consensus.RecordHasBody | consensus.RecordConnected,
	}))
	w.put(metaKey(metaTip), encodeTip(head{point: point{Hash: hash}}, point{}))
	w.put(metaKey(metaGenesis), hash[:])
	w.put(metaKey(metaClean), nil)
	return w.commit()
}

// damaged turns "not found" into damage, where something must be there.
func damaged(err error) error {
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("missing: %w", ErrDamaged)
	}
	return err
}

// reading is the prelude of every read. The caller defers s.life.RUnlock()
// unless there is an error.
func (s *Badger) reading() error {
	s.life.RLock()
	if s.closed {
		s.life.RUnlock()
		return ErrClosed
	}
	return nil
}

// writing is the prelude of every write: one at a time, and none after one
// that failed. The caller defers s.written() unless there is an error.
func (s *Badger) writing() error {
	if err := s.reading(); err != nil {
		return err
	}
	s.mu.Lock()
	switch {
	case s.fixed:
		defer s.written()
		return ErrReadOnly
	case s.broken != nil:
		defer s.written()
		return s.stopped()
	}
	return nil
}

func (s *Badger) stopped() error {
	return fmt.Errorf("storage: stopped after an earlier failure: %w", s.broken)
}

func (s *Badger) written() {
	s.mu.Unlock()
	s.life.RUnlock()
}

// commit ends what writer began. A failure breaks the store, because nobody knows how
// much of it is on disk.
func (s *Badger) commit(w *writer) error {
	err := w.commit()
	if err != nil {
		s.broken = err
		return err
	}
	s.waiting.clear()
	return nil
}

// Load returns everything that the block tree is built from.
func (s *Badger) Load() (*State, error) {
	if err := s.reading(); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	s.mu.Lock() // records are not read from memory
	defer s.mu.Unlock()
	if err := s.syncWaiting(); err != nil {
		return nil, err
	}
	state := &State{Tip: s.head.Hash, Sum: s.head.Sum, Clean: s.clean}
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
		return nil, fmt.Errorf("storage: load headers: %w", err)
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
	s.closed = true
	if err := s.finish(); err != nil {
		return err
	}
	s.kv.log.log.Debug("closing the database")
	if err := s.kv.log.wait(s.kv.db.Close); err != nil {
		return fmt.Errorf("storage: close the database: %w", err)
	}
	return s.lock.Close()
}

// finish writes what a start after an ordered stop finds.
func (s *Badger) finish() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil || s.fixed {
		return s.broken
	}
	if err := s.flush(); err != nil {
		return err
	}
	w := s.kv.writer()
	w.put(metaKey(metaClean), nil)
	return s.commit(w)
}

// SizeOnDisk is about how many bytes the chain takes on disk, as of the last
// minute.
func (s *Badger) SizeOnDisk() int64 {
	lsm, vlog := s.kv.db.Size()
	return lsm + vlog
}
