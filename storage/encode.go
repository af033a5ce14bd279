package storage

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/kapok-chain/kapok/consensus"
)

// Keys begin with a letter that says what the value is. Numbers in keys are
// big-endian, so that the order of keys is the order of the chain.
const (
	prefixBlock   = 'b' // hash → body
	prefixUndo    = 'u' // hash → undo data
	prefixRecord  = 'h' // hash → record
	prefixCoin    = 'c' // txid, index as uvarint → coin
	prefixTx      = 't' // txid → block hash, position as uvarint
	prefixHistory = 'k' // key, height, tx position, 0 input or 1 output, n → entry
	prefixMeta    = 'm' // name → state of the store
)

const (
	sealSize   = 4                     // bytes of CRC-32C after every value
	cursorSize = 4 + 4 + 1 + 4         // bytes of a Cursor in a key
	tipSize    = 36 + 8 + 8 + 32 + 36  // bytes of a tip
	keySize    = 1 + consensus.KeySize // bytes of a history prefix
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal appends a CRC-32C of key and value to the value. Badger answers a value
// that it cannot read with an empty one and no error (iterator.go,
// yieldItemValue), and does not check small values at all once a table is open.
// Where there is room behind the value it writes there, and copies the value otherwise: one
// at a time seals a value, and whoever reads it gets none of the room (waiting.value).
func seal(key, value []byte) []byte {
	sum := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
	return binary.BigEndian.AppendUint32(value, sum)
}

// unseal checks and removes the seal.
func unseal(key, sealed []byte) ([]byte, error) {
	n := len(sealed) - sealSize
	if n < 0 {
		return nil, fmt.Errorf("the value cannot be read: %w", ErrDamaged)
	}
	sum := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, sealed[:n])
	if sum != binary.BigEndian.Uint32(sealed[n:]) {
		return nil, fmt.Errorf("the value fails its checksum: %w", ErrDamaged)
	}
	return sealed[:n], nil
}

func hashKey(prefix byte, hash consensus.Hash) []byte {
	return append([]byte{prefix}, hash[:]...)
}

func metaKey(name string) []byte { return append([]byte{prefixMeta}, name...) }

func coinKey(op consensus.OutPoint) []byte {
	key := make([]byte, 0, 1+consensus.HashSize+binary.MaxVarintLen32)
	key = append(append(key, prefixCoin), op.TxID[:]...)
	return binary.AppendUvarint(key, uint64(op.Index))
}

func parseCoinKey(key []byte) (op consensus.OutPoint, err error) {
	r := reader{rest: key}
	r.expect(prefixCoin)
	op.TxID = r.hash()
	op.Index = uint32(r.uvarint(math.MaxUint32))
	return op, r.finish("key of a coin")
}

// reader takes fields from the front of a value, each in the one form in which
// it is written. The first failure sticks.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n > len(r.rest) {
		r.bad = true
		return make([]byte, n)
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) expect(b byte) {
	if r.take(1)[0] != b {
		r.bad = true
	}
}

func (r *reader) bool() bool {
	b := r.take(1)[0]
	r.bad = r.bad || b > 1
	return b == 1
}

