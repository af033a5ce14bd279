package consensus

import (
	"bytes"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A coin set has one sum, in whatever order its coins came and went, and Hash
// displays it most significant byte first.
func TestCoinSumAgainstBig(t *testing.T) {
	mod := new(big.Int).Lsh(big.NewInt(1), 256)
	rapid.Check(t, func(t *rapid.T) {
		var sum CoinSum
		want, value := new(big.Int), int64(0)
		coins := rapid.SliceOfN(rapid.Custom(drawEntry), 1, 20).Draw(t, "coins")
		for _, e := range coins {
			sum.Add(e.OutPoint, &e.Coin)
		}
		gone := rapid.IntRange(0, len(coins)).Draw(t, "gone")
		for _, e := range coins[:gone] {
			sum.Remove(e.OutPoint, &e.Coin)
		}
		for _, e := range coins[gone:] {
			hash := coinHash(e.OutPoint, &e.Coin)
			for i, word := range hash {
				want.Add(want, new(big.Int).Lsh(new(big.Int).SetUint64(word), uint(64*i)))
			}
			value += e.Coin.Value
		}
		want.Mod(want, mod)
		hash := sum.Hash()
		if got := new(big.Int).SetBytes(hash[:]); got.Cmp(want) != 0 || sum.Value != value || sum.Count != uint64(len(coins)-gone) {
			t.Fatalf("%d coins of %d units with sum %x, want %d of %d with %x", sum.Count, sum.Value, got, len(coins)-gone, value, want)
		}
	})
}

func drawEntry(t *rapid.T) CoinEntry {
	return CoinEntry{OutPoint{txid(rapid.Int().Draw(t, "txid")), rapid.Uint32().Draw(t, "index")}, drawCoin(t)}
}

func TestCoinComesFromItsOutput(t *testing.T) {
	out := pay(7, 3)
	coin := Coin{Value: 7, Key: publicKey(3)}
	if got := coin.TxOut(); got.Value != out.Value || !bytes.Equal(got.Script, out.Script) {
		t.Errorf("%v, want %v", got, out)
	}
}

func TestVirtualSizeIsRoundedUp(t *testing.T) {
	tx := loose(1)
	for n := range 9 { // all remainders, twice
		tx.Inputs[0].Witness = [][]byte{make([]byte, n+1)}
		// BIP141: the witness is a quarter of its size, the rest counts whole.
		bare, all := tx.StrippedSize(), tx.Size()
		want := bare + (all-bare+3)/4
		if got := tx.VSize(); got != want {
			t.Errorf("%d bytes, %d of them without witness: %d, want %d", all, bare, got, want)
		}
	}
}

func TestUint256Text(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := drawUint256(t, "n")
		text, err := n.MarshalText()
		if err != nil || len(text) != 64 || !slices.Equal(text, []byte(n.String())) {
			t.Fatalf("%s is written %s (%v)", n, text, err)
		}
		var back Uint256
		if err := back.UnmarshalText(text); err != nil || back != n {
			t.Fatalf("%s comes back as %s (%v)", n, back, err)
		}
	})
	var n Uint256
	if n.UnmarshalText([]byte("xyz")) == nil {
		t.Error("xyz is read as a number")
	}
}
