//go:build !race

package host

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/p2p/peers"
)

// Whom a node connects to, and when, in virtual time.

// bookOf returns a book that strangers told of some hosts.
func bookOf(path string, hosts ...*node) *Book {
	b := OpenBook(path, testGenesis, false, nil)
	for i, h := range hosts {
		b.Heard(time.Now(), p2p.Peer{Addr: fmt.Sprintf("/ip4/12.%d.0.9/tcp/1", i%20)}, []string{h.swarm.ListenAddresses()[0].String()}, false)
	}
	return b
}

// TestVirtualRedial: the pauses between dials to a peer that refuses double from a
// quarter of a second to half a minute, each drawn from the half to one and a half of
// it; of a session that held, the next dial is soon, of one that did not, later still.
func TestVirtualRedial(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		// A peer that says what it is told to.
		door, err := New(w.config())
		if err != nil {
			t.Fatal(err)
		}
		defer door.Close()
		var mu sync.Mutex
		var knocks []time.Time
		say, hold := answerFull, time.Duration(0)
		door.lib.SetStreamHandler(door.cfg.protocol(), func(st network.Stream) {
			mu.Lock()
			knocks = append(knocks, time.Now())
			say, hold := say, hold
			mu.Unlock()
			_, _ = st.Write([]byte{byte(say)})
			pause(t.Context(), hold)
			_ = st.Close()
		})
		c := w.config()
		c.Peers = []string{door.Addrs()[0]}
		start(t, c)
		time.Sleep(20 * time.Minute)

		pauses := func() []time.Duration {
			mu.Lock()
			defer mu.Unlock()
			var d []time.Duration
			for i := 1; i < len(knocks); i++ {
				d = append(d, knocks[i].Sub(knocks[i-1]))
			}
			knocks = nil
			return d
		}
		const trip = 200 * time.Millisecond // of a dial
		got := pauses()
		if len(got) < 20*2*2/3 || len(got) > 8+20*2*2 {
			t.Errorf("%d dials in 20 minutes", len(got))
		}
		want := redialMin
		for i, d := range got {
			if d < want/2 || d > want*3/2+trip {
				t.Errorf("pause %d is %v, expected %v to %v", i, d, want/2, want*3/2)
			}
			want = min(2*want, redialMax)
		}
		if slices.Max(got)-slices.Min(got[10:]) < redialMax/4 {
			t.Errorf("pauses of %v to %v: there is no chance in them", slices.Min(got[10:]), slices.Max(got))
		}

		mu.Lock()
		say, hold = answerAccept, redialSettled+time.Second
		mu.Unlock()
		time.Sleep(10 * time.Minute)
		for i, d := range pauses()[1:] { // the first one was begun before
			if d -= hold; d < redialMin/2 || d > redialMin*3/2+trip {
				t.Errorf("%v after session %d, which held, it was dialed again, expected %v", d, i, redialMin)
			}
		}

		mu.Lock()
		hold = redialSettled - 2*time.Second
		mu.Unlock()
		time.Sleep(10 * time.Minute)
		if d := pauses(); d[len(d)-1]-hold < redialMax/2 {
			t.Errorf("%v after a session that never holds it was dialed again, expected about %v", d[len(d)-1]-hold, redialMax)
		}
	})
}

// TestVirtualForeignPeer: a peer of another network is asked again every few minutes.
func TestVirtualForeignPeer(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.config()
		c.GenesisHash = consensus.Hash{9}
		foreign, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		defer foreign.Close()
		conns := new(connCount)
		foreign.swarm.Notify(conns)
		c = w.config()
		c.Peers = []string{foreign.Addrs()[0]}
		a := start(t, c)
		time.Sleep(time.Hour)
		if n := conns.opened(); n < 60/8 || n > 1+60*2/5 {
			t.Errorf("%d connections in an hour, expected one each %v", n, redialForeign)
		}
		if n := strings.Count(a.log.String(), "another network"); n != 1 {
			t.Errorf("it was said %d times", n)
		}
	})
}

// connCount counts connections.
type connCount struct {
	network.NoopNotifiee
	mu sync.Mutex
	n  int
}

func (c *connCount) Connected(network.Network, network.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
}

