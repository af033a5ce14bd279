package consensus

import (
	"encoding/hex"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/kapok-chain/kapok/internal/vectors"
)

// drawUint256 prefers numbers with few bits at either end, where carries are.
func drawUint256(t *rapid.T, label string) Uint256 {
	a := Uint256(rapid.SliceOfN(rapid.Uint64(), 4, 4).Draw(t, label))
	shift := rapid.UintRange(0, 255).Draw(t, label+" shift")
	if rapid.Bool().Draw(t, label+" high") {
		return a.shiftLeft(shift)
	}
	return a.shiftRight(shift)
}

func TestUint256AgainstBig(t *testing.T) {
	mod := new(big.Int).Lsh(big.NewInt(1), 256)
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawUint256(t, "a"), drawUint256(t, "b")
		x, y := a.Big(), b.Big()
		same := func(what string, got Uint256, want *big.Int) {
			t.Helper()
			if got.Big().Cmp(want) != 0 {
				t.Fatalf("%s: %s and %s: got %s, want %x", what, a, b, got, want)
			}
		}
		same("add", a.Add(b), new(big.Int).Mod(new(big.Int).Add(x, y), mod))
		same("sub", a.Sub(b), new(big.Int).Mod(new(big.Int).Sub(x, y), mod))
		if a.Cmp(b) != x.Cmp(y) {
			t.Fatalf("cmp of %s and %s is %d", a, b, a.Cmp(b))
		}
		if a.bitLen() != x.BitLen() {
			t.Fatalf("%s has %d bits", a, a.bitLen())
		}
		if !b.IsZero() {
			same("div", a.div(b), new(big.Int).Div(x, y))
		}
		back, ok := Uint256FromBig(x)
		parsed, err := ParseUint256(a.String())
		if !ok || back != a || err != nil || parsed != a {
			t.Fatalf("%s comes back as %s and %s", a, back, parsed)
		}

		// target · f / d · 2^n, as the difficulty rules compute it.
		f := rapid.Uint64Min(1).Draw(t, "f")
		d := rapid.Uint64Min(1).Draw(t, "d")
		n := rapid.IntRange(-400, 300).Draw(t, "n")
		want := new(big.Int).Mul(x, new(big.Int).SetUint64(f))
		want.Div(want, new(big.Int).SetUint64(d))
		if n < 0 {
			want.Rsh(want, uint(-n))
		} else {
			want.Lsh(want, uint(n))
		}
		got, fits := a.mul64(f).div64(d).shift(n)
		if fits != (want.BitLen() <= 256) {
			t.Fatalf("%s·%d/%d·2^%d: fits is %v for %x", a, f, d, n, fits, want)
		}
		if fits {
			same("mul, div, shift", got, want)
		}
	})
}

func TestUint256Refuses(t *testing.T) {
	for _, s := range []string{"", "0x1", "g", "10000000000000000000000000000000000000000000000000000000000000000"} {
		if n, err := ParseUint256(s); err == nil {
			t.Errorf("ParseUint256(%q) = %s", s, n)
		}
	}
	for _, n := range []*big.Int{big.NewInt(-1), new(big.Int).Lsh(big.NewInt(1), 256)} {
		if _, ok := Uint256FromBig(n); ok {
			t.Errorf("Uint256FromBig accepts %s", n)
		}
	}
}

func TestCompactVectors(t *testing.T) {
	var rows []struct {
		NBits              string
		Value              *string `json:"value_hex"`
		Negative, Overflow bool
		Recompact          *string
	}
	vectors.JSON(t, "pow/compact_nbits.json", &rows)
	for _, row := range rows {
		var target Uint256
		if row.NBits == "" { // encode only
			var err error
			if target, err = ParseUint256(*row.Value); err != nil {
				t.Fatal(err)
			}
		} else {
			var negative, overflow bool
			target, negative, overflow = CompactToTarget(parseBits(t, row.NBits))
			if negative != row.Negative || overflow != row.Overflow {
				t.Errorf("%s: negative %v, overflow %v", row.NBits, negative, overflow)
			}
			if row.Value != nil && target.String() != *row.Value {
				t.Errorf("%s: target %s, want %s", row.NBits, target, *row.Value)
			}
			checkNoTarget(t, parseBits(t, row.NBits), negative || overflow || target.IsZero())
		}
		if row.Recompact == nil {
			continue
		}
		want := parseBits(t, (*row.Recompact)[:8])
		if row.Negative {
			want &^= 0x00800000 // "with sign": targets here have none
		}
		if got := TargetToCompact(target); got != want {
			t.Errorf("%s: encoded again %08x, want %08x", row.NBits, got, want)
		}
	}
	vectors.Ran(t, "pow/compact_nbits", len(rows))
}

// checkNoTarget checks that a header is refused for its bits, whatever the limit
// is, if they are no target; and else at most for its hash.
func checkNoTarget(t *testing.T, bits uint32, none bool) {
	t.Helper()
	p := &Params{powLimit: (Uint256{}).Sub(Uint256{1})}
	rule := AsRuleError(CheckPow(p, &Header{Bits: bits}))
	if refused := rule != nil && strings.Contains(rule.Detail, "are no target"); refused != none {
		t.Errorf("bits %08x in a header: %v", bits, rule)
	}
}

