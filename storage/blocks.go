package storage

import (
	"errors"
	"fmt"

	"github.com/kapok-chain/kapok/consensus"
)

// PutHeaders takes new or changed records. A kill may leave some of them: each stands for
// itself.
func (s *Badger) PutHeaders(records []consensus.Record) error {
	if err := s.taking(); err != nil {
		return err
	}
	defer s.written()
	for i := range records {
		s.waiting.put(hashKey(prefixRecord, records[i].Hash), encodeRecord(&records[i]))
	}
	return s.syncMany()
}

// PutBlock takes a body and its record, the body first, so that no record promises one
// that is not there.
func (s *Badger) PutBlock(rec consensus.Record, b *consensus.Block) error {
	if err := s.taking(); err != nil {
		return err
	}
	defer s.written()
	s.waiting.putBlock(rec.Hash, b)
	s.waiting.put(hashKey(prefixRecord, rec.Hash), encodeRecord(&rec))
	return s.syncMany()
}

// Forget removes a body that cannot be read. What is missing is met again by whoever asks
// for it, so that the next start looks for it, too.
func (s *Badger) Forget(hash consensus.Hash) error {
	if err := s.SyncIndex(); err != nil { // which may have to pass by this body
		return err
	}
	if err := s.writing(); err != nil {
		return err
	}
	defer s.written()
	w := s.writer()
	w.del(hashKey(prefixBlock, hash))
	s.damage.Store(true)
	w.put(metaKey(metaSuspect), nil)
	return s.commit(w)
}

// Sync writes what PutHeaders, PutBlock, Connect and Disconnect took.
func (s *Badger) Sync() error {
	if err := s.writing(); err != nil {
		return err
	}
	defer s.written()
	return s.sync()
}

// sync is Sync for whoever holds the locks, and has waited for others to be idle. It lets
// go of mu while the disk is at work.
func (s *Badger) sync() error {
	if len(s.waiting.list) == 0 {
		return nil
	}
	return s.write(func(*writer) {})
}

// write is sync and more. What it writes of the store nobody changes meanwhile.
func (s *Badger) write(more func(*writer)) error {
	batch := s.waiting.list
	s.syncing = true
	s.mu.Unlock()
	w := s.kv.writer()
	w.putAll(batch)
	more(w)
	err := w.commit()
	s.mu.Lock()
	s.syncing = false
	s.idle.Broadcast()
	if err != nil {
		s.broken = err
		return err
	}
	s.waiting.written(len(batch))
	return nil
}

// syncMany is sync where too much waits.
func (s *Badger) syncMany() error {
	if s.waiting.bytes <= maxWaiting {
		return nil
	}
	if s.awaitIdle(); s.broken != nil {
		return s.stopped()
	}
	if s.waiting.bytes <= maxWaiting { // somebody else's sync took it along
		return nil
	}
	return s.sync()
}

// syncWaiting is sync for a reader, who may be the first to find the disk broken.
func (s *Badger) syncWaiting() error {
	for len(s.waiting.list) > 0 {
		if s.broken != nil {
			return s.stopped()
		}
		if err := s.sync(); err != nil {
			return err
		}
	}
	return nil
}

// writer begins a write with what waits for one.
func (s *Badger) writer() *writer {
	w := s.kv.writer()
	w.putAll(s.waiting.list)
	return w
}

// get reads a body, undo data or a record.
func (s *Badger) get(key []byte) ([]byte, error) {
	if value := s.waiting.get(key); value != nil {
		return value, nil
	}
	return s.kv.get(key)
}

// Block returns a body, checked against its own hash. Nobody changes it: it may be the
// one that was put.
func (s *Badger) Block(hash consensus.Hash) (*consensus.Block, error) {
	_, b, err := s.body(hash)
	return b, err
}

// RawBlock returns the same as bytes.
func (s *Badger) RawBlock(hash consensus.Hash) ([]byte, error) {
	raw, _, err := s.body(hash)
	return raw, err
}

func (s *Badger) body(hash consensus.Hash) ([]byte, *consensus.Block, error) {
	if err := s.reading(); err != nil {
		return nil, nil, err
	}
	defer s.life.RUnlock()
	if raw, b := s.waiting.body(hash); b != nil {
		return raw, b, nil
	}
	raw, b, err := s.readBody(hash)
	if err != nil {
		return nil, nil, s.missed(hash, consensus.RecordHasBody, fmt.Errorf("storage: body of block %v: %w", hash, err))
	}
	return raw, b, nil
}

