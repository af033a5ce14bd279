package host

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/p2p/peers"
)

// within returns a context that ends with the test's patience.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func TestConnectByHostAndPort(t *testing.T) {
	a, b := start(t, lean()), start(t, lean())
	if err := a.Connect(within(t), b.ShortAddrs()[0]); err != nil {
		t.Fatal(err)
	}
	a.waitFor(t, "connected", b.ID(), 1)
	if err := a.Connect(within(t), b.ShortAddrs()[0]); err != nil {
		t.Errorf("connecting again: %v", err)
	}
	if n := len(a.all()); n != 1 {
		t.Errorf("%d sessions, expected 1", n)
	}
	if known := len(a.swarm.Peerstore().PeersWithAddrs()); known > 2 {
		t.Errorf("%d peers in the book, expected the two nodes", known)
	}
}

func TestConnectErrors(t *testing.T) {
	a, b := start(t, lean()), start(t, lean())
	nobody, err := New(lean()) // has an address, and will be gone
	if err != nil {
		t.Fatal(err)
	}
	gone := nobody.Addrs()[0]
	if err := nobody.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, addr, say string }{
		{"own address", a.Addrs()[0], "is this node itself"},
		{"own port", a.ShortAddrs()[0], "is this node itself"},
		{"nobody there", gone, "connection refused"},
		{"nobody to ask", "127.0.0.1:1", "connection refused"},
		{"no port", "127.0.0.1", "expected host:port"},
		{"bad port", "127.0.0.1:99999", "is no port"},
		{"no host", ":19420", "the host is missing"},
		{"only an id", "/p2p/" + string(b.ID()), "but not where"},
		{"an RSA id", "/ip4/127.0.0.1/tcp/1/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "Ed25519"},
		{"long", strings.Repeat("a", 600), "600 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := a.Connect(within(t), c.addr)
			if err == nil || !strings.Contains(err.Error(), c.say) {
				t.Fatalf("error %v, expected it to say %q", err, c.say)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has several lines: %q", err)
			}
		})
	}
	wrong := strings.Split(b.Addrs()[0], "/p2p/")[0] + "/p2p/" + string(nobody.ID())
	if err := a.Connect(within(t), wrong); err == nil || !strings.Contains(err.Error(), "the peer there is "+string(b.ID())) {
		t.Errorf("error %v, expected it to name who is there", err)
	}
}

func TestOtherNetwork(t *testing.T) {
	c := lean()
	c.GenesisHash = consensus.Hash{9, 9, 9}
	foreign := start(t, c)
	a := start(t, lean())
	for _, addr := range []string{foreign.Addrs()[0], foreign.ShortAddrs()[0]} {
		err := a.Connect(within(t), addr)
		if !errors.Is(err, ErrOtherNetwork) || !strings.Contains(err.Error(), "it speaks kapok/0909090000000000, this node kapok/0102030405060708") {
			t.Errorf("error %v, expected another network by name", err)
		}
	}

	strict := lean()
	strict.Peers, strict.StrictPeers = []string{foreign.ShortAddrs()[0]}, true
	h, err := New(strict)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Run(within(t), newRecorder()); !errors.Is(err, ErrOtherNetwork) {
		t.Errorf("Run returned %v, expected ErrOtherNetwork", err)
	}
	foreign.recorder.mu.Lock()
	defer foreign.recorder.mu.Unlock()
	if n := has(foreign.events, "connected", ""); n != 0 {
		t.Errorf("the other network heard of %d peers", n)
	}
}

// TestDenied: a peer that broke the rules stays out, is not dialed, and its address
// leaves the book, unless an operator asks for it.
func TestDenied(t *testing.T) {
	c := inGroup(1)
	c.Book = OpenBook("", testGenesis, true, nil)
	a, b := start(t, inGroup(2)), start(t, c)
	if _, err := b.Host.connect(within(t), a.Addrs()[0], peers.Full); err != nil {
		t.Fatal(err)
	}
	if addrs := known(c.Book); len(addrs) != 1 {
		t.Errorf("the book holds %v", addrs)
	}
	b.Deny(a.ID())
	b.waitFor(t, "disconnected", a.ID(), 1)
	a.waitFor(t, "disconnected", b.ID(), 1)
	if addrs := known(c.Book); len(addrs) != 0 {
		t.Errorf("the book still holds %v", addrs)
	}
	if err := a.Connect(within(t), b.Addrs()[0]); err == nil {
		t.Error("a denied peer got in")
	}
	if _, err := b.Host.connect(within(t), a.Addrs()[0], peers.Full); !errors.Is(err, ErrDenied) {
		t.Errorf("dialing a denied peer: %v", err)
	}
	b.connect(t, a) // on request
	b.waitFor(t, "connected", a.ID(), 2)
	b.Deny(a.ID())
	b.waitFor(t, "disconnected", a.ID(), 2)
	a.waitFor(t, "disconnected", b.ID(), 2) // or a takes the connection that is about to close
	a.connect(t, b)
	b.Deny("nobody")
}

func TestDenyListIsBounded(t *testing.T) {
	g := newGater()
	now := time.Now()
	g.deny("first", now.Add(time.Hour))
	id := func(i int) peer.ID { return peer.ID(strconv.Itoa(i)) }
	for i := range maxDenied {
		g.deny(id(i), now.Add(time.Hour))
		g.deny(id(i), now.Add(time.Hour))
	}
	if g.isDenied("first") || !g.isDenied(id(maxDenied-1)) || len(g.denied) != maxDenied {
		t.Errorf("%d denied, expected %d without the oldest", len(g.denied), maxDenied)
	}
	g.deny(id(7), now.Add(-time.Second))
	g.pardon(id(8))
	if g.isDenied(id(7)) || g.isDenied(id(8)) || len(g.order) != len(g.denied) {
		t.Error("a denial that is over, or was taken back, holds")
	}
}

