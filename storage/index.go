package storage

import (
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"github.com/kapok-chain/kapok/consensus"
)

// The index follows the tip block by block, some steps behind it: a full block has
// 26,000 entries, which take as long as all else that is to be done with it. Nobody
// waits for them but whoever reads the index. It keeps its own tip and the block that is
// on its way in or out, so that a start after a kill brings both together, whatever
// happened in between.

// tipMove is one step of the tip, over the block `at`.
type tipMove struct {
	at, to point
	block  *consensus.Block
	undo   *consensus.Undo // of the block
	on     bool
}

// unindexed are the steps that the index has yet to take.
type unindexed struct {
	moves []tipMove
	bytes int // of their blocks, serialized
}

func (u *unindexed) add(m tipMove) {
	u.moves = append(u.moves, m)
	u.bytes += m.block.Size()
}

// taken forgets the first n.
func (u *unindexed) taken(n int) {
	rest := slices.Clone(u.moves[n:])
	*u = unindexed{}
	for _, m := range rest {
		u.add(m)
	}
}

// boundIndex brings the index to the tip where it is so far behind that memory, or the
// next start after a kill, would feel it.
func (s *Badger) boundIndex() error {
	s.mu.RLock()
	enough := s.unindexed.bytes <= maxWaiting && len(s.unindexed.moves) < maxUnflushed
	s.mu.RUnlock()
	if enough {
		return nil
	}
	return s.SyncIndex()
}

// SyncIndex brings the index to the tip, and holds up nobody but those who read it.
func (s *Badger) SyncIndex() error {
	if err := s.reading(); err != nil {
		return err
	}
	defer s.life.RUnlock()
	return s.syncIndex()
}

func (s *Badger) syncIndex() error {
	if !s.index {
		return nil
	}
	s.indexing.Lock()
	defer s.indexing.Unlock()
	moves, err := s.takeUnindexed()
	if err != nil || len(moves) == 0 {
		return err
	}
	w := s.kv.besideWriter()
	defer w.discard()
	for i := range moves {
		if err = s.indexMove(w, &moves[i]); err != nil {
			break
		}
	}
	if err == nil {
		err = w.commit()
	}
	if err == nil {
		err = s.afterIndex()
	}
	if err != nil { // the steps are lost, or the disk is
		s.mu.Lock()
		defer s.mu.Unlock()
		s.broken = err
	}
	return err
}

// afterIndex writes where the index is once more. Most of what is written are its entries, and
// a memtable that they filled becomes a table, 5 ms of a core for each MB, at the first
// write behind them: at this one, and not at the next block's.
func (s *Badger) afterIndex() error {
	w := s.kv.besideWriter()
	w.put(metaKey(metaIndex), encodeIndexTip(s.indexed, point{}))
	return w.commit()
}

// takeUnindexed returns the steps to take, whose blocks and undo data are on disk: after
// a kill the index is taken from step to step with them.
func (s *Badger) takeUnindexed() ([]tipMove, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.awaitIdle(); s.broken != nil {
		return nil, s.stopped()
	}
	moves := s.unindexed.moves
	if len(moves) == 0 {
		return nil, nil
	}
	if err := s.sync(); err != nil { // others may come meanwhile
		return nil, err
	}
	s.unindexed.taken(len(moves))
	return moves, nil
}

// indexMove writes a block's entries, or removes them, and moves the index. From the
// first entry to the last the block is named as the one in motion.
func (s *Badger) indexMove(w *writer, m *tipMove) error {
	ids := m.block.TxIDs()
	list, err := events(m.block, ids, m.at.Height, m.undo)
	if err != nil {
		return fmt.Errorf("storage: index of block %v: %w", m.at.Hash, err)
	}
	w.put(metaKey(metaIndex), encodeIndexTip(s.indexed, m.at))
	for pos, id := range ids {
		if key := hashKey(prefixTx, id); m.on {
			w.put(key, encodePlace(place{m.at.Hash, pos}))
		} else {
			w.del(key)
		}
	}
	for i := range list {
		entry := list[i].entry(ids, m.at.Height)
		if key := historyKey(list[i].coin.Key, entry.Cursor()); m.on {
			w.put(key, encodeEntry(&entry))
		} else {
			w.del(key)
		}
	}
	w.put(metaKey(metaIndex), encodeIndexTip(m.to, point{}))
	s.indexed = m.to
	return w.err
}

