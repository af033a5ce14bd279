package conformance

import "github.com/kapok-chain/kapok/consensus"

// rejectBranch gives all nodes the named block and what they lack below it. With
// it the branch has the most work, and the nodes find out that bad, a block on
// it, is invalid: they are back where they were, and observers heard of nothing.
func (s *stage) rejectBranch(name, bad string, code consensus.Code) {
	s.t.Helper()
	for _, n := range s.nodes {
		tip, sum := n.Tip(), n.store.Sum()
		n.Changes()
		for _, block := range s.Path(name) {
			at := s.Name(block.Hash())
			if s.told[at] {
				continue
			}
			if n.Failure(s.Hash(bad)) != nil {
				s.t.Errorf("%s: %s failed before its branch had the most work", n.door, bad)
			}
			if rule := n.take(block); rule != nil && at != bad {
				s.t.Errorf("%s: %s is refused: %v (%s)", n.door, at, rule, rule.Kind)
			}
		}
		s.wantRule(n.door, n.Failure(s.Hash(bad)), code, consensus.Invalid)
		if changes := n.Changes(); n.Tip() != tip || n.store.Sum() != sum || len(changes) > 0 {
			s.t.Errorf("%s: after %s the tip is %s (was %s), the coin sum %v (was %v), observers were told %v", n.door, code,
				s.Name(n.Tip().Hash), s.Name(tip.Hash), n.store.Sum(), sum, changes)
		}
	}
	for _, block := range s.Path(name) {
		s.told[s.Name(block.Hash())] = true
	}
}