// hasBody reports whether a body was put, without reading it.
func (s *Badger) hasBody(hash consensus.Hash) (bool, error) {
	key := hashKey(prefixBlock, hash)
	if s.waiting.get(key) != nil {
		return true, nil
	}
	return s.kv.has(key)
}

// readBody reads a body and makes sure that it is the one of that hash: the
// header hashes to it, and the transactions to the header's merkle root. The
// seal covers the witnesses.
func (s *Badger) readBody(hash consensus.Hash) ([]byte, *consensus.Block, error) {
	raw, err := s.get(hashKey(prefixBlock, hash))
	if err != nil {
		return nil, nil, err
	}
	b, err := consensus.DecodeBlock(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("it does not decode (%v): %w", err, ErrDamaged)
	}
	if got := b.Hash(); got != hash {
		return nil, nil, fmt.Errorf("the disk returned block %v: %w", got, ErrDamaged)
	}
	if root, _ := consensus.MerkleRoot(b.TxIDs()); root != b.Header.MerkleRoot {
		return nil, nil, fmt.Errorf("the transactions do not match the header: %w", ErrDamaged)
	}
	return raw, b, nil
}

// Undo returns the coins that a connected block spent.
func (s *Badger) Undo(hash consensus.Hash) (*consensus.Undo, error) {
	if err := s.reading(); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	u, err := s.readUndo(hash)
	return u, s.missed(hash, consensus.RecordConnected, err)
}

// missed is met for what a block's record may promise: then it is damage that it is not
// there, though the answer is the same.
func (s *Badger) missed(hash consensus.Hash, flag consensus.RecordFlags, err error) error {
	if errors.Is(err, ErrNotFound) && s.pruned == 0 { // else it may have been pruned
		raw, failed := s.get(hashKey(prefixRecord, hash))
		if failed == nil {
			var rec consensus.Record
			rec, failed = decodeRecord(hash, raw)
			if rec.Flags&flag != 0 {
				s.damage.Store(true)
			}
		}
		_ = s.met(failed)
	}
	return s.met(err)
}

func (s *Badger) readUndo(hash consensus.Hash) (*consensus.Undo, error) {
	raw, err := s.get(hashKey(prefixUndo, hash))
	if err != nil {
		return nil, fmt.Errorf("storage: undo data of block %v: %w", hash, err)
	}
	u, err := consensus.DecodeUndo(raw)
	if err != nil {
		return nil, fmt.Errorf("storage: undo data of block %v: %v: %w", hash, err, ErrDamaged)
	}
	return u, nil
}

// prev is the parent of a block whose header is stored.
func (s *Badger) prev(p point) (point, error) {
	raw, err := s.get(hashKey(prefixRecord, p.Hash))
	if err == nil && p.Height == 0 {
		err = errors.New("it stands at height 0 and is not genesis")
	}
	if err != nil {
		return point{}, fmt.Errorf("header of block %v: %w", p.Hash, damaged(err))
	}
	rec, err := decodeRecord(p.Hash, raw)
	return point{rec.Header.Prev, p.Height - 1}, err
}

// path returns the blocks between two tips: those to take off, from the tip
// downwards, and those to put on, upwards.
func (s *Badger) path(from, to point) (off, on []point, err error) {
	var down []point // from `to` to the fork
	for from != to {
		if from.Height >= to.Height {
			off = append(off, from)
			if from, err = s.prev(from); err != nil {
				return nil, nil, err
			}
			continue
		}
		down = append(down, to)
		if to, err = s.prev(to); err != nil {
			return nil, nil, err
		}
	}
	for i := len(down) - 1; i >= 0; i-- {
		on = append(on, down[i])
	}
	return off, on, nil
}

// stored returns a block of the path with its undo data.
func (s *Badger) stored(p point) (*consensus.Block, *consensus.Undo, error) {
	_, b, err := s.readBody(p.Hash)
	if err != nil {
		return nil, nil, fmt.Errorf("body of block %v: %w", p.Hash, damaged(err))
	}
	u, err := s.readUndo(p.Hash)
	return b, u, damaged(err)
}
