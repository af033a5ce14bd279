package host

import (
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kapok-chain/kapok/p2p"
)

// What was said, by the type of the message. Bytes are those of p2p.Encode, before
// frames, GossipSub's envelopes and encryption.

// MessageCount is some messages and their bytes.
type MessageCount struct{ Messages, Bytes uint64 }

// Tally counts messages by type; those without a name are under 0.
type Tally [p2p.MaxType + 1]MessageCount

// Messages are those of all peers since the start. Duplicates and Dropped are part of
// GossipIn: gossip that had come before, and that nobody looked at because too much
// waited. Unsent is gossip that found no room in a peer's queue. Nobody looked at
// Strangers, which is gossip of peers without a session, and at Excess: gossip beyond what
// is taken from one peer.
type Messages struct {
	StreamOut, StreamIn, GossipOut, GossipIn Tally
	Duplicates, Dropped, Unsent              Tally
	Strangers, Excess                        Tally
	Throttled                                uint64 // batches of gossip that the peer gater kept out
}

// Messages returns what was said until now.
func (h *Host) Messages() Messages {
	t := h.traffic
	return Messages{
		StreamOut: t.streamOut.read(), StreamIn: t.streamIn.read(),
		GossipOut: t.gossipOut.read(), GossipIn: t.gossipIn.read(), Duplicates: t.duplicates.read(),
		Dropped: t.dropped.read(), Unsent: t.unsent.read(), Strangers: t.strangers.read(), Excess: t.excess.read(),
		Throttled: t.throttled.Load(),
	}
}

// tally is a Tally that several goroutines add to.
type tally [p2p.MaxType + 1]struct{ messages, bytes atomic.Uint64 }

// add counts an encoded message.
func (t *tally) add(message []byte) {
	kind := p2p.Type(0)
	if len(message) > 0 && p2p.Type(message[0]) <= p2p.MaxType {
		kind = p2p.Type(message[0])
	}
	t[kind].messages.Add(1)
	t[kind].bytes.Add(uint64(len(message)))
}

func (t *tally) read() (sum Tally) {
	for i := range t {
		sum[i] = MessageCount{t[i].messages.Load(), t[i].bytes.Load()}
	}
	return sum
}

// sent counts a message to a peer under total, and for the peer.
func (t *traffic) sent(total *tally, id peer.ID, message []byte) {
	total.add(message)
	if c, ok := t.peers.Load(id); ok {
		c.(*counter).sent.add(message)
	}
}

// received counts a message from a peer likewise.
func (t *traffic) received(total *tally, id peer.ID, message []byte) {
	total.add(message)
	if c, ok := t.peers.Load(id); ok {
		c.(*counter).received.add(message)
	}
}
