package host

import (
	"errors"

	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/p2p/peers"
)

// errEvicted: every slot for inbound peers is taken, and a new one came.
var errEvicted = errors.New("gave way to a new peer: all slots are taken")

// admit decides about a stream that a peer opened, and registers the session where the
// answer is answerAccept. It waits for the end of the session that the peer had before.
func (h *Host) admit(s *session) answer {
	for {
		verdict, old := h.admitNow(s)
		if old == nil {
			return verdict
		}
		old.stop(errReplaced)
		<-old.done // with no lock: if the peer does not read, this takes a while
	}
}

// admitNow is admit that does not wait, but returns the session that has to end first.
// Where all slots are taken, the peer that is missed least gives way, once it is certain
// that the new one is let in.
func (h *Host) admitNow(s *session) (verdict answer, first *session) {
	h.slots.Lock()
	defer h.slots.Unlock()
	h.mu.Lock()
	verdict, first = h.judge(s)
	h.mu.Unlock()
	if verdict != answerAccept || first != nil {
		return verdict, first
	}
	var leaves p2p.PeerID
	if in := h.kind(peers.Inbound); len(in) >= h.cfg.MaxIn {
		id, ok := peers.Evict(h.candidates(in), h.secret)
		if !ok {
			return answerFull, nil
		}
		leaves = p2p.PeerID(id)
	}
	h.mu.Lock()
	verdict, first = h.judge(s) // the handler was asked meanwhile
	admitted := verdict == answerAccept && first == nil
	if admitted {
		h.register(s)
	}
	h.mu.Unlock()
	if admitted && leaves != "" {
		h.end(leaves, errEvicted)
	}
	return verdict, first
}
