package consensus

import (
	"bufio"
	"bytes"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/kapok-chain/kapok/internal/vectors"
)

// The published runs. Their time is the anchor's parent's; heights are compared
// only by their difference, so that run10, which crosses 2^63, runs as well.
func TestASERTVectors(t *testing.T) {
	vectors.Dir(t)
	p := Main()
	ran := 0
	for _, run := range []string{"run01", "run02", "run03", "run04", "run05", "run06", "run09", "run10"} {
		t.Run(run, func(t *testing.T) {
			var anchorHeight uint64
			var anchorTime int64
			var anchorBits uint32
			lines := bufio.NewScanner(bytes.NewReader(vectors.Read(t, "asert/"+run)))
			for lines.Scan() {
				line := strings.TrimSpace(lines.Text())
				if key, value, ok := strings.Cut(strings.TrimLeft(line, "# "), ":"); ok {
					value = strings.TrimSpace(value)
					switch key {
					case "anchor height":
						scan(t, value, &anchorHeight)
					case "anchor ancestor time":
						scan(t, value, &anchorTime)
					case "anchor nBits":
						scan(t, value, &anchorBits)
					}
					continue
				}
				if line == "" || line[0] == '#' {
					continue
				}
				var iteration, height uint64
				var time int64
				var want uint32
				scan(t, line, &iteration, &height, &time, &want)
				// A row states the bits of the block after the one with this
				// height and time.
				got := asert(p, anchorBits, time-anchorTime, int64(height-anchorHeight))
				if got != want {
					t.Fatalf("iteration %d: bits %08x, want %08x", iteration, got, want)
				}
				ran++
			}
		})
	}
	vectors.Ran(t, "asert", ran)
}

func scan(t *testing.T, line string, into ...any) {
	t.Helper()
	if _, err := fmt.Sscan(line, into...); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
}

// asertTwin is rule D5 in math/big, written from the text of docs/protocol.md
// and from nothing else.
func asertTwin(spacing, halfLife int64, limit *big.Int, refBits uint32, elapsed, blocks int64) uint32 {
	num := func(n int64) *big.Int { return big.NewInt(n) }
	exponent := new(big.Int).Mul(num(spacing), new(big.Int).Add(num(blocks), num(1)))
	exponent.Sub(num(elapsed), exponent)
	exponent.Mul(exponent, num(65536))
	exponent.Quo(exponent, num(halfLife)) // towards zero

	doublings, frac := new(big.Int).DivMod(exponent, num(65536), new(big.Int)) // 0 ≤ frac
	square := new(big.Int).Mul(frac, frac)
	cube := new(big.Int).Mul(square, frac)
	factor := new(big.Int).Mul(num(195766423245049), frac)
	factor.Add(factor, square.Mul(square, num(971821376)))
	factor.Add(factor, cube.Mul(cube, num(5127)))
	factor.Add(factor, new(big.Int).Lsh(num(1), 47))
	factor.Rsh(factor, 48).Add(factor, num(65536))

	target := new(big.Int).Mul(bigTarget(refBits), factor)
	if shift := doublings.Int64() - 16; shift >= 0 {
		target.Lsh(target, uint(min(shift, 1000)))
	} else {
		target.Rsh(target, uint(min(-shift, 1000)))
	}
	if target.Sign() == 0 {
		target = num(1)
	}
	if target.Cmp(limit) > 0 {
		target = limit
	}
	return bigCompact(target)
}

// bigTarget decodes valid bits.
func bigTarget(bits uint32) *big.Int {
	t := big.NewInt(int64(bits & 0x7fffff))
	if size := int(bits >> 24); size > 3 {
		return t.Lsh(t, uint(8*(size-3)))
	} else {
		return t.Rsh(t, uint(8*(3-size)))
	}
}

func bigCompact(t *big.Int) uint32 {
	b := t.Bytes()
	if len(b) > 0 && b[0]&0x80 != 0 {
		b = append([]byte{0}, b...)
	}
	size := len(b)
	b = append(b, 0, 0, 0)
	return uint32(size)<<24 | uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2])
}

