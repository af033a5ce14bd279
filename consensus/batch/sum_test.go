package batch

import (
	"math/big"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"pgregory.net/rapid"
)

// multiple is k·G, by btcec; k is not 0.
func multiple(k *btcec.ModNScalar) affine {
	var j btcec.JacobianPoint
	btcec.ScalarBaseMultNonConst(k, &j)
	j.ToAffine()
	var p affine
	p.x.setBytes(j.X.Bytes())
	p.y.setBytes(j.Y.Bytes())
	return p
}

// drawScalar prefers what is small, and what is close to the group's order.
func drawScalar(t *rapid.T, label string) (k btcec.ModNScalar) {
	switch rapid.IntRange(0, 3).Draw(t, label+" kind") {
	case 0:
		k.SetInt(rapid.Uint32Range(0, 20).Draw(t, label))
	case 1:
		k.SetInt(rapid.Uint32Range(0, 20).Draw(t, label)).Negate()
	case 2:
		k = lambda
		k.Add(new(btcec.ModNScalar).SetInt(rapid.Uint32Range(0, 3).Draw(t, label)))
	default:
		k.SetByteSlice(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, label))
	}
	return k
}

func (h *half) scalar() *btcec.ModNScalar {
	b := new(big.Int)
	for i := len(h) - 1; i >= 0; i-- {
		b.Add(b.Lsh(b, 64), new(big.Int).SetUint64(h[i]))
	}
	k := new(btcec.ModNScalar)
	k.SetByteSlice(b.Bytes())
	return k
}

// The two halves make the whole, and are short.
func TestSplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := drawScalar(t, "k")
		k1, k2, negate1, negate2 := split(&k)
		first, second := k1.scalar(), k2.scalar()
		if negate1 {
			first.Negate()
		}
		if negate2 {
			second.Negate()
		}
		if got := second.Mul(&lambda).Add(first); !got.Equals(&k) {
			t.Fatalf("%v is split into %x and %x", k, k1, k2)
		}
		if k1[2] > 1 || k2[2] > 1 {
			t.Fatalf("%x and %x have more than %d bits", k1, k2, multiplierBits)
		}
	})
}

// Lambda times a point has beta times its x.
func TestLambda(t *testing.T) {
	p := multiple(&lambda)
	var x element
	x.mul(&generator.x, &beta)
	if x.sub(&x, &p.x); !x.isZero() {
		t.Error("they do not belong together")
	}
	one := new(btcec.ModNScalar).SetInt(1)
	if g := multiple(one); g != generator {
		t.Errorf("G is %x", g)
	}
}

// Sums of multiples of few points, which meet in the same buckets, double and cancel,
// are zero when btcec says that the multiples of G are.
func TestSumAgainstBtcec(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{1, 2, 5, 60, 300}).Draw(t, "terms")
		kinds := rapid.IntRange(1, 5).Draw(t, "points")
		logs := make([]btcec.ModNScalar, kinds)
		points := make([]affine, kinds)
		for i := range points {
			for logs[i].IsZero() {
				logs[i] = drawScalar(t, "log")
			}
			points[i] = multiple(&logs[i])
		}
		var terms []term
		var sum btcec.ModNScalar
		add := func(kind int, k btcec.ModNScalar) {
			terms = appendMultiple(terms, points[kind], &k)
			sum.Add(k.Mul(&logs[kind]))
		}
		for range n {
			add(rapid.IntRange(0, kinds-1).Draw(t, "point"), drawScalar(t, "times"))
		}
		for _, shared := range []int{0, 1, 2, sharedInversion} {
			if got := sumIsZero(terms, shared); got != sum.IsZero() {
				t.Fatalf("the sum of %d is zero: %v", n, got)
			}
		}
		rest := sum
		terms = appendMultiple(terms, generator, rest.Negate())
		for _, shared := range []int{0, 1, 2, sharedInversion} {
			if !sumIsZero(terms, shared) {
				t.Fatal("with what was missing it is not zero")
			}
		}
	})
}

// Points that are the same, negatives and multiples of each other meet in one bucket, in
// all orders.
func TestBucketsInAllOrders(t *testing.T) {
	minus, two, minusTwo := generator, multiple(new(btcec.ModNScalar).SetInt(2)), affine{}
	minus.negate()
	minusTwo = two
	minusTwo.negate()
	points, logs := []affine{generator, minus, two, minusTwo}, []int{1, -1, 2, -2}
	const long = 5
	for code := range 1 << (2 * long) {
		for n := 1; n <= long; n++ {
			terms, sum := make([]term, n), 0
			for i := range terms {
				kind := code >> (2 * i) & 3
				terms[i] = term{points[kind], half{3}}
				sum += logs[kind]
			}
			for shared := range 3 {
				if got := sumIsZero(terms, shared); got != (sum == 0) {
					t.Fatalf("order %b of %d, inversions from %d on: zero %v", code, n, shared, got)
				}
			}
		}
	}
}

// A Jacobian sum goes through all that may meet: infinity, the same point, its negative.
func TestJacobian(t *testing.T) {
	two := multiple(new(btcec.ModNScalar).SetInt(2))
	minus := generator
	minus.negate()
	var p jacobian
	p.double()
	if !p.isInfinity() {
		t.Error("twice infinity")
	}
	p.addAffine(&generator)
	p.addAffine(&generator) // doubles
	q := p
	p.addAffine(&two) // doubles, with another z
	q.add(&q)         // likewise
	minusTwo := two
	minusTwo.negate()
	for range 2 {
		p.addAffine(&minusTwo)
		q.addAffine(&minusTwo)
	}
	if !p.isInfinity() || !q.isInfinity() {
		t.Error("4G - 2·2G is not zero")
	}
	p.add(&q)
	q.addAffine(&minus)
	p.add(&q)
	p.addAffine(&generator)
	if !p.isInfinity() {
		t.Error("infinity and -G and G")
	}
}