// catchUpIndex brings the index to the tip of the coins: a block in motion is
// taken out, and then the index walks the chain, from genesis when it is new.
func (s *Badger) catchUpIndex() error {
	w := s.kv.besideWriter()
	defer w.discard()
	if err := s.settleIndex(w); err != nil {
		return err
	}
	off, on, err := s.path(s.indexed, s.head.point)
	if err != nil {
		return err
	}
	for _, p := range slices.Concat(off, on) {
		if p.Height < s.pruned {
			return needsAll(s.pruned, "the index")
		}
	}
	for _, p := range off {
		if err := s.indexStored(w, p, false); err != nil {
			return err
		}
	}
	for _, p := range on {
		if err := s.indexStored(w, p, true); err != nil {
			return err
		}
	}
	return w.commit()
}

// settleIndex reads the tip of the index and takes out the block in motion.
func (s *Badger) settleIndex(w *writer) error {
	value, err := s.kv.get(metaKey(metaIndex))
	if errors.Is(err, ErrNotFound) {
		return s.indexStored(w, point{Hash: s.params.GenesisHash()}, true)
	}
	if err != nil {
		return err
	}
	tip, moving, err := decodeIndexTip(value)
	if err != nil {
		return err
	}
	s.indexed = tip
	if moving == (point{}) {
		return nil
	}
	return s.indexStored(w, moving, false)
}

// indexStored moves the index over a block that is on disk.
func (s *Badger) indexStored(w *writer, p point, on bool) error {
	body, undo, err := s.stored(p)
	if err != nil {
		return err
	}
	to := p
	if !on {
		if to, err = s.prev(p); err != nil {
			return err
		}
	}
	return s.indexMove(w, &tipMove{at: p, to: to, block: body, undo: undo, on: on})
}

// readingIndex is reading where the index is read.
func (s *Badger) readingIndex() error {
	if err := s.reading(); err != nil {
		return err
	}
	err := ErrNoIndex
	if s.index {
		err = s.syncIndex()
	}
	if err != nil {
		s.life.RUnlock()
	}
	return err
}

// TxLocation returns where a transaction of the active chain stands.
func (s *Badger) TxLocation(txid consensus.Hash) (consensus.Hash, int, error) {
	if err := s.readingIndex(); err != nil {
		return consensus.Hash{}, 0, err
	}
	defer s.life.RUnlock()
	value, err := s.kv.get(hashKey(prefixTx, txid))
	if err != nil {
		return consensus.Hash{}, 0, s.met(fmt.Errorf("storage: transaction %v: %w", txid, err))
	}
	at, err := decodePlace(value)
	return at.block, at.pos, err
}

// History returns what happened to the coins of a key.
func (s *Badger) History(key [consensus.KeySize]byte, after Cursor, limit int) ([]HistoryEntry, error) {
	if err := s.readingIndex(); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	limit = min(limit, MaxHistory)
	var list []HistoryEntry
	err := s.kv.view(func(txn *badger.Txn) error {
		return each(txn, historyPrefix(key), historyKey(key, after), func(k, value []byte) (bool, error) {
			if len(list) >= limit {
				return false, nil
			}
			entry, err := decodeEntry(k, value)
			if err == nil && after.before(entry.Cursor()) {
				list = append(list, entry)
			}
			return true, err
		})
	})
	if err != nil {
		return nil, s.met(fmt.Errorf("storage: history of key %x: %w", key, err))
	}
	return list, nil
}
