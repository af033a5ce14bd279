package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/p2p/peers"
)

// stranger is the Config of a host of many: the i-th in a net group, each in a /24 of
// its own.
func stranger(group, i int) Config {
	c := inGroup(group)
	c.dialFrom = netip.AddrFrom4([4]byte{127, byte(group), byte(1 + i), 1})
	c.Listen = []string{netip.AddrPortFrom(c.dialFrom, 0).String()}
	return c
}

// TestEclipse is attack 11: strangers hold every inbound slot of the honest nodes and
// say nothing. A new node comes, whose address book the strangers filled: it gets in,
// and has honest peers.
func TestEclipse(t *testing.T) {
	const honestNodes, slots, groups, perGroup = 4, 24, 6, 6
	var honest, strangers []*node
	for i := range honestNodes {
		c := stranger(1+i, 0)
		c.MaxIn = slots
		honest = append(honest, start(t, c))
	}
	for i := 1; i < honestNodes; i++ {
		honest[i].connect(t, honest[0]) // old friends
	}
	for g := range groups {
		for i := range perGroup {
			s := start(t, stranger(100+g, i))
			strangers = append(strangers, s)
			for _, h := range honest {
				s.connect(t, h) // gets in, or is refused, in time for somebody else
			}
		}
	}
	for i, h := range honest {
		if n := h.kinds()[peers.Inbound]; n != slots {
			t.Errorf("honest node %d has %d inbound peers, expected all %d slots taken", i, n, slots)
		}
	}
	for i := 1; i < honestNodes; i++ {
		if honest[0].session(honest[i].ID()) == nil {
			t.Errorf("strangers drove old friend %d out", i)
		}
	}

	c := stranger(50, 0)
	c.Book = OpenBook("", testGenesis, true, nil)
	tell := func(teller int, addr string) {
		c.Book.Heard(time.Now(), p2p.Peer{Addr: fmt.Sprintf("/ip4/127.%d.0.9/tcp/1", teller)}, []string{addr}, false)
	}
	for g := range groups {
		for _, s := range strangers {
			tell(100+g, s.swarm.ListenAddresses()[0].String())
		}
		for i := range 200 { // where nobody is
			tell(100+g, fmt.Sprintf("/ip4/127.%d.%d.7/tcp/1", 150+i%50, i))
		}
	}
	for _, h := range honest {
		tell(1, h.swarm.ListenAddresses()[0].String())
	}
	victim := start(t, c)
	victim.wait(t, "an honest peer", func([]event) bool {
		for _, h := range honest {
			if s := victim.session(h.ID()); s != nil && !s.peer.Inbound {
				return true
			}
		}
		return false
	})
}

// TestRefused: with so few slots that everybody is protected, a new peer is refused,
// with an answer that says so.
func TestRefused(t *testing.T) {
	transports(t, func(t *testing.T, config Config, dial func(a, b *node) error) {
		full := config
		full.MaxIn = 3
		hub := start(t, full)
		for range full.MaxIn {
			if err := dial(start(t, config), hub); err != nil {
				t.Fatal(err)
			}
		}
		hub.waitFor(t, "connected", "", full.MaxIn)
		if err := dial(start(t, config), hub); !errors.Is(err, ErrRefused) {
			t.Errorf("%v, expected to be refused", err)
		}
	})
}

// TestSlots: with all slots taken, and not everybody protected, a new peer gets in.
func TestSlots(t *testing.T) {
	config := lean()
	config.MaxIn = 12
	hub := start(t, config)
	var in []*node
	for range config.MaxIn {
		n := start(t, lean())
		n.connect(t, hub)
		in = append(in, n)
	}
	hub.waitFor(t, "connected", "", config.MaxIn)
	late := start(t, lean())
	late.connect(t, hub)
	hub.waitFor(t, "disconnected", "", 1)
	if n := hub.kinds()[peers.Inbound]; n != config.MaxIn || hub.session(late.ID()) == nil {
		t.Errorf("%d of %d slots are taken", n, config.MaxIn)
	}
	if !strings.Contains(hub.log.String(), "gave way to a new peer") {
		t.Error("the log does not say why somebody left")
	}
	if err := in[0].Connect(within(t), hub.Addrs()[0]); err != nil { // in again, or still
		t.Error(err)
	}
}

// floodEnv is set in the child of TestConnectionFlood that has a network of its own.
const floodEnv = "KAPOK_FLOOD_NETWORK"

