package consensus

// NextBits returns the bits that a child of parent must carry (rules D3 to D8),
// in the one form that TargetToCompact writes.
func NextBits(p *Params, parent *BlockIndex) uint32 {
	if parent.Height == 0 {
		return p.StartBits // D3: no rule has anything to go by yet
	}
	switch p.Rule {
	case RuleASERT:
		return asertNext(p, parent)
	case RuleASERTRelative:
		return asertRelativeNext(p, parent)
	case RuleBitcoin:
		return bitcoinNext(p, parent)
	}
	return p.StartBits // D4: fixed
}

// farthest is the height of the one ancestor, beside the last medianBlocks, that
// the rules on a child of a block at this height look at: block 1 under asert, the
// first block of the period under bitcoin, else none, which is the height itself.
func farthest(p *Params, height uint32) uint32 {
	switch p.Rule {
	case RuleASERT:
		return min(1, height)
	case RuleBitcoin:
		return height - height%epochBlocks
	}
	return height
}
