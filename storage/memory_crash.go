package storage

import (
	"slices"

	"github.com/kapok-chain/kapok/consensus"
)

// fresh is a header or a body that nothing synced yet: what was there before it, if
// anything.
type fresh struct {
	hash   consensus.Hash
	record *consensus.Record
	block  *consensus.Block
}

// journaled is one move of the tip, with what takes it back.
type journaled struct {
	before  head
	block   *consensus.Block
	height  uint32
	attach  bool
	spent   []consensus.CoinEntry
	created []consensus.CoinEntry
}

// Crash returns the store as the next start would find it after a kill: what
// was acknowledged is there, headers and bodies that nothing synced are not, though records and undo
// data of steps are, and the coins are those of the last flush. Called
// after Close it is an ordinary restart. The old store is closed.
func (m *Memory) Crash() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := &Memory{params: m.params, memory: m.memory}
	for _, move := range slices.Backward(m.journal) {
		next.takeBack(&move)
	}
	for _, one := range slices.Backward(m.fresh) {
		next.takeOut(&one)
	}
	next.pins, next.journal, next.fresh = make(snapshots), nil, nil
	next.clean, next.counted, next.closed = m.closed && (m.clean || m.counted), false, false
	m.closed = true
	return next
}

// takeIn notes what is there before a header or a body comes.
func (m *memory) takeIn(hash consensus.Hash) {
	before := fresh{hash: hash, block: m.blocks[hash]}
	if old, ok := m.records[hash]; ok {
		before.record = &old
	}
	m.fresh = append(m.fresh, before)
}

func (m *memory) takeOut(one *fresh) {
	delete(m.blocks, one.hash)
	delete(m.records, one.hash)
	if one.block != nil {
		m.blocks[one.hash] = one.block
	}
	if one.record != nil {
		m.records[one.hash] = *one.record
	}
}

func (m *memory) takeBack(move *journaled) {
	m.coinsMoved(move.created, move.spent)
	m.head = move.before
	switch {
	case !m.index:
	case move.attach:
		m.leave(move.block)
	default:
		m.enter(move.block, move.height)
	}
}
