package batch

import (
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"

	"github.com/kapok-chain/kapok/internal/vectors"
)

// sign makes n good signatures with keys of their own.
func sign(t testing.TB, n int) []Signature {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	sigs := make([]Signature, n)
	for i := range sigs {
		var secret [32]byte
		for j := range secret {
			secret[j] = byte(rng.Uint32())
		}
		for j := range sigs[i].Message {
			sigs[i].Message[j] = byte(rng.Uint32())
		}
		key, _ := btcec.PrivKeyFromBytes(secret[:])
		sig, err := schnorr.Sign(key, sigs[i].Message[:], schnorr.FastSign())
		if err != nil {
			t.Fatal(err)
		}
		sigs[i].Key, sigs[i].Signature = [32]byte(schnorr.SerializePubKey(key.PubKey())), [64]byte(sig.Serialize())
	}
	return sigs
}

// good is btcec's verdict.
func good(s *Signature) bool {
	key, err := schnorr.ParsePubKey(s.Key[:])
	if err != nil {
		return false
	}
	sig, err := schnorr.ParseSignature(s.Signature[:])
	if new(btcec.ModNScalar).SetByteSlice(s.Signature[32:]) { // which the library overlooks
		return false
	}
	return err == nil && sig.Verify(s.Message[:], key)
}

// agree holds a signature against btcec: alone, twice, and hidden in a large batch.
func agree(t testing.TB, crowd []Signature, s Signature) (want bool) {
	t.Helper()
	secret := [32]byte{3}
	want = good(&s)
	if got := Verify([]Signature{s}, &secret); got != want {
		t.Errorf("%x alone: %v, btcec says %v", s, got, want)
	}
	if got := Verify([]Signature{s, s}, &secret); got != want {
		t.Errorf("%x twice: %v, btcec says %v", s, got, want)
	}
	if len(crowd) == 0 {
		return want
	}
	at := int(s.Signature[63]) % len(crowd)
	hidden := slices.Insert(slices.Clone(crowd), at, s)
	if got := Verify(hidden, &secret); got != want {
		t.Errorf("%x among %d: %v, btcec says %v", s, len(crowd), got, want)
	}
	return want
}

