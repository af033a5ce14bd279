package host

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// shaper puts a Shape under the connections of a TCP transport: below Noise, so that
// gossip and our stream share the link.
type shaper struct {
	transport.Upgrader
	shape  *Shape
	dialed atomic.Uint64 // connections so far, for their seeds
}

// shapedTransport returns the constructor of a TCP transport with shaped connections.
func shapedTransport(s *Shape) func(transport.Upgrader, network.ResourceManager) (*tcp.TcpTransport, error) {
	return func(u transport.Upgrader, resources network.ResourceManager) (*tcp.TcpTransport, error) {
		shaper := &shaper{Upgrader: u, shape: s}
		dialer := func(ma.Multiaddr) (tcp.ContextDialer, error) { return shaper, nil }
		return tcp.NewTCPTransport(shaper, resources, nil, tcp.DisableReuseport(), tcp.WithDialerForAddr(dialer))
	}
}

// UpgradeGatedMaListener implements transport.Upgrader, for what the transport accepts.
func (s *shaper) UpgradeGatedMaListener(t transport.Transport, l transport.GatedMaListener) transport.Listener {
	return s.Upgrader.UpgradeGatedMaListener(t, &shapedListener{l, s.shape})
}

// shapedListener puts a host's uplink under what it accepts. All else is the business of
// the side that dialed.
type shapedListener struct {
	transport.GatedMaListener
	shape *Shape
}

// Accept implements transport.GatedMaListener.
func (l *shapedListener) Accept() (manet.Conn, network.ConnManagementScope, error) {
	raw, scope, err := l.GatedMaListener.Accept()
	if err != nil {
		return raw, scope, err
	}
	out, in := l.shape.Matrix.accept(l.shape.Node)
	if out == nil {
		return raw, scope, nil
	}
	return newShaped(raw, l.shape.Matrix, out, in), scope, nil
}

// Upgrade implements transport.Upgrader, for what the transport dialed.
func (s *shaper) Upgrade(ctx context.Context, t transport.Transport, raw manet.Conn, dir network.Direction, id peer.ID, scope network.ConnManagementScope) (transport.CapableConn, error) {
	conn, err := s.dial(ctx, raw)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	return s.Upgrader.Upgrade(ctx, t, conn, dir, id, scope)
}

// DialContext implements tcp.ContextDialer. Across the cut of a partition it waits for
// the end of that, or of ctx, which the transport bounds as for any dial.
func (s *shaper) DialContext(ctx context.Context, protocol, address string) (net.Conn, error) {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("shaped connection: %w", err)
	}
	node, err := s.shape.Matrix.at(addr)
	if err != nil {
		return nil, err
	}
	if err := s.shape.Matrix.reach(ctx, s.shape.Node, node); err != nil {
		return nil, err
	}
	return new(net.Dialer).DialContext(ctx, protocol, address)
}

// dial shapes a connection that was dialed just now; TCP's own handshake takes one
// round trip.
func (s *shaper) dial(ctx context.Context, raw manet.Conn) (manet.Conn, error) {
	addr, err := netip.ParseAddrPort(raw.RemoteAddr().String())
	if err != nil {
		return nil, fmt.Errorf("shaped connection: %w", err)
	}
	matrix, here := s.shape.Matrix, s.shape.Node
	there, err := matrix.at(addr)
	if err != nil {
		return nil, err
	}
	if pause(ctx, matrix.links[here][there].Delay+matrix.links[there][here].Delay); ctx.Err() != nil {
		return nil, ctx.Err()
	}
	out, in := matrix.open(here, there, s.shape.Seed, s.dialed.Add(1))
	return newShaped(raw, matrix, out, in), nil
}

// shaped is a connection with a lane for each direction. Two goroutines stand
// between them and the connection below, until Close.
type shaped struct {
	manet.Conn
	matrix            *Matrix
	out, in           *lane
	writing, reading  sync.Mutex // one call at a time
	writeEnd, readEnd deadline
	closing           sync.Once
	pumps             sync.WaitGroup
	closed            error // what the connection below said to Close
}

// newShaped shapes a connection by what it writes and what it reads.
func newShaped(raw manet.Conn, m *Matrix, out, in *lane) *shaped {
	c := &shaped{Conn: raw, matrix: m, out: out, in: in}
	c.pumps.Go(c.send)
	c.pumps.Go(c.receive)
	return c
}

// send writes to the connection below what has arrived at the other end.
func (c *shaped) send() {
	buf := make([]byte, maxParcel)
	for {
		n, err := c.out.read(nil, buf)
		if err == nil {
			_, err = c.Conn.Write(buf[:n])
		}
		if err != nil {
			c.out.cut(err)
			return
		}
	}
}

// receive puts on its way what the other end has written.
func (c *shaped) receive() {
	buf := make([]byte, maxParcel)
	for {
		n, err := c.Conn.Read(buf)
		if n > 0 {
			if _, cut := c.in.write(nil, buf[:n]); cut != nil {
				return
			}
		}
		if err != nil {
			c.in.finish(err)
			return
		}
	}
}

// Write implements net.Conn: it returns when the bytes are on their way.
func (c *shaped) Write(b []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.out.write(c.writeEnd.expired(), b)
}

// Read implements net.Conn.
func (c *shaped) Read(b []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	return c.in.read(c.readEnd.expired(), b)
}

// Close implements net.Conn. It is not delayed, and what is on its way is lost, as
// with the resets by which libp2p closes TCP connections.
func (c *shaped) Close() error {
	c.closing.Do(func() {
		c.out.cut(net.ErrClosed)
		c.in.cut(net.ErrClosed)
		c.matrix.close(c.out, c.in)
		c.closed = c.Conn.Close()
		c.pumps.Wait()
		c.writeEnd.set(time.Time{})
		c.readEnd.set(time.Time{})
	})
	return c.closed
}

// SetDeadline implements net.Conn. Deadlines are of this end: the goroutines below
// have none.
func (c *shaped) SetDeadline(t time.Time) error {
	c.writeEnd.set(t)
	c.readEnd.set(t)
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *shaped) SetReadDeadline(t time.Time) error {
	c.readEnd.set(t)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *shaped) SetWriteDeadline(t time.Time) error {
	c.writeEnd.set(t)
	return nil
}

// deadline is the time at which calls give up. Its zero value is never.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	over  chan struct{} // closed then; calls that wait keep it when the time is set anew
}

// expired returns the channel that is closed when it is time.
func (d *deadline) expired() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.channel()
}

func (d *deadline) channel() chan struct{} {
	if d.over == nil {
		d.over = make(chan struct{})
	}
	return d.over
}

// set sets the time; zero is never.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	over := d.channel()
	if d.timer != nil && !d.timer.Stop() {
		<-over // it has fired, or is about to
	}
	d.timer = nil
	select {
	case <-over:
		d.over = make(chan struct{})
		over = d.over
	default:
	}
	if t.IsZero() {
		return
	}
	if wait := time.Until(t); wait > 0 {
		d.timer = time.AfterFunc(wait, func() { close(over) })
		return
	}
	close(over)
}

// A shaped connection is one for libp2p.
var _ manet.Conn = (*shaped)(nil)
