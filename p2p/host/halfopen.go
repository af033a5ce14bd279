package host

import (
	"io"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/kapok-chain/kapok/p2p/peers"
)

// halfOpen are the TCP connections that others opened and whose handshake has not
// ended. Where there are too many, one gives way to the new one: libp2p would refuse
// that, and so whoever holds connections and says nothing would keep everybody out.
type halfOpen struct {
	mu    sync.Mutex
	conns []opening // oldest first; at most maxHalfOpen
}

type opening struct {
	conn  io.Closer
	addr  netip.AddrPort // of the other side
	group netip.Prefix
	since time.Time
}

// begin takes note of a connection that was accepted just now. If there are too many,
// the oldest one of the net group with most of them is closed. Connections that bring
// their own handshake, as QUIC's do, are none of these.
func (h *halfOpen) begin(now time.Time, c network.ConnMultiaddrs) {
	conn, isConn := c.(io.Closer)
	addr, ok := addrPort(c.RemoteMultiaddr())
	if !isConn || !ok {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns = slices.DeleteFunc(h.conns, func(o opening) bool { return now.Sub(o.since) > halfOpenAge })
	h.conns = append(h.conns, opening{conn, addr, peers.GroupOf(addr.Addr()), now})
	if len(h.conns) <= maxHalfOpen {
		return
	}
	count := make(map[netip.Prefix]int)
	for _, o := range h.conns {
		count[o.group]++
	}
	worst := 0
	for i, o := range h.conns {
		if count[o.group] > count[h.conns[worst].group] {
			worst = i
		}
	}
	_ = h.conns[worst].conn.Close() // it may be closed already
	h.conns = slices.Delete(h.conns, worst, worst+1)
}

// end takes note of a handshake that succeeded. Those that failed are forgotten when
// they are old.
func (h *halfOpen) end(c network.ConnMultiaddrs) {
	addr, ok := addrPort(c.RemoteMultiaddr())
	if !ok {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns = slices.DeleteFunc(h.conns, func(o opening) bool { return o.addr == addr })
}
