package storage

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/kapok-chain/kapok/consensus"
)

func TestCoinSize(t *testing.T) {
	c := consensus.Coin{Value: 50e8, Key: testKey(1), Height: 1000, Coinbase: true}
	if n := len(encodeCoin(&c)); n != 39 {
		t.Errorf("a coin takes %d bytes, want 39", n)
	}
}

func drawHash(t *rapid.T, label string) (h consensus.Hash) {
	copy(h[:], rapid.SliceOfN(rapid.Byte(), len(h), len(h)).Draw(t, label))
	return h
}

// Whatever is written comes back.
func TestRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		op := consensus.OutPoint{TxID: drawHash(t, "txid"), Index: rapid.Uint32().Draw(t, "index")}
		if got, err := parseCoinKey(coinKey(op)); err != nil || got != op {
			t.Errorf("outpoint %v: %v, %v", op, got, err)
		}
		coin := consensus.Coin{
			Value: rapid.Int64Range(0, consensus.MaxMoney).Draw(t, "value"), Key: drawHash(t, "key"),
			Height: rapid.Uint32().Draw(t, "height"), Coinbase: rapid.Bool().Draw(t, "coinbase"),
		}
		if got, err := decodeCoin(encodeCoin(&coin)); err != nil || got != coin {
			t.Errorf("coin %v: %v, %v", coin, got, err)
		}
		entry := HistoryEntry{
			Height: rapid.Uint32().Draw(t, "height"), TxPos: rapid.Uint32().Draw(t, "pos"), N: rapid.Uint32().Draw(t, "n"),
			TxID: drawHash(t, "txid"), Spend: rapid.Bool().Draw(t, "spend"), Value: coin.Value, Coinbase: coin.Coinbase,
		}
		entry.OutPoint = consensus.OutPoint{TxID: entry.TxID, Index: entry.N}
		if entry.Spend {
			entry.OutPoint = op
		}
		if got, err := decodeEntry(historyKey(coin.Key, entry.Cursor()), encodeEntry(&entry)); err != nil || got != entry {
			t.Errorf("entry %v: %v, %v", entry, got, err)
		}
		at := place{drawHash(t, "block"), rapid.IntRange(0, math.MaxInt32).Draw(t, "pos")}
		if got, err := decodePlace(encodePlace(at)); err != nil || got != at {
			t.Errorf("place %v: %v, %v", at, got, err)
		}
		var h head
		h.point = point{at.block, entry.Height}
		h.Sum.Add(op, &coin)
		if got, to, err := decodeTip(encodeTip(h, point{op.TxID, op.Index})); err != nil || got != h || to != (point{op.TxID, op.Index}) {
			t.Errorf("tip %v: %v, %v, %v", h, got, to, err)
		}
	})
}

// Keys order as the chain does.
func TestHistoryOrder(t *testing.T) {
	cursor := rapid.Custom(func(t *rapid.T) Cursor {
		small := rapid.SampledFrom([]uint32{0, 1, 2, 255, 256, math.MaxUint32})
		return Cursor{small.Draw(t, "height"), small.Draw(t, "pos"), rapid.Bool().Draw(t, "output"), small.Draw(t, "n")}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := cursor.Draw(t, "a"), cursor.Draw(t, "b")
		byKey := bytes.Compare(historyKey(testKey(1), a), historyKey(testKey(1), b)) < 0
		if a.before(b) != byKey {
			t.Errorf("%v before %v: %v, their keys: %v", a, b, a.before(b), byKey)
		}
	})
}

// FuzzDecode feeds every decoder: whatever the disk returns, the answer is damage
// or a value, and a value is written in one way.
func FuzzDecode(f *testing.F) {
	spend := HistoryEntry{Spend: true, Value: 5, OutPoint: consensus.OutPoint{Index: 128}}
	f.Fuzz(func(t *testing.T, b []byte) {
		same := func(what string, err error, encode func() []byte) {
			t.Helper()
			if err != nil && !errors.Is(err, ErrDamaged) {
				t.Fatalf("%s: %v is no damage", what, err)
			}
			if err == nil && !bytes.Equal(encode(), b) {
				t.Fatalf("%s: %x is written as %x", what, b, encode())
			}
		}
		c, err := decodeCoin(b)
		same("coin", err, func() []byte { return encodeCoin(&c) })
		p, err := decodePlace(b)
		same("place", err, func() []byte { return encodePlace(p) })
		op, err := parseCoinKey(b)
		same("key of a coin", err, func() []byte { return coinKey(op) })
		h, to, err := decodeTip(b)
		same("tip", err, func() []byte { return encodeTip(h, to) })
		tip, moving, err := decodeIndexTip(b)
		same("tip of the index", err, func() []byte { return encodeIndexTip(tip, moving) })
		rec, err := decodeRecord(consensus.Hash{}, b)
		same("record", err, func() []byte { return encodeRecord(&rec) })
		for _, spend := range []bool{true, false} {
			key := historyKey(testKey(1), Cursor{Output: !spend})
			e, err := decodeEntry(key, b)
			same("history entry", err, func() []byte { return encodeEntry(&e) })
			if e.Spend != spend {
				t.Fatalf("an entry of a key for spends %v has %v", spend, e.Spend)
			}
		}
		if e, err := decodeEntry(b, encodeEntry(&spend)); err == nil && !bytes.Equal(historyKey([consensus.KeySize]byte(b[1:]), e.Cursor()), b) {
			t.Fatalf("the key %x became %v", b, e.Cursor())
		}
		value, err := unseal([]byte("key"), b)
		same("seal", err, func() []byte { return seal([]byte("key"), bytes.Clone(value)) })
	})
}
