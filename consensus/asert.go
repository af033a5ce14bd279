package consensus

// ASERT (aserti3-2d, the specification is Bitcoin Cash's CHIP of 2020-11-15)
// sets the target to an exponential of how far the chain is behind its schedule:
// half a half-life late multiplies it by √2. It has no window and no period, so
// that nothing is won by choosing when to mine or what time to state.

// asertNext is rule D6. The reference is block 1: the genesis block may be much
// older than the network, and block 1 counts as having taken one spacing. Time
// has passed up to the highest time of the chain, not to the parent's as in
// aserti3-2d: a majority that states low times would raise the difficulty for
// everybody, until the chain stalls.
func asertNext(p *Params, parent *BlockIndex) uint32 {
	first := parent.Ancestor(1)
	elapsed := int64(parent.MaxTime) - (int64(first.Header.Time) - p.Spacing)
	return asert(p, first.Header.Bits, elapsed, int64(parent.Height-first.Height))
}

// asertRelativeNext is rule D7: the parent is the reference, and what counts is
// the time that it took. The highest time among its ancestors, not the last one,
// is where it began, so that stating a low time gains nothing for the next
// block. At most one half-life counts: a network that slept halves its
// difficulty once and does not rain blocks.
func asertRelativeNext(p *Params, parent *BlockIndex) uint32 {
	solve := int64(parent.Header.Time) - int64(parent.Parent.MaxTime)
	return asert(p, parent.Header.Bits, min(max(solve, 0), p.HalfLife), 0)
}

// asert returns the bits of the block after one that came elapsed seconds after
// the reference's parent and blocks blocks after the reference, which carried
// refBits (rule D5).
func asert(p *Params, refBits uint32, elapsed, blocks int64) uint32 {
	// The exponent in units of 2^-16, rounded towards zero. The bounds of
	// Params keep it inside an int64.
	exponent := (elapsed - p.Spacing*(blocks+1)) * 65536 / p.HalfLife
	doublings := exponent >> 16 // rounded down
	frac := uint64(uint16(exponent))

	// 2^frac as a cubic, in units of 2^-16. The sum stays below 2^64.
	factor := 65536 + (195766423245049*frac+971821376*frac*frac+5127*frac*frac*frac+1<<47)>>48

	// No shift beyond this changes the answer, and an int holds it anywhere.
	const farEnough = 1 << 10
	doublings = min(max(doublings, -farEnough), farEnough)

	ref, _, _ := CompactToTarget(refBits)
	target, fits := ref.mul64(factor).shift(int(doublings) - 16)
	switch {
	case !fits || target.Cmp(p.powLimit) > 0:
		target = p.powLimit
	case target.IsZero():
		target = Uint256{1}
	}
	return TargetToCompact(target)
}
