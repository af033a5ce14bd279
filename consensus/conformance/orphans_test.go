package conformance

import (
	"slices"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/mempool"
	"github.com/kapok-chain/kapok/p2p"
)

// orphans is case 150, on nodes that keep three orphans of one peer and five in
// all.
func orphans(s *stage) {
	s.pool.MaxPeerOrphans, s.pool.MaxOrphans = 3, 5
	s.network(nil)
	s.Grow("genesis - a1..a10")
	s.accept("a10")
	_, children := s.family("a1", 1)
	s.refuse(children[0], mempool.ErrMissing, consensus.Policy)

	orphansAreKept(s)
	orphansAreBounded(s)
	orphansAreJudged(s)

	// 20 minutes are over for the older ones.
	parent, children := s.family("a7", 2)
	from := make(map[*seat]p2p.PeerID)
	for _, n := range s.nodes {
		from[n] = n.meet()
		n.ignores(from[n], children[0])
	}
	begin := s.now
	s.tick(begin.Add(time.Second))
	for _, n := range s.nodes {
		n.ignores(from[n], children[1])
	}
	s.tick(begin.Add(20*time.Minute + time.Second))
	s.take(parent)
	s.gone(children[0])
	s.waiting(children[1])

	// A parent may come in a block, and so may a rival.
	parent, children = s.family("a8", 2)
	for _, n := range s.nodes {
		peer := n.meet()
		n.ignores(peer, children[0])
		n.ignores(peer, children[1])
	}
	s.acceptTxs("a10", "a11", parent, s.spend(s.outs(parent)[1], 20_000))
	s.tick(s.now)
	s.waiting(children[0])
	s.gone(children[1])
}

// family returns a payment of a block's coinbase to n outputs, and n payments
// that spend these.
func (s *stage) family(block string, n int) (parent *consensus.Tx, children []*consensus.Tx) {
	s.t.Helper()
	parent = s.spread(s.Coinbase(block), n)
	for _, out := range s.outs(parent) {
		children = append(children, s.spend(out, 10_000))
	}
	return parent, children
}

// orphansAreKept: the node asks the sender for the parent, and takes all when it
// comes.
func orphansAreKept(s *stage) {
	parent, children := s.family("a2", 3)
	grandchild := s.spend(s.Out(children[0], 0), 10_000)
	for _, n := range s.nodes {
		peer := n.meet()
		asked := n.ignores(peer, children[0])
		if !slices.ContainsFunc(asked, func(out p2p.Outgoing) bool {
			ask, ok := out.Msg.(*p2p.GetTxs)
			return ok && out.To == peer && slices.Equal(ask.Hashes, []consensus.Hash{parent.TxID()})
		}) {
			s.t.Errorf("%s: the sender is not asked for the parent, but %v", n.door, asked)
		}
		n.ignores(peer, children[1])
		n.ignores(peer, grandchild)
		n.hear(peer, &p2p.Tx{Tx: parent})
		n.holds(true, parent, children[0], children[1])
		s.check(n.Tick(s.now)) // which goes on with the next generation
		n.holds(true, grandchild)
		n.holds(false, children[2])
	}
}

// orphansAreBounded: a peer's fourth pushes out its first, and the sixth of all
// the first of the peer whose take the most room. A peer that leaves takes its
// own along.
func orphansAreBounded(s *stage) {
	parent, own := s.family("a3", 4)
	second, others := s.family("a4", 7)
	for _, n := range s.nodes {
		greedy, modest, third := n.meet(), n.meet(), n.meet()
		for _, child := range own {
			n.ignores(greedy, child)
		}
		n.hear(modest, &p2p.Tx{Tx: parent})
		n.holds(false, own[0])
		n.holds(true, own[1:]...)

		for _, child := range others[:3] {
			n.ignores(greedy, child)
		}
		n.ignores(modest, others[3])
		n.ignores(third, others[4])
		n.ignores(third, others[5])
		n.Disconnected(s.now, modest)
		n.hear(third, &p2p.Tx{Tx: second})
		n.holds(false, others[0], others[3], others[6])
		n.holds(true, others[1], others[2], others[4], others[5])
	}
}

// orphansAreJudged: an orphan that turns out invalid is its sender's fault, not
// that of whoever brings the parent.
func orphansAreJudged(s *stage) {
	parent, children := s.family("a5", 2)
	forged := s.resigned(children[0], func(sig []byte) { sig[0] ^= 1 })
	for _, n := range s.nodes {
		forger, honest := n.meet(), n.meet()
		n.ignores(forger, forged)
		n.ignores(honest, children[1])
		n.hear(honest, &p2p.Tx{Tx: parent})
		n.holds(true, parent, children[1])
		n.holds(false, forged)
		drops := n.Drops()
		if len(drops) != 1 || drops[0].ID != forger {
			s.t.Errorf("%s: dropped are %v, not the one who sent the forged orphan", n.door, drops)
		}
		n.Disconnected(s.now, forger)
		n.hear(honest, &p2p.Tx{Tx: children[0]}) // the true one is welcome
		n.holds(true, children[0])
	}
}
