package host

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/p2p/peers"
)

// Whom the node connects to by itself. Package peers decides, from the book and
// from what is connected; this file does it.

// errSurplus: a connection that was opened because no block came is one too many.
var errSurplus = errors.New("there are enough others, from which blocks came later")

// outbound dials until the host closes.
func (h *Host) outbound() {
	saved := time.Now()
	h.every(dialInterval, func(now time.Time) {
		if h.Active() {
			h.dialNext(now)
			h.dropSurplus(now)
		}
		if now.Sub(saved) >= saveInterval {
			saved = now
			h.saveBook()
		}
	})
}

// dialNext begins one attempt, if one is due.
func (h *Host) dialNext(now time.Time) {
	h.mu.Lock()
	links := make([]peers.Link, 0, len(h.dialing))
	for addr, kind := range h.dialing {
		links = append(links, peers.Link{Kind: kind, Addr: addr})
	}
	reached := false
	for _, s := range h.sessions {
		if addr, ok := addrPort(s.stream.Conn().RemoteMultiaddr()); ok && s.kind != peers.Inbound && s.stopped() == nil {
			links = append(links, peers.Link{Kind: s.kind, Addr: addr})
			reached = true
		}
	}
	h.mu.Unlock()
	link, ok := h.cfg.Book.next(now, links, h.handler.Quiet())
	if !ok {
		return
	}
	h.mu.Lock()
	h.dialing[link.Addr] = link.Kind
	h.mu.Unlock()
	h.spawn(func() {
		err := h.try(h.ctx, link)
		h.mu.Lock()
		delete(h.dialing, link.Addr)
		h.mu.Unlock()
		if h.ctx.Err() != nil {
			return
		}
		if err != nil || link.Kind == peers.Feeler { // of a session the book knows already
			h.cfg.Book.dialed(time.Now(), link.Addr, err, reached)
		}
		if err != nil {
			h.log.Debug("an address of the book gave no connection", "addr", link.Addr, "for", link.Kind, "reason", err)
		}
	})
}

// try makes one attempt. errConnected says that it found a peer that was connected
// before, which shows nothing about the address.
func (h *Host) try(ctx context.Context, link peers.Link) error {
	if link.Kind == peers.Feeler {
		return h.probe(ctx, multiaddr(link.Addr))
	}
	s, err := h.connect(ctx, multiaddr(link.Addr), link.Kind)
	if err != nil {
		return err
	}
	if addr, ok := s.dialed(); !ok || addr != link.Addr || s.kind != link.Kind {
		return errConnected
	}
	return nil
}

// probe finds out whether a node of our network answers at an address.
func (h *Host) probe(ctx context.Context, text string) error {
	info, err := parsePeer(text)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if info.ID, err = h.lookup(ctx, info); err != nil {
		return err
	}
	if err := h.shun(info.ID); err != nil {
		return err
	}
	defer h.unshun(info.ID)
	if err := h.lib.Connect(ctx, info); err != nil {
		return plain(err)
	}
	st, _, err := h.greet(ctx, info.ID) // whatever it answers, it is one of us
	if err != nil {
		return err
	}
	_ = st.Reset()
	return nil
}

// dropSurplus takes back the one connection too many that was opened because no
// block came, or whatever else has turned out to be of less use.
func (h *Host) dropSurplus(now time.Time) {
	full := h.kind(peers.Full)
	if len(full) <= peers.TargetFull {
		return
	}
	if id, ok := peers.Surplus(now, h.candidates(full)); ok {
		h.end(p2p.PeerID(id), errSurplus)
	}
}

// kind returns the live sessions of a kind.
func (h *Host) kind(kind peers.Kind) []*session {
	var sessions []*session
	for _, s := range h.all() {
		if s.kind == kind && s.stopped() == nil {
			sessions = append(sessions, s)
		}
	}
	return sessions
}

// candidates describes sessions, with what the handler knows of them. It must not
// be called with h.mu held: the handler calls us with its own lock held.
func (h *Host) candidates(sessions []*session) []peers.Candidate {
	infos := make(map[p2p.PeerID]p2p.PeerInfo)
	for _, info := range h.handler.Peers() {
		infos[info.ID] = info
	}
	candidates := make([]peers.Candidate, len(sessions))
	for i, s := range sessions {
		info := infos[s.peer.ID]
		candidates[i] = peers.Candidate{
			ID: string(s.peer.ID), Since: s.since, MinPing: info.MinPing, LastBlock: info.LastBlock, LastTx: info.LastTx, BlockOnly: info.BlockOnly,
		}
		if addr, ok := addrPort(s.stream.Conn().RemoteMultiaddr()); ok {
			candidates[i].IP = addr.Addr()
		}
	}
	return candidates
}

// end stops a session for a reason.
func (h *Host) end(id p2p.PeerID, reason error) {
	if s := h.session(id); s != nil {
		s.stop(reason)
	}
}

// saveBook writes the address book with the peers that are connected for blocks
// alone: the next start dials these first, so that whoever restarts a node does not
// get to choose its peers anew.
func (h *Host) saveBook() {
	if h.cfg.Book == nil {
		return
	}
	var anchors []netip.AddrPort
	for _, s := range h.kind(peers.BlockOnly) {
		if addr, ok := addrPort(s.stream.Conn().RemoteMultiaddr()); ok {
			anchors = append(anchors, addr)
		}
	}
	h.cfg.Book.save(anchors)
}
