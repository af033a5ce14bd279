package node_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/storage"
)

// demanding is regtest that asks for the work of so many blocks.
func demanding(t testing.TB, blocks uint64) *consensus.Params {
	t.Helper()
	p := consensus.Regtest()
	each := consensus.WorkOf(p.StartBits)[0]
	p.MinWork = consensus.Uint256{each * (blocks + 1)} // and genesis
	return p
}

// easyHeaders are n headers of fixed difficulty after a block; salt tells chains
// apart.
func easyHeaders(p *consensus.Params, after consensus.Hash, from uint32, n int, salt byte) []consensus.Header {
	target, _, _ := consensus.CompactToTarget(p.StartBits)
	headers := make([]consensus.Header, n)
	for i := range headers {
		h := &headers[i]
		*h = consensus.Header{
			Version: consensus.MinVersion, Prev: after, MerkleRoot: consensus.Hash{salt},
			Time: from + 600*uint32(i+1), Bits: p.StartBits,
		}
		hash := h.Hash()
		for ; !consensus.HashMeetsTarget(hash, target); hash = h.Hash() {
			h.Nonce++
		}
		after = hash
	}
	return headers
}

// bait is a peer that has headers, and answers for nothing else.
type bait struct {
	id      p2p.PeerID
	headers []consensus.Header
	places  map[consensus.Hash]int // how many of headers end with this one
	asked   int                    // for headers
	bodies  int                    // asked for
	dropped string
}

func newBait(id string, headers []consensus.Header, genesis consensus.Hash) *bait {
	b := &bait{id: p2p.PeerID(id), headers: headers, places: map[consensus.Hash]int{genesis: 0}}
	for i := range headers {
		b.places[headers[i].Hash()] = i + 1
	}
	return b
}

func (b *bait) answer(m *p2p.GetHeaders) *p2p.Headers {
	at := 0
	for _, hash := range m.Locator {
		if place, ok := b.places[hash]; ok {
			at = place
			break
		}
	}
	return &p2p.Headers{Headers: b.headers[at:min(at+p2p.MaxHeaders, len(b.headers))]}
}

// bench is a node in a world that the test talks to by hand.
type bench struct {
	*world
	victim *resident
	baits  []*bait
	gossip int
}

func newBench(t testing.TB, p *consensus.Params) *bench {
	w := newWorld(t, p, 1, 0)
	w.Now = w.Now.Add(40 * 365 * 24 * time.Hour) // long chains end before it
	return &bench{world: w, victim: w.reside(storage.OpenMemory(p, true))}
}

// meet connects a peer that claims so much work.
func (b *bench) meet(peer *bait, work uint64, inbound bool) {
	b.t.Helper()
	b.baits = append(b.baits, peer)
	b.victim.Connected(b.Now, p2p.Peer{ID: peer.id, Addr: string(peer.id), Inbound: inbound})
	b.say(peer, &p2p.Hello{Version: p2p.Version, Genesis: b.Params.GenesisHash(), Nonce: uint64(len(b.baits)) << 8,
		Tip: consensus.Hash{byte(len(b.baits))}, Work: consensus.Uint256{work}})
}

func (b *bench) say(from *bait, m p2p.Msg) p2p.Verdict {
	b.t.Helper()
	return b.hear(b.victim, from.id, m)
}

// listen takes what the node says, and returns what it asks of whom, in order.
func (b *bench) listen() (asks []p2p.Outgoing) {
	b.t.Helper()
	b.check(b.victim.Advance(b.Now, consensus.Verifier{Workers: 1}))
	for _, out := range b.victim.Outbox() {
		if out.To == p2p.Everyone {
			b.gossip++
		}
		for _, peer := range b.baits {
			if peer.id != out.To {
				continue
			}
			switch m := out.Msg.(type) {
			case *p2p.GetHeaders:
				peer.asked++
				asks = append(asks, out)
			case *p2p.GetBlocks, *p2p.GetBlockTxs:
				peer.bodies++
			case *p2p.Ping:
				b.say(peer, &p2p.Pong{Nonce: m.Nonce})
			}
		}
	}
	for _, drop := range b.victim.Drops() {
		for _, peer := range b.baits {
			if peer.id == drop.ID {
				peer.dropped = drop.Reason
			}
		}
		b.victim.Disconnected(b.Now, drop.ID)
	}
	return asks
}

// talk lets the peers but the silent ones answer for headers until nothing is
// asked any more.
func (b *bench) talk(silent ...*bait) {
	b.t.Helper()
	for asks := b.listen(); len(asks) > 0; asks = b.listen() {
		for _, ask := range asks {
			for _, peer := range b.baits {
				if peer.id == ask.To && !slices.Contains(silent, peer) {
					b.say(peer, peer.answer(ask.Msg.(*p2p.GetHeaders)))
				}
			}
		}
	}
}

