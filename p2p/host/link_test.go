package host

import (
	"errors"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
)

func TestLinkLimits(t *testing.T) {
	for _, c := range []struct {
		name string
		link Link
		say  string // "": it is fine
	}{
		{"none", Link{}, ""},
		{"all", Link{Delay: 4 * time.Second, Jitter: time.Second, Bandwidth: 1, Loss: maxLinkLoss}, ""},
		{"delay below 0", Link{Delay: -1}, "delay -1ns"},
		{"jitter below 0", Link{Jitter: -1}, "jitter -1ns"},
		{"delay and jitter", Link{Delay: maxLinkDelay, Jitter: 1}, "expected 0 to 5s together"},
		{"bandwidth below 0", Link{Bandwidth: -1}, "bandwidth -1"},
		{"loss below 0", Link{Loss: -0.1}, "loss -0.1"},
		{"loss of everything", Link{Loss: 1}, "loss 1"},
		{"loss of NaN", Link{Loss: math.NaN()}, "loss NaN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := UniformMatrix(2, c.link)
			if c.say == "" && err != nil || c.say != "" && (err == nil || !strings.Contains(err.Error(), c.say)) {
				t.Errorf("error %v, expected %q", err, c.say)
			}
		})
	}
	if _, err := NewMatrix([][]Link{{{}, {}}, {{}}}); err == nil {
		t.Error("a matrix with a short row is taken")
	}
}

// TestPlace: a node is found at the address of its last start, however that is written.
func TestPlace(t *testing.T) {
	m, err := UniformMatrix(2, Link{})
	if err != nil {
		t.Fatal(err)
	}
	first, second := netip.MustParseAddrPort("127.0.0.1:1000"), netip.MustParseAddrPort("127.0.0.1:1001")
	for _, at := range []netip.AddrPort{first, second} {
		if err := m.Place(1, at); err != nil {
			t.Fatal(err)
		}
		mapped := netip.AddrPortFrom(netip.AddrFrom16(at.Addr().As16()), at.Port())
		if node, err := m.at(mapped); node != 1 || err != nil {
			t.Errorf("at %s is node %d: %v", mapped, node, err)
		}
	}
	if _, err := m.at(first); err == nil {
		t.Error("a node is still where it was before")
	}
	if err := m.Place(2, first); err == nil {
		t.Error("a third node of two is placed")
	}
}

// TestShapeDirections: a matrix that is not symmetric is read from the side that dials.
func TestShapeDirections(t *testing.T) {
	m, err := NewMatrix([][]Link{{{}, {Delay: 1}}, {{Delay: 2}, {}}})
	if err != nil {
		t.Fatal(err)
	}
	for from, want := range []time.Duration{1, 2} {
		out, in := m.open(from, 1-from, 1, 1)
		if out.link.Delay != want || in.link.Delay != 3-want {
			t.Errorf("node %d: out %v, in %v", from, out.link, in.link)
		}
	}
}

// TestShapeRefused: main is never shaped, whatever else is asked for.
func TestShapeRefused(t *testing.T) {
	m, err := UniformMatrix(2, Link{Delay: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	main := consensus.Main().GenesisHash()
	for _, c := range []struct {
		name    string
		genesis consensus.Hash
		shape   *Shape
		main    bool
	}{
		{"main", main, &Shape{Matrix: m}, true},
		{"main, and a link that changes nothing", main, &Shape{Matrix: &Matrix{}}, true},
		{"no matrix", lean().GenesisHash, &Shape{}, false},
		{"beyond the matrix", lean().GenesisHash, &Shape{Matrix: m, Node: 2}, false},
		{"before the matrix", lean().GenesisHash, &Shape{Matrix: m, Node: -1}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := lean()
			config.GenesisHash, config.Shape = c.genesis, c.shape
			h, err := New(config)
			if err == nil {
				_ = h.Close()
				t.Fatal("the host is shaped")
			}
			if errors.Is(err, ErrShapeMain) != c.main {
				t.Errorf("error %v", err)
			}
		})
	}
}

// shapedPair starts two hosts of which the first knows where the second is.
func shapedPair(t *testing.T, link Link) (a, b *node, m *Matrix) {
	t.Helper()
	m, err := UniformMatrix(2, link)
	if err != nil {
		t.Fatal(err)
	}
	start2 := func(i int) *node {
		c := lean()
		c.DisableQUIC, c.Shape = false, &Shape{Matrix: m, Node: i, Seed: 1}
		return start(t, c)
	}
	a, b = start2(0), start2(1)
	return a, b, m
}

// place puts a host into the matrix.
func place(t *testing.T, m *Matrix, i int, n *node) {
	t.Helper()
	if err := m.Place(i, netip.MustParseAddrPort(n.ShortAddrs()[0])); err != nil {
		t.Fatal(err)
	}
}

// TestShapedHosts: over real loopback connections a message takes the link's delay,
// each way, on the stream and by gossip, and nobody is reached who is at no place.
func TestShapedHosts(t *testing.T) {
	const delay = 60 * time.Millisecond
	a, b, m := shapedPair(t, Link{Delay: delay, Jitter: time.Millisecond, Bandwidth: 10_000_000, Loss: 0.001})
	if err := a.Connect(within(t), b.Addrs()[0]); err == nil || !strings.Contains(err.Error(), "no place of the matrix") {
		t.Fatalf("a dial to a node that was not placed: %v", err)
	}
	place(t, m, 1, b)
	began := time.Now()
	a.connect(t, b)
	if took := time.Since(began); took < 6*delay { // TCP, Noise, our stream's answer: a round trip each
		t.Errorf("connected after %v", took)
	}
	b.waitFor(t, "connected", a.ID(), 1)
	for _, addr := range append(a.Addrs(), b.Addrs()...) {
		if strings.Contains(addr, "quic") {
			t.Errorf("a shaped host listens on %s", addr)
		}
	}
	meshed(t, a, b)
	for i, way := range []struct {
		name     string
		from, to *node
		send     p2p.Outgoing
		what     string
	}{
		{"stream, of the side that dialed", a, b, p2p.Outgoing{To: b.ID(), Msg: &p2p.Ping{Nonce: 1}}, "message"},
		{"stream, of the other side", b, a, p2p.Outgoing{To: a.ID(), Msg: &p2p.Ping{Nonce: 2}}, "message"},
		{"gossip", a, b, p2p.Outgoing{Msg: payment(1, 100)}, "gossip"},
		{"gossip, of the other side", b, a, p2p.Outgoing{Msg: payment(2, 100)}, "gossip"},
	} {
		before := has(way.to.seen(), way.what, way.from.ID())
		sent := time.Now()
		way.from.Send(way.send)
		way.to.waitFor(t, way.what, way.from.ID(), before+1)
		if took := time.Since(sent); took < delay {
			t.Errorf("%d: %s took %v, expected at least %v", i, way.name, took, delay)
		}
	}
}