func parseBits(t *testing.T, s string) uint32 {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 4 {
		t.Fatalf("%q are no bits", s)
	}
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

func TestCompactAndWorkAgainstBig(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		target := drawUint256(t, "target")
		bits := TargetToCompact(target)
		back, negative, overflow := CompactToTarget(bits)
		if negative || overflow || back.Cmp(target) > 0 || TargetToCompact(back) != bits {
			t.Fatalf("%s: bits %08x decode to %s", target, bits, back)
		}
		if lost := target.Sub(back); lost.bitLen() > max(target.bitLen()-15, 0) {
			t.Fatalf("%s: bits %08x lose %s", target, bits, lost)
		}
		work := WorkOf(bits)
		if back.IsZero() {
			if !work.IsZero() {
				t.Fatalf("no target, but work %s", work)
			}
			return
		}
		want := new(big.Int).Lsh(big.NewInt(1), 256)
		want.Div(want, new(big.Int).Add(back.Big(), big.NewInt(1)))
		if work.Big().Cmp(want) != 0 {
			t.Fatalf("bits %08x: work %s, want %x", bits, work, want)
		}
	})
}

// The flags of all bits, against the number that they write.
func TestCompactFlagsAgainstBig(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.OneOf(rapid.Uint32Range(0, 5), rapid.Uint32Range(30, 36), rapid.Uint32Range(0, 255)).Draw(t, "size")
		mantissa := rapid.Uint32Range(0, 0x7fffff).Draw(t, "mantissa") >> rapid.UintRange(0, 23).Draw(t, "shift")
		sign := rapid.SampledFrom([]uint32{0, 0x800000}).Draw(t, "sign")
		target, negative, overflow := CompactToTarget(size<<24 | sign | mantissa)
		value := bigTarget(size<<24 | mantissa)
		if overflow != (value.BitLen() > 256) {
			t.Fatalf("%x: overflow is %v", value, overflow)
		}
		if negative != (sign != 0 && value.Sign() != 0) {
			t.Fatalf("%x: negative is %v", value, negative)
		}
		if !overflow && target.Big().Cmp(value) != 0 {
			t.Fatalf("%x: target %s", value, target)
		}
	})
}

func TestDifficulty(t *testing.T) {
	for bits, want := range map[uint32]float64{
		0x1d00ffff: 1,
		0x1b0404cb: 16307.420938523983, // block 100,800 of Bitcoin's wiki
		0x207fffff: 4.6565423739069247e-10,
		0:          0,
	} {
		if got := Difficulty(bits); got < want*(1-1e-12) || got > want*(1+1e-12) {
			t.Errorf("Difficulty(%08x) = %v, want %v", bits, got, want)
		}
	}
}

// The last bits that are a target of 256 bits, for each length, and the first that
// overflow.
func TestCompactOverflowsBeyond256Bits(t *testing.T) {
	for bits, want := range map[uint32]bool{
		0x207fffff: false, 0x2100ffff: false, 0x21010000: true, 0x220000ff: false, 0x22000100: true, 0x23000001: true, 0xff000000: false,
	} {
		if _, _, overflow := CompactToTarget(bits); overflow != want {
			t.Errorf("%08x overflows: %v", bits, overflow)
		}
	}
}

// What is no target is worth no work.
func TestNoWorkWithoutATarget(t *testing.T) {
	for _, bits := range []uint32{0, 0x1d000000, 0x1d80ffff, 0xff00ffff} {
		if work := WorkOf(bits); !work.IsZero() {
			t.Errorf("%08x is worth %v", bits, work)
		}
	}
}

// A hash that is the target meets it, and one that is greater by one does not.
func TestHashOnItsTarget(t *testing.T) {
	target, _, _ := CompactToTarget(0x1d00ffff)
	hash := Hash{26: 0xff, 27: 0xff} // 0xffff at bytes 26 and 27, the lowest byte first
	if !HashMeetsTarget(hash, target) {
		t.Error("a hash that is the target does not meet it")
	}
	if hash[0]++; HashMeetsTarget(hash, target) {
		t.Error("a hash above the target meets it")
	}
}

// A product whose words carry into each other.
func TestMul64Carries(t *testing.T) {
	const most = math.MaxUint64
	for _, f := range []uint64{0, 1, 2, most - 1, most} {
		for _, a := range []Uint256{{most, most, most, most}, {most, 1, most, 1}, {2, most, 0, most}} {
			p := a.mul64(f)
			got := new(big.Int)
			for _, word := range slices.Backward(p[:]) {
				got.Add(got.Lsh(got, 64), new(big.Int).SetUint64(word))
			}
			if want := new(big.Int).Mul(a.Big(), new(big.Int).SetUint64(f)); got.Cmp(want) != 0 {
				t.Errorf("%v times %d is %d, want %d", a, f, got, want)
			}
		}
	}
}

// Quotients of numbers of the same length, and those that leave nothing.
func TestUint256DivAtTheEdges(t *testing.T) {
	for _, c := range [][3]uint64{{7, 5, 1}, {5, 5, 1}, {4, 5, 0}, {6, 3, 2}, {8, 1, 8}, {0, 9, 0}} {
		a, d := Uint256{0, 0, c[0]}, Uint256{0, 0, c[1]}
		if got := a.div(d); got != (Uint256{c[2]}) {
			t.Errorf("%v / %v = %v, want %d", a, d, got, c[2])
		}
	}
}
