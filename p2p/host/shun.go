package host

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kapok-chain/kapok/p2p/peers"
)

// errConnected: the peer is connected, and not by this attempt.
var errConnected = errors.New("it is connected already")

// shunned are the peers that have no part in gossip: those that we dialed for blocks
// alone, or to see whether they are there. GossipSub is not spoken with them at all,
// so that payments do not tell a watcher who is connected to whom. It implements
// pubsub.Blacklist, and so has to be told before the connection stands.
type shunned struct {
	mu  sync.RWMutex
	ids map[peer.ID]int // how many attempts and sessions shun each
}

// Contains implements pubsub.Blacklist.
func (s *shunned) Contains(id peer.ID) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.ids[id] > 0
}

// Add implements pubsub.Blacklist.
func (s *shunned) Add(id peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids == nil {
		s.ids = make(map[peer.ID]int)
	}
	s.ids[id]++
	return true
}

// remove takes one Add back.
func (s *shunned) remove(id peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids[id]--; s.ids[id] <= 0 {
		delete(s.ids, id)
	}
}

// shun keeps a peer that is about to be dialed out of gossip, until unshun. One that is
// connected already is in it: errConnected.
func (h *Host) shun(id peer.ID) error {
	if h.swarm.Connectedness(id) == network.Connected {
		return errConnected
	}
	h.gossip.shy.Add(id)
	return nil
}

// unshun takes back one shun, and hangs up, unless there is a session for blocks alone:
// GossipSub does not begin later with a peer that is connected. Whoever wanted another
// session dials again.
func (h *Host) unshun(id peer.ID) {
	h.gossip.shy.remove(id)
	if s := h.session(name(id)); s == nil || s.kind != peers.BlockOnly {
		_ = h.swarm.ClosePeer(id) // the connection may be gone already
	}
}

// shyLog is a log handler that passes over what GossipSub says of shunned peers.
type shyLog struct{ atLeast }

func (l shyLog) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "blacklisted peer") {
		return nil
	}
	return l.atLeast.Handle(ctx, r)
}

func (l shyLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return shyLog{atLeast{l.Handler.WithAttrs(attrs), l.level}}
}

func (l shyLog) WithGroup(name string) slog.Handler {
	return shyLog{atLeast{l.Handler.WithGroup(name), l.level}}
}
