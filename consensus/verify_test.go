package consensus

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"go.uber.org/goleak"

	"github.com/kapok-chain/kapok/consensus/batch"
)

// signed is a transaction of two inputs and two outputs with good signatures,
// and the coins that it spends.
func signed(t testing.TB, hashType byte) (*Tx, []Coin) {
	tx := loose(1, 2)
	tx.Outputs = append(tx.Outputs, pay(2_000, 3))
	tx.Inputs[1].Sequence = 7
	coins := []Coin{{Value: 3_000, Key: publicKey(1)}, {Value: 4_000, Key: publicKey(2)}}
	sign(t, tx, coins, []int{1, 2}, hashType)
	return tx, coins
}

// Cases 98 to 101: the hash types.
func TestHashTypes(t *testing.T) {
	for hashType := range 256 {
		h := byte(hashType)
		known := bytes.IndexByte([]byte{0x00, 0x01, 0x02, 0x03, 0x81, 0x82, 0x83}, h) >= 0
		if known {
			tx, coins := signed(t, h)
			wantRule(t, CheckSignatures(tx, coins), "", 0)
		}
		if !known || h == SigHashDefault { // 100: written out, the default is wrong
			tx, coins := signed(t, SigHashDefault)
			tx.Inputs[1].Witness[0] = append(tx.Inputs[1].Witness[0], h)
			wantRule(t, CheckSignatures(tx, coins), ErrSigHashType, Invalid)
			if _, err := SigHash(tx, 0, txOuts(coins), h); (AsRuleError(err) != nil) == known {
				t.Errorf("SigHash with type %#02x: %v", h, err)
			}
		}
	}
}

// Cases 98 to 109 on one input of two.
func TestSignatures(t *testing.T) {
	replace := func(at int, with string) func(*Tx, []Coin) {
		return func(tx *Tx, _ []Coin) { copy(tx.Inputs[0].Witness[0][at:], unhex(t, with)) }
	}
	witness := func(items ...[]byte) func(*Tx, []Coin) {
		return func(tx *Tx, _ []Coin) { tx.Inputs[0].Witness = items }
	}
	const (
		fieldSize  = "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFC2F"
		curveOrder = "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141"
		offCurve   = "4A298DACAE57395A15D0795DDBFD1DCB564DA82B0F269BC70A74F8220429BA1D"
	)
	cases := []struct {
		name string
		bad  func(tx *Tx, coins []Coin)
		code Code
	}{
		{"98 sig-ok-64", func(*Tx, []Coin) {}, ""},
		{"103 sig-size-63", func(tx *Tx, _ []Coin) { tx.Inputs[0].Witness[0] = tx.Inputs[0].Witness[0][:63] }, ErrSigSize},
		{"103 sig-size-66", func(tx *Tx, _ []Coin) {
			tx.Inputs[0].Witness[0] = append(tx.Inputs[0].Witness[0], 1, 1)
		}, ErrSigSize},
		{"103 sig-size-0", witness(nil), ErrSigSize},
		{"103 sig-size-1", witness([]byte{1}), ErrSigSize},
		{"104 R", func(tx *Tx, _ []Coin) { tx.Inputs[0].Witness[0][31] ^= 1 }, ErrSig},
		{"104 s", func(tx *Tx, _ []Coin) { tx.Inputs[0].Witness[0][63] ^= 1 }, ErrSig},
		{"104 key", func(_ *Tx, c []Coin) { c[0].Key = publicKey(5) }, ErrSig},
		{"104 prevout script of the other input", func(_ *Tx, c []Coin) { c[1].Key = publicKey(5) }, ErrSig},
		{"104 prevout", func(tx *Tx, _ []Coin) { tx.Inputs[0].PrevOut.Index++ }, ErrSig},
		{"104 sequence", func(tx *Tx, _ []Coin) { tx.Inputs[0].Sequence-- }, ErrSig},
		{"104 sequence of the other input", func(tx *Tx, _ []Coin) { tx.Inputs[1].Sequence-- }, ErrSig},
		{"104 lock time", func(tx *Tx, _ []Coin) { tx.LockTime++ }, ErrSig},
		{"104 version", func(tx *Tx, _ []Coin) { tx.Version++ }, ErrSig},
		{"104 output value", func(tx *Tx, _ []Coin) { tx.Outputs[1].Value++ }, ErrSig},
		{"104 output script", func(tx *Tx, _ []Coin) { tx.Outputs[1] = pay(2_000, 4) }, ErrSig},
		{"104 output added", func(tx *Tx, _ []Coin) { tx.Outputs = append(tx.Outputs, pay(1, 4)) }, ErrSig},
		{"104 inputs swapped", func(tx *Tx, c []Coin) {
			slices.Reverse(tx.Inputs)
			slices.Reverse(c)
		}, ErrSig},
		{"105 sig-amount-lie", func(_ *Tx, c []Coin) { c[0].Value-- }, ErrSig},
		{"105 of the other input", func(_ *Tx, c []Coin) { c[1].Value++ }, ErrSig},
		{"106 s is the curve order", replace(32, curveOrder), ErrSig},
		{"106 R is the field size", replace(0, fieldSize), ErrSig},
		{"106 R is not on the curve", replace(0, offCurve), ErrSig},
		{"107 sig-odd-R", func(tx *Tx, c []Coin) { oddR(t, tx, c) }, ErrSig},
		{"108 key-not-on-curve", func(_ *Tx, c []Coin) { c[0].Key = [32]byte(unhex(t, offCurve)) }, ErrSig},
		{"108 key is the field size", func(_ *Tx, c []Coin) { c[0].Key = [32]byte(unhex(t, fieldSize)) }, ErrSig},
		{"109 wit-empty", witness(), ErrWitnessItems},
		{"110 two items", func(tx *Tx, _ []Coin) {
			tx.Inputs[0].Witness = append(tx.Inputs[0].Witness, []byte{0x51})
		}, ErrWitnessItems},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tx, coins := signed(t, SigHashDefault)
			c.bad(tx, coins)
			wantRule(t, CheckSignatures(tx, coins), c.code, Invalid)
		})
	}
}

