package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestSelfishShare holds equation 8 against what is known of it: honest mining pays as much
// at the threshold, a third with no help and nothing with all.
func TestSelfishShare(t *testing.T) {
	near(t, "the threshold without help", SelfishThreshold(0), 1.0/3, 1e-15)
	near(t, "the threshold with half", SelfishThreshold(0.5), 0.25, 1e-15)
	near(t, "the threshold with all", SelfishThreshold(1), 0, 0)
	for _, gamma := range []float64{0, 0.25, 0.5, 0.9} {
		at := SelfishThreshold(gamma)
		near(t, "the share at the threshold", SelfishShare(at, gamma), at, 1e-12)
		if !(SelfishShare(at-0.02, gamma) < at-0.02) || !(SelfishShare(at+0.02, gamma) > at+0.02) {
			t.Errorf("gamma %g: selfish mining does not begin to pay at %g", gamma, at)
		}
		near(t, "the share with nearly half", SelfishShare(0.5-1e-9, gamma), 1, 1e-6)
	}
	if SelfishShare(0, 0.5) != 0 || SelfishShare(0.6, 0) != 1 || !math.IsNaN(SelfishShare(-1, 0)) || !math.IsNaN(SelfishShare(0.1, 2)) || !math.IsNaN(SelfishThreshold(2)) {
		t.Error("the ends are wrong")
	}
}

func TestSelfishSimulated(t *testing.T) {
	random := rand.New(rand.NewPCG(2014, 8))
	const blocks = 200_000
	cases := [][2]float64{{0.1, 0}, {0.25, 0.5}, {0.3, 0}, {1.0 / 3, 0}, {0.33, 1}, {0.4, 0.5}, {0.45, 0.25}}
	z := normalQuantile(1 - (1-Sidak(0.999, len(cases)))/2)
	for _, c := range cases {
		run := SimulateSelfish(c[0], c[1], blocks, random)
		if want := SelfishShare(c[0], c[1]); math.Abs(run.Share-want) > z*run.StdErr {
			t.Errorf("alpha %.3g, gamma %.3g: %.4f ± %.4f, by equation 8 %.4f", c[0], c[1], run.Share, run.StdErr, want)
		}
		if run.StdErr > 0.01 {
			t.Errorf("alpha %g: a standard error of %g shows little", c[0], run.StdErr)
		}
		// The share of ties won by honest blocks on the pool's branch is gamma of the honest ones'.
		if honest := run.Ties - run.TiesOwn; honest > 0 {
			low, high := ClopperPearsonAt(run.TiesWon, honest, 0.9999)
			if !(low <= c[1] && c[1] <= high) {
				t.Errorf("gamma %g, but %d of %d ties", c[1], run.TiesWon, honest)
			}
		}
	}
	if run := SimulateSelfish(0.2, 0.5, 0, random); !math.IsNaN(run.Share) {
		t.Error("no block has a share")
	}
	if run := SimulateSelfish(1, 0, 1000, random); run.Own != 1000 || run.Honest != 0 {
		t.Errorf("a pool alone has %d of 1000 blocks", run.Own)
	}
	if run := SimulateSelfish(0, 0, 1000, random); run.Own != 0 || run.Honest != 1000 {
		t.Errorf("honest miners alone have %d of 1000 blocks", run.Honest)
	}
}