func (r *reader) uvarint(most uint64) uint64 {
	v, n := binary.Uvarint(r.rest)
	if r.bad || n <= 0 || v > most || n > 1 && r.rest[n-1] == 0 {
		r.bad = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) hash() consensus.Hash { return consensus.Hash(r.take(consensus.HashSize)) }

// finish fails when something was missing or is left over.
func (r *reader) finish(what string) error {
	if r.bad || len(r.rest) > 0 {
		return fmt.Errorf("%s does not decode: %w", what, ErrDamaged)
	}
	return nil
}

// A coin is its height and coinbase flag in one uvarint, its value as another,
// and its key: 38 bytes for a typical one.
func encodeCoin(c *consensus.Coin) []byte {
	b := make([]byte, 0, 2*binary.MaxVarintLen64+consensus.KeySize+sealSize)
	code := uint64(c.Height) << 1
	if c.Coinbase {
		code |= 1
	}
	b = binary.AppendUvarint(b, code)
	b = binary.AppendUvarint(b, uint64(c.Value))
	return append(b, c.Key[:]...)
}

func decodeCoin(b []byte) (consensus.Coin, error) {
	r := reader{rest: b}
	code := r.uvarint(2*math.MaxUint32 + 1)
	c := consensus.Coin{Height: uint32(code >> 1), Coinbase: code&1 == 1}
	c.Value = int64(r.uvarint(consensus.MaxMoney))
	c.Key = [consensus.KeySize]byte(r.take(consensus.KeySize))
	return c, r.finish("coin")
}

func encodeRecord(rec *consensus.Record) []byte {
	b := rec.Header.Append(nil)
	b = append(b, byte(rec.Flags))
	b = binary.AppendUvarint(b, rec.Seq)
	return binary.AppendUvarint(b, uint64(rec.TxCount))
}

func decodeRecord(hash consensus.Hash, b []byte) (rec consensus.Record, err error) {
	r := reader{rest: b}
	if rec.Header, err = consensus.DecodeHeader(r.take(consensus.HeaderSize)); err != nil {
		return rec, fmt.Errorf("record does not decode: %v: %w", err, ErrDamaged)
	}
	rec.Hash = hash
	rec.Flags = consensus.RecordFlags(r.take(1)[0])
	rec.Seq = r.uvarint(math.MaxUint64)
	rec.TxCount = uint32(r.uvarint(math.MaxUint32))
	return rec, r.finish("record")
}

func encodePoint(b []byte, p point) []byte {
	return binary.BigEndian.AppendUint32(append(b, p.Hash[:]...), p.Height)
}

func (r *reader) point() point {
	return point{Hash: r.hash(), Height: binary.BigEndian.Uint32(r.take(4))}
}

// The tip of the coins on disk, with their sum, and the tip that a flush is on
// its way to (zero when none is). It is one value, so that the end of a flush
// and its new tip cannot come apart.
func encodeTip(h head, to point) []byte {
	b := encodePoint(make([]byte, 0, tipSize+sealSize), h.point)
	b = binary.BigEndian.AppendUint64(b, h.Sum.Count)
	b = binary.BigEndian.AppendUint64(b, uint64(h.Sum.Value))
	for _, word := range h.Sum.Sum {
		b = binary.BigEndian.AppendUint64(b, word)
	}
	return encodePoint(b, to)
}

func decodeTip(b []byte) (h head, to point, err error) {
	r := reader{rest: b}
	h.point = r.point()
	h.Sum.Count = binary.BigEndian.Uint64(r.take(8))
	h.Sum.Value = int64(binary.BigEndian.Uint64(r.take(8)))
	for i := range h.Sum.Sum {
		h.Sum.Sum[i] = binary.BigEndian.Uint64(r.take(8))
	}
	to = r.point()
	return h, to, r.finish("tip")
}

// The tip of the index, and the block that is on its way in or out (zero when
// none is).
func encodeIndexTip(tip, moving point) []byte { return encodePoint(encodePoint(nil, tip), moving) }

func decodeIndexTip(value []byte) (tip, moving point, err error) {
	r := reader{rest: value}
	tip, moving = r.point(), r.point()
	return tip, moving, r.finish("tip of the index")
}

func historyPrefix(key [consensus.KeySize]byte) []byte {
	return append([]byte{prefixHistory}, key[:]...)
}

func historyKey(key [consensus.KeySize]byte, c Cursor) []byte {
	b := make([]byte, 0, keySize+cursorSize)
	b = append(append(b, prefixHistory), key[:]...)
	b = binary.BigEndian.AppendUint32(b, c.Height)
	b = binary.BigEndian.AppendUint32(b, c.TxPos)
	if c.Output {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	return binary.BigEndian.AppendUint32(b, c.N)
}

// An entry's value is a flag byte (1: coinbase), the coin's value, the txid,
// and for an input the outpoint spent.
func encodeEntry(e *HistoryEntry) []byte {
	var flags byte
	if e.Coinbase {
		flags = 1
	}
	b := binary.AppendUvarint([]byte{flags}, uint64(e.Value))
	b = append(b, e.TxID[:]...)
	if e.Spend {
		b = append(b, e.OutPoint.TxID[:]...)
		b = binary.AppendUvarint(b, uint64(e.OutPoint.Index))
	}
	return b
}

func decodeEntry(key, value []byte) (e HistoryEntry, err error) {
	k := reader{rest: key}
	k.expect(prefixHistory)
	k.take(consensus.KeySize)
	e.Height = binary.BigEndian.Uint32(k.take(4))
	e.TxPos = binary.BigEndian.Uint32(k.take(4))
	e.Spend = !k.bool()
	e.N = binary.BigEndian.Uint32(k.take(4))
	if err := k.finish("key of a history entry"); err != nil {
		return e, err
	}
	r := reader{rest: value}
	e.Coinbase = r.bool()
	e.Value = int64(r.uvarint(consensus.MaxMoney))
	e.TxID = r.hash()
	e.OutPoint = consensus.OutPoint{TxID: e.TxID, Index: e.N}
	if e.Spend {
		e.OutPoint = consensus.OutPoint{TxID: r.hash(), Index: uint32(r.uvarint(math.MaxUint32))}
	}
	return e, r.finish("history entry")
}

func encodePlace(p place) []byte {
	return binary.AppendUvarint(append([]byte(nil), p.block[:]...), uint64(p.pos))
}

func decodePlace(b []byte) (place, error) {
	r := reader{rest: b}
	p := place{block: r.hash(), pos: int(r.uvarint(math.MaxInt32))}
	return p, r.finish("transaction location")
}