// Case 102: SIGHASH_SINGLE needs the output that it signs.
func TestSingleWithoutOutput(t *testing.T) {
	for _, hashType := range []byte{SigHashSingle, SigHashSingle | SigHashAnyOneCanPay} {
		tx, coins := signed(t, hashType)
		tx.Outputs = tx.Outputs[:1]
		tx.Inputs[0].Witness = [][]byte{signOne(t, tx, coins, 0, 1, hashType)}
		wantRule(t, CheckSignatures(tx, coins), ErrSigSingle, Invalid)
	}
}

func signOne(t testing.TB, tx *Tx, coins []Coin, input, key int, hashType byte) []byte {
	msg, err := SigHash(tx, input, txOuts(coins), hashType)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := schnorr.Sign(privateKey(key), msg[:])
	if err != nil {
		t.Fatal(err)
	}
	return append(sig.Serialize(), hashType)
}

// oddR signs input 0 without BIP340's choice of the even nonce point.
func oddR(t *testing.T, tx *Tx, coins []Coin) {
	msg, err := SigHash(tx, 0, txOuts(coins), SigHashDefault)
	if err != nil {
		t.Fatal(err)
	}
	d := privateKey(1).Key
	if privateKey(1).PubKey().Y().Bit(0) == 1 {
		d.Negate()
	}
	var k btcec.ModNScalar
	var r btcec.JacobianPoint
	for n := uint32(1); ; n++ {
		k.SetInt(n)
		btcec.ScalarBaseMultNonConst(&k, &r)
		if r.ToAffine(); r.Y.IsOdd() {
			break
		}
	}
	rx, key := *r.X.Bytes(), coins[0].Key
	challenge := TaggedHash("BIP0340/challenge", rx[:], key[:], msg[:])
	var e btcec.ModNScalar
	e.SetBytes(&challenge)
	s := e.Mul(&d).Add(&k).Bytes()
	tx.Inputs[0].Witness = [][]byte{append(rx[:], s[:]...)}
	// The equation holds but for the parity: with the other point it passes.
	k.Negate()
	e.SetBytes(&challenge)
	even := e.Mul(&d).Add(&k).Bytes()
	other := batch.Signature{Key: key, Message: msg, Signature: [64]byte(append(rx[:], even[:]...))}
	if !isGood(&other) {
		t.Fatal("the test's own signing is wrong")
	}
}

