package consensus

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// presyncNetworks are one network of each difficulty rule, with blocks that cost a
// few hashes.
func presyncNetworks(t testing.TB) []*Params {
	t.Helper()
	var networks []*Params
	for _, rule := range []Rule{RuleASERT, RuleASERTRelative, RuleBitcoin, RuleFixed} {
		p := Regtest()
		p.Name, p.Rule, p.StartBits = "presync-"+string(rule), rule, 0x201fffff
		if rule == RuleASERT || rule == RuleASERTRelative {
			p.HalfLife = 14_400
		}
		if err := p.Init(); err != nil {
			t.Fatal(err)
		}
		networks = append(networks, p)
	}
	return networks
}

// solveHeader finds a nonce for h.
func solveHeader(h *Header) {
	target, _, _ := CompactToTarget(h.Bits)
	for !HashMeetsTarget(h.Hash(), target) {
		h.Nonce++
	}
}

// headerOn is a solved header on parent, so many seconds after it or, if that is
// too early, as early as may be. Salt tells siblings apart.
func headerOn(p *Params, parent *BlockIndex, seconds int64, salt byte) Header {
	h := Header{
		Version: MinVersion, Prev: parent.Hash, MerkleRoot: Hash{salt}, Bits: NextBits(p, parent),
		Time: uint32(max(int64(parent.Header.Time)+seconds, MinTime(p, parent))),
	}
	solveHeader(&h)
	return h
}

// A tail, which keeps a dozen headers, judges each header as the whole chain does:
// those that are right, and those that are wrong by one in what the chain decides.
func TestTailJudgesAsTheChain(t *testing.T) {
	now := time.Unix(1<<32-1, 0)
	for _, p := range presyncNetworks(t) {
		t.Run(string(p.Rule), rapid.MakeCheck(func(t *rapid.T) {
			length := 60
			if p.Rule == RuleBitcoin {
				length = 2*epochBlocks + 20
			}
			parent := NewTree(p).Genesis()
			begin := uint32(rapid.IntRange(0, length-20).Draw(t, "begin"))
			var tail tail
			seconds := rapid.Int64Range(-300, 1500)
			for range length {
				if parent.Height == begin {
					tail.begin(p, parent)
				}
				// Few draws: those of a period's middle change nothing.
				edge := p.Rule != RuleBitcoin || (parent.Height+30)%epochBlocks < 60
				spacing := int64(600)
				if edge {
					spacing = seconds.Draw(t, "seconds")
				}
				h := headerOn(p, parent, spacing, 0)
				if parent.Height >= begin {
					if edge {
						for _, edit := range []func(*Header){
							func(h *Header) { h.Bits-- },
							func(h *Header) { h.Time = uint32(parent.MTP()) },
							func(h *Header) { h.Time = uint32(MinTime(p, parent) - 1) },
							func(h *Header) { h.Version = MinVersion - 1 },
						} {
							wrong := h
							edit(&wrong)
							solveHeader(&wrong)
							wantSame(t, p, &tail, parent, &wrong, now)
						}
					}
					if err := tail.add(&h, h.Hash(), now); err != nil {
						t.Fatalf("height %d: %v", parent.Height+1, err)
					}
				}
				parent = parent.Child(&h)
				if parent.Height <= begin {
					continue
				}
				if got := tail.last; got.Hash != parent.Hash || got.Height != parent.Height || got.Work != parent.Work ||
					got.MaxTime != parent.MaxTime || got.MTP() != parent.MTP() {
					t.Fatalf("height %d: the tail's end is another block", parent.Height)
				}
			}
		}))
	}
}

func wantSame(t *rapid.T, p *Params, tail *tail, parent *BlockIndex, h *Header, now time.Time) {
	t.Helper()
	want := AsRuleError(CheckHeader(p, parent, h, now))
	got := AsRuleError(tail.add(h, h.Hash(), now))
	if want == nil || got == nil || !errors.Is(got, want.Code) || got.Kind != want.Kind {
		t.Fatalf("height %d: the tail says %v, the chain %v", parent.Height+1, got, want)
	}
}
