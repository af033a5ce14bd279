package node

import (
	"slices"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
)

// Receive judges one message of a peer and answers it through the outbox. It
// does bounded work: bodies are stored, not connected. The verdict tells gossip
// whether to forward the message: Reject only what is invalid for everybody,
// forever; what depends on where this node stands is ignored.
func (n *Node) Receive(now time.Time, from p2p.PeerID, msg p2p.Msg, gossip bool) (p2p.Verdict, error) {
	switch m := msg.(type) {
	case *p2p.Tx:
		return n.receiveTx(now, from, m.Tx, gossip)
	case *p2p.Announce:
		return n.receiveAnnounce(now, from, m, gossip)
	case *p2p.Headers:
		return n.receiveHeaders(now, from, m)
	case *p2p.Block:
		return n.receiveBlock(now, from, m.Block)
	case *p2p.BlockTxs:
		block := n.engine.Fill(now, from, m)
		if block == nil {
			return p2p.Ignore, nil
		}
		return n.receiveRebuilt(now, from, block, p2p.Completed)
	}
	return n.engine.Handle(now, from, msg)
}

// receiveHeaders adds those of a batch of headers whose chain has work enough, until
// one does not fit.
func (n *Node) receiveHeaders(now time.Time, from p2p.PeerID, m *p2p.Headers) (p2p.Verdict, error) {
	if rule := m.Check(); rule != nil {
		n.engine.Punish(now, from, rule)
		return p2p.Ignore, nil
	}
	headers, err := n.screen(now, from, m.Headers)
	rule := consensus.AsRuleError(err)
	if err != nil && rule == nil {
		return p2p.Ignore, err
	}
	n.engine.Punish(now, from, rule)
	var last *consensus.BlockIndex
	for i := range headers {
		index, err := n.addHeader(now, &headers[i])
		if rule := consensus.AsRuleError(err); rule != nil {
			if rule.Kind == consensus.Invalid && !n.steered(rule) {
				n.engine.Punish(now, from, rule)
			}
			break
		}
		if err != nil {
			return p2p.Ignore, err
		}
		last = index
	}
	if err := n.saveHeaders(); err != nil {
		return p2p.Ignore, err
	}
	n.engine.GotHeaders(now, from, last, len(m.Headers))
	n.engine.Fetch(now)
	return p2p.Accept, nil
}

// receiveAnnounce judges the header of a new block, so that it can be forwarded
// before anything is known of the body: its proof of work is the price of a forward.
// The body is put together from the mempool (Rebuild), or fetched.
func (n *Node) receiveAnnounce(now time.Time, from p2p.PeerID, m *p2p.Announce, gossip bool) (p2p.Verdict, error) {
	if err := consensus.CheckPow(n.params, &m.Header); err != nil {
		n.engine.Punish(now, from, consensus.AsRuleError(err))
		return p2p.Reject, nil
	}
	known := n.tree.Lookup(m.Header.Hash())
	if known == nil {
		parent := n.tree.Lookup(m.Header.Prev)
		if parent == nil {
			n.engine.AskHeaders(now, from)
			return p2p.Ignore, nil
		}
		if n.tooWeak(parent.Work.Add(consensus.WorkOf(m.Header.Bits))) { // not worth remembering
			return p2p.Ignore, nil
		}
	}
	index, err := n.addHeader(now, &m.Header)
	if rule := consensus.AsRuleError(err); rule != nil {
		if rule.Kind == consensus.Invalid && !remembered(rule) {
			n.engine.Punish(now, from, rule)
			return p2p.Reject, nil
		}
		return p2p.Ignore, nil
	} else if err != nil {
		return p2p.Ignore, err
	}
	n.engine.Learn(now, from, index)
	if n.tooWeak(index.Work) || index.HasBody() {
		return p2p.Ignore, nil
	}
	verdict := p2p.Ignore
	if known == nil { // only the first announcement of a header goes on
		n.engine.Forward(now, m, from, gossip)
		verdict = p2p.Accept
	}
	if !index.Parent.HasBody() { // behind: bodies come in order, by hash
		n.engine.Fetch(now)
		return verdict, nil
	}
	again := slices.ContainsFunc(n.announced, func(a announced) bool { return a.hash == index.Hash && a.from == from })
	if again || !n.engine.Looks(now, from, index.Hash) { // or who repeats it would keep it waiting for ever
		return verdict, nil
	}
	if len(n.announced) == maxRebuilds {
		if _, err := n.Rebuild(now); err != nil {
			return p2p.Ignore, err
		}
	}
	n.announced = append(n.announced, announced{index.Hash, from, m})
	return verdict, nil
}

