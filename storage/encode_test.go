package storage

import (
	"bytes"
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

// FuzzDecode feeds every decoder: whatever the disk returns, the answer is a
// value or an error, and what decodes encodes to something that decodes alike.
func FuzzDecode(f *testing.F) {
	coin := consensus.Coin{Value: 1, Key: testKey(2), Height: 3}
	f.Add(encodeCoin(&coin))
	f.Add(encodePlace(place{consensus.Hash{1}, 300}))
	f.Add(encodeTip(head{}, point{}))
	f.Add(encodeIndexTip(point{}, point{}))
	f.Add(encodeEntry(&HistoryEntry{Spend: true, Value: 5}))
	f.Add(coinKey(consensus.OutPoint{Index: 1 << 20}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := decodeCoin(b); err == nil {
			if again, err := decodeCoin(encodeCoin(&c)); err != nil || again != c {
				t.Errorf("coin %v became %v (%v)", c, again, err)
			}
		}
		if p, err := decodePlace(b); err == nil {
			if again, err := decodePlace(encodePlace(p)); err != nil || again != p {
				t.Errorf("place %v became %v (%v)", p, again, err)
			}
		}
		if op, err := parseCoinKey(b); err == nil {
			if again, err := parseCoinKey(coinKey(op)); err != nil || again != op {
				t.Errorf("outpoint %v became %v (%v)", op, again, err)
			}
		}
		_, _, _ = decodeTip(b)
		_, _, _ = decodeIndexTip(b)
		_, _ = decodeRecord(consensus.Hash{}, b)
		_, _ = decodeEntry(historyKey(testKey(1), Cursor{}), b)
		_, _ = decodeEntry(b, b)
		_, _ = unseal(nil, b)
	})
}