// TestSimultaneousDial: however two peers' dials interleave, they end with one
// session each, over the same stream.
func TestSimultaneousDial(t *testing.T) {
	for range 10 {
		a, b := start(t, lean()), start(t, lean())
		var dials sync.WaitGroup
		gate := make(chan struct{})
		for _, pair := range [][2]*node{{a, b}, {b, a}} {
			dials.Go(func() {
				<-gate
				if err := pair[0].Connect(within(t), pair[1].Addrs()[0]); err != nil {
					t.Errorf("dial: %v", err)
				}
			})
		}
		close(gate)
		dials.Wait()
		a.Send(p2p.Outgoing{To: b.ID(), Msg: &p2p.Ping{Nonce: 1}})
		b.Send(p2p.Outgoing{To: a.ID(), Msg: &p2p.Ping{Nonce: 2}})
		a.waitFor(t, "message", b.ID(), 1)
		b.waitFor(t, "message", a.ID(), 1)
		for _, n := range []*node{a, b} {
			n.recorder.mu.Lock()
			if c, d := has(n.events, "connected", ""), has(n.events, "disconnected", ""); c != 1 || d != 0 {
				t.Errorf("connected %d times, disconnected %d times", c, d)
			}
			n.recorder.mu.Unlock()
		}
		if x, y := a.session(b.ID()).peer.Inbound, b.session(a.ID()).peer.Inbound; x == y {
			t.Errorf("inbound at both ends: %v", x)
		}
		if err := errors.Join(a.stop(), b.stop()); err != nil {
			t.Error(err)
		}
	}
}

func TestRedialAfterRestart(t *testing.T) {
	server := lean()
	server.KeyFile = t.TempDir() + "/node.key"
	b := start(t, server)
	server.Listen = []string{b.ShortAddrs()[0]}
	c := lean()
	c.Peers = []string{b.ShortAddrs()[0]}
	a := start(t, c)
	a.waitFor(t, "connected", b.ID(), 1)
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	a.waitFor(t, "disconnected", b.ID(), 1)
	again := start(t, server)
	if again.ID() != b.ID() {
		t.Fatalf("the key file gave %s, then %s", b.ID(), again.ID())
	}
	a.waitFor(t, "connected", b.ID(), 2)
	again.waitFor(t, "connected", a.ID(), 1)
}

func TestPeersBeforeRun(t *testing.T) {
	h, err := New(lean())
	if err != nil {
		t.Fatal(err)
	}
	a := start(t, lean())
	dialed := make(chan error, 1)
	go func() { dialed <- a.Connect(within(t), h.Addrs()[0]) }()
	a.wait(t, "the connection", func([]event) bool { return len(a.swarm.Conns()) > 0 })
	r := newRecorder()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx, r) }()
	r.waitFor(t, "connected", a.ID(), 1)
	if err := <-dialed; err != nil {
		t.Errorf("a peer that was early: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := h.Run(context.Background(), r); err == nil {
		t.Error("Run could be called twice")
	}
	if err := h.Connect(within(t), a.Addrs()[0]); !errors.Is(err, ErrClosed) {
		t.Errorf("Connect after the end: %v", err)
	}
}

// transports runs a test over each transport of the machine: dial connects two hosts.
func transports(t *testing.T, test func(t *testing.T, c Config, dial func(a, b *node) error)) {
	for _, kind := range []string{"tcp", "quic"} {
		t.Run(kind, func(t *testing.T) {
			c := lean()
			c.DisableQUIC = kind == "tcp"
			test(t, c, func(a, b *node) error {
				mark := map[string]string{"tcp": "/tcp/", "quic": "/quic-v1"}[kind]
				at := slices.IndexFunc(b.Addrs(), func(addr string) bool { return strings.Contains(addr, mark) })
				if err := a.Connect(within(t), b.Addrs()[at]); err != nil {
					return err
				}
				if got := a.Conn(b.ID()).Transport; got != kind {
					t.Errorf("connected over %s, expected %s", got, kind)
				}
				return nil
			})
		})
	}
}

func TestPSK(t *testing.T) {
	private := lean()
	private.PSK = []byte("0123456789abcdef0123456789abcdef")
	c, d := start(t, private), start(t, private)
	if err := c.Connect(within(t), d.ShortAddrs()[0]); err != nil {
		t.Fatalf("in a private network: %v", err)
	}
	private.PSK = []byte("fedcba9876543210fedcba9876543210")
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond) // each waits for the other
	defer cancel()
	if err := start(t, private).Connect(short, d.Addrs()[0]); err == nil {
		t.Error("a node with another key got into the private network")
	}
}

// TestTwentyHosts starts a small testnet and joins all to the first.
func TestTwentyHosts(t *testing.T) {
	begin := time.Now()
	hub := start(t, lean())
	c := lean()
	c.Peers = []string{hub.ShortAddrs()[0]}
	for range 19 {
		start(t, c)
	}
	hub.waitFor(t, "connected", "", 19)
	t.Logf("20 hosts in %v", time.Since(begin))
}
