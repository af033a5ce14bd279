package storage

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"sort"
	"sync"

	"github.com/kapok-chain/kapok/consensus"
)

// Memory keeps a chain in maps. It means the same as Badger in every respect:
// it refuses what Badger refuses, and Crash shows what a kill would leave.
// Blocks are held by pointer, so that many stores in one process share them.
type Memory struct {
	params *consensus.Params
	mu     sync.RWMutex
	memory
}

type memory struct {
	records map[consensus.Hash]consensus.Record
	blocks  map[consensus.Hash]*consensus.Block
	undos   map[consensus.Hash]*consensus.Undo
	coins   map[consensus.OutPoint]consensus.Coin
	head    head
	pruned  uint32 // as State.Pruned
	pins    snapshots
	journal []journaled // what Crash takes back: the moves since the last flush
	fresh   []fresh     // and the headers and bodies since the last sync

	index  bool
	places map[consensus.Hash]place
	keys   map[[consensus.KeySize]byte][]HistoryEntry

	clean   bool // as State.Clean
	counted bool // the coins, since the start
	closed  bool
}

type place struct {
	block consensus.Hash
	pos   int
}

var _ Store = (*Memory)(nil)

// OpenMemory returns a store that holds nothing but the network's genesis.
func OpenMemory(p *consensus.Params, index bool) *Memory {
	m := &Memory{params: p, memory: memory{
		pins:    make(snapshots),
		records: make(map[consensus.Hash]consensus.Record),
		blocks:  map[consensus.Hash]*consensus.Block{p.GenesisHash(): p.Genesis()},
		undos:   map[consensus.Hash]*consensus.Undo{p.GenesisHash(): {}},
		coins:   make(map[consensus.OutPoint]consensus.Coin),
		head:    head{point: point{Hash: p.GenesisHash()}},
		index:   index,
		places:  make(map[consensus.Hash]place),
		keys:    make(map[[consensus.KeySize]byte][]HistoryEntry),
		clean:   true,
	}}
	if index {
		m.enter(p.Genesis(), 0)
	}
	return m
}

// Load returns the records, the tip and its coin sum.
func (m *Memory) Load() (*State, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, ErrClosed
	}
	records := slices.SortedFunc(maps.Values(m.records), func(a, b consensus.Record) int {
		return bytes.Compare(a.Hash[:], b.Hash[:])
	})
	records, err := parentsFirst(m.params.GenesisHash(), records)
	if err != nil {
		return nil, err
	}
	return &State{Records: records, Tip: m.head.Hash, Height: m.head.Height, Sum: m.head.Sum, Pruned: m.pruned, Clean: m.clean}, nil
}

// PutHeaders takes new or changed records.
func (m *Memory) PutHeaders(records []consensus.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	for _, rec := range records {
		m.takeIn(rec.Hash)
		m.records[rec.Hash] = rec
	}
	return nil
}

// PutBlock takes a body and its record.
func (m *Memory) PutBlock(rec consensus.Record, b *consensus.Block) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	m.takeIn(rec.Hash)
	m.blocks[rec.Hash] = b
	m.records[rec.Hash] = rec
	return nil
}

// Forget removes a body.
func (m *Memory) Forget(hash consensus.Hash) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	delete(m.blocks, hash)
	m.fresh = nil
	return nil
}

// Sync makes sure that Crash leaves the headers and bodies.
func (m *Memory) Sync() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	m.fresh = nil
	return nil
}

// SyncIndex has nothing to do: the index is always at the tip.
func (m *Memory) SyncIndex() error { return nil }

// Block returns a body.
func (m *Memory) Block(hash consensus.Hash) (*consensus.Block, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, ErrClosed
	}
	b, ok := m.blocks[hash]
	if !ok {
		return nil, fmt.Errorf("block %v: %w", hash, ErrNotFound)
	}
	return b, nil
}

// RawBlock returns a serialized body.
func (m *Memory) RawBlock(hash consensus.Hash) ([]byte, error) {
	b, err := m.Block(hash)
	if err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Undo returns the coins that a block spent.
func (m *Memory) Undo(hash consensus.Hash) (*consensus.Undo, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, ErrClosed
	}
	u, ok := m.undos[hash]
	if !ok {
		return nil, fmt.Errorf("undo data of block %v: %w", hash, ErrNotFound)
	}
	return u, nil
}

// Coins returns those of the outpoints that are unspent.
func (m *Memory) Coins(outpoints []consensus.OutPoint) (map[consensus.OutPoint]consensus.Coin, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, ErrClosed
	}
	return m.pick(outpoints), nil
}

func (m *memory) pick(outpoints []consensus.OutPoint) coinSet {
	found := make(coinSet, len(outpoints))
	for _, op := range outpoints {
		if coin, ok := m.coins[op]; ok {
			found[op] = coin
		}
	}
	return found
}

// Snapshot returns the coins of this moment.
func (m *Memory) Snapshot() (Snapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrClosed
	}
	v := newPinned(m)
	m.pins[v] = struct{}{}
	return v, nil
}

func (m *Memory) coinsAt(v *pinned, outpoints []consensus.OutPoint) (coinSet, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, ErrClosed
	}
	return v.look(outpoints, func(same []consensus.OutPoint) (coinSet, error) { return m.pick(same), nil })
}

func (m *Memory) unpin(v *pinned) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.pins, v)
}

