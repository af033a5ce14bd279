package storage

import (
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"github.com/kapok-chain/kapok/consensus"
)

// The index follows the tip block by block, ahead of the coins on disk. It
// keeps its own tip and the block that is on its way in or out, so that a start
// after a kill brings both together, whatever happened in between.

// indexed is a block as the index sees it.
type indexed struct {
	at     point
	txids  []consensus.Hash
	events []event
}

func newIndexed(at point, b *consensus.Block, undo *consensus.Undo) (*indexed, error) {
	ids := txids(b)
	list, err := events(b, ids, at.Height, undo)
	if err != nil {
		return nil, fmt.Errorf("block %v: %w", at.Hash, err)
	}
	return &indexed{at, ids, list}, nil
}

// indexMove writes a block's entries, or removes them, and moves the index to
// the tip `to`. From the first entry to the last the block is named as the one
// in motion.
func (s *Badger) indexMove(w sink, b *indexed, to point, on bool) {
	w.put(metaKey(metaIndex), encodeIndexTip(s.indexed, b.at))
	for pos, id := range b.txids {
		if key := hashKey(prefixTx, id); on {
			w.put(key, encodePlace(place{b.at.Hash, pos}))
		} else {
			w.del(key)
		}
	}
	for i := range b.events {
		entry := b.events[i].entry(b.txids, b.at.Height)
		if key := historyKey(b.events[i].coin.Key, entry.Cursor()); on {
			w.put(key, encodeEntry(&entry))
		} else {
			w.del(key)
		}
	}
	w.put(metaKey(metaIndex), encodeIndexTip(to, point{}))
}

// catchUpIndex brings the index to the tip of the coins: a block in motion is
// taken out, and then the index walks the chain, from genesis when it is new.
func (s *Badger) catchUpIndex() error {
	w := s.kv.writer()
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
	b, err := newIndexed(p, body, undo)
	if err != nil {
		return err
	}
	to := p
	if !on {
		if to, err = s.prev(p); err != nil {
			return err
		}
	}
	s.indexMove(w, b, to, on)
	s.indexed = to
	return w.err
}

// readingIndex is reading where the index is read, of which nothing may wait: it is not
// read from memory.
func (s *Badger) readingIndex() error {
	if err := s.reading(); err != nil {
		return err
	}
	err := ErrNoIndex
	if s.index {
		s.mu.Lock()
		err = s.syncWaiting()
		s.mu.Unlock()
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
		return consensus.Hash{}, 0, fmt.Errorf("storage: transaction %v: %w", txid, err)
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
		return nil, fmt.Errorf("storage: history of key %x: %w", key, err)
	}
	return list, nil
}
