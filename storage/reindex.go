package storage

import (
	"context"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/kapok-chain/kapok/consensus"
)

// reindex is recover where all that follows from the bodies is made anew:
//
//	metaReset      put first: an ordinary Open after a kill starts at genesis, too
//	records        what they say of bodies is what is there; none is judged yet
//	metaReindex    put with the last record: from here on a kill costs nothing
//	coins, index   dropped, as by ResetCoins; metaReset goes
//
// Neither records nor coins nor index are believed, so that any damage of theirs
// that lets Badger open ends here.
func (s *Badger) reindex(restart bool) error {
	fresh, err := s.checkGenesis()
	if err == nil && fresh {
		err = fmt.Errorf("there is none yet: %w", ErrNotFound)
	}
	if err == nil {
		err = s.readPruned()
	}
	if err == nil && s.pruned > 0 {
		err = needsAll(s.pruned, "the coins")
	}
	if err != nil {
		return err
	}
	begun, err := s.kv.has(metaKey(metaReindex))
	if err != nil {
		return err
	}
	if s.clean, err = s.kv.has(metaKey(metaClean)); err != nil {
		return err
	}
	w := s.kv.writer()
	s.damage.Store(s.kv.partial)
	s.disclaim(w)
	if err := w.commit(); err != nil {
		return err
	}
	if begun && !restart {
		if err := s.recoverCoins(); !errors.Is(err, ErrDamaged) {
			s.resumed = err == nil
			return err
		}
	}
	w = s.kv.writer()
	w.del(metaKey(metaReindex))
	w.put(metaKey(metaReset), nil)
	if err := w.commit(); err != nil {
		return err
	}
	if err := s.remakeRecords(); err != nil {
		return fmt.Errorf("make the records anew: %w", err)
	}
	return s.reset()
}

// Resumed reports whether Options.Reindex went on with what a kill had cut short.
func (s *Badger) Resumed() bool { return s.resumed }

// EndReindex says that the coins reached as far as the bodies lead. They are counted:
// some may be those of an earlier run, which was killed.
func (s *Badger) EndReindex() error {
	found, kept, err := s.Recount(context.Background())
	if err == nil && found != kept {
		err = fmt.Errorf("storage: the coins on disk are not those that were kept count of: %w", ErrDamaged)
	}
	if err != nil {
		return err
	}
	if err := s.writing(); err != nil {
		return err
	}
	defer s.written()
	if err := s.flush(); err != nil {
		return err
	}
	w := s.writer()
	w.del(metaKey(metaReindex))
	return s.commit(w)
}

// remaking is the work on records: one for each header that leads to genesis,
// whether its own record can be read or is in its body alone.
type remaking struct {
	bodies  map[consensus.Hash]bool // true: its record was read
	records map[consensus.Hash]*consensus.Record
	seq     uint64 // highest arrival number
}

// remakeRecords writes records that say which bodies there are, and nothing that was
// found out about them. What cannot be read, or leads nowhere, is removed.
func (s *Badger) remakeRecords() error {
	m := remaking{bodies: make(map[consensus.Hash]bool), records: make(map[consensus.Hash]*consensus.Record)}
	w := s.kv.writer()
	defer func() { w.discard() }()
	err := s.kv.view(func(txn *badger.Txn) error {
		err := eachItem(context.Background(), txn, []byte{prefixBlock}, func(item *badger.Item) error {
			if key := item.Key(); len(key) == 1+consensus.HashSize {
				m.bodies[consensus.Hash(key[1:])] = false
			}
			return nil
		})
		if err != nil {
			return err
		}
		return eachItem(context.Background(), txn, []byte{prefixRecord}, func(item *badger.Item) error {
			return m.readRecord(w, item)
		})
	})
	if err != nil {
		return err
	}
	if err := s.recordsOfBodies(w, &m); err != nil {
		return err
	}
	records := make([]consensus.Record, 0, len(m.records))
	for _, rec := range m.records {
		records = append(records, *rec)
	}
	for _, rec := range lost(s.params.GenesisHash(), records) {
		w.del(hashKey(prefixRecord, rec))
	}
	s.putGenesis(w)
	w.put(metaKey(metaReindex), nil)
	return w.commit()
}

// readRecord takes a record that is there.
func (m *remaking) readRecord(w *writer, item *badger.Item) error {
	key := item.KeyCopy(nil)
	sealed, err := item.ValueCopy(nil)
	if err != nil {
		return err
	}
	value, err := unseal(key, sealed)
	var rec consensus.Record
	if err == nil && len(key) == 1+consensus.HashSize {
		rec, err = decodeRecord(consensus.Hash(key[1:]), value)
	}
	if err != nil || rec.Header.Hash() != rec.Hash {
		w.del(key)
		return w.err
	}
	anew := rec
	anew.Flags = 0
	if _, stored := m.bodies[rec.Hash]; stored && rec.Seq > 0 {
		m.bodies[rec.Hash] = true
		anew.Flags = consensus.RecordHasBody
	} else {
		anew.Seq, anew.TxCount = 0, 0
	}
	m.seq = max(m.seq, anew.Seq)
	m.records[rec.Hash] = &anew
	if anew != rec {
		w.put(key, encodeRecord(&anew))
	}
	return w.err
}

// recordsOfBodies makes records for the bodies that no record is of.
func (s *Badger) recordsOfBodies(w *writer, m *remaking) error {
	for hash, known := range m.bodies {
		if known || hash == s.params.GenesisHash() {
			continue
		}
		_, b, err := s.readBody(hash)
		if errors.Is(err, ErrDamaged) {
			w.del(hashKey(prefixBlock, hash))
			continue
		}
		if err != nil {
			return fmt.Errorf("body of block %v: %w", hash, err)
		}
		m.seq++
		rec := consensus.Record{Header: b.Header, Hash: hash, Flags: consensus.RecordHasBody, Seq: m.seq, TxCount: uint32(len(b.Txs))}
		m.records[hash] = &rec
		w.put(hashKey(prefixRecord, hash), encodeRecord(&rec))
	}
	return w.err
}

// lost lists the records that do not lead to genesis.
func lost(genesis consensus.Hash, records []consensus.Record) (hashes []consensus.Hash) {
	leads := make(map[consensus.Hash]bool, len(records))
	for _, rec := range order(genesis, records) {
		leads[rec.Hash] = true
	}
	for i := range records {
		if hash := records[i].Hash; !leads[hash] && hash != genesis {
			hashes = append(hashes, hash)
		}
	}
	return hashes
}
