package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	libp2p "github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	libhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"google.golang.org/protobuf/proto"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
)

// attackTimeout bounds each write of an attacker, and its handshakes.
const attackTimeout = 10 * time.Second

// attacker is a peer of the victim that keeps to no rule: a libp2p host, our stream, and
// GossipSub's, with whatever bytes an attack has for them. It answers pings, and what
// answer says.
type attacker struct {
	net    *attackNet
	host   libhost.Host
	victim peer.AddrInfo
	hello  p2p.Hello
	answer func(p2p.Msg)     // may be nil
	heard  func(*pubsub.RPC) // gossip that came; may be nil

	mu      sync.Mutex // of all below, and of writes
	stream  network.Stream
	meshsub network.Stream
	pruned  int // times that the victim said PRUNE
	asked   map[p2p.Type]int
	out     time.Time // when the victim had shut it out, as far as is known
}

func (n *attackNet) newAttacker() (*attacker, error) {
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.Security(noise.ID, noise.New), libp2p.DefaultMuxers,
		libp2p.Transport(tcp.NewTCPTransport), libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableRelay(), libp2p.Ping(false), libp2p.ForceReachabilityPrivate(), libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery())
	if err != nil {
		return nil, err
	}
	victim, err := peer.AddrInfoFromString(n.victim.ready.Addresses[0])
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	tip := n.chain.Index(blockName(rampBlocks + evenBlocks))
	a := &attacker{net: n, host: h, victim: *victim, asked: make(map[p2p.Type]int), hello: p2p.Hello{
		Version: p2p.Version, Genesis: n.params.GenesisHash(), Nonce: rand.Uint64(), Tip: tip.Hash, Height: tip.Height,
		Work: tip.Work, Time: time.Now().Unix(), Agent: "/mallory:1/",
	}}
	h.SetStreamHandler(pubsub.GossipSubID_v12, a.listen)
	return a, nil
}

// names of the network's protocol and topics.
func (n *attackNet) protocol() protocol.ID {
	g := n.params.GenesisHash()
	return protocol.ID("/kapok/" + hex.EncodeToString(g[:8]) + "/1")
}

func (n *attackNet) topic(name string) string {
	g := n.params.GenesisHash()
	return "kapok/" + hex.EncodeToString(g[:8]) + "/" + name
}

// open connects and opens our stream; the victim accepts it, or that is an error.
func (a *attacker) open(ctx context.Context) (network.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, attackTimeout)
	defer cancel()
	if err := a.host.Connect(ctx, a.victim); err != nil {
		return nil, err
	}
	s, err := a.host.NewStream(ctx, a.victim.ID, a.net.protocol())
	if err != nil {
		return nil, err
	}
	var said [1]byte
	_ = s.SetReadDeadline(time.Now().Add(attackTimeout))
	_, err = io.ReadFull(s, said[:])
	_ = s.SetReadDeadline(time.Time{})
	if err == nil && said[0] != 1 {
		err = fmt.Errorf("the victim answered %d", said[0])
	}
	if err != nil {
		_ = s.Reset()
		return nil, err
	}
	return s, nil
}

// join makes the attacker a peer like others: a session with its hello, and gossip.
func (a *attacker) join(ctx context.Context) error {
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.stream, a.meshsub = s, nil
	a.mu.Unlock()
	go a.read(s)
	if err := a.say(&a.hello); err != nil {
		return err
	}
	return a.mingle(ctx)
}

// mingle makes the attacker a peer of gossip, with both topics.
func (a *attacker) mingle(ctx context.Context) error {
	g, err := a.host.NewStream(ctx, a.victim.ID, pubsub.GossipSubID_v12)
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.meshsub = g
	a.mu.Unlock()
	return a.gossip(&pb.RPC{Subscriptions: []*pb.RPC_SubOpts{
		{Subscribe: proto.Bool(true), Topicid: proto.String(a.net.topic("tx"))},
		{Subscribe: proto.Bool(true), Topicid: proto.String(a.net.topic("block"))},
	}})
}

// say sends messages by our stream.
func (a *attacker) say(messages ...p2p.Msg) error {
	for _, m := range messages {
		if err := a.frame(p2p.Encode(m)); err != nil {
			return err
		}
	}
	return nil
}

