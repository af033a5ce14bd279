package node_test

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/p2p"
)

// lowWorkHeaders is how many headers of least difficulty each of 20 peers sends:
// KAPOK_HEADERS=1000000 in the long run.
func lowWorkHeaders(t *testing.T) int {
	t.Helper()
	text := os.Getenv("KAPOK_HEADERS")
	if text == "" {
		return 20_000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < p2p.MaxHeaders {
		t.Fatalf("KAPOK_HEADERS=%q: want how many headers each peer sends, at least %d", text, p2p.MaxHeaders)
	}
	return n / p2p.MaxHeaders * p2p.MaxHeaders
}

// Twenty peers at once send valid headers of least difficulty, by the million
// (attack 5). No header is kept, in memory or on disk, no body asked for, and
// nobody blamed: the chain might have the work behind them.
func TestLowWorkHeaders(t *testing.T) {
	const peers, perPeer = 20, 1 << 20 // bytes
	n := lowWorkHeaders(t)
	b := newBench(t, demanding(t, 1<<40))
	headers := easyHeaders(b.Params, b.genesis(), b.Params.GenesisTime, n, 1)
	one := newBait("all of them", headers, b.genesis())
	// Announcements of unknown parents make the node ask each of them.
	news := unheardOf(t, headers[1])
	for i := range peers {
		peer := *one
		peer.id = p2p.PeerID(fmt.Sprint("peer", i))
		b.meet(&peer, 1<<50, true)
		b.say(&peer, news)
	}
	before := heapInUse()
	var most int64
	messages := 0
	for asks := b.listen(); len(asks) > 0; asks = b.listen() {
		if len(asks) != peers {
			t.Fatalf("%d peers are asked at once, not %d", len(asks), peers)
		}
		for i, ask := range asks {
			b.say(b.baits[i], b.baits[i].answer(ask.Msg.(*p2p.GetHeaders)))
		}
		if messages++; messages%50 == 9 || messages == n/p2p.MaxHeaders {
			most = max(most, heapInUse()-before)
		}
	}
	if want := n/p2p.MaxHeaders + 1; messages != want { // the last one is empty
		t.Errorf("%d messages were asked of each, not %d", messages, want)
	}
	t.Logf("%d peers with %d headers each: at most %d bytes a peer", peers, n, most/peers)
	if most > peers*perPeer {
		t.Errorf("%d bytes a peer", most/peers)
	}
	if kept := b.kept(); kept != 0 || b.victim.Lookup(headers[0].Hash()) != nil || b.gossip != 0 {
		t.Errorf("%d headers are kept, %d messages gossiped", kept, b.gossip)
	}
	for _, peer := range b.baits {
		if peer.dropped != "" || peer.bodies != 0 {
			t.Fatalf("%s: dropped for %q, asked for %d bodies", peer.id, peer.dropped, peer.bodies)
		}
	}
}

// The first header without its work drops the peer, whatever the chain would be
// worth (attack 5b).
func TestHeadersWithoutWork(t *testing.T) {
	for name, work := range map[string]uint64{"a chain worth following": 0, "a chain to be looked at first": 1 << 40} {
		for _, at := range []int{0, 1999, 2000} {
			b := newBench(t, demanding(t, work))
			headers := easyHeaders(b.Params, b.genesis(), b.Params.GenesisTime, 4000, 1)
			target, _, _ := consensus.CompactToTarget(headers[at].Bits)
			for consensus.HashMeetsTarget(headers[at].Hash(), target) {
				headers[at].Nonce++
			}
			headers = append(headers[:at+1], easyHeaders(b.Params, headers[at].Hash(), headers[at].Time, 3999-at, 1)...)
			peer := newBait("peer", headers, b.genesis())
			b.meet(peer, 1<<50, false)
			b.talk()
			if !strings.HasPrefix(peer.dropped, string(consensus.ErrHighHash)) || peer.asked != 1+at/2000 {
				t.Errorf("%s: after header %d the peer, asked %d times, is dropped for %q", name, at, peer.asked, peer.dropped)
			}
			if b.victim.Lookup(headers[at].Hash()) != nil {
				t.Errorf("%s: header %d is kept", name, at)
			}
		}
	}
}

// Headers with valid work that fork off near genesis, 2,000 a second for ten
// seconds, announced and as headers that nobody asked for, are ignored: not
// forwarded, not remembered, no body asked for (attack 24).
func TestHeadersForkedNearGenesis(t *testing.T) {
	const most = 4 << 20 // bytes
	b := newBench(t, consensus.Regtest())
	c := chaintest.New(t, b.Params)
	c.Grow("genesis - a1..a200")
	b.submit(b.victim, c.Path("a200")...)
	kept := b.kept()
	peer := newBait("peer", nil, b.genesis())
	b.meet(peer, 0, true)
	b.listen()
	b.gossip = 0

	news := *c.Block("a11")
	before := heapInUse()
	for second := range 10 {
		fork := c.Index(fmt.Sprint("a", second+1))
		for i, h := range forks(b.Params, fork, 2000) {
			news.Header = h
			if verdict := b.say(peer, p2p.NewAnnounce(&news, uint64(i))); verdict != p2p.Ignore {
				t.Fatalf("announcement %d of second %d: verdict %v", i, second, verdict)
			}
		}
		b.say(peer, &p2p.Headers{Headers: easyHeaders(b.Params, fork.Hash, fork.Header.Time, 25, byte(second))})
		b.Now = b.Now.Add(time.Second)
		b.check(b.victim.Tick(b.Now))
		b.listen()
	}
	grew := heapInUse() - before
	t.Logf("20,000 announcements and 250 headers: %d bytes", grew)
	if n := b.kept() - kept; n != 0 || grew > most {
		t.Errorf("%d headers are kept, and %d bytes", n, grew)
	}
	if b.gossip != 0 || peer.bodies != 0 {
		t.Errorf("%d messages went on by gossip, and %d times bodies were asked for", b.gossip, peer.bodies)
	}
	runtime.KeepAlive(b)
}

// A message whose first header has the work buys nothing for others behind it that are no
// chain with it (attack 24).
func TestHeadersApart(t *testing.T) {
	b := newBench(t, consensus.Regtest())
	c := chaintest.New(t, b.Params)
	c.Grow("genesis - a1..a201")
	b.submit(b.victim, c.Path("a200")...)
	kept := b.kept()
	peer := newBait("peer", nil, b.genesis())
	b.meet(peer, 0, true)
	b.listen()
	low := easyHeaders(b.Params, b.genesis(), b.Params.GenesisTime, 1999, 7)
	for range 5 {
		b.say(peer, &p2p.Headers{Headers: append([]consensus.Header{c.Block("a201").Header}, low...)})
	}
	b.listen()
	if n := b.kept() - kept; n != 0 || peer.dropped == "" {
		t.Errorf("%d headers are kept, the peer is dropped for %q", n, peer.dropped)
	}
}

// forks are n children of a block.
func forks(p *consensus.Params, parent *consensus.BlockIndex, n int) []consensus.Header {
	children := make([]consensus.Header, n)
	for i := range children {
		children[i] = easyHeaders(p, parent.Hash, parent.Header.Time+uint32(i), 1, 1)[0]
	}
	return children
}

// Headers that nobody asked for enter where their chain has the work, as ever. For
// others nothing is asked, kept or forwarded, announced ones too.
func TestUnaskedHeaders(t *testing.T) {
	for _, test := range []struct{ sent, work int }{{149, 150}, {2000, 2001}, {150, 150}, {2000, 1999}, {1, 2}, {1, 1}} {
		b := newBench(t, demanding(t, uint64(test.work)))
		headers := easyHeaders(b.Params, b.genesis(), b.Params.GenesisTime, test.sent, 1)
		peer := newBait("peer", nil, b.genesis())
		b.meet(peer, 0, true)
		b.listen()
		want := 0
		if test.sent >= test.work {
			want = test.sent
		}
		if test.sent == 1 {
			b.say(peer, unheardOf(t, headers[0])) // of which genesis is the parent
		} else {
			b.say(peer, &p2p.Headers{Headers: headers})
		}
		if n := b.kept(); n != want {
			t.Errorf("%d headers sent, of %d with the work: %d are kept", test.sent, test.work, n)
		}
		if asks := b.listen(); want == 0 && (len(asks) > 0 || b.gossip > 0 || peer.bodies > 0) || peer.dropped != "" {
			t.Errorf("%d headers sent, of %d with the work: %d requests for more, %d for bodies, %d by gossip; dropped for %q",
				test.sent, test.work, len(asks), peer.bodies, b.gossip, peer.dropped)
		}
	}
}
