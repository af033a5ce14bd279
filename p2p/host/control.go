package host

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/p2p/peers"
)

// What an operator may ask of a running host, and do to it.

// maxKept bounds the addresses that Keep is told, besides Config.Peers.
const maxKept = 256

// ConnInfo is what the host knows of a connection; the engine knows the rest.
type ConnInfo struct {
	Number          int64  // counts connections up from 1
	Transport       string // "tcp" or "quic"
	Manual          bool   // asked for by an operator
	Since           time.Time
	In, Out         uint64    // bytes of all protocols, before encryption
	LastIn, LastOut time.Time // zero: never
	Sent, Received  Tally     // messages, by stream and by gossip
	// GossipScore is GossipSub's score of the peer, at most scoreEvery old: above 0 for what
	// it brought first, below for what was wrong. From -500 down no ids are exchanged with it,
	// from -1,000 nothing of ours goes to it, from -2,500 it is not listened to.
	GossipScore float64
}

// Conn describes the connection with a peer; the zero value where there is none.
func (h *Host) Conn(id p2p.PeerID) ConnInfo {
	s := h.session(id)
	if s == nil {
		return ConnInfo{}
	}
	info := ConnInfo{Transport: "tcp", Since: s.since, Manual: s.kind == peers.Manual}
	if strings.Contains(s.peer.Addr, "/quic") {
		info.Transport = "quic"
	}
	if c, ok := h.traffic.peers.Load(s.id); ok {
		c := c.(*counter)
		info.Number = c.number
		info.In, info.Out = c.in.Load(), c.out.Load()
		info.Sent, info.Received = c.sent.read(), c.received.read()
		info.LastIn, info.LastOut = unixNano(c.lastIn.Load()), unixNano(c.lastOut.Load())
		info.GossipScore = math.Float64frombits(c.score.Load())
	}
	return info
}

func unixNano(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}

// Totals are the bytes that came and went since the start, of all peers.
func (h *Host) Totals() (in, out uint64) { return h.traffic.in.Load(), h.traffic.out.Load() }

// Active reports whether the host connects to anybody.
func (h *Host) Active() bool { return !h.gater.closed.Load() }

// SetActive lets the host connect to others, or disconnects it from everybody
// and keeps it so.
func (h *Host) SetActive(on bool) {
	h.gater.closed.Store(!on)
	if on {
		return
	}
	for _, s := range h.all() {
		s.stop(errDisconnected)
	}
}

// Keep dials a peer, once Run was called, and again whenever the connection is lost,
// until Forget or the end of Run.
func (h *Host) Keep(addr string) error {
	if err := CheckPeer(addr); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(h.ctx)
	h.mu.Lock()
	_, twice := h.kept[addr]
	full := len(h.kept) >= maxKept
	if !twice && !full {
		h.kept[addr] = cancel
	}
	h.mu.Unlock()
	switch {
	case twice:
		cancel()
		return fmt.Errorf("%s is kept already", addr)
	case full:
		cancel()
		return fmt.Errorf("%d addresses are kept already, the most allowed", maxKept)
	}
	h.spawn(func() {
		defer cancel()
		select {
		case <-h.ready:
			h.keep(ctx, target{addr: addr})
		case <-ctx.Done():
		}
	})
	return nil
}

// Forget no longer dials an address that Keep was told; false for a stranger.
// The connection, if there is one, stays.
func (h *Host) Forget(addr string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	cancel, ok := h.kept[addr]
	if ok {
		cancel()
		delete(h.kept, addr)
	}
	return ok
}

// Kept lists the addresses that Keep was told.
func (h *Host) Kept() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	addrs := make([]string, 0, len(h.kept))
	for addr := range h.kept {
		addrs = append(addrs, addr)
	}
	slices.Sort(addrs)
	return addrs
}
