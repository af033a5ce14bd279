package consensus

// MinTime is the earliest time, in Unix seconds, that a child of parent may
// carry: after the median of the last blocks and, under the bitcoin rule, not
// before what BIP54 asks of the blocks at a period's ends (rules H4 to H6).
func MinTime(p *Params, parent *BlockIndex) int64 {
	least := parent.MTP() + 1
	if p.Rule != RuleBitcoin {
		return least
	}
	switch height := parent.Height + 1; height % epochBlocks {
	case 0:
		least = max(least, int64(parent.Header.Time)-timeWarpGrace)
	case epochBlocks - 1:
		least = max(least, int64(parent.Ancestor(height-(epochBlocks-1)).Header.Time))
	}
	return least
}
