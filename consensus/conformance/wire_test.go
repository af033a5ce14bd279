package conformance

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
)

// onWire is what a block or a transaction looks like on the wire (rules F1 to F6),
// written down a second time, with notes of where each count and length and each
// witness flag stands, so that a case can put something else there.
type onWire struct {
	raw    []byte
	sizes  []compactSize
	flags  []int
	marked bool // write marker and flag where there is no witness either
}

// compactSize stands before a list of things or of bytes, and says how many.
type compactSize struct {
	what    string
	at, end int
	n       uint64
	least   uint64 // bytes that each thing takes (E4); 0 for a length in bytes
}

func (w *onWire) block(b *consensus.Block) *onWire {
	header := b.Header.Bytes()
	w.raw = append(w.raw, header[:]...)
	w.size("transactions", len(b.Txs), 10)
	for _, tx := range b.Txs {
		w.tx(tx)
	}
	return w
}

func (w *onWire) tx(tx *consensus.Tx) *onWire {
	w.raw = binary.LittleEndian.AppendUint32(w.raw, tx.Version)
	witness := w.marked || tx.HasWitness()
	if witness {
		w.raw = append(w.raw, 0x00, 0x01)
		w.flags = append(w.flags, len(w.raw)-1)
	}
	w.size("inputs", len(tx.Inputs), 41)
	for _, in := range tx.Inputs {
		w.raw = append(w.raw, in.PrevOut.TxID[:]...)
		w.raw = binary.LittleEndian.AppendUint32(w.raw, in.PrevOut.Index)
		w.bytes("bytes of scriptSig", in.ScriptSig)
		w.raw = binary.LittleEndian.AppendUint32(w.raw, in.Sequence)
	}
	w.size("outputs", len(tx.Outputs), 9)
	for _, out := range tx.Outputs {
		w.raw = binary.LittleEndian.AppendUint64(w.raw, uint64(out.Value))
		w.bytes("bytes of script", out.Script)
	}
	if witness {
		for _, in := range tx.Inputs {
			w.size("witness items", len(in.Witness), 1)
			for _, item := range in.Witness {
				w.bytes("bytes of witness", item)
			}
		}
	}
	w.raw = binary.LittleEndian.AppendUint32(w.raw, tx.LockTime)
	return w
}

func (w *onWire) bytes(what string, b []byte) {
	w.size(what, len(b), 0)
	w.raw = append(w.raw, b...)
}

func (w *onWire) size(what string, n int, least uint64) {
	s := compactSize{what: what, at: len(w.raw), n: uint64(n), least: least}
	switch {
	case n <= 252:
		w.raw = append(w.raw, byte(n))
	case n <= 0xffff:
		w.raw = append(w.raw, 0xfd, byte(n), byte(n>>8))
	default:
		w.raw = append(w.raw, 0xfe, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
	}
	s.end = len(w.raw)
	w.sizes = append(w.sizes, s)
}

// with returns the bytes with something else in place of those from at to end.
func (w *onWire) with(at, end int, form []byte) []byte {
	return slices.Concat(w.raw[:at], form, w.raw[end:])
}

// longer returns the encodings of a compact size that are longer than need be.
func longer(n uint64) [][]byte {
	forms := [][]byte{binary.LittleEndian.AppendUint64([]byte{0xff}, n)}
	if n <= 0xffff {
		forms = append(forms, binary.LittleEndian.AppendUint32([]byte{0xfe}, uint32(n)))
	}
	if n <= 252 {
		forms = append(forms, binary.LittleEndian.AppendUint16([]byte{0xfd}, uint16(n)))
	}
	return forms
}

// cut says what is wrong with the first n bytes alone: the first count that says
// more than they can hold, and otherwise that they end too soon.
func (w *onWire) cut(n int) consensus.Code {
	for _, s := range w.sizes {
		if s.end <= n && s.n*s.least > uint64(n-s.end) {
			return consensus.ErrDecodeCount
		}
	}
	return consensus.ErrDecodeTruncated
}

// txReaders read a transaction from bytes: consensus itself, and the messages of
// a peer that carry one as such.
var txReaders = []struct {
	door string
	tx   func(raw []byte) error
}{
	{"DecodeTx", func(raw []byte) error { return second(consensus.DecodeTx(raw)) }},
	{"p2p", func(raw []byte) error { return second(p2p.Decode(append([]byte{byte(p2p.TypeTx)}, raw...))) }},
	{"announcement", func(raw []byte) error {
		coinbase := &consensus.Tx{} // ten bytes, and the last thing in its message
		front := p2p.Encode(&p2p.Announce{Coinbase: coinbase})
		return second(p2p.Decode(append(front[:len(front)-coinbase.Size()], raw...)))
	}},
	{"block's transactions", func(raw []byte) error {
		if len(raw) < 10 { // the message's count says more than such bytes can hold
			return second(consensus.DecodeTx(raw))
		}
		front := p2p.Encode(&p2p.BlockTxs{}) // which ends with the count, 0
		front[len(front)-1] = 1
		front = consensus.AppendCompactSize(front, uint64(len(raw)))
		return second(p2p.Decode(append(front, raw...)))
	}},
}

// malformedTx gives the bytes of what claims to be a transaction to all
// txReaders: each refuses them with this code.
func (s *stage) malformedTx(raw []byte, code consensus.Code) {
	s.t.Helper()
	s.doors["decoders"] = true
	for _, r := range txReaders {
		s.wantRule(r.door, consensus.AsRuleError(r.tx(raw)), code, consensus.Malformed)
	}
}

// wireOf is the named block on the wire, which is also how the product writes it.
func (s *stage) wireOf(name string) *onWire {
	s.t.Helper()
	w := new(onWire).block(s.Block(name))
	if got := s.Block(name).Bytes(); !bytes.Equal(got, w.raw) {
		s.t.Fatalf("%s is written as %x, not %x", name, got, w.raw)
	}
	return w
}

// reads checks that all readers read these bytes.
func (s *stage) reads(raw []byte) {
	s.t.Helper()
	for _, r := range readers {
		s.wantErr(r.door, r.block(raw), "", 0)
	}
}
