package sim_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/sim"
	"github.com/kapok-chain/kapok/storage"
)

// long is a chain whose work two messages of headers show, on the network of the other
// stages, and a store that has it.
type long struct {
	chain *chaintest.Chain
	store storage.Store
}

func newLong(t *testing.T) *long {
	p := quick(t, 7200)
	p.MinWork = consensus.Uint256{consensus.WorkOf(p.StartBits)[0] * (p2p.MaxHeaders + 20)}
	l := &long{chaintest.New(t, p), storage.OpenMemory(p, true)}
	last := fmt.Sprint("a", p2p.MaxHeaders+30)
	l.chain.Grow("genesis - a1.." + last)
	w := &world{t: t, World: sim.New(p, l.chain.Now().Add(time.Minute), 1)}
	n, err := w.Add(node.Config{Store: l.store})
	w.ok(err)
	w.ok(w.Submit(n, l.chain.Path(last)...))
	return l
}

// stage is a node with genesis alone whose honest peer has the long chain.
func (l *long) stage(t *testing.T, seed uint64) *stage {
	s := &stage{world: &world{t: t, chain: l.chain, payout: consensus.PayToKey(l.chain.Key("miner"))}}
	s.World = sim.New(l.chain.Params, l.chain.Now().Add(time.Minute), seed)
	s.Every = 500 * time.Millisecond
	var err error
	s.honest, err = s.Add(node.Config{Store: l.store})
	s.ok(err)
	s.victim, err = s.Add(node.Config{})
	s.ok(err)
	s.Start(s.honest)
	s.Start(s.victim)
	return s
}

// ofHonest is what the victim knows of its honest peer.
func (s *stage) ofHonest() p2p.PeerInfo {
	for _, p := range s.victim.Peers() {
		if p.ID == s.honest.ID {
			return p
		}
	}
	return p2p.PeerInfo{}
}

// pass lets the victim come into a pass of the look at its honest peer's headers.
func (s *stage) pass(first bool) {
	s.meet()
	for began := s.Now; s.ofHonest().PresyncHeight == 0; s.run(time.Millisecond) {
		if s.Now.Sub(began) > time.Second {
			s.t.Fatal("no first pass")
		}
	}
	for !first && s.ofHonest().PresyncHeight > 0 {
		s.run(time.Millisecond)
	}
	if p := s.ofHonest(); p.BestHeight != 0 || first != (p.PresyncHeight == p2p.MaxHeaders) {
		s.t.Fatalf("it is not in the pass: %+v", p)
	}
}

// TestReplayInPresync is TestReplay for a node that looks at the headers of a chain
// before it keeps them, in either pass: whatever somebody else repeats meanwhile, the
// look goes on.
func TestReplayInPresync(t *testing.T) {
	var msgs []p2p.Msg
	for seed := range uint64(3) {
		msgs = append(msgs, record(t, seed)...)
	}
	l := newLong(t)
	var headers []consensus.Header
	for _, b := range l.chain.Path(fmt.Sprint("a", p2p.MaxHeaders+30)) {
		headers = append(headers, b.Header)
	}
	// Those of the very passes too, from another peer than the one that was asked.
	msgs = append(msgs, &p2p.Headers{Headers: headers[:p2p.MaxHeaders]}, &p2p.Headers{Headers: headers[p2p.MaxHeaders:]})
	kinds := make(map[p2p.Type][]p2p.Msg)
	for _, m := range msgs {
		kinds[m.Type()] = append(kinds[m.Type()], m)
	}
	seed := uint64(0)
	for _, first := range []bool{true, false} {
		for _, greets := range []bool{true, false} {
			t.Run(fmt.Sprintf("first pass %v, greets %v", first, greets), func(t *testing.T) {
				seed++
				s := l.stage(t, seed)
				s.pass(first)
				t.Logf("the peer was dropped, or left, %d times", s.replay(msgs, greets))
				s.end()
				for kind := p2p.TypeHello; kind <= p2p.TypePeers; kind++ {
					s := l.stage(t, seed)
					s.pass(first)
					s.replay(kinds[kind][s.Rand.IntN(len(kinds[kind])):][:1], greets)
					s.victim.Disconnected(s.victim.Now(), mallory)
					s.Settle(s.victim)
					s.until(time.Second, "all headers", func() bool { return s.ofHonest().BestHash == s.honest.Tip().Hash })
					s.peaceful()
				}
			})
		}
	}
}