// frame sends any bytes as a message.
func (a *attacker) frame(body []byte) error {
	_, err := a.raw(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
	return err
}

// raw sends any bytes by our stream.
func (a *attacker) raw(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stream == nil {
		return 0, errors.New("not connected")
	}
	_ = a.stream.SetWriteDeadline(time.Now().Add(attackTimeout))
	return a.stream.Write(b)
}

// gossip sends GossipSub's own messages.
func (a *attacker) gossip(rpcs ...*pb.RPC) error {
	for _, rpc := range rpcs {
		body, err := proto.Marshal(rpc)
		if err != nil {
			return err
		}
		if err := a.gossipBytes(body); err != nil {
			return err
		}
	}
	return nil
}

func (a *attacker) gossipBytes(body []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.meshsub == nil {
		return errors.New("not connected")
	}
	_ = a.meshsub.SetWriteDeadline(time.Now().Add(attackTimeout))
	_, err := a.meshsub.Write(append(binary.AppendUvarint(nil, uint64(len(body))), body...))
	if err != nil {
		a.meshsub = nil // the victim has ended it
	}
	return err
}

// publish sends bytes as a message of a topic.
func (a *attacker) publish(topic string, body []byte) error {
	return a.gossip(&pb.RPC{Publish: []*pb.Message{{Data: body, Topic: proto.String(a.net.topic(topic))}}})
}

// read takes what comes by our stream until that ends.
func (a *attacker) read(s network.Stream) {
	in := bufio.NewReaderSize(s, 64<<10)
	var size [4]byte
	for {
		if _, err := io.ReadFull(in, size[:]); err != nil {
			break
		}
		body := make([]byte, min(binary.BigEndian.Uint32(size[:]), p2p.MaxMessage))
		if _, err := io.ReadFull(in, body); err != nil {
			break
		}
		m, err := p2p.Decode(body)
		if err != nil {
			break
		}
		a.mu.Lock()
		a.asked[m.Type()]++
		a.mu.Unlock()
		if ping, ok := m.(*p2p.Ping); ok {
			_ = a.say(&p2p.Pong{Nonce: ping.Nonce}) // the next read fails where this does
		}
		if a.answer != nil {
			a.answer(m)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stream == s {
		a.stream, a.meshsub = nil, nil
		a.shut()
	}
}

// shut notes that the victim has shut the attacker out; a.mu is held.
func (a *attacker) shut() {
	if a.out.IsZero() {
		a.out = time.Now()
	}
}

// listen takes what comes by GossipSub's stream.
func (a *attacker) listen(s network.Stream) {
	in := bufio.NewReader(s)
	for {
		size, err := binary.ReadUvarint(in)
		if err != nil || size > 2<<20 {
			return
		}
		body := make([]byte, size)
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		var rpc pubsub.RPC
		if proto.Unmarshal(body, &rpc.RPC) != nil {
			return
		}
		a.mu.Lock()
		a.pruned += len(rpc.GetControl().GetPrune())
		a.mu.Unlock()
		if a.heard != nil {
			a.heard(&rpc)
		}
	}
}

// connected reports whether there is a session.
func (a *attacker) connected() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stream != nil
}

// back is the attacker again what it was, as far as the victim lets it.
func (a *attacker) back(ctx context.Context) {
	a.mu.Lock()
	stream, meshsub := a.stream != nil, a.meshsub != nil
	a.mu.Unlock()
	switch { // an error is one of the next attempt too
	case !stream:
		_ = a.join(ctx)
	case !meshsub:
		_ = a.mingle(ctx)
	}
}

// times is how often the victim said a kind of message.
func (a *attacker) times(kind p2p.Type) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked[kind]
}

// shutOut reports whether the victim has hung up on the attacker, or does not listen to
// its gossip any more: whoever leaves a mesh and is back at once is told PRUNE, unless
// nothing of his is looked at.
func (a *attacker) shutOut() bool {
	a.mu.Lock()
	before, live := a.pruned, a.meshsub != nil
	a.mu.Unlock()
	topic := proto.String(a.net.topic("tx"))
	if live && a.gossip(
		&pb.RPC{Control: &pb.ControlMessage{Prune: []*pb.ControlPrune{{TopicID: topic}}}},
		&pb.RPC{Control: &pb.ControlMessage{Graft: []*pb.ControlGraft{{TopicID: topic}}}},
	) == nil {
		for range 50 {
			time.Sleep(20 * time.Millisecond)
			a.mu.Lock()
			answered := a.pruned > before
			a.mu.Unlock()
			if answered {
				return false
			}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.shut()
	return true
}

// close leaves.
func (a *attacker) close() { _ = a.host.Close() }

// flood calls f so many times a second until it fails or the context ends, with numbers
// from 0. What the machine has no time for is left out.
func flood(ctx context.Context, rate int, f func(i int) error) {
	const beat = 10 * time.Millisecond
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	start, done := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		due := int(time.Since(start).Seconds() * float64(rate))
		for range min(due-done, 1+rate/20) {
			if ctx.Err() != nil || f(done) != nil {
				return
			}
			done++
		}
		done = max(done, due)
	}
}

// junk is so many random bytes.
func junk(n int) []byte {
	b := make([]byte, n)
	for i := 0; i+8 <= n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], rand.Uint64())
	}
	return b
}

// flipped is a copy of a message with one bit turned.
func flipped(b []byte) []byte {
	b = append([]byte(nil), b...)
	b[1+rand.IntN(len(b)-1)] ^= 1 << rand.IntN(8)
	return b
}

// strayHash is the hash of nothing.
func strayHash() (h consensus.Hash) {
	copy(h[:], junk(len(h)))
	return h
}
