package p2p

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/kapok-chain/kapok/consensus"
)

// Codes of messages that do not decode, beside consensus's own.
const (
	ErrDecodeLength consensus.Code = "decode-message-length"
	ErrDecodeLimit  consensus.Code = "decode-message-limit"
	ErrDecodeIndex  consensus.Code = "decode-block-index"
)

// smallestTx is the least that a transaction takes in a list: a length byte,
// version, two empty counts and lock time.
const smallestTx = 11

// Encode returns the type byte and the message's fields. Integers are
// little-endian, counts and lengths are compact sizes.
func Encode(m Msg) []byte { return Append(nil, m) }

// Append appends to b what Encode returns. For messages that may be of megabytes it makes
// the room at once, instead of doubling b while they grow.
func Append(b []byte, m Msg) []byte {
	switch m := m.(type) {
	case *Block:
		b = slices.Grow(b, 1+m.Block.Size())
	case *BlockTxs:
		b = slices.Grow(b, 1+blockTxsSize(m))
	}
	b = append(b, byte(m.Type()))
	switch m := m.(type) {
	case *Hello:
		return appendHello(b, m)
	case *Ping:
		return binary.LittleEndian.AppendUint64(b, m.Nonce)
	case *Pong:
		return binary.LittleEndian.AppendUint64(b, m.Nonce)
	case *GetHeaders:
		return append(appendHashes(b, m.Locator), m.Stop[:]...)
	case *Headers:
		b = consensus.AppendCompactSize(b, uint64(len(m.Headers)))
		for i := range m.Headers {
			b = m.Headers[i].Append(b)
		}
		return b
	case *GetBlocks:
		return appendHashes(b, m.Hashes)
	case *Block:
		return m.Block.Append(b)
	case *NotFound:
		return appendHashes(b, m.Hashes)
	case *Tx:
		return m.Tx.Append(b)
	case *Announce:
		return appendAnnounce(b, m)
	case *GetBlockTxs:
		return appendIndexes(append(b, m.Block[:]...), m.Indexes)
	case *BlockTxs:
		return appendTxs(append(b, m.Block[:]...), m.Txs)
	case *MempoolIDs:
		return appendIDs(binary.LittleEndian.AppendUint64(b, m.Salt), m.IDs)
	case *Offer:
		return appendHashes(b, m.WTxIDs)
	case *GetTxs:
		b = appendIDs(binary.LittleEndian.AppendUint64(b, m.Salt), m.IDs)
		return appendHashes(b, m.Hashes)
	case *Peers:
		b = consensus.AppendCompactSize(b, uint64(len(m.Addrs)))
		for _, a := range m.Addrs {
			b = appendString(b, a)
		}
		return b
	}
	return b // TxsDone and Unknown have no body
}

func appendHello(b []byte, m *Hello) []byte {
	b = binary.LittleEndian.AppendUint32(b, m.Version)
	b = append(b, m.Genesis[:]...)
	b = binary.LittleEndian.AppendUint64(b, m.Nonce)
	b = append(b, m.Tip[:]...)
	b = binary.LittleEndian.AppendUint32(b, m.Height)
	for _, word := range m.Work {
		b = binary.LittleEndian.AppendUint64(b, word)
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(m.Time))
	b = appendString(b, m.Agent)
	b = appendString(b, m.Addr)
	return append(b, m.Extra...)
}

func appendAnnounce(b []byte, m *Announce) []byte {
	b = m.Header.Append(b)
	b = binary.LittleEndian.AppendUint64(b, m.Nonce)
	b = consensus.AppendCompactSize(b, uint64(len(m.ShortIDs)))
	for i := range m.ShortIDs {
		b = append(b, m.ShortIDs[i][:]...)
	}
	b = append(b, maxPrefilledTxs, 0) // one, with index 0
	return m.Coinbase.Append(b)
}

func appendString(b []byte, s string) []byte {
	return append(consensus.AppendCompactSize(b, uint64(len(s))), s...)
}

func appendHashes(b []byte, hashes []consensus.Hash) []byte {
	b = consensus.AppendCompactSize(b, uint64(len(hashes)))
	for i := range hashes {
		b = append(b, hashes[i][:]...)
	}
	return b
}

func appendIDs(b []byte, ids []uint64) []byte {
	b = consensus.AppendCompactSize(b, uint64(len(ids)))
	for _, id := range ids {
		b = binary.LittleEndian.AppendUint64(b, id)
	}
	return b
}