func (c *connCount) opened() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// TestVirtualBanEnds: a ban holds to its last second, also over a restart, and no
// longer, though the peer dials all the time.
func TestVirtualBanEnds(t *testing.T) {
	for _, target := range []string{"id", "11.1.0.1", "11.1.0.0/16"} {
		t.Run(strings.ReplaceAll(target, "/", "_"), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				c := w.config() // 11.1.0.1
				config := w.config()
				config.KeyFile, config.BanFile = t.TempDir()+"/node.key", t.TempDir()+"/bans.json"
				b := start(t, config)
				c.Peers = []string{b.ShortAddrs()[0]}
				a := start(t, c)
				b.waitFor(t, "connected", a.ID(), 1)
				if target == "id" {
					target = string(a.ID())
				}
				end := time.Now().Add(15 * time.Minute).Truncate(time.Second) // as the file has it
				if err := b.Ban(target, end); err != nil {
					t.Fatal(err)
				}
				time.Sleep(8 * time.Minute)
				if n := len(b.seen()); n != 2 {
					t.Errorf("%d events, expected connected and disconnected", n)
				}
				if err := b.stop(); err != nil {
					t.Fatal(err)
				}
				b = start(t, config)
				time.Sleep(time.Until(end.Add(-time.Second)))
				if err := b.Connect(within(t), a.Addrs()[0]); err == nil || len(b.seen()) != 0 {
					t.Errorf("before the end of the ban: %v, %v", err, b.seen())
				}
				time.Sleep(redialMax*3/2 + dialTimeout + time.Second)
				if took := b.last("connected", a.ID()).Sub(end); took < 0 || took > redialMax*3/2+dialTimeout {
					t.Errorf("connected %v after the end of the ban", took)
				}
				if bans := b.Bans(); len(bans) != 0 {
					t.Errorf("bans %v", bans)
				}
			})
		})
	}
}

// TestVirtualOutbound: a node dials eight peers and two for blocks alone, in different
// net groups, and no more; the two take no part in gossip, and are the first to be
// dialed at the next start.
func TestVirtualOutbound(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var all []*node
		for i := range 18 {
			all = append(all, start(t, w.at(netip.AddrFrom4([4]byte{13, byte(i / 3), 0, byte(1 + i)})))) // three in each of six groups
		}
		for range 5 {
			all = append(all, start(t, w.config()))
		}
		path := filepath.Join(t.TempDir(), "peers.json")
		c := w.config()
		c.Book = bookOf(path, all...)
		a := start(t, c)
		a.waitKinds(t, 8, 2)
		groups := make(map[netip.Prefix]bool)
		var blockOnly []netip.AddrPort
		gossiping := make(map[p2p.PeerID]bool)
		for _, s := range a.all() {
			addr, _ := addrPort(s.stream.Conn().RemoteMultiaddr())
			if groups[peers.GroupOf(addr.Addr())] {
				t.Errorf("two peers in the group of %s", addr)
			}
			groups[peers.GroupOf(addr.Addr())] = true
			if s.kind == peers.BlockOnly {
				blockOnly = append(blockOnly, addr)
			} else {
				gossiping[s.peer.ID] = true
			}
		}
		// The eight gossip with us, and the two do not.
		time.Sleep(10 * time.Second)
		if n := len(a.gossip.txs.ListPeers()); n != len(gossiping) {
			t.Errorf("gossip with %d peers, expected %d", n, len(gossiping))
		}
		for _, id := range a.gossip.txs.ListPeers() {
			if !gossiping[name(id)] {
				t.Errorf("%s gossips over a connection for blocks alone", id)
			}
		}
		// Payments reach the eight, and neither of the two: by gossip, and, large ones,
		// by stream.
		a.Send(p2p.Outgoing{Msg: payment(1, 100)})
		a.Send(p2p.Outgoing{Msg: payment(2, p2p.MaxGossip)})
		time.Sleep(10 * time.Second)
		for _, n := range all {
			s := a.session(n.ID())
			if s == nil {
				continue
			}
			if heard := n.seen(); heardOf(1)(heard) != gossiping[n.ID()] || heardOf(2)(heard) != gossiping[n.ID()] {
				t.Errorf("%s (%s) heard of payments: %v, %v", n.ID(), s.kind, heardOf(1)(heard), heardOf(2)(heard))
			}
		}
		if got := a.kinds(); got[peers.Full] != 8 || got[peers.BlockOnly] != 2 {
			t.Errorf("peers %v", got)
		}
		if err := a.stop(); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(a.log.String(), "blacklisted") {
			t.Error("GossipSub complains about the peers that it is kept from")
		}
		// The next start.
		c.Book = OpenBook(path, testGenesis, false, nil)
		if got := slices.Clone(c.Book.dialer.Anchors); len(got) != 2 || !slices.Contains(blockOnly, got[0]) || !slices.Contains(blockOnly, got[1]) {
			t.Fatalf("anchors %v, expected %v", got, blockOnly)
		}
		b := start(t, c)
		b.waitKinds(t, 8, 2)
		for _, s := range b.all() {
			if addr, _ := addrPort(s.stream.Conn().RemoteMultiaddr()); s.kind == peers.BlockOnly && !slices.Contains(blockOnly, addr) {
				t.Errorf("%s was no anchor", addr)
			}
		}
	})
}

