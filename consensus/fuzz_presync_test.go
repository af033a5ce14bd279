package consensus

import (
	"testing"

	"pgregory.net/rapid"
)

// presyncAgainstTwin lets a peer do what it likes in each message: go on with the
// chain, repeat, leave some out, turn to another chain, spoil a header. Beside the
// Presync stands a twin that keeps everything. What enters must be a chain on the
// start that the first pass showed, or one that has the work.
func presyncAgainstTwin(networks []*Params) func(*rapid.T) {
	return func(t *rapid.T) {
		c := newPresyncScene(t, networks, presyncSizes{commitEvery: 1, hold: 30, maxBits: 200})
		chains := [][]Header{growOn(t, c.p, c.start, rapid.IntRange(1, 100).Draw(t, "length"), 'A')}
		chains = append(chains, growOn(t, c.p, c.start, rapid.IntRange(1, 100).Draw(t, "length of another"), 'B'))
		c.s.need = workOf(c.start, chains[0][:rapid.IntRange(1, len(chains[0])).Draw(t, "work of")])

		shown := make(map[Hash]bool) // headers of the first pass
		for i := 0; !c.s.Over() && i < 30; i++ {
			chain := chains[rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(t, "chain")]
			at := 0
			for j := range chain {
				if chain[j].Hash() == c.s.Last() {
					at = j + 1
				}
			}
			at = min(max(at+rapid.SampledFrom([]int{0, 0, 0, 0, 1, -1}).Draw(t, "shift"), 0), len(chain))
			n := rapid.IntRange(0, min(40, len(chain)-at)).Draw(t, "headers")
			message := append([]Header(nil), chain[at:at+n]...)
			if n > 0 && rapid.IntRange(0, 9).Draw(t, "spoil") == 0 {
				h := &message[rapid.IntRange(0, n-1).Draw(t, "which")]
				*h = Header{int32(rapid.Int32().Draw(t, "version")), h.Prev, h.MerkleRoot, h.Time + rapid.Uint32().Draw(t, "time"), h.Bits, h.Nonce}
			}
			first := c.s.FirstPass()
			enter, err := c.s.Next(message, rapid.IntRange(0, 9).Draw(t, "more") > 0, c.now)
			if err != nil && (!c.s.Over() || len(enter) > 0 || AsRuleError(err) == nil) {
				t.Fatalf("%d headers enter, over %v, after %v", len(enter), c.s.Over(), err)
			}
			if first {
				for j := range message {
					shown[message[j].Hash()] = true
				}
			}
			if !c.s.Over() && len(c.s.bits)*64 > 200+64 || len(c.s.held) > 30 {
				t.Fatalf("%d bits and %d headers are kept", len(c.s.bits)*64, len(c.s.held))
			}
			unseen := 0
			for j := range enter {
				b, err := c.tree.AddHeader(&enter[j], c.now)
				if rule := AsRuleError(err); rule != nil && rule.Code != ErrDuplicate {
					if rule.Code == ErrPrevNotFound && j == 0 || !c.s.Over() {
						t.Fatalf("header %d of those that enter is refused: %v", j, err)
					}
					break // behind the work that was shown nobody has looked
				}
				if !shown[b.Hash] {
					unseen++
				}
				if b.Work.Cmp(c.s.need) >= 0 {
					unseen = 0
				}
			}
			if unseen > 0 {
				t.Fatalf("%d headers enter that were not shown, and have not the work", unseen)
			}
		}
	}
}

func TestPresyncAgainstTwin(t *testing.T) { rapid.Check(t, presyncAgainstTwin(presyncNetworks(t))) }

// FuzzPresync is TestPresyncAgainstTwin with the fuzzer's bytes in place of chance.
func FuzzPresync(f *testing.F) { f.Fuzz(rapid.MakeFuzz(presyncAgainstTwin(presyncNetworks(f)))) }