// drawTarget draws bits in their one form, up to the limit.
func drawTarget(t *rapid.T, limit Uint256) uint32 {
	target := drawUint256(t, "ref")
	if target.Cmp(limit) > 0 {
		target = target.shiftRight(uint(256 - limit.bitLen() + 1))
	}
	if target.IsZero() {
		target = Uint256{1}
	}
	return TargetToCompact(target)
}

func TestASERTAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limitBits := rapid.SampledFrom([]uint32{0x1d00ffff, 0x1f0fffff, 0x207fffff}).Draw(t, "limit")
		limit, _, _ := CompactToTarget(limitBits)
		p := &Params{
			Spacing:  rapid.Int64Range(1, maxSpacing).Draw(t, "spacing"),
			HalfLife: rapid.Int64Range(1, maxHalfLife).Draw(t, "half-life"),
			powLimit: limit,
		}
		ref := drawTarget(t, limit)
		blocks := rapid.OneOf(rapid.Int64Range(0, 100), rapid.Int64Range(0, 1<<32-1)).Draw(t, "blocks")
		late := rapid.OneOf(rapid.Int64Range(-20, 20), rapid.Int64Range(-1<<33, 1<<33)).Draw(t, "late")
		elapsed := late
		if rapid.Bool().Draw(t, "near the schedule") {
			elapsed = p.Spacing*(blocks+1) + late
		}
		got := asert(p, ref, elapsed, blocks)
		if want := asertTwin(p.Spacing, p.HalfLife, limit.Big(), ref, elapsed, blocks); got != want {
			t.Fatalf("bits %08x, want %08x", got, want)
		}
	})
}

// The two rules on random chains. What D6 and D7 look for in a header's ancestors
// is looked for here from genesis on.
func TestASERTRulesAgainstTwin(t *testing.T) {
	for _, rule := range []Rule{RuleASERT, RuleASERTRelative} {
		t.Run(string(rule), func(t *testing.T) {
			p := Main()
			p.Rule, p.HalfLife, p.FutureLimit = rule, 7200, 3600
			p.StartBits, p.PowLimitBits = 0x1f100000, 0x207fffff
			if err := p.Init(); err != nil {
				t.Fatal(err)
			}
			rapid.Check(t, func(t *rapid.T) { nextBitsAgainstTwin(t, p) })
		})
	}
}

func nextBitsAgainstTwin(t *rapid.T, p *Params) {
	genesis := NewTree(p).Genesis()
	chain := []*BlockIndex{genesis, genesis.Child(&Header{Time: genesis.Header.Time + 1, Bits: p.StartBits})}
	for range rapid.IntRange(1, 30).Draw(t, "blocks") {
		parent := chain[len(chain)-1]
		before := uint32(0) // highest time of the parent's ancestors
		for _, b := range chain[:len(chain)-1] {
			before = max(before, b.Header.Time)
		}
		refBits := parent.Header.Bits
		elapsed, blocks := min(max(int64(parent.Header.Time)-int64(before), 0), p.HalfLife), int64(0)
		if p.Rule == RuleASERT {
			refBits = chain[1].Header.Bits
			elapsed = int64(max(before, parent.Header.Time)) - int64(chain[1].Header.Time) + p.Spacing
			blocks = int64(len(chain) - 2)
		}
		bits := NextBits(p, parent)
		if want := asertTwin(p.Spacing, p.HalfLife, bigTarget(p.PowLimitBits), refBits, elapsed, blocks); bits != want {
			t.Fatalf("block %d carries %08x, want %08x", len(chain), bits, want)
		}
		time := int64(parent.Header.Time) + rapid.Int64Range(-5000, 9000).Draw(t, "step")
		chain = append(chain, parent.Child(&Header{Prev: parent.Hash, Time: uint32(time), Bits: bits}))
	}
}