// announced is a block to be put together from the mempool: when its announcement has gone
// on, since that may take a hundred times as long as to judge a header.
type announced struct {
	hash consensus.Hash
	from p2p.PeerID
	msg  *p2p.Announce
}

// maxRebuilds bounds those that wait: more than come while one is put together.
const maxRebuilds = 16

// awaits reports whether an announced block waits to be put together.
func (n *Node) awaits(hash consensus.Hash) bool {
	return slices.ContainsFunc(n.announced, func(a announced) bool { return a.hash == hash })
}

// Rebuild puts together the block that was announced first, if there is one, and asks for
// what is missing. It reports whether there are more.
func (n *Node) Rebuild(now time.Time) (more bool, err error) {
	if len(n.announced) == 0 {
		return false, nil
	}
	a := n.announced[0]
	n.announced = append(n.announced[:0:0], n.announced[1:]...)
	if block := n.engine.Rebuild(now, a.from, a.msg); block != nil {
		_, err = n.receiveRebuilt(now, a.from, block, p2p.Rebuilt)
	} else {
		n.engine.Fetch(now) // where nothing was asked of the announcer
	}
	return len(n.announced) > 0, err
}

// receiveRebuilt takes a block that was put together from short ids. They are
// not committed to by the header: where the result is wrong nobody is to blame,
// and the body is fetched by its hash.
func (n *Node) receiveRebuilt(now time.Time, from p2p.PeerID, block *consensus.Block, way p2p.Way) (p2p.Verdict, error) {
	_, err := n.addBlock(now, from, block)
	if rule := consensus.AsRuleError(err); rule != nil {
		if rule.Kind == consensus.Mutated {
			n.engine.FetchBody(now, from, block.Hash())
		}
		return p2p.Ignore, nil
	}
	if err == nil {
		n.engine.Got(now, from, block.Hash())
		n.engine.Took(now, from, way)
	}
	return p2p.Accept, err
}

// receiveBlock takes a body. One that nobody asked for is looked at only where
// its branch might win.
func (n *Node) receiveBlock(now time.Time, from p2p.PeerID, block *consensus.Block) (p2p.Verdict, error) {
	asked := n.engine.Got(now, from, block.Hash())
	if !asked {
		if parent := n.tree.Lookup(block.Header.Prev); parent == nil || n.tooWeak(parent.Work) {
			n.engine.AskHeaders(now, from)
			return p2p.Ignore, nil
		}
	}
	index, err := n.addBlock(now, from, block)
	switch rule := consensus.AsRuleError(err); {
	case err == nil:
		if !index.Connected() { // a body that was lost is of a block that was
			n.origin[index.Hash] = from
		}
		n.engine.Learn(now, from, index)
		n.engine.Took(now, from, p2p.Whole)
	case rule == nil:
		return p2p.Ignore, err
	case rule.Kind == consensus.Mutated:
		n.engine.Punish(now, from, rule)
		n.engine.FetchBody(now, "", block.Hash()) // from somebody else
	case rule.Kind == consensus.Invalid && !n.steered(rule):
		n.engine.Punish(now, from, rule)
	}
	n.engine.Fetch(now)
	return p2p.Accept, nil
}

// remembered reports whether a header is refused for what this node found out
// about it, or about an ancestor, when a body was judged. Announcements go on
// before that, so an honest peer may not know yet.
func remembered(rule *consensus.RuleError) bool {
	return rule.Code == consensus.ErrDuplicateInvalid || rule.Code == consensus.ErrPrevInvalid
}

// steered reports whether a header or a body is refused for what this node
// remembers while an operator's own marks are among it: then the rest of the
// network may think better of the block, and no peer is to blame.
func (n *Node) steered(rule *consensus.RuleError) bool {
	return remembered(rule) && n.invalidated
}
