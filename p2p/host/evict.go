package host

import (
	"errors"

	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/p2p/peers"
)

// errEvicted: every slot for inbound peers is taken, and a new one came.
var errEvicted = errors.New("gave way to a new peer: all slots are taken")

// admitInbound decides about a stream that a peer opened. Where all slots are taken,
// the peer that is missed least gives way.
func (h *Host) admitInbound(s *session) answer {
	h.slots.Lock()
	defer h.slots.Unlock()
	in := h.kind(peers.Inbound)
	if len(in) >= h.cfg.MaxIn && h.session(s.peer.ID) == nil {
		id, ok := peers.Evict(h.candidates(in), h.secret)
		if !ok {
			return answerFull
		}
		h.end(p2p.PeerID(id), errEvicted)
	}
	return h.admit(s)
}
