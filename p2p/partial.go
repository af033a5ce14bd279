package p2p

import (
	"errors"
	"fmt"
	"slices"

	"github.com/kapok-chain/kapok/consensus"
)

// TxRef names a transaction of the mempool.
type TxRef struct{ TxID, WTxID consensus.Hash }

// NewAnnounce is the announcement of a block, its short ids salted with nonce.
func NewAnnounce(b *consensus.Block, nonce uint64) *Announce {
	m := &Announce{Header: b.Header, Nonce: nonce, Coinbase: b.Txs[0]}
	key := blockKey(&m.Header, nonce)
	m.ShortIDs = make([]ShortID, len(b.Txs)-1)
	for i, wtxid := range b.WTxIDs()[1:] {
		m.ShortIDs[i] = key.short(wtxid)
	}
	return m
}

// Why a block cannot be put together from an announcement. None of them is
// held against anyone: short ids are not committed to by the header, and even
// honest ones may collide.
var (
	ErrShortIDTwice = errors.New("two transactions of the block have one short id")
	ErrFilled       = errors.New("the block is complete")
	ErrFillCount    = errors.New("not as many transactions as are missing")
)

// known is what the mempool has for a place in the block.
type known struct {
	at int32
	TxRef
}

// PartialBlock is a block on the way from an announcement to a body. It is
// filled once; after that it answers with an error (CVE-2024-35202).
type PartialBlock struct {
	header  consensus.Header
	nonce   uint64
	ids     []ShortID // of the announcement
	txs     []*consensus.Tx
	known   []known // ids of what the mempool gave
	missing []uint32
	filled  bool
}

// NewPartialBlock puts together what an announcement and the mempool give. An
// id that two transactions of the mempool have is left open.
func NewPartialBlock(m *Announce, pool []TxRef, find func(wtxid consensus.Hash) *consensus.Tx) (*PartialBlock, error) {
	at := make(map[ShortID]int32, len(m.ShortIDs)) // index in the block
	for i, id := range m.ShortIDs {
		if _, twice := at[id]; twice {
			return nil, fmt.Errorf("index %d: %w", i+1, ErrShortIDTwice)
		}
		at[id] = int32(i + 1)
	}
	p := &PartialBlock{header: m.Header, nonce: m.Nonce, ids: m.ShortIDs, txs: make([]*consensus.Tx, len(m.ShortIDs)+1)}
	p.txs[0] = m.Coinbase
	ambiguous := make(map[int32]bool)
	if len(at) > 0 {
		key := blockKey(&m.Header, m.Nonce)
		for _, ref := range pool {
			i, ok := at[key.short(ref.WTxID)]
			switch {
			case !ok:
			case p.txs[i] != nil:
				ambiguous[i] = true
			default:
				p.txs[i] = find(ref.WTxID)
				p.known = append(p.known, known{i, ref})
			}
		}
	}
	open := 0
	for i, tx := range p.txs {
		if tx == nil || ambiguous[int32(i)] {
			p.txs[i] = nil
			open++
		}
	}
	p.missing = make([]uint32, 0, open)
	for i, tx := range p.txs {
		if tx == nil {
			p.missing = append(p.missing, uint32(i))
		}
	}
	return p, nil
}

// of reports whether it was made of an announcement with these short ids.
func (p *PartialBlock) of(m *Announce) bool {
	return p.nonce == m.Nonce && slices.Equal(p.ids, m.ShortIDs)
}

// Missing lists the indexes to ask for, ascending.
func (p *PartialBlock) Missing() []uint32 { return p.missing }

// Fill adds the missing transactions, in the order of Missing, and returns the
// block. Whether it is the block that the header commits to is for its merkle
// root to say.
func (p *PartialBlock) Fill(txs []*consensus.Tx) (*consensus.Block, error) {
	if p.filled {
		return nil, ErrFilled
	}
	if len(txs) != len(p.missing) {
		return nil, fmt.Errorf("%d came, %d are missing: %w", len(txs), len(p.missing), ErrFillCount)
	}
	p.filled = true
	txids, wtxids := make([]consensus.Hash, len(p.txs)), make([]consensus.Hash, len(p.txs))
	for _, k := range p.known {
		txids[k.at], wtxids[k.at] = k.TxID, k.WTxID
	}
	hash := func(at uint32, tx *consensus.Tx) {
		p.txs[at], txids[at], wtxids[at] = tx, tx.TxID(), tx.WTxID()
	}
	hash(0, p.txs[0])
	for i, at := range p.missing {
		hash(at, txs[i])
	}
	return consensus.IdentifiedBlock(p.header, p.txs, txids, wtxids), nil
}