func TestVectorsBIP340(t *testing.T) {
	rows, err := csv.NewReader(bytes.NewReader(vectors.Read(t, "bip340/test-vectors.csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	crowd := sign(t, 150)
	n := 0
	for _, row := range rows[1:] {
		var fields [3][]byte
		for i, column := range []int{2, 4, 5} {
			if fields[i], err = hex.DecodeString(row[column]); err != nil {
				t.Fatal(err)
			}
		}
		if len(fields[1]) != 32 { // a transaction's messages are all of 32 bytes
			continue
		}
		n++
		s := Signature{[32]byte(fields[0]), [32]byte(fields[1]), [64]byte(fields[2])}
		if got, want := agree(t, crowd, s), row[6] == "TRUE"; got != want {
			t.Errorf("vector %s (%s): %v, want %v", row[0], row[7], got, want)
		}
	}
	vectors.Skipped(t, "bip340", len(rows)-1-n)
	vectors.Ran(t, "bip340", n)
}

// Batches of many sizes: all good, and with one that is bad wherever it stands.
func TestOneBad(t *testing.T) {
	secret := [32]byte{1}
	all := sign(t, 600)
	for _, n := range []int{0, 1, 2, 3, 10, 100, 600} {
		batch := all[:n]
		if !Verify(batch, &secret) {
			t.Fatalf("%d good ones are refused", n)
		}
		for i := 0; i < n; i += 1 + n/5 {
			for name, part := range map[string]*byte{"key": &batch[i].Key[31], "message": &batch[i].Message[0], "R": &batch[i].Signature[9], "s": &batch[i].Signature[63]} {
				*part ^= 1
				if Verify(batch, &secret) {
					t.Errorf("%d with a bad %s at %d are taken", n, name, i)
				}
				*part ^= 1
			}
		}
	}
}

// One key that signed all: its points meet in the same buckets, where they are doubled.
func TestOneKey(t *testing.T) {
	key, _ := btcec.PrivKeyFromBytes([]byte{31: 7})
	batch := make([]Signature, 1000)
	for i := range batch {
		batch[i].Message = [32]byte{byte(i), byte(i >> 8)}
		sig, err := schnorr.Sign(key, batch[i].Message[:], schnorr.FastSign())
		if err != nil {
			t.Fatal(err)
		}
		batch[i].Key, batch[i].Signature = [32]byte(schnorr.SerializePubKey(key.PubKey())), [64]byte(sig.Serialize())
	}
	for _, n := range []int{100, 400, 1000} {
		if !Verify(batch[:n], new([32]byte)) {
			t.Errorf("%d good ones are refused", n)
		}
		batch[n/2].Signature[50] ^= 1
		if Verify(batch[:n], new([32]byte)) {
			t.Errorf("%d with a bad one are taken", n)
		}
		batch[n/2].Signature[50] ^= 1
	}
}

// Two wrongs that make up for each other but for their coefficients: s one too high in
// one signature, one too low in another.
func TestWrongsThatCancel(t *testing.T) {
	one := new(btcec.ModNScalar).SetInt(1)
	batch := sign(t, 3)
	shift := func(i int, by *btcec.ModNScalar) {
		var s btcec.ModNScalar
		s.SetByteSlice(batch[i].Signature[32:])
		s.Add(by).PutBytesUnchecked(batch[i].Signature[32:])
	}
	shift(0, one)
	shift(2, one.Negate())
	if Verify(batch, new([32]byte)) {
		t.Error("they are taken")
	}
}

// What nobody signs: edges of the field and of the group, points that are not on the
// curve, nonce points that are the key or its negative.
func TestEdges(t *testing.T) {
	crowd := sign(t, 60)
	order, p := new(big.Int), new(big.Int).Set(prime)
	order.SetString("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16)
	var edges [][32]byte
	for _, base := range []*big.Int{new(big.Int), order, p, new(big.Int).Lsh(big.NewInt(1), 255), generator.x.big()} {
		for d := int64(-2); d <= 2; d++ {
			var b [32]byte
			n := new(big.Int).Add(base, big.NewInt(d))
			n.Mod(n, new(big.Int).Lsh(big.NewInt(1), 256)).FillBytes(b[:])
			edges = append(edges, b)
		}
	}
	taken := 0
	for i, x := range edges {
		for j, y := range edges {
			s := crowd[0]
			copy(s.Signature[:], x[:])
			copy(s.Signature[32:], y[:])
			few := crowd
			if (i+j)%7 != 0 {
				few = nil // alone and twice will do
			}
			agree(t, few, s)
			s.Key = x
			agree(t, few, s)
			s = crowd[1]
			s.Key = x
			copy(s.Signature[32:], y[:])
			agree(t, few, s)
		}
	}
	// s = e: R is what makes s·G − e·P infinity, or something else, for the key G.
	for _, key := range []*btcec.ModNScalar{new(btcec.ModNScalar).SetInt(1), new(btcec.ModNScalar).SetInt(1).Negate(), &lambda} {
		k, _ := btcec.PrivKeyFromBytes(scalarBytes(key))
		for _, message := range [][32]byte{{}, {1}, {2}} {
			sig, err := schnorr.Sign(k, message[:])
			if err != nil {
				t.Fatal(err)
			}
			if agree(t, crowd, Signature{[32]byte(schnorr.SerializePubKey(k.PubKey())), message, [64]byte(sig.Serialize())}) {
				taken++
			}
		}
	}
	if taken != 9 {
		t.Errorf("%d of 9 good ones are taken", taken)
	}
}

func scalarBytes(k *btcec.ModNScalar) []byte {
	b := k.Bytes()
	return b[:]
}

// Coefficients depend on everything, and none is 0.
func TestCoefficients(t *testing.T) {
	batch, secret := sign(t, 2), [32]byte{1}
	seed := seedOf(batch, &secret)
	seen := map[half]bool{}
	for i := range 1000 {
		times, a := coefficient(&seed, i)
		if seen[times] || a.IsZero() || times[2] != 0 || !times.scalar().Equals(&a) {
			t.Fatalf("coefficient %d is %x", i, times)
		}
		seen[times] = true
	}
	for name, part := range map[string]*byte{"secret": &secret[9], "key": &batch[1].Key[0], "message": &batch[0].Message[3], "signature": &batch[1].Signature[40]} {
		*part ^= 1
		if seedOf(batch, &secret) == seed {
			t.Errorf("the %s is not in the seed", name)
		}
		*part ^= 1
	}
}

// FuzzVerify: one signature, whatever it is, is judged as btcec does, also beside good
// ones.
func FuzzVerify(f *testing.F) {
	crowd := sign(f, 4)
	for _, s := range crowd {
		f.Add(s.Key[:], s.Message[:], s.Signature[:])
	}
	f.Fuzz(func(t *testing.T, key, message, signature []byte) {
		s := crowd[0]
		copy(s.Key[:], key)
		copy(s.Message[:], message)
		copy(s.Signature[:], signature)
		agree(t, crowd, s)
	})
}

func BenchmarkVerify(b *testing.B) {
	all := sign(b, 5000)
	for _, n := range []int{1, 2, 4, 8, 16, 64, 512, 2048, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var secret [32]byte
			for b.Loop() {
				if !Verify(all[:n], &secret) {
					b.Fatal("refused")
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()*1e6/float64(b.N)/float64(n), "µs/sig")
		})
	}
	b.Run("btcec", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			s := &all[i%len(all)]
			key, _ := schnorr.ParsePubKey(s.Key[:])
			sig, _ := schnorr.ParseSignature(s.Signature[:])
			if !sig.Verify(s.Message[:], key) {
				b.Fatal("refused")
			}
		}
		b.ReportMetric(b.Elapsed().Seconds()*1e6/float64(b.N), "µs/sig")
	})
}