// TestVirtualFeelers: once there are peers enough, a fresh address is tried every two
// minutes on average, and left again; so in time the node knows of all which of them
// answer. What it knows is in its file after ten minutes.
func TestVirtualFeelers(t *testing.T) {
	const spare = 6
	inWorld(t, func(t *testing.T, w *world) {
		var all []*node
		for range 10 + spare {
			all = append(all, start(t, w.config()))
		}
		path := filepath.Join(t.TempDir(), "peers.json")
		c := w.config()
		c.Book = bookOf(path, all...)
		c.Book.rng = rand.New(rand.NewPCG(7, 8))
		begin := time.Now()
		a := start(t, c)
		time.Sleep(saveInterval - time.Second)
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the book is saved already: %v", err)
		}
		time.Sleep(2 * time.Second)
		if saved := OpenBook(path, testGenesis, false, nil); len(known(saved)) != len(all) {
			t.Errorf("%d addresses are saved, expected %d", len(known(saved)), len(all))
		}
		time.Sleep(time.Until(begin.Add(45 * time.Minute)))
		var felt []time.Time
		for _, n := range all {
			if a.session(n.ID()) == nil {
				if in, out := has(n.seen(), "connected", a.ID()), has(n.seen(), "disconnected", a.ID()); in != 1 || out != 1 {
					t.Errorf("an address was tried %d times, and left %d times", in, out)
				}
				felt = append(felt, n.last("connected", a.ID()))
			}
		}
		slices.SortFunc(felt, time.Time.Compare)
		if len(felt) != spare {
			t.Fatalf("%d addresses are no peers, expected %d", len(felt), spare)
		}
		if mean := felt[spare-1].Sub(begin) / spare; mean < 30*time.Second || mean > 5*time.Minute {
			t.Errorf("a feeler every %v on average, expected 2 minutes", mean)
		}
		if got := a.kinds(); got[peers.Full] != 8 || got[peers.BlockOnly] != 2 || len(a.seen()) != 10 {
			t.Errorf("peers %v, %d events", got, len(a.seen()))
		}
	})
}

// TestVirtualQuiet: while no block comes a ninth peer is dialed, has 20 s on trial, and
// gives way to another. The peers that were there stay, but that the one whose block is
// the oldest gives way to a newcomer that has one. Once there are blocks, eight stay.
func TestVirtualQuiet(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var all []*node
		for range 16 {
			all = append(all, start(t, w.config()))
		}
		c := w.config()
		c.Book = bookOf("", all...)
		a := start(t, c)
		a.waitKinds(t, 8, 2)
		time.Sleep(time.Minute)
		left := func() int { return has(a.seen(), "disconnected", "") }
		if n := left(); n != 0 {
			t.Errorf("%d peers left while blocks came", n)
		}
		var infos []p2p.PeerInfo
		eight := a.kind(peers.Full)
		for i, s := range eight {
			infos = append(infos, p2p.PeerInfo{Peer: s.peer, LastBlock: time.Now().Add(-time.Duration(i) * time.Second)})
		}
		oldest := eight[len(eight)-1]
		there := func(s *session) bool { return a.session(s.peer.ID) == s }
		a.setQuiet(true, infos)
		time.Sleep(3 * time.Minute)
		if n := left(); n < 6 || n > 9 {
			t.Errorf("%d newcomers gave way in 3 minutes, expected one each 20 s", n)
		}
		for _, s := range eight {
			if !there(s) {
				t.Errorf("%s left, of which there was a block", s.peer.ID)
			}
		}
		a.wait(t, "a newcomer", func([]event) bool { return len(a.kind(peers.Full)) == 9 })
		var newcomer *session
		for _, s := range a.kind(peers.Full) {
			if !slices.Contains(eight, s) {
				newcomer = s
			}
		}
		a.setQuiet(false, append(infos, p2p.PeerInfo{Peer: newcomer.peer, LastBlock: time.Now()}))
		before := left()
		time.Sleep(3 * time.Minute)
		if !there(newcomer) || there(oldest) || left() != before+1 {
			t.Errorf("newcomer there: %v, oldest there: %v, %d left", there(newcomer), there(oldest), left()-before)
		}
		if got := a.kinds(); got[peers.Full] != 8 || got[peers.BlockOnly] != 2 {
			t.Errorf("peers %v", got)
		}
	})
}

