package storage

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"github.com/kapok-chain/kapok/consensus"
)

// A directory is pruned by a copy of what stays, which takes the chain's place in
// the end. Badger's own way, a collection of its value log, rewrites a file from its
// first byte on, takes a damaged entry for the end of the file, and deletes the file:
// what stood behind the entry would be gone. The copy reads by key and checks each
// seal before anything is given up.

// MinKeep is the fewest blocks that Prune keeps, as Bitcoin Core's -prune does: a
// reorganisation takes blocks off by their bodies and undo data, and two days of
// blocks at ten minutes each are more than any honest one has taken.
const MinKeep = 288

// Folders beside chainDir while one takes its place.
const (
	newChainDir = "chain.new" // being written; complete once chainDir was renamed
	oldChainDir = "chain.old" // about to be removed
)

// Pruned is what Prune did.
type Pruned struct {
	Height  uint32 // of the lowest block, beside genesis, whose body is there
	Bodies  int64  // that were removed
	Before  int64  // bytes on disk
	After   int64
	Nothing bool // there was nothing to do
}

// Prune removes the bodies and undo data of all but the last blocks (at least
// MinKeep) from a directory that nobody has open. Headers, coins and index stay.
// It needs room for what stays, and about 300 bytes of memory a header; progress,
// where it is not nil, is told of the keys copied. A kill leaves the directory as it
// was, or pruned, and the next Open tidies up. ErrDamaged where anything that stays
// cannot be read, or the coins are not those that were kept count of: blocks that
// could mend them are not given up.
func Prune(ctx context.Context, p *consensus.Params, o Options, keep uint32, progress func(done, total int64)) (r Pruned, err error) {
	if keep < MinKeep {
		return r, fmt.Errorf("storage: prune: at least %d blocks have to stay, not %d", MinKeep, keep)
	}
	o.Index, o.existing = false, true // the index stays as it is
	s, err := Open(p, o)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.lock.Close()) }()
	if err := s.catchUpAnyIndex(); err != nil {
		return r, errors.Join(err, s.closeChain())
	}
	if progress == nil {
		progress = func(int64, int64) {}
	}
	dir := filepath.Dir(s.kv.db.Opts().Dir)
	err = s.writePruned(ctx, filepath.Join(dir, newChainDir), o, keep, &r, progress)
	err = errors.Join(err, s.closeChain())
	if err != nil || r.Nothing {
		return r, errors.Join(err, os.RemoveAll(filepath.Join(dir, newChainDir)))
	}
	if err := swapIn(dir); err != nil {
		return r, err
	}
	_, r.After, err = folderSize(filepath.Join(dir, chainDir))
	return r, err
}

// catchUpAnyIndex brings an index, where there is one, to the tip: the blocks on its way
// may be about to go.
func (s *Badger) catchUpAnyIndex() (err error) {
	if s.index, err = s.kv.has(metaKey(metaIndex)); err != nil || !s.index {
		return err
	}
	return s.catchUpIndex()
}

// writePruned writes the copy, closed and synced.
func (s *Badger) writePruned(ctx context.Context, to string, o Options, keep uint32, r *Pruned, progress func(done, total int64)) error {
	found, kept, err := s.Recount(ctx)
	if err == nil && found != kept {
		err = fmt.Errorf("storage: the coins on disk are %d worth %d units, not %d worth %d: %w", found.Count, found.Value, kept.Count, kept.Value, ErrDamaged)
	}
	if err != nil {
		return err
	}
	r.Height = s.pruned
	if s.head.Height < keep || s.head.Height+1-keep <= max(s.pruned, 1) {
		r.Nothing = true
		return nil
	}
	r.Height = s.head.Height + 1 - keep
	state, err := s.Load()
	if err != nil {
		return err
	}
	gone := below(s.params.GenesisHash(), state.Records, r.Height)
	if _, r.Before, err = folderSize(s.kv.db.Opts().Dir); err != nil {
		return err
	}
	log := newBadgerLog(o.Logger)
	kv, err := openBadger(settings(to, o.Lean, log), s.params.GenesisHash().String(), log)
	if err != nil {
		return fmt.Errorf("storage: make %s: %w", to, err)
	}
	err = s.copyPruned(ctx, kv, gone, r, progress)
	if err = errors.Join(err, kv.close()); err != nil {
		return err
	}
	return syncFiles(to)
}

// below lists the blocks of a height less than the one given, genesis aside. The
// records are in order.
func below(genesis consensus.Hash, records []consensus.Record, height uint32) map[consensus.Hash]struct{} {
	heights := map[consensus.Hash]uint32{genesis: 0}
	gone := make(map[consensus.Hash]struct{})
	for i := range records {
		rec := &records[i]
		h := heights[rec.Header.Prev] + 1 // parents come before children
		heights[rec.Hash] = h
		if h < height {
			gone[rec.Hash] = struct{}{}
		}
	}
	return gone
}

