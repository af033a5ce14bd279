package node

import (
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// When silence is an alarm.
const (
	// quietSpacings is how many spacings without a block are suspicious; by chance
	// alone that happens once in twenty blocks.
	quietSpacings = 3
	// quietAtLeast is how long it takes on networks whose blocks are quick, and where
	// the tip was found longer ago than that: a node that has just started, or that
	// catches up, is told of blocks at once unless its peers keep them from it.
	quietAtLeast = time.Minute
)

// quiet knows since when the tip has been the same.
type quiet struct {
	tip   *consensus.BlockIndex
	since time.Time
}

// look takes note of the tip; it is called a few times a second.
func (q *quiet) look(now time.Time, tip *consensus.BlockIndex) {
	if tip != q.tip || now.Before(q.since) { // or the clock was set back
		q.tip, q.since = tip, now
	}
}

// Quiet returns for how long no block has come, where that is longer than it should
// be: our peers may keep blocks from us. It is zero where blocks come on request,
// and before the first block of a chain as long as there are no peers.
func (n *Node) Quiet(now time.Time) time.Duration {
	limit := max(quietSpacings*time.Duration(n.params.Spacing)*time.Second, quietAtLeast)
	if n.quiet.tip == nil || n.params.Rule == consensus.RuleFixed {
		return 0
	}
	if n.clock(now).Sub(time.Unix(int64(n.quiet.tip.Header.Time), 0)) >= limit {
		limit = quietAtLeast
	}
	long := now.Sub(n.quiet.since)
	switch {
	case long < limit:
		return 0
	case n.quiet.tip.Height == 0 && len(n.engine.Peers()) == 0:
		return 0
	}
	return long
}
