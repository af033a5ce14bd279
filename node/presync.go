package node

import (
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
)

// screen returns those of a peer's headers that may enter the tree, which judges
// them (rule W8): all of a chain that has work enough where it leaves the tree, or
// shows it within the message. Of any other chain more is asked for by a Presync,
// and what that lets through enters. An error of kind Temporary is nobody's fault.
func (n *Node) screen(now time.Time, from p2p.PeerID, headers []consensus.Header) ([]consensus.Header, error) {
	more := len(headers) == p2p.MaxHeaders
	if s := n.engine.Presync(from); s != nil {
		if len(headers) == 0 || n.tree.Lookup(headers[len(headers)-1].Hash()) == nil {
			return s.Next(headers, more, n.clock(now))
		}
		n.engine.KeepPresync(now, from, nil) // somebody else brought this chain meanwhile
	}
	known := 0
	for known < len(headers) && n.tree.Lookup(headers[known].Hash()) != nil {
		known++
	}
	if known == len(headers) {
		return headers, nil
	}
	start, need := n.tree.Lookup(headers[known].Prev), n.tree.Threshold()
	if start == nil || start.Failed() || start.Work.Cmp(need) >= 0 {
		return headers, nil
	}
	s := consensus.NewPresync(n.params, start, need, n.clock(now), n.random)
	enter, err := s.Next(headers[known:], more, n.clock(now))
	if !s.Over() {
		n.engine.KeepPresync(now, from, s)
	}
	return headers[:known+len(enter)], err // the first call lets all of them through, or none
}
