package consensus

import "fmt"

// RecordFlags say what became of a block. Failed marks the block itself; that a
// block below it failed follows from the records of the ancestors.
type RecordFlags uint8

const (
	RecordHasBody   RecordFlags = 1 << iota // the body is stored
	RecordConnected                         // was once fully validated
	RecordFailed                            // was found, or declared, invalid
)

// Record is what storage keeps of a BlockIndex.
type Record struct {
	Header  Header
	Hash    Hash
	Flags   RecordFlags
	Seq     uint64 // arrival number of the body, from 1; 0 without one
	TxCount uint32
}

// Record returns what is to be kept of b.
func (t *Tree) Record(b *BlockIndex) Record {
	return Record{Header: b.Header, Hash: b.Hash, Flags: b.state, Seq: b.arrival, TxCount: b.TxCount}
}

// Restore enters a record that this tree, or one like it, made: nothing is
// judged again. Parents come before children; genesis and whatever else is
// there already stays as it is. An error is about storage: the record's parent
// is missing.
func (t *Tree) Restore(r Record) (*BlockIndex, error) {
	if b := t.blocks[r.Hash]; b != nil {
		return b, nil
	}
	parent := t.blocks[r.Header.Prev]
	if parent == nil {
		return nil, fmt.Errorf("record of block %s: its parent %s was not restored before it", r.Hash, r.Header.Prev)
	}
	b := newIndex(parent, &r.Header, r.Hash)
	b.TxCount = r.TxCount
	b.state = r.Flags
	b.failed = parent.failed || r.Flags&RecordFailed != 0
	t.insert(b)
	if b.HasBody() {
		b.arrival = r.Seq
		t.arrivals = max(t.arrivals, r.Seq)
		t.settle(b)
	}
	return b, nil
}