// Connect moves the tip to a child of it.
func (m *Memory) Connect(rec consensus.Record, height uint32, b *consensus.Block, d *consensus.Delta) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	if err := checkConnect(m.head.point, &rec, height, b, &d.Undo); err != nil {
		return err
	}
	if _, ok := m.blocks[rec.Hash]; !ok {
		return fmt.Errorf("storage: connect %v: its body was never stored", rec.Hash)
	}
	if _, err := events(b, b.TxIDs(), height, &d.Undo); err != nil {
		return fmt.Errorf("storage: connect %v: %w", rec.Hash, err)
	}
	m.records[rec.Hash] = rec
	m.undos[rec.Hash] = &consensus.Undo{Spent: d.Undo.Spent}
	if m.index {
		m.enter(b, height)
	}
	m.moved(point{rec.Hash, height}, journaled{
		before: m.head, block: b, height: height, attach: true, spent: d.Spent, created: d.Created,
	}, d)
	return nil
}

// Disconnect moves the tip to its parent.
func (m *Memory) Disconnect(rec consensus.Record, height uint32, b *consensus.Block, d *consensus.Delta) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	if err := checkDisconnect(m.head.point, &rec, height, b); err != nil {
		return err
	}
	m.records[rec.Hash] = rec
	if m.index {
		m.leave(b)
	}
	m.moved(point{rec.Hash, height - 1}, journaled{
		before: m.head, block: b, height: height, spent: d.Spent, created: d.Created,
	}, d)
	return nil
}

func (m *memory) moved(to point, move journaled, d *consensus.Delta) {
	m.pins.moved(d)
	m.coinsMoved(d.Spent, d.Created)
	m.head = m.head.move(to, d)
	m.journal = append(m.journal, move)
	if len(m.journal) >= maxUnflushed {
		m.journal, m.fresh = nil, nil
	}
}

func (m *memory) coinsMoved(gone, come []consensus.CoinEntry) {
	for i := range gone {
		delete(m.coins, gone[i].OutPoint)
	}
	for i := range come {
		m.coins[come[i].OutPoint] = come[i].Coin
	}
}

// enter puts a block into the index. Its undo data was checked by Connect.
func (m *memory) enter(b *consensus.Block, height uint32) {
	hash, ids := b.Hash(), b.TxIDs()
	for pos, id := range ids {
		m.places[id] = place{hash, pos}
	}
	list, _ := events(b, ids, height, m.undos[hash])
	for i := range list {
		key := list[i].coin.Key
		m.keys[key] = append(m.keys[key], list[i].entry(ids, height))
	}
}

// leave takes the last block of the chain out of the index.
func (m *memory) leave(b *consensus.Block) {
	hash, ids := b.Hash(), b.TxIDs()
	for _, id := range ids {
		delete(m.places, id)
	}
	list, _ := events(b, ids, 0, m.undos[hash])
	for i := range list {
		entries := m.keys[list[i].coin.Key]
		m.keys[list[i].coin.Key] = entries[:len(entries)-1]
	}
}

// Tip is the block that the coins belong to.
func (m *Memory) Tip() consensus.Hash {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.head.Hash
}

// Sum is the coin sum at Tip.
func (m *Memory) Sum() consensus.CoinSum {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.head.Sum
}

// ForEachCoin calls f with every coin of this moment.
func (m *Memory) ForEachCoin(f func(consensus.OutPoint, consensus.Coin) error) error {
	coins, _, err := m.snapshot()
	if err != nil {
		return err
	}
	for op, coin := range coins {
		if err := f(op, coin); err != nil {
			return err
		}
	}
	return nil
}

// Recount counts the coins anew.
func (m *Memory) Recount(context.Context) (found, kept consensus.CoinSum, err error) {
	coins, kept, err := m.snapshot()
	for op, coin := range coins {
		found.Add(op, &coin)
	}
	if err == nil && found == kept {
		m.Vouch()
	}
	return found, kept, err
}

func (m *Memory) snapshot() (map[consensus.OutPoint]consensus.Coin, consensus.CoinSum, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, consensus.CoinSum{}, ErrClosed
	}
	return maps.Clone(m.coins), m.head.Sum, nil
}

// ResetCoins takes the coins and the index back to genesis.
func (m *Memory) ResetCoins() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	if m.pruned > 0 {
		return needsAll(m.pruned, "the coins")
	}
	m.pins.reset()
	empty := OpenMemory(m.params, m.index)
	m.coins, m.places, m.keys, m.head, m.journal, m.fresh = empty.coins, empty.places, empty.keys, empty.head, nil, nil
	m.counted = true
	return nil
}

// TxLocation returns where a transaction of the active chain stands.
func (m *Memory) TxLocation(txid consensus.Hash) (consensus.Hash, int, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	switch {
	case m.closed:
		return consensus.Hash{}, 0, ErrClosed
	case !m.index:
		return consensus.Hash{}, 0, ErrNoIndex
	}
	at, ok := m.places[txid]
	if !ok {
		return consensus.Hash{}, 0, fmt.Errorf("transaction %v: %w", txid, ErrNotFound)
	}
	return at.block, at.pos, nil
}

// History returns what happened to the coins of a key.
func (m *Memory) History(key [consensus.KeySize]byte, after Cursor, limit int) ([]HistoryEntry, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	switch {
	case m.closed:
		return nil, ErrClosed
	case !m.index:
		return nil, ErrNoIndex
	}
	list := m.keys[key]
	first := sort.Search(len(list), func(i int) bool { return after.before(list[i].Cursor()) })
	n := max(0, min(limit, MaxHistory, len(list)-first))
	return slices.Clone(list[first : first+n]), nil
}

// Flush forgets how to take the last moves back.
func (m *Memory) Flush() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	m.journal, m.fresh = nil, nil
	return nil
}

// FlushWhenDue has nothing to do.
func (m *Memory) FlushWhenDue() error { return nil }

// Close flushes. A second Close does nothing.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.journal, m.fresh, m.closed = nil, nil, true
	return nil
}