// copyPruned copies what stays.
func (s *Badger) copyPruned(ctx context.Context, to *kv, gone map[consensus.Hash]struct{}, r *Pruned, progress func(done, total int64)) error {
	goes := func(key []byte) bool {
		if bytes.Equal(key, metaKey(metaCommits)) { // the copy counts its own
			return true
		}
		if key[0] != prefixBlock && key[0] != prefixUndo || len(key) != 1+consensus.HashSize {
			return false
		}
		_, ok := gone[consensus.Hash(key[1:])]
		return ok
	}
	txn := s.kv.db.NewTransaction(false)
	defer txn.Discard()
	var done, total int64
	err := eachItem(ctx, txn, nil, func(item *badger.Item) error {
		switch key := item.Key(); {
		case !goes(key):
			total++
		case key[0] == prefixBlock:
			r.Bodies++
		}
		return nil
	})
	if err != nil {
		return err
	}
	w := to.writer()
	defer func() { w.discard() }()
	err = eachItem(ctx, txn, nil, func(item *badger.Item) error {
		if goes(item.Key()) {
			return nil
		}
		key := item.KeyCopy(nil)
		sealed, err := item.ValueCopy(nil)
		if err == nil {
			sealed, err = unseal(key, sealed)
		}
		if err != nil {
			return fmt.Errorf("storage: key %x: %w", key, err)
		}
		w.put(key, sealed)
		done++
		progress(done, total)
		return w.err
	})
	if err != nil {
		return err
	}
	w.put(metaKey(metaPruned), binary.BigEndian.AppendUint32(nil, r.Height))
	w.put(metaKey(metaClean), nil)
	return w.commit()
}

// readPruned reads below which height there are no bodies.
func (s *Badger) readPruned() error {
	value, err := s.kv.get(metaKey(metaPruned))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err == nil && len(value) != 4 {
		err = ErrDamaged
	}
	if err != nil {
		return fmt.Errorf("height of the pruned blocks: %w", err)
	}
	s.pruned = binary.BigEndian.Uint32(value)
	return nil
}

// needsAll says what cannot be made without the blocks below a height.
func needsAll(height uint32, what string) error {
	return fmt.Errorf("storage: %s cannot be made anew: %w (there are none below height %d)", what, ErrPruned, height)
}

// swapIn puts the new chain in the place of the old one. finishSwap knows each state
// that a kill may leave.
func swapIn(dir string) error {
	path := func(name string) string { return filepath.Join(dir, name) }
	err := os.Rename(path(chainDir), path(oldChainDir))
	if err == nil {
		err = syncDir(dir)
	}
	if err == nil {
		err = os.Rename(path(newChainDir), path(chainDir))
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err == nil {
		err = os.RemoveAll(path(oldChainDir))
	}
	if err != nil {
		return fmt.Errorf("storage: put the pruned chain in its place: %w", err)
	}
	return nil
}

// finishSwap brings a swap that a kill cut short to its end, and removes a copy that
// is not finished. A chain that is away is whole in chain.new by then.
func finishSwap(dir string, readOnly bool) error {
	there := make(map[string]bool)
	for _, name := range []string{chainDir, newChainDir, oldChainDir} {
		_, err := os.Stat(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("storage: %w", err)
		}
		there[name] = err == nil
	}
	if readOnly {
		if there[oldChainDir] && !there[chainDir] {
			return fmt.Errorf("storage: %s: %w", dir, ErrUnclean)
		}
		return nil
	}
	var err error
	if there[oldChainDir] && !there[chainDir] {
		from := oldChainDir
		if there[newChainDir] {
			from = newChainDir
		}
		err = os.Rename(filepath.Join(dir, from), filepath.Join(dir, chainDir))
		if err == nil {
			err = syncDir(dir)
		}
	}
	for _, name := range []string{newChainDir, oldChainDir} {
		if err == nil && there[name] {
			err = os.RemoveAll(filepath.Join(dir, name))
		}
	}
	if err != nil {
		return fmt.Errorf("storage: finish an exchange of the chain: %w", err)
	}
	return nil
}

// syncFiles makes sure that a folder and its files are on disk.
func syncFiles(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if err != nil {
			break
		}
		var f *os.File
		if f, err = os.OpenFile(filepath.Join(dir, e.Name()), os.O_RDWR, 0); err == nil {
			err = errors.Join(f.Sync(), f.Close())
		}
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("storage: sync %s: %w", dir, err)
	}
	return nil
}

// Prune removes what the function Prune does: it is for tests of what is done with
// such a chain, and keeps as many blocks as it is told.
func (m *Memory) Prune(keep uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.head.Height < keep || m.head.Height+1-keep <= m.pruned {
		return
	}
	m.pruned = m.head.Height + 1 - keep
	genesis := m.params.GenesisHash()
	for hash := range below(genesis, order(genesis, slices.Collect(maps.Values(m.records))), m.pruned) {
		delete(m.blocks, hash)
		delete(m.undos, hash)
	}
}
