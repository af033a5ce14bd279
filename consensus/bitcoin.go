package consensus

// The `bitcoin` rule: every 2016 blocks the target is set from the time that
// the last 2016 took, with the two timestamp rules of BIP54 (H5, H6) that close
// the holes which the one block between the periods leaves.

const (
	epochBlocks = 2016
	maxRetarget = 4 // a period counts as at least a quarter and at most four times its schedule
	// timeWarpGrace is how much earlier than its parent, in seconds, the first
	// block of a period may be (BIP54).
	timeWarpGrace = 7200
)

// bitcoinNext is rule D8. As in Bitcoin the span is that of 2015 intervals.
func bitcoinNext(p *Params, parent *BlockIndex) uint32 {
	if (uint64(parent.Height)+1)%epochBlocks != 0 {
		return parent.Header.Bits
	}
	return bitcoinRetarget(p, parent.Ancestor(parent.Height-(epochBlocks-1)), parent)
}

// bitcoinRetarget returns the bits of the period after the one from first to
// last.
func bitcoinRetarget(p *Params, first, last *BlockIndex) uint32 {
	schedule := epochBlocks * p.Spacing
	span := int64(last.Header.Time) - int64(first.Header.Time)
	span = min(max(span, schedule/maxRetarget), schedule*maxRetarget)

	old, _, _ := CompactToTarget(last.Header.Bits)
	target, fits := old.mul64(uint64(span)).div64(uint64(schedule)).shift(0)
	if !fits || target.Cmp(p.powLimit) > 0 {
		target = p.powLimit
	}
	return TargetToCompact(target)
}
