package batch

import "runtime"

// term is a multiple of a point.
type term struct {
	point affine
	times half
}

// sharedInversion is how many additions a round must have for one inversion, which costs
// as much as some hundred multiplications, to be shared. Fewer are done in Jacobian
// coordinates, which need none.
const sharedInversion = 40

// sumIsZero reports whether a sum of multiples is the point at infinity. It is
// Pippenger's algorithm (Bernstein, Doumen, Lange, Oosterwijk: "Faster batch forgery
// identification", 2012, section 4): multipliers are written in digits from −2^(w−1) to
// 2^(w−1); for each place of a digit the points are gathered in buckets by their digit
// there, and each bucket counts as often as its digit says.
func sumIsZero(terms []term, sharedInversion int) bool {
	width := windowWidth(len(terms))
	digits := signedDigits(terms, width)
	b := newBuckets(1<<(width-1), terms, sharedInversion)
	var sum jacobian
	for place := len(digits)/len(terms) - 1; place >= 0; place-- {
		for range width {
			sum.double()
		}
		b.gather(digits[place*len(terms):][:len(terms)])
		sum.add(b.total())
	}
	return sum.isInfinity()
}

// windowWidth is the width of digits, in bits, that takes the fewest multiplications: an
// addition to a bucket takes about 6.5, the two for each bucket of a place 30.
func windowWidth(terms int) int {
	best, width := 0.0, 0
	for w := 2; w <= 13; w++ {
		cost := float64(places(w)) * (float64(terms)*6.5 + float64(int(1)<<(w-1))*30)
		if width == 0 || cost < best {
			best, width = cost, w
		}
	}
	return width
}

// places is how many digits there are: one more where the highest one carries.
func places(width int) int { return multiplierBits/width + 1 }

// signedDigits lists the digits of all multipliers, those of the lowest place first.
func signedDigits(terms []term, width int) []int16 {
	digits := make([]int16, len(terms)*places(width))
	for i := range terms {
		carry := 0
		for place := range places(width) {
			d := terms[i].times.bits(place*width, width) + carry
			carry = 0
			if d > 1<<(width-1) {
				d -= 1 << width
				carry = 1
			}
			digits[place*len(terms)+i] = int16(d)
		}
	}
	return digits
}

// bits are so many bits from one on.
func (h *half) bits(from, n int) int {
	limb, shift := from/64, from%64
	v := h[limb] >> shift
	if shift+n > 64 && limb+1 < len(h) {
		v |= h[limb+1] << (64 - shift)
	}
	return int(v & (1<<n - 1))
}

// buckets are the sums of the points with digit 1, 2, … at one place. A bucket is in two
// parts: an affine one, to which points are added in rounds, at most one in each, that
// share one inversion; and a Jacobian one, for the last few.
type buckets struct {
	terms    []term
	shared   int // as sharedInversion
	affine   []affine
	full     []bool // which of these there are
	jacobian []jacobian
	round    int32
	entered  []int32 // in which round each was last entered

	waiting, next, now []entry
	slopes             []element // denominators of the slopes of now
	products           []element // of those before
}

// entry is a term's point, or its negative, for a bucket.
type entry struct {
	term     int32
	bucket   int16
	negative bool
}

func newBuckets(digits int, terms []term, sharedInversion int) *buckets {
	return &buckets{
		terms: terms, shared: sharedInversion,
		affine: make([]affine, digits+1), full: make([]bool, digits+1), jacobian: make([]jacobian, digits+1), entered: make([]int32, digits+1),
		waiting: make([]entry, 0, len(terms)), next: make([]entry, 0, len(terms)), now: make([]entry, 0, digits),
		slopes: make([]element, 0, digits), products: make([]element, 0, digits),
	}
}

// gather empties the buckets and puts every point into that of its digit.
func (b *buckets) gather(digits []int16) {
	clear(b.full)
	clear(b.jacobian)
	b.waiting = b.waiting[:0]
	for i, d := range digits {
		switch {
		case d > 0:
			b.waiting = append(b.waiting, entry{int32(i), d, false})
		case d < 0:
			b.waiting = append(b.waiting, entry{int32(i), -d, true})
		}
	}
	for len(b.waiting) > 0 {
		b.enter()
		if len(b.now) < b.shared {
			b.addJacobian(b.now)
			b.addJacobian(b.next)
			return
		}
		b.addNow()
		runtime.Gosched() // as after yieldEvery signatures
		b.waiting, b.next = b.next, b.waiting
	}
}

func (b *buckets) addJacobian(entries []entry) {
	for _, e := range entries {
		p := b.point(e)
		b.jacobian[e.bucket].addAffine(&p)
	}
}

// point is that of an entry.
func (b *buckets) point(e entry) affine {
	p := b.terms[e.term].point
	if e.negative {
		p.negate()
	}
	return p
}

// enter begins a round: of those that wait, the first for each bucket comes now, and the
// others next. What needs no slope is done at once.
func (b *buckets) enter() {
	b.round++
	b.now, b.next, b.slopes = b.now[:0], b.next[:0], b.slopes[:0]
	for _, e := range b.waiting {
		if b.entered[e.bucket] == b.round {
			b.next = append(b.next, e)
			continue
		}
		in := &b.affine[e.bucket]
		if !b.full[e.bucket] { // one more may enter in this round
			b.full[e.bucket], *in = true, b.point(e)
			continue
		}
		b.entered[e.bucket] = b.round
		var slope element
		if slope.sub(&b.terms[e.term].point.x, &in.x); slope.isZero() {
			p := b.point(e)
			var difference element
			if difference.sub(&p.y, &in.y); !difference.isZero() { // the one is the other's negative
				b.full[e.bucket] = false
				continue
			}
			slope.double(&p.y) // it is doubled
		}
		b.now, b.slopes = append(b.now, e), append(b.slopes, slope)
	}
}

// addNow adds the points of a round. The slopes' denominators are inverted together: the
// inverse of their product times all but one of them is the inverse of that one.
func (b *buckets) addNow() {
	b.products = b.products[:0]
	product := element{1}
	for i := range b.slopes {
		b.products = append(b.products, product)
		product.mul(&product, &b.slopes[i])
	}
	product.inverse(&product)
	for i := len(b.now) - 1; i >= 0; i-- {
		var slope, x, t element
		slope.mul(&product, &b.products[i])
		product.mul(&product, &b.slopes[i])
		p, q := &b.affine[b.now[i].bucket], b.point(b.now[i])
		if t.sub(&q.x, &p.x); t.isZero() { // the tangent: 3x²/2y
			t.square(&q.x)
			x.double(&t)
			t.add(&t, &x)
		} else {
			t.sub(&q.y, &p.y)
		}
		slope.mul(&slope, &t)
		x.square(&slope)
		x.sub(&x, &p.x)
		x.sub(&x, &q.x)
		t.sub(&p.x, &x)
		t.mul(&t, &slope)
		p.y.sub(&t, &p.y)
		p.x = x
	}
}

// total is the sum of all buckets, each times its digit: the sum of the sums from the
// highest one down.
func (b *buckets) total() *jacobian {
	var above, total jacobian
	for digit := len(b.affine) - 1; digit >= 1; digit-- {
		if b.full[digit] {
			above.addAffine(&b.affine[digit])
		}
		above.add(&b.jacobian[digit])
		total.add(&above)
	}
	return &total
}
