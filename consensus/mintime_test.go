package consensus

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// MinTime is what the header rules say: at it a header passes, a second before
// it breaks one of the rules on times.
func TestMinTimeIsTheEarliestThatPasses(t *testing.T) {
	p := bitcoinParams(t)
	rapid.Check(t, func(t *rapid.T) {
		// Around the ends of a period, with times that jump to and fro.
		length := rapid.OneOf(rapid.IntRange(1, 30), rapid.IntRange(epochBlocks-3, epochBlocks+2)).Draw(t, "length")
		tip := modelGenesis(p, p.StartBits)
		for range length - 1 {
			tip = extend(tip, tip.Header.Time+600, tip.Header.Bits)
		}
		jump := rapid.Int64Range(-20_000, 20_000).Draw(t, "jump")
		tip = extend(tip, uint32(max(int64(tip.Header.Time)+jump, tip.MTP()+1)), tip.Header.Bits)

		least := MinTime(p, tip)
		h := Header{Version: MinVersion, Bits: NextBits(p, tip), Time: uint32(least)}
		now := time.Unix(least, 0)
		if err := CheckHeaderInPlace(p, tip, &h, now); err != nil {
			t.Fatalf("height %d at %d: %v", tip.Height+1, least, err)
		}
		h.Time--
		switch rule := AsRuleError(CheckHeaderInPlace(p, tip, &h, now)); {
		case rule == nil:
			t.Fatalf("height %d: a second before %d passes", tip.Height+1, least)
		case rule.Code != ErrTimeTooOld && rule.Code != ErrTimeWarp && rule.Code != ErrTimeNegative:
			t.Fatalf("height %d: a second before %d: %v", tip.Height+1, least, rule)
		}
	})
}

func TestMinTimeOfOtherRulesIsTheMedian(t *testing.T) {
	tip := chainOf(40, sceneSpacing)
	if got := MinTime(Regtest(), tip); got != tip.MTP()+1 {
		t.Errorf("%d, want the second after the median %d", got, tip.MTP())
	}
}