// What types other than ALL leave open may change, and nothing else.
func TestHashTypesLeaveOpen(t *testing.T) {
	cases := []struct {
		name     string
		hashType byte
		change   func(tx *Tx, c []Coin)
		code     Code
	}{
		{"NONE, outputs", SigHashNone, func(tx *Tx, _ []Coin) { tx.Outputs = tx.Outputs[:1] }, ""},
		{"NONE, other sequence", SigHashNone, func(tx *Tx, _ []Coin) { tx.Inputs[1].Sequence++ }, ErrSig},
		{"SINGLE, other output", SigHashSingle, func(tx *Tx, _ []Coin) { tx.Outputs[1].Value++ }, ""},
		{"SINGLE, own output", SigHashSingle, func(tx *Tx, _ []Coin) { tx.Outputs[0].Value++ }, ErrSig},
		{"ANYONECANPAY, other input", SigHashAll | SigHashAnyOneCanPay, func(tx *Tx, c []Coin) {
			tx.Inputs[1].PrevOut.Index, c[1].Value = 9, 1
		}, ""},
		{"ANYONECANPAY, own amount", SigHashAll | SigHashAnyOneCanPay, func(_ *Tx, c []Coin) { c[0].Value++ }, ErrSig},
		{"ANYONECANPAY, own prevout", SigHashAll | SigHashAnyOneCanPay, func(tx *Tx, _ []Coin) { tx.Inputs[0].PrevOut.Index++ }, ErrSig},
		{"ANYONECANPAY, own sequence", SigHashAll | SigHashAnyOneCanPay, func(tx *Tx, _ []Coin) { tx.Inputs[0].Sequence-- }, ErrSig},
		{"ANYONECANPAY, outputs", SigHashAll | SigHashAnyOneCanPay, func(tx *Tx, _ []Coin) { tx.Outputs[1].Value++ }, ErrSig},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tx, coins := signed(t, SigHashDefault)
			tx.Inputs[0].Witness = [][]byte{signOne(t, tx, coins, 0, 1, c.hashType)}
			c.change(tx, coins)
			tx.Inputs[1].Witness = [][]byte{signOne(t, tx, coins, 1, 2, SigHashAll)}
			wantRule(t, CheckSignatures(tx, coins), c.code, Invalid)
		})
	}
}

// Case 112, without a cache: a signature is good for its transaction and coins
// alone.
func TestSignatureElsewhere(t *testing.T) {
	tx, coins := signed(t, SigHashDefault)
	other := cloneTx(t, tx)
	other.Outputs[0].Value--
	wantRule(t, CheckSignatures(other, coins), ErrSig, Invalid)
	for i := range tx.Inputs {
		under := slices.Clone(coins)
		under[i].Value++
		wantRule(t, CheckSignatures(tx, under), ErrSig, Invalid)
	}
	wantRule(t, CheckSignatures(tx, coins), "", 0)
}

func TestCheckSignaturesMisused(t *testing.T) {
	tx, coins := signed(t, SigHashDefault)
	for name, err := range map[string]error{
		"coins":     CheckSignatures(tx, coins[:1]),
		"low input": second(SigHash(tx, -1, txOuts(coins), 0)),
		"input":     second(SigHash(tx, 2, txOuts(coins), 0)),
	} {
		if err == nil || AsRuleError(err) != nil {
			t.Errorf("%s: %v, want an error of our own", name, err)
		}
	}
}

func second[A any](_ A, err error) error { return err }

// Case 113: one bad signature among 10,000 checks, on any number of threads,
// gives the same answer, and no worker outlives the call.
func TestVerifier(t *testing.T) {
	defer goleak.VerifyNone(t)
	good, coins := signed(t, SigHashDefault)
	badSize, badSig := cloneTx(t, good), cloneTx(t, good)
	badSize.Inputs[1].Witness[0] = []byte{1}
	badSig.Inputs[1].Witness[0][40] ^= 1
	for _, workers := range []int{0, 1, 2, 8} {
		t.Run(fmt.Sprint(workers), func(t *testing.T) {
			v := Verifier{Workers: workers}
			wantRule(t, v.Verify(nil), "", 0)
			checks := slices.Repeat([]SigCheck{{good, coins}}, 40)
			wantRule(t, v.Verify(checks), "", 0)
			checks = slices.Repeat(checks, 250)
			checks[20].Tx, checks[21].Tx, checks[9_000].Tx = badSig, badSize, badSize
			for range 2 {
				wantRule(t, v.Verify(checks), ErrSig, Invalid)
			}
			checks[20].Tx = good
			wantRule(t, v.Verify(checks), ErrSigSize, Invalid)
			checks[3].Coins = nil
			if err := v.Verify(checks); err == nil || AsRuleError(err) != nil {
				t.Errorf("coins forgotten: %v, want an error of our own", err)
			}
		})
	}
}