// appendIndexes writes BIP152's differential form: each index less the one
// before it, less one.
func appendIndexes(b []byte, indexes []uint32) []byte {
	b = consensus.AppendCompactSize(b, uint64(len(indexes)))
	next := uint32(0)
	for _, i := range indexes {
		b = consensus.AppendCompactSize(b, uint64(i-next))
		next = i + 1
	}
	return b
}

// blockTxsSize is how many bytes the fields take at the most.
func blockTxsSize(m *BlockTxs) int {
	const longestSize = 9 // of a compact size
	size := consensus.HashSize + longestSize
	for _, tx := range m.Txs {
		size += longestSize + tx.Size()
	}
	return size
}

func appendTxs(b []byte, txs []*consensus.Tx) []byte {
	b = consensus.AppendCompactSize(b, uint64(len(txs)))
	for _, tx := range txs {
		b = consensus.AppendCompactSize(b, uint64(tx.Size()))
		b = tx.Append(b)
	}
	return b
}

// Decode reads exactly one message. It accepts one encoding of each value,
// copies what it keeps, and allocates in proportion to len(b), whatever a
// count claims. Its errors are *consensus.RuleError of kind Malformed.
func Decode(b []byte) (Msg, error) {
	if len(b) == 0 || len(b) > MaxMessage {
		return nil, malformed(ErrDecodeLength, fmt.Sprintf("%d bytes, not 1 to %d", len(b), MaxMessage))
	}
	d := decoder{consensus.NewDecoder(b[1:])}
	m, err := d.message(Type(b[0]))
	if err == nil {
		err = d.Finish()
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

func malformed(code consensus.Code, detail string) error {
	return &consensus.RuleError{Code: code, Kind: consensus.Malformed, Detail: detail}
}

// decoder adds to consensus's decoder what messages have besides.
type decoder struct{ *consensus.Decoder }

// message returns consensus's own errors; the decoder's stay in d.Err.
func (d decoder) message(t Type) (Msg, error) {
	switch t {
	case TypeHello:
		return d.hello(), nil
	case TypePing:
		return &Ping{Nonce: d.Uint64()}, nil
	case TypePong:
		return &Pong{Nonce: d.Uint64()}, nil
	case TypeGetHeaders:
		return &GetHeaders{Locator: d.hashes(MaxLocator), Stop: d.hash()}, nil
	case TypeHeaders:
		return d.headers()
	case TypeGetBlocks:
		return &GetBlocks{Hashes: d.hashes(MaxGetBlocks)}, nil
	case TypeBlock:
		block, err := consensus.DecodeBlock(d.all())
		return &Block{Block: block}, err
	case TypeNotFound:
		return &NotFound{Hashes: d.hashes(MaxGetBlocks)}, nil
	case TypeTx:
		tx, err := consensus.DecodeTx(d.all())
		return &Tx{Tx: tx}, err
	case TypeAnnounce:
		return d.announce()
	case TypeGetBlockTxs:
		return &GetBlockTxs{Block: d.hash(), Indexes: d.indexes()}, nil
	case TypeBlockTxs:
		return &BlockTxs{Block: d.hash(), Txs: d.txs(MaxShortIDs)}, nil
	case TypeMempoolIDs:
		return &MempoolIDs{Salt: d.Uint64(), IDs: d.ids(MaxMempoolIDs)}, nil
	case TypeOffer:
		return &Offer{WTxIDs: d.hashes(MaxOffer)}, nil
	case TypeGetTxs:
		return &GetTxs{Salt: d.Uint64(), IDs: d.ids(MaxGetTxs), Hashes: d.hashes(MaxGetTxs)}, nil
	case TypeTxsDone:
		return &TxsDone{}, nil
	case TypePeers:
		return d.peers(), nil
	}
	d.all()
	return &Unknown{T: t}, nil
}

func (d decoder) hello() Msg {
	m := &Hello{Version: d.Uint32(), Genesis: d.hash(), Nonce: d.Uint64(), Tip: d.hash(), Height: d.Uint32()}
	for i := range m.Work {
		m.Work[i] = d.Uint64()
	}
	m.Time = int64(d.Uint64())
	m.Agent = d.string(MaxAgent)
	m.Addr = d.string(MaxAddr)
	if d.Len() > MaxHelloExtra {
		d.Fail(ErrDecodeLimit, fmt.Sprintf("%d bytes after a hello's last field, not up to %d", d.Len(), MaxHelloExtra))
	}
	m.Extra = append([]byte(nil), d.all()...)
	return m
}

func (d decoder) headers() (Msg, error) {
	m := &Headers{Headers: make([]consensus.Header, d.count(MaxHeaders, consensus.HeaderSize))}
	for i := range m.Headers {
		h, err := consensus.DecodeHeader(d.Take(consensus.HeaderSize))
		if err != nil {
			return nil, err
		}
		m.Headers[i] = h
	}
	return m, nil
}

func (d decoder) announce() (Msg, error) {
	head := d.Take(consensus.HeaderSize)
	if d.Err() != nil {
		return nil, d.Err()
	}
	h, err := consensus.DecodeHeader(head)
	if err != nil {
		return nil, err
	}
	m := &Announce{Header: h, Nonce: d.Uint64()}
	m.ShortIDs = make([]ShortID, d.count(MaxShortIDs, len(ShortID{})))
	for i := range m.ShortIDs {
		copy(m.ShortIDs[i][:], d.Take(len(ShortID{})))
	}
	if n := d.CompactSize(); d.Err() == nil && n != maxPrefilledTxs {
		d.Fail(ErrDecodeLimit, fmt.Sprintf("%d prefilled transactions, not %d", n, maxPrefilledTxs))
	}
	if i := d.CompactSize(); d.Err() == nil && i != 0 {
		d.Fail(ErrDecodeIndex, fmt.Sprintf("transaction %d is prefilled, not the coinbase", i))
	}
	if d.Err() != nil {
		return nil, d.Err()
	}
	m.Coinbase, err = consensus.DecodeTx(d.all())
	return m, err
}

func (d decoder) peers() Msg {
	m := &Peers{Addrs: make([]string, d.count(MaxPeers, 1))}
	for i := range m.Addrs {
		m.Addrs[i] = d.string(MaxAddr)
	}
	return m
}

// all takes whatever is left.
func (d decoder) all() []byte {
	return d.Take(d.Len())
}

func (d decoder) hash() (h consensus.Hash) {
	copy(h[:], d.Take(consensus.HashSize))
	return h
}

// count reads a number of items of at least size bytes each. A count over the
// limit, or one that the bytes left cannot hold, buys no memory.
func (d decoder) count(limit, size int) int {
	n := d.CompactSize()
	if n > uint64(limit) {
		d.Fail(ErrDecodeLimit, fmt.Sprintf("%d items, not up to %d", n, limit))
		return 0
	}
	if n > uint64(d.Len()/size) {
		d.Fail(consensus.ErrDecodeCount, fmt.Sprintf("%d items cannot fit into the %d bytes left", n, d.Len()))
		return 0
	}
	return int(n)
}

func (d decoder) string(limit int) string { return string(d.Take(d.count(limit, 1))) }

func (d decoder) hashes(limit int) []consensus.Hash {
	hashes := make([]consensus.Hash, d.count(limit, consensus.HashSize))
	for i := range hashes {
		hashes[i] = d.hash()
	}
	return hashes
}

func (d decoder) ids(limit int) []uint64 {
	ids := make([]uint64, d.count(limit, 8))
	for i := range ids {
		ids[i] = d.Uint64()
	}
	return ids
}

// indexes reads BIP152's differential form; the result ascends strictly.
func (d decoder) indexes() []uint32 {
	indexes := make([]uint32, d.count(MaxShortIDs, 1))
	next := uint64(0)
	for i := range indexes {
		diff := d.CompactSize()
		if d.Err() == nil && (diff > MaxShortIDs || next+diff > MaxShortIDs) {
			d.Fail(ErrDecodeIndex, fmt.Sprintf("index beyond %d", MaxShortIDs))
		}
		if d.Err() != nil {
			return nil
		}
		indexes[i] = uint32(next + diff)
		next += diff + 1
	}
	return indexes
}

func (d decoder) txs(limit int) []*consensus.Tx {
	txs := make([]*consensus.Tx, 0, d.count(limit, smallestTx))
	for range cap(txs) {
		tx, err := consensus.DecodeTx(d.Take(d.count(MaxMessage, 1)))
		if rule := consensus.AsRuleError(err); rule != nil {
			d.Fail(rule.Code, rule.Detail)
		}
		if d.Err() != nil {
			return nil
		}
		txs = append(txs, tx)
	}
	return txs
}