// wait lets time pass, and the peers answer.
func (b *bench) wait(d time.Duration) {
	b.t.Helper()
	for end := b.Now.Add(d); b.Now.Before(end); {
		b.Now = b.Now.Add(200 * time.Millisecond)
		b.check(b.victim.Tick(b.Now))
		b.talk()
	}
}

// kept is how many headers the store has, genesis aside.
func (b *bench) kept() int {
	b.t.Helper()
	b.check(b.victim.Tick(b.Now))
	state, err := b.victim.Store.Load()
	b.check(err)
	n := 0
	for _, r := range state.Records {
		if r.Hash != b.Params.GenesisHash() {
			n++
		}
	}
	return n
}

func (b *bench) genesis() consensus.Hash { return b.Params.GenesisHash() }

// A network's first sync, with a minimum work that takes two messages to show:
// headers come twice, bodies once.
func TestLateNodeWithAMinimumOfWork(t *testing.T) {
	c := chaintest.New(t, demanding(t, 2050))
	c.Grow("genesis - a1..a2100")
	w := newWorld(t, c.Params, 4, 2)
	w.submit(w.Nodes[0], c.Path("a2100")...)
	w.link(w.Nodes[1], w.Nodes[0])
	w.until(5*time.Minute, "the late node on a2100", func() bool { return w.agree(c.Hash("a2100")) })
	if len(w.Nodes[1].Node.Peers()) != 1 {
		t.Error("one of them was dropped")
	}
	late := w.add(storage.OpenMemory(c.Params, true))
	w.link(late, w.Nodes[0])
	w.link(late, w.Nodes[1])
	w.submit(w.Nodes[0], c.Mine("a2100", "a2101")) // while it syncs
	w.until(5*time.Minute, "another one on a2101", func() bool { return w.agree(c.Hash("a2101")) })
}

// Each header of a chain that shows its work in the third message is asked for
// twice up to there, and once behind; all of them enter.
func TestPresyncOfALongChain(t *testing.T) {
	b := newBench(t, demanding(t, 5100))
	peer := newBait("peer", easyHeaders(b.Params, b.genesis(), b.Params.GenesisTime, 7300, 1), b.genesis())
	b.meet(peer, 20_000, false)
	for i := range 3 {
		asks := b.listen()
		if len(asks) != 1 || b.kept() != 0 {
			t.Fatalf("%d requests and %d headers kept in the first pass", len(asks), b.kept())
		}
		if height := b.victim.Peers()[0].PresyncHeight; height != uint32(i*p2p.MaxHeaders) {
			t.Errorf("the peer's first pass is at height %d after %d messages", height, i)
		}
		b.say(peer, peer.answer(asks[0].Msg.(*p2p.GetHeaders)))
	}
	if height := b.victim.Peers()[0].PresyncHeight; height != 0 {
		t.Errorf("the peer's first pass is at height %d in the second one", height)
	}
	b.talk()
	if n := b.kept(); n != 7300 || peer.dropped != "" {
		t.Errorf("%d of 7,300 headers are kept; dropped for %q", n, peer.dropped)
	}
	if peer.asked != 3+3+1 {
		t.Errorf("headers were asked for %d times", peer.asked)
	}
}

// A peer whose chain becomes another one between the passes is not blamed. Nothing
// of either is kept; it is asked again after 2 s, and followed once it holds still.
func TestPresyncOfAChainThatChanges(t *testing.T) {
	b := newBench(t, demanding(t, 2500))
	first := newBait("peer", easyHeaders(b.Params, b.genesis(), b.Params.GenesisTime, 3000, 1), b.genesis())
	then := newBait("peer", easyHeaders(b.Params, b.genesis(), b.Params.GenesisTime, 3000, 2), b.genesis())
	b.meet(first, 20_000, false)
	for range 2 {
		b.say(first, first.answer(b.listen()[0].Msg.(*p2p.GetHeaders)))
	}
	*first = *then
	b.say(first, first.answer(b.listen()[0].Msg.(*p2p.GetHeaders)))
	for _, ask := range b.listen() { // where the first bits happened to be right
		b.say(first, first.answer(ask.Msg.(*p2p.GetHeaders)))
	}
	if n := b.kept(); n != 0 || first.dropped != "" {
		t.Fatalf("%d headers are kept; dropped for %q", n, first.dropped)
	}
	b.wait(3 * time.Second)
	if n := b.kept(); n != 3000 || first.dropped != "" {
		t.Errorf("%d of 3,000 headers are kept when it holds still; dropped for %q", n, first.dropped)
	}
}

