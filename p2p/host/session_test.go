package host

import (
	"encoding/binary"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
)

// rogue connects a peer that follows no rules and returns its stream, accepted
// by the victim, and its id.
func rogue(t *testing.T, victim *node) (network.Stream, p2p.PeerID) {
	t.Helper()
	h := stray(t, Config{GenesisHash: testGenesis, DisableQUIC: true}, victim)
	return h.intrude(t, victim), h.ID()
}

// stray connects a host that does not run, and so has no session with the victim.
func stray(t *testing.T, c Config, victim *node) *rogueHost {
	t.Helper()
	h, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	addr, err := ma.NewMultiaddr(victim.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	info, err := peer.AddrInfoFromP2pAddr(addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.lib.Connect(within(t), *info); err != nil {
		t.Fatal(err)
	}
	return &rogueHost{h}
}

type rogueHost struct{ *Host }

// intrude opens the stream of a session that follows no rules.
func (h *rogueHost) intrude(t *testing.T, victim *node) network.Stream {
	t.Helper()
	st, verdict, err := h.greet(within(t), victim.id)
	if err != nil || verdict != answerAccept {
		t.Fatalf("answer %d, error %v", verdict, err)
	}
	victim.waitFor(t, "connected", h.ID(), 1)
	return st
}

// bystander connects an honest peer and returns a check that it is still there.
func bystander(t *testing.T, victim *node) (check func()) {
	honest := start(t, lean())
	honest.connect(t, victim)
	victim.waitFor(t, "connected", honest.ID(), 1)
	return func() {
		t.Helper()
		honest.Send(p2p.Outgoing{To: victim.ID(), Msg: &p2p.Ping{Nonce: 1}})
		victim.waitFor(t, "message", honest.ID(), 1)
	}
}

// TestBadFrames: each of these ends the session at once, with a logged reason,
// before anything was read into memory, and disturbs nobody else.
func TestBadFrames(t *testing.T) {
	victim := start(t, lean())
	check := bystander(t, victim)
	for _, c := range []struct {
		name, say string
		bytes     []byte
	}{
		{"4 GB announced", "forbidden size: 4294967295 bytes", []byte{0xff, 0xff, 0xff, 0xff}},
		{"one byte too many", "forbidden size: 4065537 bytes", binary.BigEndian.AppendUint32(nil, p2p.MaxMessage+1)},
		{"nothing announced", "forbidden size: 0 bytes", []byte{0, 0, 0, 0}},
		{"garbage", "does not decode", newFrame([]byte{byte(p2p.TypePing), 1})},
	} {
		t.Run(c.name, func(t *testing.T) {
			st, id := rogue(t, victim)
			if _, err := st.Write(c.bytes); err != nil {
				t.Fatal(err)
			}
			victim.waitFor(t, "disconnected", id, 1)
			if _, err := io.Copy(io.Discard, st); err == nil {
				t.Error("the stream was closed, expected a reset")
			}
			if log := victim.log.String(); !strings.Contains(log, c.say) {
				t.Errorf("the log does not say %q", c.say)
			}
		})
	}
	check()
}

// TestUnreadQueue: a peer that asks and never reads is dropped once its queue
// is full, by a Send that does not wait.
func TestUnreadQueue(t *testing.T) {
	victim := start(t, lean())
	check := bystander(t, victim)
	_, id := rogue(t, victim)
	big := &p2p.Headers{Headers: make([]consensus.Header, p2p.MaxHeaders)}
	for range maxQueueFrames + 64 {
		if victim.session(id) == nil {
			break
		}
		victim.Send(p2p.Outgoing{To: id, Msg: big})
	}
	victim.waitFor(t, "disconnected", id, 1)
	if log := victim.log.String(); !strings.Contains(log, "send queue is full") {
		t.Error("the log does not say why")
	}
	check()
	if n := victim.queued.Load(); n != 0 {
		t.Errorf("%d bytes are still counted as queued", n)
	}
}

// TestRelief: where all queues together are so long that others wait, the peer is dropped that
// is furthest behind, if it is slow; where they are too long and nobody is, the longest one's.
// It is not the one that was sent to.
func TestRelief(t *testing.T) {
	victim := start(t, lean())
	check := bystander(t, victim)
	_, shorter := rogue(t, victim)
	_, longer := rogue(t, victim)
	big := &p2p.Headers{Headers: make([]consensus.Header, p2p.MaxHeaders)}
	for range 65 {
		victim.Send(p2p.Outgoing{To: shorter, Msg: big})
	}
	for range 100 {
		victim.Send(p2p.Outgoing{To: longer, Msg: big})
	}
	if waits := victim.Backlog(); waits[shorter] < 1<<20 || waits[longer] <= waits[shorter] {
		t.Errorf("the host says that %v bytes wait", waits)
	}
	if queued := victim.queued.Load(); queued <= crowdedBytes || queued > maxQueuedBytes {
		t.Fatalf("%d bytes wait", queued)
	}
	victim.relieve()
	if victim.session(shorter) == nil || victim.session(longer) == nil {
		t.Fatal("a peer was dropped that has been slow for less than two seconds")
	}
	_, slow := rogue(t, victim)
	for range 20 {
		victim.Send(p2p.Outgoing{To: slow, Msg: big})
	}
	late := victim.session(slow).queue
	late.mu.Lock()
	late.since = late.since.Add(-2*slowFor - time.Duration(late.moved)*time.Second/slowRate)
	late.mu.Unlock()
	victim.relieve()
	victim.waitFor(t, "disconnected", slow, 1)
	if victim.session(shorter) == nil {
		t.Fatal("two peers were dropped, and one was slow")
	}
	victim.queued.Add(maxQueuedBytes) // as if others had as much
	victim.Send(p2p.Outgoing{To: shorter, Msg: &p2p.Ping{}})
	victim.waitFor(t, "disconnected", longer, 1)
	victim.queued.Add(-maxQueuedBytes)
	if victim.session(shorter) == nil {
		t.Error("two peers were dropped")
	}
	check()
}

func TestDisconnect(t *testing.T) {
	a, b := start(t, lean()), start(t, lean())
	a.connect(t, b)
	b.waitFor(t, "connected", a.ID(), 1)
	b.Disconnect(a.ID())
	b.Disconnect("nobody")
	a.waitFor(t, "disconnected", b.ID(), 1)
	b.waitFor(t, "disconnected", a.ID(), 1)
	a.Send(p2p.Outgoing{To: b.ID(), Msg: &p2p.Ping{}}) // to nobody: lost
}

// TestFurtherConnections: a peer that has a session may have two further connections for
// a while, and then it has the one.
func TestFurtherConnections(t *testing.T) {
	c := lean()
	c.KeyFile = t.TempDir() + "/node.key"
	victim, a := start(t, lean()), start(t, c)
	a.connect(t, victim)
	victim.waitFor(t, "connected", a.ID(), 1)
	info := peer.AddrInfo{ID: victim.id, Addrs: victim.swarm.ListenAddresses()}
	for range 8 {
		h, err := New(c) // the same peer once more
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		_ = h.lib.Connect(within(t), info) // refused, or cut off as soon as it stands
	}
	if n := len(victim.swarm.ConnsToPeer(a.id)); n < 2 || n > maxPeerConns {
		t.Errorf("%d connections with one peer, expected 2 to %d", n, maxPeerConns)
	}
	victim.sweep(time.Now())
	if n := len(victim.swarm.ConnsToPeer(a.id)); n < 2 {
		t.Errorf("%d connections are left of young ones", n)
	}
	victim.sweep(time.Now().Add(idleConnAge + time.Second))
	victim.wait(t, "one connection", func([]event) bool { return len(victim.swarm.ConnsToPeer(a.id)) == 1 })
	a.Send(p2p.Outgoing{To: victim.ID(), Msg: &p2p.Ping{Nonce: 1}})
	victim.waitFor(t, "message", a.ID(), 1)
	if n := has(victim.seen(), "disconnected", a.ID()); n != 0 {
		t.Error("the session ended with the further connections")
	}
}

// TestPeerThatIsBack: the end of a session does not cut off the peer's next connection,
// which may stand already.
func TestPeerThatIsBack(t *testing.T) {
	c := lean()
	c.KeyFile = t.TempDir() + "/node.key"
	victim, a := start(t, lean()), start(t, c)
	a.connect(t, victim)
	victim.waitFor(t, "connected", a.ID(), 1)
	again, err := New(c) // the same peer
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { again.Close() })
	if err := again.lib.Connect(within(t), peer.AddrInfo{ID: victim.id, Addrs: victim.swarm.ListenAddresses()}); err != nil {
		t.Fatal(err)
	}
	victim.Disconnect(a.ID())
	victim.waitFor(t, "disconnected", a.ID(), 1)
	a.waitFor(t, "disconnected", victim.ID(), 1)
	st, verdict, err := again.greet(within(t), victim.id)
	if err != nil || verdict != answerAccept {
		t.Fatalf("answer %d, error %v", verdict, err)
	}
	victim.waitFor(t, "connected", a.ID(), 2)
	_ = st.Reset()
}
