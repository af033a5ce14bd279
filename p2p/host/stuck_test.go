package host

import (
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/kapok-chain/kapok/p2p/peers"
)

// stuck is a stream to a peer that says nothing and reads nothing: a reset takes until
// the test lets it go.
type stuck struct {
	network.Stream
	conn      stuckConn
	begun     func()
	resetting chan struct{} // closed when a reset begins
	release   chan struct{} // closed by the test
}

type stuckConn struct {
	network.Conn
	id peer.ID
}

func newStuck(t *testing.T) *stuck {
	key, err := newIdentity()
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s := &stuck{conn: stuckConn{id: id}, resetting: make(chan struct{}), release: make(chan struct{})}
	s.begun = sync.OnceFunc(func() { close(s.resetting) })
	return s
}

func (s *stuck) Conn() network.Conn               { return s.conn }
func (s *stuck) SetReadDeadline(time.Time) error  { return nil }
func (s *stuck) SetWriteDeadline(time.Time) error { return nil }

func (s *stuck) Read([]byte) (int, error) {
	<-s.resetting
	return 0, network.ErrReset
}

func (s *stuck) Reset() error {
	s.begun()
	<-s.release
	return nil
}

func (c stuckConn) ID() string                    { return "stuck" }
func (c stuckConn) Close() error                  { return nil }
func (c stuckConn) RemotePeer() peer.ID           { return c.id }
func (c stuckConn) RemoteMultiaddr() ma.Multiaddr { return ma.StringCast("/ip4/127.0.0.1/tcp/1") }

// stuckPeer is a session over a stream that is stuck.
func (n *node) stuckPeer(t *testing.T) (*session, *stuck) {
	t.Helper()
	stream := newStuck(t)
	s := n.newSession(stream, peers.Inbound)
	if verdict := n.admit(s); verdict != answerAccept {
		t.Fatalf("answer %d", verdict)
	}
	n.spawn(func() { s.serve(n.ctx) })
	n.waitFor(t, "connected", s.peer.ID, 1)
	return s, stream
}

// promptly fails the test where f waits for what does not come.
func promptly(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { f(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience / 3):
		t.Errorf("%s waits for a peer that does not read", what)
	}
}

// TestStopDoesNotWait: to end the session of a peer that reads nothing takes as long as
// libp2p has patience, but whoever ends it does not wait: it may be the node, with its
// lock held. Until the node has heard that the peer is gone, it hears its gossip.
func TestStopDoesNotWait(t *testing.T) {
	victim := start(t, lean())
	for what, stop := range map[string]func(*session){
		"Disconnect": func(s *session) { victim.Disconnect(s.peer.ID) },
		"Ban": func(s *session) {
			if err := victim.Ban(string(s.peer.ID), time.Now().Add(time.Hour)); err != nil {
				t.Error(err)
			}
		},
	} {
		s, stream := victim.stuckPeer(t)
		promptly(t, what, func() { stop(s) })
		<-stream.resetting
		if _, alive := s.deliver(payment(1, 10), false); alive {
			t.Errorf("%s: a message is heard after the end", what)
		}
		if _, alive := s.deliver(payment(1, 10), true); !alive {
			t.Errorf("%s: gossip, which nobody else will bring, is lost", what)
		}
		if n := has(victim.seen(), "disconnected", s.peer.ID); n != 0 {
			t.Errorf("%s: disconnected while the stream was being reset", what)
		}
		close(stream.release)
		victim.waitFor(t, "disconnected", s.peer.ID, 1)
		if _, alive := s.deliver(payment(1, 10), true); alive {
			t.Errorf("%s: gossip is heard after the end", what)
		}
	}
}

// TestReplacingDoesNotBlock: a peer opens a new stream while it does not read the old
// one; others get in meanwhile.
func TestReplacingDoesNotBlock(t *testing.T) {
	victim := start(t, lean())
	old, stream := victim.stuckPeer(t)
	old.since = old.since.Add(-2 * replaceAge)
	again := newStuck(t)
	again.conn = stream.conn
	close(again.release)
	s := victim.newSession(again, peers.Inbound)
	answered := make(chan answer, 1)
	go func() { answered <- victim.admit(s) }()
	<-stream.resetting
	other := start(t, lean())
	promptly(t, "somebody else", func() { other.connect(t, victim) })
	close(stream.release)
	if verdict := <-answered; verdict != answerAccept {
		t.Errorf("answer %d to the new stream", verdict)
	}
	s.abandon(errDisconnected)
}

// TestEvictionIsForSomebody: a stream that is refused takes nobody's slot.
func TestEvictionIsForSomebody(t *testing.T) {
	c := lean()
	c.MaxIn = 12 // of whom some may leave
	victim := start(t, c)
	for range c.MaxIn {
		start(t, lean()).connect(t, victim)
	}
	victim.waitFor(t, "connected", "", c.MaxIn)
	// The refused one is dialed by us at the same time, and the other side is to accept that.
	stream := newStuck(t)
	close(stream.release)
	for stream.conn.id <= victim.id {
		stream = newStuck(t)
		close(stream.release)
	}
	victim.Host.mu.Lock()
	victim.pending[stream.conn.id] = make(chan struct{})
	victim.Host.mu.Unlock()
	s := victim.newSession(stream, peers.Inbound)
	if verdict := victim.admit(s); verdict != answerDuplicate {
		t.Errorf("answer %d, expected %d", verdict, answerDuplicate)
	}
	if n := victim.kinds()[peers.Inbound]; n != c.MaxIn {
		t.Errorf("%d peers are left of %d", n, c.MaxIn)
	}
	victim.Host.mu.Lock()
	delete(victim.pending, stream.conn.id)
	victim.Host.mu.Unlock()
}
