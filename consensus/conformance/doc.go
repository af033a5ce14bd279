// Package conformance holds nothing but tests: the named cases that every node
// of this chain answers with exactly this code and kind, whichever way a block
// comes to it.
//
//	go test ./consensus/conformance -run Conformance -v
//
// prints a line per case, and at the end how many applied and how many were
// deferred, with the reasons. A case reads as a drawing and a few verdicts:
//
//	{50, "cb-amount-over", "C3", func(s *stage) {
//		s.Grow("genesis - a1 - a2")
//		s.accept("a2")
//		s.Mine("a2", "b3", chaintest.Claim(1))
//		s.reject("b3", consensus.ErrCoinbaseAmount)
//	}},
//
// The stage (stage_test.go) tells every verdict to several nodes, each by a door
// of its own: a block submitted on this machine, a block from a peer as bytes of
// the wire, a block announced with short ids, and, where the block stands on the
// tip, a proposal. A peer hears nothing of a refusal for now: its code, at those
// doors, is what the node then says to the block as a submission. After each
// refusal tip and coin sum must be what they were; after each acceptance the
// coin sum must be that of a second, naive bookkeeping (model_test.go).
//
// Sources of the cases: Bitcoin Core's feature_block.py and its other functional
// tests, btcd's and dcrd's fullblocktests, the BIPs, and past disasters of chains
// of this kind. The rule that a case names is one of docs/protocol.md; when that
// rule alone is taken out the case fails (go run ./internal/mutants).
package conformance
