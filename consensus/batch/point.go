package batch

// affine is a point of the curve y² = x³ + 7, never the one at infinity.
type affine struct{ x, y element }

// jacobian is the point x/z², y/z³, or the one at infinity where z is 0.
type jacobian struct{ x, y, z element }

// generator is G.
var generator = affine{
	element{0x59f2815b16f81798, 0x029bfcdb2dce28d9, 0x55a06295ce870b07, 0x79be667ef9dcbbac},
	element{0x9c47d08ffb10d4b8, 0xfd17b448a6855419, 0x5da4fbfc0e1108a8, 0x483ada7726a3c465},
}

// beta is a cube root of 1: (beta·x, y) is lambda times (x, y).
var beta = element{0xc1396c28719501ee, 0x9cf0497512f58995, 0x6e64479eac3434e9, 0x7ae96a2b657c0710}

// lift sets p to the point with this x and an even y (BIP340, lift_x), and reports
// whether there is one.
func (p *affine) lift(x *[32]byte) bool {
	if !p.x.setBytes(x) {
		return false
	}
	var c element
	c.square(&p.x)
	c.mul(&c, &p.x)
	c.add(&c, &element{7})
	if !p.y.sqrt(&c) {
		return false
	}
	if p.y.isOdd() {
		p.y.negate(&p.y)
	}
	return true
}

func (p *affine) negate() { p.y.negate(&p.y) }

func (p *jacobian) isInfinity() bool { return p.z.isZero() }

// double is "dbl-2009-l" of the Explicit-Formulas Database. No point of this curve has a
// y of 0, and the one at infinity stays.
func (p *jacobian) double() {
	var a, b, c, d, e, f, t element
	a.square(&p.x)
	b.square(&p.y)
	c.square(&b)
	d.add(&p.x, &b)
	d.square(&d)
	d.sub(&d, &a)
	d.sub(&d, &c)
	d.double(&d)
	e.double(&a)
	e.add(&e, &a)
	f.square(&e)
	p.z.mul(&p.y, &p.z)
	p.z.double(&p.z)
	t.double(&d)
	p.x.sub(&f, &t)
	t.sub(&d, &p.x)
	t.mul(&t, &e)
	c.double(&c)
	c.double(&c)
	c.double(&c)
	p.y.sub(&t, &c)
}

// addAffine adds q.
func (p *jacobian) addAffine(q *affine) {
	if p.isInfinity() {
		*p = jacobian{q.x, q.y, element{1}}
		return
	}
	var zz, u, s element
	zz.square(&p.z)
	u.mul(&q.x, &zz)
	s.mul(&q.y, &p.z)
	s.mul(&s, &zz)
	p.addAt(p.x, p.y, &u, &s, &p.z)
}

// add adds q.
func (p *jacobian) add(q *jacobian) {
	switch {
	case q.isInfinity():
		return
	case p.isInfinity():
		*p = *q
		return
	}
	var z1, z2, u1, u2, s1, s2, z element
	z1.square(&p.z)
	z2.square(&q.z)
	u1.mul(&p.x, &z2)
	u2.mul(&q.x, &z1)
	s1.mul(&p.y, &q.z)
	s1.mul(&s1, &z2)
	s2.mul(&q.y, &p.z)
	s2.mul(&s2, &z1)
	z.mul(&p.z, &q.z)
	p.addAt(u1, s1, &u2, &s2, &z)
}

// addAt adds two points that are (u1, s1) and (u2, s2) where the first one's z is z. It
// is "add-1998-cmo-2".
func (p *jacobian) addAt(u1, s1 element, u2, s2, z *element) {
	var h, r, hh, hhh, v, t element
	h.sub(u2, &u1)
	r.sub(s2, &s1)
	if h.isZero() {
		if r.isZero() {
			p.double()
		} else {
			*p = jacobian{}
		}
		return
	}
	hh.square(&h)
	hhh.mul(&hh, &h)
	v.mul(&u1, &hh)
	p.z.mul(z, &h)
	p.x.square(&r)
	p.x.sub(&p.x, &hhh)
	p.x.sub(&p.x, &v)
	p.x.sub(&p.x, &v)
	t.sub(&v, &p.x)
	t.mul(&t, &r)
	s1.mul(&s1, &hhh)
	p.y.sub(&t, &s1)
}
