package consensus

import (
	"encoding/binary"
	"fmt"
)

// HeaderSize is the length of a serialized header in bytes.
const HeaderSize = 80

// Header is Bitcoin's 80-byte block header.
type Header struct {
	Version    int32
	Prev       Hash
	MerkleRoot Hash
	Time       uint32 // Unix seconds
	Bits       uint32 // compact target
	Nonce      uint32
}

// Append appends the 80 serialized bytes to b.
func (h *Header) Append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(h.Version))
	b = append(b, h.Prev[:]...)
	b = append(b, h.MerkleRoot[:]...)
	b = binary.LittleEndian.AppendUint32(b, h.Time)
	b = binary.LittleEndian.AppendUint32(b, h.Bits)
	return binary.LittleEndian.AppendUint32(b, h.Nonce)
}

// Bytes returns the serialized header.
func (h *Header) Bytes() [HeaderSize]byte {
	var b [HeaderSize]byte
	h.Append(b[:0])
	return b
}

// Hash is the block's hash: the double SHA-256 of its header.
func (h *Header) Hash() Hash {
	b := h.Bytes()
	return DoubleSHA256(b[:])
}

// DecodeHeader reads exactly 80 bytes.
func DecodeHeader(b []byte) (Header, error) {
	if len(b) < HeaderSize {
		return Header{}, malformed(ErrDecodeTruncated, fmt.Sprintf("a header has %d bytes, not %d", HeaderSize, len(b)))
	}
	if len(b) > HeaderSize {
		return Header{}, malformed(ErrDecodeTrailing, fmt.Sprintf("a header has %d bytes, not %d", HeaderSize, len(b)))
	}
	return Header{
		Version:    int32(binary.LittleEndian.Uint32(b[0:4])),
		Prev:       Hash(b[4:36]),
		MerkleRoot: Hash(b[36:68]),
		Time:       binary.LittleEndian.Uint32(b[68:72]),
		Bits:       binary.LittleEndian.Uint32(b[72:76]),
		Nonce:      binary.LittleEndian.Uint32(b[76:80]),
	}, nil
}

// Block is a header with its transactions, the coinbase first.
type Block struct {
	Header Header
	Txs    []*Tx

	ids *blockIDs // nil: hashed anew for whoever asks
}

// blockIDs are the ids of a block's transactions, in its order.
type blockIDs struct{ txids, wtxids []Hash }

// Identified returns the block with the ids of its transactions at hand, which are
// asked for half a dozen times on its way: by the Merkle root, the witness commitment,
// what it spends and creates, the mempool, the announcement. The transactions are
// shared, and must not be changed any more.
func (b *Block) Identified() *Block {
	if b.ids != nil {
		return b
	}
	return IdentifiedBlock(b.Header, b.Txs, b.TxIDs(), b.WTxIDs())
}

// IdentifiedBlock makes a block of transactions whose ids are known. Nothing checks
// them: they are what TxID and WTxID return.
func IdentifiedBlock(h Header, txs []*Tx, txids, wtxids []Hash) *Block {
	return &Block{Header: h, Txs: txs, ids: &blockIDs{txids, wtxids}}
}

// TxIDs are the txids, in the block's order; they are only read.
func (b *Block) TxIDs() []Hash {
	if b.ids != nil {
		return b.ids.txids
	}
	ids := make([]Hash, len(b.Txs))
	for i, tx := range b.Txs {
		ids[i] = tx.TxID()
	}
	return ids
}

// WTxIDs are the wtxids, in the block's order; they are only read.
func (b *Block) WTxIDs() []Hash {
	if b.ids != nil {
		return b.ids.wtxids
	}
	ids := make([]Hash, len(b.Txs))
	for i, tx := range b.Txs {
		ids[i] = tx.WTxID()
	}
	return ids
}

// Hash is the hash of the block's header.
func (b *Block) Hash() Hash { return b.Header.Hash() }

// Weight is BIP141's, in weight units.
func (b *Block) Weight() int { return (WitnessScale-1)*b.StrippedSize() + b.Size() }
