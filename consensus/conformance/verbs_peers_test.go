package conformance

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
)

// remote is a peer that has a chain of the stage, perhaps other blocks too, and
// answers for them like any node; it may withhold the bodies.
type remote struct {
	id        p2p.PeerID
	chain     []*consensus.Block     // from the child of genesis on
	heights   map[consensus.Hash]int // of the chain, genesis included
	bodies    map[consensus.Hash]*consensus.Block
	withholds bool
	sent      []p2p.Msg // on its way to the node
}

// join connects a peer that says, in its hello, that it has the named block.
func (n *seat) join(tip string) *remote {
	n.s.t.Helper()
	n.peers++
	r := &remote{
		id:      p2p.PeerID(fmt.Sprint("peer", n.peers)),
		chain:   n.s.Path(tip),
		heights: map[consensus.Hash]int{n.s.Params.GenesisHash(): 0},
		bodies:  make(map[consensus.Hash]*consensus.Block),
	}
	for i, block := range r.chain {
		r.heights[block.Hash()], r.bodies[block.Hash()] = i+1, block
	}
	at := n.s.Index(tip)
	r.say(&p2p.Hello{Version: p2p.Version, Genesis: n.s.Params.GenesisHash(), Nonce: uint64(n.peers), Agent: "/peer/",
		Tip: at.Hash, Height: at.Height, Work: at.Work})
	n.Connected(n.s.now, p2p.Peer{ID: r.id})
	return r
}

func (r *remote) say(msg p2p.Msg) { r.sent = append(r.sent, msg) }

// answer is what the peer says to a message of the node.
func (r *remote) answer(msg p2p.Msg) {
	switch m := msg.(type) {
	case *p2p.Ping:
		r.say(&p2p.Pong{Nonce: m.Nonce})
	case *p2p.GetHeaders:
		from := 0
		for _, hash := range m.Locator {
			if height, ok := r.heights[hash]; ok {
				from = height
				break
			}
		}
		r.say(&p2p.Headers{Headers: headersOf(r.chain[from:min(len(r.chain), from+p2p.MaxHeaders)])})
	case *p2p.GetBlocks:
		for _, hash := range m.Hashes {
			if block := r.bodies[hash]; block == nil {
				r.say(&p2p.NotFound{Hashes: []consensus.Hash{hash}})
			} else if !r.withholds {
				r.say(&p2p.Block{Block: block})
			}
		}
	case *p2p.GetBlockTxs:
		if block := r.bodies[m.Block]; block != nil && !r.withholds {
			answer := &p2p.BlockTxs{Block: m.Block}
			for _, i := range m.Indexes {
				answer.Txs = append(answer.Txs, block.Txs[i])
			}
			r.say(answer)
		}
	}
}

// talk lets the node and these peers go on until nobody has anything to say. Of
// the peers that have, rng chooses who is heard next. None may be dropped.
func (n *seat) talk(rng *rand.Rand, peers ...*remote) {
	n.s.t.Helper()
	for {
		n.s.check(n.Advance(n.s.now, verifier))
		byID := make(map[p2p.PeerID]*remote, len(peers))
		for _, r := range peers {
			byID[r.id] = r
		}
		for _, out := range n.Outbox() {
			if r := byID[out.To]; r != nil {
				r.answer(out.Msg)
			}
		}
		for _, drop := range n.Drops() {
			n.s.t.Errorf("%s: %s is dropped: %s", n.door, drop.ID, drop.Reason)
		}
		var talking []*remote
		for _, r := range peers {
			if len(r.sent) > 0 {
				talking = append(talking, r)
			}
		}
		if len(talking) == 0 {
			return
		}
		r := talking[rng.IntN(len(talking))]
		msg, err := p2p.Decode(p2p.Encode(r.sent[0]))
		n.s.check(err)
		r.sent = r.sent[1:]
		_, err = n.Receive(n.s.now, r.id, msg, false)
		n.s.check(err)
		for more := true; more; {
			more, err = n.Rebuild(n.s.now)
			n.s.check(err)
		}
	}
}

// wait lets time pass and the peers talk, until done, and returns how long that
// took: limit where it was not done by then.
func (n *seat) wait(limit time.Duration, rng *rand.Rand, done func() bool, peers ...*remote) time.Duration {
	n.s.t.Helper()
	const tick = 200 * time.Millisecond
	for waited := time.Duration(0); ; waited += tick {
		n.talk(rng, peers...)
		if done() || waited >= limit {
			return waited
		}
		n.s.now = n.s.now.Add(tick)
		n.s.check(n.Tick(n.s.now))
	}
}

// tipIs is a condition for wait.
func (n *seat) tipIs(name string) func() bool {
	return func() bool { return n.Tip().Hash == n.s.Hash(name) }
}
