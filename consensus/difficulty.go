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
