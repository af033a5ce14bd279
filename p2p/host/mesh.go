package host

import (
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// meshAge is how long a new peer may take to get into the meshes: subscriptions
// are exchanged in milliseconds, but meshes change at heartbeats only, and what
// was published before is not offered to a peer that enters at the next one.
const meshAge = 3 * heartbeat

// mesh knows which peers GossipSub sends whole messages to, and counts messages. It is
// a pubsub.RawTracer.
type mesh struct {
	traffic *traffic

	mu     sync.RWMutex
	topics map[string]map[peer.ID]struct{}
}

func newMesh(t *traffic) *mesh {
	return &mesh{traffic: t, topics: make(map[string]map[peer.ID]struct{})}
}

// has reports whether gossip in a topic goes to a peer directly.
func (m *mesh) has(topic string, id peer.ID) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	_, in := m.topics[topic][id]
	return in
}

// Graft implements pubsub.RawTracer.
func (m *mesh) Graft(id peer.ID, topic string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.topics[topic] == nil {
		m.topics[topic] = make(map[peer.ID]struct{})
	}
	m.topics[topic][id] = struct{}{}
}

// Prune implements pubsub.RawTracer.
func (m *mesh) Prune(id peer.ID, topic string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.topics[topic], id)
}

// OnClosedOutboundStream implements pubsub.RawTracer.
func (m *mesh) OnClosedOutboundStream(id peer.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, peers := range m.topics {
		delete(peers, id)
	}
}

// RecvRPC implements pubsub.RawTracer.
func (m *mesh) RecvRPC(rpc *pubsub.RPC) {
	for _, message := range rpc.GetPublish() {
		m.traffic.received(&m.traffic.gossipIn, rpc.From(), message.GetData())
	}
}

// SendRPC implements pubsub.RawTracer. It is called when an RPC enters the peer's queue.
func (m *mesh) SendRPC(rpc *pubsub.RPC, id peer.ID) {
	for _, message := range rpc.GetPublish() {
		m.traffic.sent(&m.traffic.gossipOut, id, message.GetData())
	}
}

// DuplicateMessage implements pubsub.RawTracer.
func (m *mesh) DuplicateMessage(message *pubsub.Message) {
	m.traffic.duplicates.add(message.GetData())
}

// RejectMessage implements pubsub.RawTracer.
func (m *mesh) RejectMessage(message *pubsub.Message, reason string) {
	if reason == pubsub.RejectValidationQueueFull || reason == pubsub.RejectValidationThrottled {
		m.traffic.dropped.add(message.GetData())
	}
}

// DropRPC implements pubsub.RawTracer.
func (m *mesh) DropRPC(rpc *pubsub.RPC, _ peer.ID) {
	for _, message := range rpc.GetPublish() {
		m.traffic.unsent.add(message.GetData())
	}
}

// ThrottlePeer implements pubsub.RawTracer. The gater kept a peer's messages out.
func (m *mesh) ThrottlePeer(peer.ID) { m.traffic.throttled.Add(1) }

// The rest of pubsub.RawTracer is of no interest here.

func (*mesh) OnNewOutboundStream(peer.ID, protocol.ID)             {}
func (*mesh) Join(string)                                          {}
func (*mesh) Leave(string)                                         {}
func (*mesh) ValidateMessage(*pubsub.Message)                      {}
func (*mesh) DeliverMessage(*pubsub.Message)                       {}
func (*mesh) SendRPCCompleted(*pubsub.RPC, peer.ID, time.Duration) {}
func (*mesh) UndeliverableMessage(*pubsub.Message)                 {}

// bypass sends a gossip message by stream to those whom gossip would miss: new
// peers that are in no mesh yet, and, for blocks, peers outside of the mesh that
// we chose ourselves, so that no crowd of inbound peers can hold a block back. Where
// nothing but blocks travels, the engine sends them.
func (g *gossip) bypass(topic *pubsub.Topic, body []byte, from peer.ID) {
	var frame []byte
	for _, s := range g.host.all() {
		young := time.Since(s.since) < meshAge
		chosen := topic == g.blocks && !s.peer.Inbound
		if s.id == from || !young && !chosen || s.blockOnly.Load() || g.mesh.has(topic.String(), s.id) {
			continue
		}
		if frame == nil {
			frame = newFrame(body)
		}
		if topic == g.blocks {
			s.announce(frame)
		} else {
			s.send(frame)
		}
	}
}
