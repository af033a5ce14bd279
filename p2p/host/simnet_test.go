//go:build !race

package host

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	libp2p "github.com/libp2p/go-libp2p"
	libconfig "github.com/libp2p/go-libp2p/config"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/marcopolo/simnet"
	ma "github.com/multiformats/go-multiaddr"
)

// Not under the race detector: with Go 1.26 it often crashes at the start of a synctest
// bubble of this size, before a test has begun. The same code runs under it with real
// sockets, in the other tests here.

// world is a network of real hosts in virtual time, which passes only when nobody has
// anything to do. Packets go through simnet. What the hosts call TCP is libp2p's QUIC
// over these packets; all else of them runs as it always does. They have public
// addresses, each in a net group of its own unless a test says otherwise, and the
// limits on these are in force.
type world struct {
	net *simnet.Simnet

	mu     sync.Mutex
	rng    *rand.Rand
	delay  time.Duration // of each packet, one way
	jitter time.Duration // at most so much more, drawn for each packet: they overtake each other
	loss   float64       // share of packets that get lost
	parted func(from, to netip.Addr) bool
	groups int // of the hosts so far
}

// inWorld runs a test in a world of its own, 10 ms wide.
func inWorld(t *testing.T, f func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{rng: rand.New(rand.NewPCG(1, 2)), delay: 10 * time.Millisecond}
		w.net = &simnet.Simnet{LatencyFunc: w.latency, Logger: slog.New(slog.DiscardHandler)}
		w.net.Start()
		t.Cleanup(w.net.Close) // after the hosts
		f(t, w)
	})
}

// links says how packets travel from now on.
func (w *world) links(delay, jitter time.Duration, loss float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delay, w.jitter, w.loss = delay, jitter, loss
}

// cut loses all packets of which parted says so, from now on; nil: none.
func (w *world) cut(parted func(from, to netip.Addr) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.parted = parted
}

// unplug loses all packets from and to some hosts.
func (w *world) unplug(hosts ...*node) {
	w.cut(func(from, to netip.Addr) bool {
		for _, h := range hosts {
			if h.ip() == from || h.ip() == to {
				return true
			}
		}
		return false
	})
}

func (w *world) latency(*simnet.Packet) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.jitter == 0 {
		return w.delay
	}
	return w.delay + time.Duration(w.rng.Int64N(int64(w.jitter)+1))
}

func (w *world) loses(from, to netip.Addr) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.parted != nil && w.parted(from, to) || w.loss > 0 && w.rng.Float64() < w.loss
}

// config is the Config of one more host, in a net group of its own.
func (w *world) config() Config {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.groups++
	return w.at(netip.AddrFrom4([4]byte{11, byte(w.groups), 0, 1}))
}

// at is the Config of a host at an address.
func (w *world) at(ip netip.Addr) Config {
	c := lean()
	c.Listen = []string{netip.AddrPortFrom(ip, 9420).String()}
	c.transport = libp2p.Transport(w.newTransport)
	return c
}

// bind opens a socket of the world.
func (w *world) bind(addr *net.UDPAddr) net.PacketConn {
	w.mu.Lock()
	defer w.mu.Unlock()
	line := simnet.LinkSettings{BitsPerSecond: 100_000_000}
	return &socket{w.net.NewEndpoint(addr, simnet.NodeBiDiLinkSettings{Uplink: line, Downlink: line}), w, ipOf(addr)}
}

// socket is one some of whose packets get lost.
type socket struct {
	*simnet.SimConn
	world *world
	ip    netip.Addr
}

func (s *socket) WriteTo(b []byte, to net.Addr) (int, error) {
	if s.world.loses(s.ip, ipOf(to)) {
		return len(b), nil
	}
	return s.SimConn.WriteTo(b, to)
}

func ipOf(addr net.Addr) netip.Addr { return addr.(*net.UDPAddr).AddrPort().Addr().Unmap() }

// ip is where a host listens.
func (n *node) ip() netip.Addr {
	addr, _ := addrPort(n.swarm.ListenAddresses()[0])
	return addr.Addr()
}

// virtualTransport is QUIC under the name of TCP.
type virtualTransport struct {
	transport.Transport
	sockets *quicreuse.ConnManager
	ip      net.IP // that it sends from
}

// newTransport is for libp2p.Transport.
func (w *world) newTransport(key crypto.PrivKey, gater connmgr.ConnectionGater, resources network.ResourceManager) (*virtualTransport, error) {
	reset, err := libconfig.PrivKeyToStatelessResetKey(key)
	if err != nil {
		return nil, err
	}
	token, err := libconfig.PrivKeyToTokenGeneratorKey(key)
	if err != nil {
		return nil, err
	}
	v := new(virtualTransport)
	v.sockets, err = quicreuse.NewConnManager(reset, token,
		quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return v, nil }),
		quicreuse.OverrideListenUDP(func(_ string, addr *net.UDPAddr) (net.PacketConn, error) {
			v.ip = addr.IP
			return w.bind(addr), nil
		}))
	if err != nil {
		return nil, err
	}
	v.Transport, err = quic.NewTransport(key, v.sockets, nil, gater, resources)
	return v, err
}

// PreferredSourceIPForDestination implements quicreuse.SourceIPSelector.
func (v *virtualTransport) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) {
	return v.ip, nil
}

// The methods below implement transport.Transport.

func (*virtualTransport) Protocols() []int { return []int{ma.P_TCP} }

func (*virtualTransport) CanDial(addr ma.Multiaddr) bool {
	_, err := overUDP(addr)
	return err == nil
}

func (v *virtualTransport) Dial(ctx context.Context, addr ma.Multiaddr, id peer.ID) (transport.CapableConn, error) {
	udp, err := overUDP(addr)
	if err != nil {
		return nil, err
	}
	return v.Transport.Dial(ctx, udp, id)
}

func (v *virtualTransport) Listen(addr ma.Multiaddr) (transport.Listener, error) {
	udp, err := overUDP(addr)
	if err != nil {
		return nil, err
	}
	l, err := v.Transport.Listen(udp)
	return &virtualListener{l, addr}, err
}

// Close implements io.Closer, which libp2p calls.
func (v *virtualTransport) Close() error { return v.sockets.Close() }

// overUDP is the address of QUIC at the UDP port of a TCP address.
func overUDP(addr ma.Multiaddr) (ma.Multiaddr, error) {
	port, err := tcpPort(addr)
	if err != nil {
		return nil, err
	}
	return quicAddr(addr, port)
}

type virtualListener struct {
	transport.Listener
	addr ma.Multiaddr
}

func (l *virtualListener) Multiaddr() ma.Multiaddr { return l.addr }
