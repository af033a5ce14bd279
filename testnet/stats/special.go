package stats

import "math"

// incompleteBeta is the regularized incomplete beta function I_x(a, b) for a, b > 0 and
// 0 <= x <= 1, to about 14 digits: the continued fraction of DLMF 8.17.22 by Lentz's
// method (Press et al., Numerical Recipes, 3rd edition, 6.4 and 5.2).
func incompleteBeta(x, a, b float64) float64 {
	switch {
	case x <= 0:
		return 0
	case x >= 1:
		return 1
	case x > (a+1)/(a+b+2): // where the fraction would converge slowly; DLMF 8.17.4
		return 1 - incompleteBeta(1-x, b, a)
	}
	front := math.Exp(logGamma(a+b) - logGamma(a) - logGamma(b) + a*math.Log(x) + b*math.Log1p(-x))
	const tiny, most, close = 1e-300, 10_000, 1e-15
	nonzero := func(v float64) float64 {
		if math.Abs(v) < tiny {
			return tiny
		}
		return v
	}
	c, d := 1.0, 1/nonzero(1-(a+b)*x/(a+1))
	h := d
	for m := 1.0; m < most; m++ {
		step := m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		d = 1 / nonzero(1+step*d)
		c = nonzero(1 + step/c)
		h *= d * c
		step = -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		d = 1 / nonzero(1+step*d)
		c = nonzero(1 + step/c)
		h *= d * c
		if math.Abs(d*c-1) < close {
			break
		}
	}
	return front * h / a
}

// inverseBeta is the x at which I_x(a, b) is p, by bisection to the last bit.
func inverseBeta(p, a, b float64) float64 {
	low, high := 0.0, 1.0
	for {
		middle := (low + high) / 2
		if middle <= low || middle >= high {
			return middle
		}
		if incompleteBeta(middle, a, b) < p {
			low = middle
		} else {
			high = middle
		}
	}
}

func logGamma(x float64) float64 {
	v, _ := math.Lgamma(x)
	return v
}

// normalQuantile is the value that a standard normal variable does not exceed with
// probability p.
func normalQuantile(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }

// studentQuantile is the value that Student's t with so many degrees of freedom, which
// need not be whole, does not exceed with probability p above 1/2 (DLMF 8.17; Abramowitz
// and Stegun 26.7.1).
func studentQuantile(p, freedom float64) float64 {
	x := inverseBeta(2*(1-p), freedom/2, 0.5)
	return math.Sqrt(freedom * (1 - x) / x)
}
