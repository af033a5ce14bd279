package consensus

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/internal/frugal"
)

// The decoders: whatever decodes encodes to the same bytes, nothing shorter or
// longer decodes too, and no message costs more memory than it may. What the
// rules make of it is for the other targets: FuzzSpendTx, FuzzApplyBlock.

// onlyEncoding holds what was decoded from raw, encoded again, against raw.
func onlyEncoding(t *testing.T, raw, again []byte, decode func([]byte) error) {
	t.Helper()
	if !bytes.Equal(again, raw) {
		t.Fatalf("%x is encoded as %x", raw, again)
	}
	for _, n := range []int{len(raw) - 1, len(raw) / 2, int(raw[0]) % len(raw)} {
		if decode(raw[:n]) == nil {
			t.Fatalf("%x decodes, and its first %d bytes too", raw, n)
		}
	}
	if decode(append(bytes.Clone(raw), raw[0])) == nil {
		t.Fatalf("%x decodes, and with one byte more too", raw)
	}
}

// documented are the kinds that docs/protocol.md gives each code.
type documented map[Code][]Kind

var (
	protocolRow = regexp.MustCompile(`(?m)^\| [A-Z]\d+ \|.*$`)
	codeName    = regexp.MustCompile(`[a-zA-Z0-9-]+`)
	kindLetter  = regexp.MustCompile(`\b[IMTPD]\b`)
)

func readDocumented(t testing.TB) documented {
	t.Helper()
	doc, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	d := documented{}
	kinds := map[string]Kind{"I": Invalid, "M": Mutated, "T": Temporary, "P": Policy, "D": Malformed}
	for _, row := range protocolRow.FindAllString(string(doc), -1) {
		columns := strings.Split(row, "|")
		if len(columns) != 7 { // rule, what, code, kind, source
			continue
		}
		for _, code := range codeName.FindAllString(columns[3], -1) {
			for _, letter := range kindLetter.FindAllString(columns[4], -1) {
				d[Code(code)] = append(d[Code(code)], kinds[letter])
			}
		}
	}
	return d
}

// verdict fails where err is not the breach of a documented rule, of one of the
// kinds, and reports whether it is one.
func (d documented) verdict(t *testing.T, err error, kinds ...Kind) bool {
	t.Helper()
	if err == nil {
		return false
	}
	rule := AsRuleError(err)
	if rule == nil {
		t.Fatalf("%v blames us", err)
	}
	if !slices.Contains(kinds, rule.Kind) || !slices.Contains(d[rule.Code], rule.Kind) {
		t.Fatalf("%v is of kind %s; documented are %v, possible here %v", err, rule.Kind, d[rule.Code], kinds)
	}
	return true
}

// FuzzDecodeHeader also judges what decodes as a child of genesis: as it is, or
// with its place and proof of work repaired, which leads further.
func FuzzDecodeHeader(f *testing.F) {
	p, doc := Regtest(), readDocumented(f)
	genesis := p.Genesis().Header
	now := time.Unix(int64(genesis.Time), 0).Add(24 * time.Hour)
	latest := int64(genesis.Time) + 24*60*60 + p.FutureLimit
	f.Fuzz(func(t *testing.T, raw []byte, repair bool) {
		var h Header
		var err error
		frugal.Call(t, "DecodeHeader", len(raw), func() { h, err = DecodeHeader(raw) })
		if doc.verdict(t, err, Malformed) {
			return
		}
		again := h.Bytes()
		onlyEncoding(t, raw, again[:], func(b []byte) error { return second(DecodeHeader(b)) })
		if repair {
			h.Prev = p.GenesisHash()
			for tries := 0; tries < 64 && CheckPow(p, &h) != nil; tries++ {
				h.Nonce++
			}
		}
		tree := NewTree(p)
		index, err := tree.AddHeader(&h, now)
		if doc.verdict(t, err, Invalid, Temporary) {
			return
		}
		if index.Header != h || index.Height != 1 || tree.BestHeader() != index {
			t.Fatalf("%x is in the tree as %+v", raw, index)
		}
		if h.Prev != p.GenesisHash() || h.Bits != genesis.Bits || h.Time <= genesis.Time || int64(h.Time) > latest || h.Version < MinVersion {
			t.Fatalf("%+v was accepted", h)
		}
	})
}

func FuzzDecodeTx(f *testing.F) {
	tx, _ := signed(f, SigHashAll)
	f.Add(tx.Bytes())
	f.Add(tx.AppendStripped(nil))
	f.Add(coinbaseTx(7, pay(1, 1), data("text")).Bytes())
	p, doc := Regtest(), readDocumented(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		var tx *Tx
		var err error
		frugal.Call(t, "DecodeTx", len(raw), func() { tx, err = DecodeTx(raw) })
		if doc.verdict(t, err, Malformed) {
			if tx != nil {
				t.Fatalf("%v with %v", err, tx)
			}
			return
		}
		onlyEncoding(t, raw, tx.Bytes(), func(b []byte) error { return second(DecodeTx(b)) })
		stripped := tx.AppendStripped(nil)
		if tx.Size() != len(raw) || tx.StrippedSize() != len(stripped) || tx.Weight() != 3*len(stripped)+len(raw) {
			t.Fatalf("sizes %d and %d, weight %d", tx.Size(), tx.StrippedSize(), tx.Weight())
		}
		if tx.TxID() != DoubleSHA256(stripped) || tx.WTxID() != DoubleSHA256(raw) {
			t.Fatalf("txid %s, wtxid %s", tx.TxID(), tx.WTxID())
		}
		frugal.Call(t, "CheckTx", len(raw), func() { err = CheckTx(p, tx) })
		doc.verdict(t, err, Invalid)
	})
}

func FuzzDecodeBlock(f *testing.F) {
	_, b := goodBlock(f, 2)
	p, doc := Regtest(), readDocumented(f)
	f.Add(b.Bytes())
	f.Add(p.Genesis().Bytes())
	f.Fuzz(func(t *testing.T, raw []byte) {
		var b *Block
		var err error
		frugal.Call(t, "DecodeBlock", len(raw), func() { b, err = DecodeBlock(raw) })
		if doc.verdict(t, err, Malformed) {
			if b != nil {
				t.Fatalf("%v with %v", err, b)
			}
			return
		}
		onlyEncoding(t, raw, b.Bytes(), func(b []byte) error { return second(DecodeBlock(b)) })
		if b.Size() != len(raw) || b.Weight() != 3*b.StrippedSize()+len(raw) {
			t.Fatalf("size %d, weight %d of %d bytes", b.Size(), b.Weight(), len(raw))
		}
		frugal.Call(t, "CheckBlock", len(raw), func() { err = CheckBlock(p, b) })
		doc.verdict(t, err, Invalid, Mutated)
	})
}

func FuzzDecodeUndo(f *testing.F) {
	f.Add((&Undo{}).Append(nil))
	f.Add((&Undo{Spent: []Coin{{Value: 5, Key: publicKey(1), Height: 77, Coinbase: true}, {}}}).Append(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var u *Undo
		var err error
		frugal.Call(t, "DecodeUndo", len(raw), func() { u, err = DecodeUndo(raw) })
		if err != nil {
			if u != nil || AsRuleError(err) != nil {
				t.Fatalf("%v with %v", err, u)
			}
			return
		}
		onlyEncoding(t, raw, u.Append(nil), func(b []byte) error { return second(DecodeUndo(b)) })
	})
}