// TestVirtualTable: nodes in a line, each of which knows the one before, find each
// other by the hash table and connect.
func TestVirtualTable(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var line []*node
		for i := range 6 {
			c := w.config()
			c.DHT = true
			c.Book = OpenBook("", testGenesis, false, nil)
			if i > 0 {
				c.Peers = []string{line[i-1].Addrs()[0]}
			}
			line = append(line, start(t, c))
		}
		time.Sleep(walkInterval + time.Minute)
		for i, n := range line {
			for j, other := range line {
				if i != j && n.session(other.ID()) == nil {
					t.Errorf("hosts %d and %d did not find each other", i, j)
				}
			}
		}
	})
}

// TestVirtualNetworkGrows: hosts with engines, each of which is told of one other, hear
// of all the others from their peers, and are connected with all.
func TestVirtualNetworkGrows(t *testing.T) {
	const hosts = 6
	inWorld(t, func(t *testing.T, w *world) {
		var all []*node
		for i := range hosts {
			c := w.config()
			c.Book = OpenBook("", testGenesis, false, nil)
			if i > 0 {
				c.Bootstrap = []string{all[i-1].ShortAddrs()[0]}
			}
			n, _ := startTalker(t, c)
			all = append(all, n)
			time.Sleep(time.Second)
		}
		time.Sleep(12 * time.Minute) // peers are told of addresses every ten
		for i, n := range all {
			if knows := len(known(n.cfg.Book)); knows != hosts-1 || len(n.all()) != hosts-1 {
				t.Errorf("host %d knows %d addresses, and has peers %v", i, knows, n.kinds())
			}
		}
	})
}

// TestVirtualKeepAlive: engines over real hosts measure the way there and back. A peer
// that says no hello is dropped after 10 s, one that answers no ping after 60 s.
func TestVirtualKeepAlive(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.links(50*time.Millisecond, 0, 0)
		a, engine := startTalker(t, w.config())
		b, _ := startTalker(t, w.config())
		a.connect(t, b)
		params := consensus.Regtest()
		mute := func(hello bool) (id p2p.PeerID, begin time.Time) {
			c := w.config()
			c.GenesisHash = params.GenesisHash()
			h := stray(t, c, a)
			st := h.intrude(t, a)
			if hello {
				if err := writeFrame(st, newFrame(p2p.Encode(&p2p.Hello{Version: p2p.Version, Genesis: params.GenesisHash(), Nonce: 1, Agent: "mute"})), func(int) {}); err != nil {
					t.Error(err)
				}
			}
			go func() { // it answers what else would drop it
				for {
					frame, err := readFrame(st, p2p.MaxMessage, nil)
					if err != nil {
						return
					}
					if m, _ := p2p.Decode(frame); m.Type() == p2p.TypeGetHeaders {
						_ = writeFrame(st, newFrame(p2p.Encode(&p2p.Headers{})), func(int) {})
					}
				}
			}()
			return h.ID(), time.Now()
		}
		silent, first := mute(false)
		deaf, second := mute(true)
		time.Sleep(10 * time.Minute)
		infos := engine.Peers()
		if len(infos) != 1 || infos[0].ID != b.ID() || infos[0].MinPing < 100*time.Millisecond || infos[0].MinPing > 110*time.Millisecond {
			t.Errorf("peers %+v, expected one that is 100 ms away", infos)
		}
		for _, c := range []struct {
			id          p2p.PeerID
			begin       time.Time
			least, most time.Duration
		}{{silent, first, 9 * time.Second, 11 * time.Second}, {deaf, second, time.Minute, 61 * time.Second}} {
			if took := a.last("disconnected", c.id).Sub(c.begin); took < c.least || took > c.most {
				t.Errorf("a mute peer was dropped after %v, expected %v to %v", took, c.least, c.most)
			}
		}
	})
}