// One bad signature among many good ones is found wherever it is, also in a transaction
// that is a batch by itself, and a bad form before it or behind it changes nothing else.
func TestFirstBad(t *testing.T) {
	one, coins := signed(t, SigHashDefault)
	big := cloneTx(t, one)
	bigCoins := slices.Clone(coins)
	for range 29 {
		big.Inputs, bigCoins = append(big.Inputs, one.Inputs...), append(bigCoins, coins...)
	}
	for i := range big.Inputs {
		big.Inputs[i].PrevOut.Index = uint32(i)
	}
	keys := make([]int, len(big.Inputs))
	for i := range keys {
		keys[i] = 1 + i%2
	}
	sign(t, big, bigCoins, keys, SigHashDefault)
	var checks []SigCheck
	for i := range 60 {
		if checks = append(checks, SigCheck{one, coins}); i == 40 {
			checks = append(checks, SigCheck{big, bigCoins})
		}
	}
	for _, workers := range []int{1, 2, 3} {
		v := Verifier{Workers: workers, Secret: [32]byte{7}}
		wantRule(t, v.Verify(checks), "", 0)
		for _, at := range []int{0, 1, 29, 30, 41, 60} {
			for _, input := range []int{0, 1, len(checks[at].Tx.Inputs) - 1} {
				bad := slices.Clone(checks)
				bad[at].Tx = cloneTx(t, bad[at].Tx)
				bad[at].Tx.Inputs[input].Witness[0][40] ^= 1
				err := v.Verify(bad)
				wantRule(t, err, ErrSig, Invalid)
				if want := CheckSignatures(bad[at].Tx, bad[at].Coins); err.Error() != want.Error() {
					t.Errorf("%d workers, check %d, input %d: %v, want %v", workers, at, input, err, want)
				}
				formless := cloneTx(t, one)
				formless.Inputs[1].Witness[0] = []byte{1}
				if at < 60 {
					bad[60].Tx = formless
					wantRule(t, v.Verify(bad), ErrSig, Invalid)
				}
				if at > 0 {
					bad[at-1].Tx, bad[at-1].Coins = formless, coins
					wantRule(t, v.Verify(bad), ErrSigSize, Invalid)
				}
			}
		}
	}
}

// Pieces are of the sizes that they may have, as many for each worker, and all are
// looked at.
func TestPieces(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 9, 100, 4096, 4097, 8192, 8193, 50_000} {
		for _, workers := range []int{0, 1, 2, 3, 8} {
			var mu sync.Mutex
			looked, pieces := 0, 0
			got := Verifier{Workers: workers}.first(n, minBatch, maxBatch, func(from, to int) int {
				mu.Lock()
				defer mu.Unlock()
				if size := to - from; size > maxBatch || size < minBatch && to != n {
					t.Errorf("%d on %d: a piece from %d to %d", n, workers, from, to)
				}
				looked, pieces = looked+to-from, pieces+1
				return to
			})
			if all := max(1, workers); got != n || looked != n || n > all*minBatch && pieces < all {
				t.Errorf("%d on %d: %d, %d looked at in %d pieces", n, workers, got, looked, pieces)
			}
			if n > 5 {
				if got := (Verifier{Workers: workers}).first(n, 1, 3, func(from, to int) int {
					for i := from; i < to; i++ {
						if i == 5 || i == n-1 {
							return i
						}
					}
					return to
				}); got != min(5, n-1) {
					t.Errorf("%d on %d: the first bad one is %d", n, workers, got)
				}
			}
		}
	}
}

// In a block a bad signature is found after the commitment was right: Invalid.
func TestBadSignatureInBlock(t *testing.T) {
	s, b := goodBlock(t, 5)
	b.Txs[3].Inputs[0].Witness[0][20] ^= 1
	s.want(recommit(b), ErrSig, Invalid)
	s, b = goodBlock(t, 5)
	b.Txs[3].Inputs[0].Witness = nil
	s.want(recommit(b), ErrWitnessItems, Invalid)
}