// TestConnectionFlood is attack 4: ten thousand connections (1,000 without
// KAPOK_LONG), each from an address of one /24 or of 200 net groups, of which none
// says a word. The victim keeps to its caps, and an honest peer gets in within 30 s,
// and keeps its connection.
//
// It runs on 127.0.0.0/8 with limits that count these addresses like public ones, and
// once more, as its own child in a network namespace, on public addresses with the
// limits as they are.
func TestConnectionFlood(t *testing.T) {
	if os.Getenv(floodEnv) != "" {
		for _, args := range []string{"link set lo up", "route add local 11.0.0.0/8 dev lo"} {
			if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
				t.Skipf("no network can be set up here: ip %s: %v: %s", args, err, out)
			}
		}
		flood(t, 11, false)
		return
	}
	t.Run("loopback", func(t *testing.T) { flood(t, 127, true) })
	t.Run("public addresses", func(t *testing.T) {
		if runtime.GOOS != "linux" {
			t.Skip("no network namespaces here")
		}
		cmd := exec.Command(os.Args[0], "-test.run", "^TestConnectionFlood$", "-test.v")
		cmd.Env = append(os.Environ(), floodEnv+"=1")
		cmd.SysProcAttr = networkNamespace(os.Getuid(), os.Getgid())
		out, err := cmd.CombinedOutput()
		if len(out) == 0 && err != nil {
			t.Skipf("no network namespace here: %v", err)
		}
		t.Logf("%s", out)
		switch {
		case strings.Contains(string(out), "no network can be set up here"):
			t.Skip("no network can be set up here")
		case err != nil:
			t.Fatal(err)
		}
	})
}

func flood(t *testing.T, net8 byte, limitPrivate bool) {
	dials := 1000
	if os.Getenv("KAPOK_LONG") != "" {
		dials = 10_000
	}
	at := func(group, c, d int) netip.Addr {
		return netip.AddrFrom4([4]byte{net8, byte(group), byte(c), byte(d)})
	}
	for _, c := range []struct {
		name string
		from func(i int) netip.Addr
		most int // connections that the victim holds
	}{
		{"one /24", func(i int) netip.Addr { return at(7, 7, 1+i%250) }, 16},
		{"200 net groups", func(i int) netip.Addr { return at(20+i%200, i/200, 1+i/200%250) }, defaultMaxIn + maxTransient},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := lean()
			config.LimitPrivate = limitPrivate
			config.Listen = []string{netip.AddrPortFrom(at(1, 0, 1), 0).String()}
			victim := start(t, config)
			to := victim.ShortAddrs()[0]
			crowd := newCrowd(t)
			for i := range dials / 2 {
				crowd.dial(c.from(i), to)
			}
			config.Listen, config.dialFrom = []string{netip.AddrPortFrom(at(2, 0, 1), 0).String()}, at(2, 0, 1)
			config.Peers = []string{victim.Addrs()[0]}
			begin := time.Now()
			honest := start(t, config)
			for i := dials / 2; i < dials; i++ {
				crowd.dial(c.from(i), to)
			}
			honest.waitFor(t, "connected", victim.ID(), 1)
			took := time.Since(begin)
			if took > 30*time.Second {
				t.Errorf("an honest peer got in after %v", took)
			}
			held := 0
			if err := victim.lib.Network().ResourceManager().ViewSystem(func(s network.ResourceScope) error {
				held = s.Stat().NumConnsInbound
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if held-1 > c.most {
				t.Errorf("the victim holds %d connections, expected at most %d", held-1, c.most)
			}
			honest.Send(p2p.Outgoing{To: victim.ID(), Msg: &p2p.Ping{Nonce: 1}})
			victim.waitFor(t, "message", honest.ID(), 1)
			t.Logf("%d connections tried, %d held; an honest peer got in after %v", dials, held, took.Round(time.Millisecond))
		})
	}
}

// crowd holds connections open until the other side closes them.
type crowd struct {
	t     *testing.T
	ctx   context.Context
	holds sync.WaitGroup
	room  chan struct{} // dials at once
}

func newCrowd(t *testing.T) *crowd {
	ctx, cancel := context.WithCancel(context.Background())
	c := &crowd{t: t, ctx: ctx, room: make(chan struct{}, 100)}
	t.Cleanup(func() { cancel(); c.holds.Wait() })
	return c
}

func (c *crowd) dial(from netip.Addr, to string) {
	c.room <- struct{}{}
	c.holds.Go(func() {
		dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), Timeout: 5 * time.Second}
		conn, err := dialer.DialContext(c.ctx, "tcp", to)
		<-c.room
		if err != nil {
			return
		}
		defer conn.Close()
		defer context.AfterFunc(c.ctx, func() { conn.Close() })()
		var b [64]byte
		for err == nil {
			_, err = conn.Read(b[:])
		}
	})
}
