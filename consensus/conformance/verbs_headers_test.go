package conformance

import (
	"slices"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/p2p"
)

// The stage's verbs for headers that come before, or without, their bodies, and
// for blocks that are known already.

// hearHeaders lets a peer send all nodes the headers up to the named block that
// they lack, or all where they lack none, and no bodies.
func (s *stage) hearHeaders(name string) {
	s.t.Helper()
	path := s.Path(name)
	for _, n := range s.nodes {
		lacks := func(b *consensus.Block) bool { return n.Lookup(b.Hash()) == nil }
		peer := n.meet()
		for batch := range slices.Chunk(headersOf(path[max(0, slices.IndexFunc(path, lacks)):]), p2p.MaxHeaders) {
			n.hear(peer, &p2p.Headers{Headers: batch})
		}
		if rule := n.dropped(peer, consensus.Invalid); rule != nil {
			s.t.Errorf("%s: the headers up to %s are refused: %v", n.door, name, rule)
		}
		n.Disconnected(s.now, peer)
		if n.Lookup(s.Hash(name)) == nil {
			s.t.Errorf("%s: the header of %s is not known", n.door, name)
		}
	}
}

func headersOf(blocks []*consensus.Block) []consensus.Header {
	headers := make([]consensus.Header, len(blocks))
	for i, b := range blocks {
		headers[i] = b.Header
	}
	return headers
}

// give gives all nodes the named blocks one by one, and nothing below them: the
// header of each parent is known, its body may be missing. None is refused.
func (s *stage) give(names ...string) {
	s.t.Helper()
	for _, name := range names {
		for _, n := range s.nodes {
			if rule := n.take(s.Block(name)); rule != nil {
				s.t.Errorf("%s: %s is refused: %v (%s)", n.door, name, rule, rule.Kind)
			}
		}
		s.told[name] = true
	}
}

// rejectUnseen is reject for blocks whose header is not worth remembering: no
// node knows it afterwards.
func (s *stage) rejectUnseen(block *consensus.Block, code consensus.Code) {
	s.t.Helper()
	s.refused(block, code, consensus.Invalid)
	for _, n := range s.nodes {
		if n.Lookup(block.Hash()) != nil {
			s.t.Errorf("%s: a header refused with %s is remembered", n.door, code)
		}
	}
}

// again gives all nodes a block that they know: each says so with this code, and
// nothing changes.
func (s *stage) again(name string, code consensus.Code, kind consensus.Kind) {
	s.t.Helper()
	for _, n := range s.nodes {
		index, tip, sum := n.Lookup(s.Hash(name)), n.Tip(), n.store.Sum()
		if index == nil {
			s.t.Fatalf("%s: %s is not known", n.door, name)
		}
		body, connected, failed := index.HasBody(), index.Connected(), index.Failed()
		s.wantRule(n.door, n.take(s.Block(name)), code, kind)
		if n.Lookup(index.Hash) != index || index.HasBody() != body || index.Connected() != connected || index.Failed() != failed {
			s.t.Errorf("%s: what is known of %s changed", n.door, name)
		}
		if n.Tip() != tip || n.store.Sum() != sum {
			s.t.Errorf("%s: tip or coins changed when %s came again", n.door, name)
		}
	}
}

// wantHeadersAsked checks that a node that hears of the named block, and lacks
// its parent, asks whoever told it for headers.
func (s *stage) wantHeadersAsked(name string) {
	s.t.Helper()
	for _, n := range s.nodes {
		for _, told := range []p2p.Msg{p2p.NewAnnounce(s.Block(name), 1), &p2p.Block{Block: s.Block(name)}} {
			peer := n.meet()
			asked := slices.ContainsFunc(n.hear(peer, told), func(out p2p.Outgoing) bool {
				_, ok := out.Msg.(*p2p.GetHeaders)
				return ok && out.To == peer
			})
			if rule := n.dropped(peer, consensus.Temporary); rule != nil || !asked {
				s.t.Errorf("%s: told of %s by %T: asked for headers %v, dropped for %v", n.door, name, told, asked, rule)
			}
			n.Disconnected(s.now, peer)
		}
	}
}

// seconds returns a block's time plus so many seconds, as an option for Mine.
func (s *stage) seconds(after string, more int64) chaintest.Option {
	return chaintest.At(uint32(s.time(after) + more))
}

// time is the named block's, in Unix seconds.
func (s *stage) time(name string) int64 { return int64(s.Block(name).Header.Time) }

// sealHeader changes a block's header after its roots were computed. It is
// solved for the bits that it then has.
func sealHeader(edit func(*consensus.Header)) chaintest.Option {
	return chaintest.Seal(func(b *consensus.Block) { edit(&b.Header) })
}

func withBits(bits uint32) chaintest.Option {
	return sealHeader(func(h *consensus.Header) { h.Bits = bits })
}

func withVersion(version uint32) chaintest.Option {
	return sealHeader(func(h *consensus.Header) { h.Version = int32(version) })
}

// solvedAs returns a copy of the named block whose hash meets a target that its
// bits may not stand for.
func (s *stage) solvedAs(name string, target uint32) *consensus.Block {
	s.t.Helper()
	block := s.copied(s.Block(name))
	meets, negative, overflow := consensus.CompactToTarget(target)
	if negative || overflow {
		s.t.Fatalf("%08x is no target", target)
	}
	for !consensus.HashMeetsTarget(block.Header.Hash(), meets) {
		block.Header.Nonce++
	}
	return block
}

// unsolved returns a copy of the named block whose hash is above its target.
func (s *stage) unsolved(name string) *consensus.Block {
	block := s.copied(s.Block(name))
	target, _, _ := consensus.CompactToTarget(block.Header.Bits)
	for consensus.HashMeetsTarget(block.Header.Hash(), target) {
		block.Header.Nonce++
	}
	return block
}