// A peer whose chain is too weak is asked more and more seldom, never blamed, and
// followed when it has the work. Its headers leave nothing behind.
func TestPresyncOfAWeakChain(t *testing.T) {
	b := newBench(t, demanding(t, 4500))
	headers := easyHeaders(b.Params, b.genesis(), b.Params.GenesisTime, 5000, 1)
	peer := newBait("peer", headers[:4000], b.genesis())
	b.meet(peer, 20_000, false)
	b.wait(30 * time.Minute)
	if n := b.kept(); n != 0 || peer.dropped != "" {
		t.Fatalf("%d headers of a weak chain are kept; dropped for %q", n, peer.dropped)
	}
	if peer.asked < 10 || peer.asked > 40 {
		t.Errorf("the peer was asked %d times in half an hour", peer.asked)
	}
	peer.asked = 0
	b.say(peer, unheardOf(t, headers[1]))
	if b.talk(); peer.asked != 1 {
		t.Errorf("the peer was asked %d times for what leads to its news", peer.asked)
	}
	*peer = *newBait("peer", headers, b.genesis())
	b.wait(10*time.Minute + time.Second)
	if n := b.kept(); n != len(headers) {
		t.Errorf("%d of %d headers are kept when the chain has the work", n, len(headers))
	}
}

// unheardOf announces a header whose parent is not known.
func unheardOf(t testing.TB, h consensus.Header) *p2p.Announce {
	block := chaintest.New(t, consensus.Regtest()).Mine("genesis", "x1")
	block.Header = h
	return p2p.NewAnnounce(block, 1)
}

// Peers that claim the most work and slowly send ever more headers of a chain that
// shows none keep an honest peer from its turn for 40 s, however many they are.
func TestPresyncKeepsNobodyWaiting(t *testing.T) {
	b := newBench(t, demanding(t, 30_000))
	honest := newBait("honest", easyHeaders(b.Params, b.genesis(), b.Params.GenesisTime, 31_000, 1), b.genesis())
	weak := easyHeaders(b.Params, b.genesis(), b.Params.GenesisTime, 2000, 2)
	b.meet(honest, 60_000, false)
	for i := range 20 {
		b.meet(newBait(fmt.Sprint("slow", i), weak, b.genesis()), 1<<40, true)
	}
	began, end := b.Now, honest.headers[30_999].Hash()
	for b.victim.Lookup(end) == nil && b.Now.Sub(began) < 5*time.Minute {
		for _, ask := range b.listen() {
			m := ask.Msg.(*p2p.GetHeaders)
			if ask.To == honest.id {
				b.say(honest, honest.answer(m))
				continue
			}
			for _, peer := range b.baits {
				if peer.id == ask.To { // a valid chain, of which it makes up ever more
					at := peer.places[m.Locator[0]]
					if at == len(peer.headers) && at > 0 {
						peer.headers = easyHeaders(b.Params, m.Locator[0], peer.headers[at-1].Time, 2000, 3)
						peer.places = newBait("", peer.headers, m.Locator[0]).places
					}
					b.After(9*time.Second, func() { b.say(peer, peer.answer(m)) })
				}
			}
		}
		b.run(200 * time.Millisecond)
		b.check(b.victim.Tick(b.Now))
	}
	if took := b.Now.Sub(began); took > 50*time.Second {
		t.Errorf("the honest peer's chain is there after %v", took)
	}
	if honest.dropped != "" {
		t.Errorf("the honest peer is dropped: %s", honest.dropped)
	}
}

// What came from somebody else meanwhile is not looked at first any more.
func TestPresyncOfWhatIsHereMeanwhile(t *testing.T) {
	b := newBench(t, demanding(t, 4500))
	headers := easyHeaders(b.Params, b.genesis(), b.Params.GenesisTime, 5000, 1)
	slow, fast := newBait("slow", headers, b.genesis()), newBait("fast", headers, b.genesis())
	b.meet(slow, 20_000, false)
	b.say(slow, slow.answer(b.listen()[0].Msg.(*p2p.GetHeaders)))
	held := b.listen() // its next request, left open
	b.meet(fast, 10_000, false)
	b.Now = b.Now.Add(11 * time.Second)
	b.check(b.victim.Tick(b.Now)) // somebody else is asked
	b.talk(slow)
	if n := b.kept(); n != 5000 {
		t.Fatalf("%d headers came from the fast peer", n)
	}
	asked := slow.asked
	b.say(slow, slow.answer(held[0].Msg.(*p2p.GetHeaders)))
	b.talk()
	if n := slow.asked - asked; n != 1 || slow.dropped != "" {
		t.Errorf("the slow peer was asked %d more times; dropped for %q", n, slow.dropped)
	}
}
