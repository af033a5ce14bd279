package host

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kapok-chain/kapok/p2p"
)

// name is how the rest of the node calls a peer.
func name(id peer.ID) p2p.PeerID { return p2p.PeerID(id.String()) }

// begin counts a goroutine that Close will wait for; false once Close has begun.
// The caller calls h.wg.Done.
func (h *Host) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.wg.Add(1)
	return true
}

// spawn runs f in a goroutine that Close waits for.
func (h *Host) spawn(f func()) {
	if !h.begin() {
		return
	}
	go func() {
		defer h.wg.Done()
		f()
	}()
}

// session returns the live session with a peer, or nil.
func (h *Host) session(id p2p.PeerID) *session {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sessions[id]
}

// all returns every session.
func (h *Host) all() []*session {
	h.mu.Lock()
	defer h.mu.Unlock()
	sessions := make([]*session, 0, len(h.sessions))
	for _, s := range h.sessions {
		sessions = append(sessions, s)
	}
	return sessions
}

// awaitSession returns the session with a peer, waiting for one that is being
// set up; nil when there is none after limit.
func (h *Host) awaitSession(ctx context.Context, id p2p.PeerID, limit time.Duration) *session {
	h.mu.Lock()
	s, changed := h.sessions[id], h.changed
	h.mu.Unlock()
	if s != nil {
		return s
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case <-changed:
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return nil
		}
		h.mu.Lock()
		s, changed = h.sessions[id], h.changed
		h.mu.Unlock()
		if s != nil {
			return s
		}
	}
}

// judge decides about a stream that a peer opened; h.mu is held. A peer that opens a
// stream says that it has none: a session older than any race has to end first.
func (h *Host) judge(s *session) (verdict answer, first *session) {
	old := h.sessions[s.peer.ID]
	_, dialing := h.pending[s.id]
	switch {
	case h.closed || !h.gater.admits(s.id, s.stream.Conn().RemoteMultiaddr()): // banned since it connected
		return answerBusy, nil
	case old != nil && old.stopped() == nil && time.Since(old.since) < replaceAge:
		return answerDuplicate, nil
	case old == nil && dialing && h.id < s.id: // ours survives; the peer's host accepts it
		return answerDuplicate, nil
	}
	return answerAccept, old
}

// register makes s the session of its peer; h.mu is held.
func (h *Host) register(s *session) {
	h.sessions[s.peer.ID] = s
	h.traffic.follow(s.id)
	close(h.changed)
	h.changed = make(chan struct{})
}

// remove forgets a session.
func (h *Host) remove(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sessions[s.peer.ID] == s {
		delete(h.sessions, s.peer.ID)
		h.traffic.forget(s.id)
	}
}
