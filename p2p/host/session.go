package host

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/p2p/peers"
)

// Why a session ended, where it was not the peer's or the wire's doing.
var (
	errReplaced     = errors.New("the peer opened a new stream")
	errDisconnected = errors.New("disconnected by this node")
	errHungUp       = errors.New("the peer hung up")
)

// session is one peer's stream and what surrounds it. Its life is serve; any
// goroutine may push to its queue, deliver a gossip message, or stop it.
type session struct {
	host      *Host
	peer      p2p.Peer // as the handler knows it
	id        peer.ID
	kind      peers.Kind
	stream    network.Stream
	queue     *queue
	allowance allowance // of gossip
	since     time.Time
	halt      chan struct{} // closed by the first stop
	done      chan struct{} // closed once the handler has heard Disconnected

	// call makes the handler's calls for this peer come one at a time. It is
	// held from the session's creation until Connected has returned.
	call sync.Mutex
	// blockOnly: neither payments nor addresses travel here, as one side wished.
	blockOnly atomic.Bool
	ended     bool // under call: Disconnected was called, or Connected never was

	mu        sync.Mutex
	reason    error                           // why it was stopped; nil while it lives
	announced [maxAnnounced][sha256.Size]byte // hashes of the last ones by this stream, in a ring
	next      int                             // where the next one goes
}

// newSession returns a session over an agreed stream, which serve or abandon
// must end.
func (h *Host) newSession(s network.Stream, kind peers.Kind) *session {
	id := s.Conn().RemotePeer()
	session := &session{
		host: h,
		peer: p2p.Peer{
			ID: name(id), Addr: s.Conn().RemoteMultiaddr().String(), Inbound: kind == peers.Inbound, BlockOnly: kind == peers.BlockOnly,
		},
		id:        id,
		kind:      kind,
		stream:    s,
		queue:     newQueue(&h.queued),
		allowance: newAllowance(),
		since:     time.Now(),
		halt:      make(chan struct{}),
		done:      make(chan struct{}),
	}
	session.blockOnly.Store(kind == peers.BlockOnly)
	session.call.Lock()
	return session
}

// serve tells the handler about the peer and carries messages both ways until
// the stream fails or the session is stopped. It returns with nothing left of
// the session.
func (s *session) serve(ctx context.Context) {
	h := s.host
	h.log.Info("peer connected", "peer", s.peer.ID, "addr", s.peer.Addr, "kind", s.kind)
	h.handler.Connected(s.peer)
	s.call.Unlock()

	writing, cancel := context.WithCancel(ctx)
	unlink := context.AfterFunc(ctx, func() { s.stop(ErrClosed) })
	var writer sync.WaitGroup
	writer.Go(func() { s.stop(s.write(writing)) })
	writer.Go(func() { <-s.halt; s.reset() })
	s.stop(s.read())
	cancel()
	writer.Wait()
	unlink()

	reason := s.stopped()
	h.log.Info("peer disconnected", "peer", s.peer.ID, "addr", s.peer.Addr, "reason", reason)
	s.call.Lock()
	s.ended = true
	h.handler.Disconnected(s.peer.ID)
	s.call.Unlock()
	s.close()
	if !errors.Is(reason, errReplaced) {
		_ = s.stream.Conn().Close() // of this session alone: the peer may be back on another
	}
}

// abandon ends a session that the handler never heard of.
func (s *session) abandon(reason error) {
	s.stop(reason)
	s.reset()
	s.ended = true
	s.call.Unlock()
	s.close()
}

// close releases what the session holds and lets a successor in.
func (s *session) close() {
	s.queue.close()
	s.host.remove(s)
	close(s.done)
}

// stop makes the session end for the given reason; only the first one counts.
// It does not wait, and may be called with any lock held.
func (s *session) stop(reason error) {
	if reason == nil {
		return
	}
	s.mu.Lock()
	first := s.reason == nil
	if first {
		s.reason = reason
	}
	s.mu.Unlock()
	if first {
		close(s.halt)
	}
}

// reset ends the stream and frees what waits to be sent. Where the peer reads nothing,
// not even the reset leaves before the connection's write deadline of 10 s.
func (s *session) reset() {
	s.queue.close()
	_ = s.stream.Reset() // an error means that it is closed already
}

// dialed returns the address at which we found the peer; false where it dialed us.
func (s *session) dialed() (netip.AddrPort, bool) {
	conn := s.stream.Conn()
	if conn.Stat().Direction != network.DirOutbound {
		return netip.AddrPort{}, false
	}
	return addrPort(conn.RemoteMultiaddr())
}

// stopped returns why the session ends, nil while it lives.
func (s *session) stopped() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason
}

// read passes the peer's messages to the handler until the stream fails.
func (s *session) read() error {
	in := &incoming{all: s.host.intake, cut: s.stop}
	defer in.release()
	for {
		frame, err := readFrame(s.stream, p2p.MaxMessage, in)
		if errors.Is(err, io.EOF) || errors.Is(err, network.ErrReset) {
			return errHungUp
		}
		if err != nil {
			return fmt.Errorf("reading: %w", err)
		}
		s.host.traffic.received(&s.host.traffic.streamIn, s.id, frame)
		m, err := p2p.Decode(frame)
		in.release()
		if err != nil {
			return fmt.Errorf("the peer sent a message that does not decode: %w", err)
		}
		if _, alive := s.deliver(m, false); !alive {
			return errDisconnected
		}
	}
}

// write sends what is queued until ctx ends (nil) or the stream fails.
func (s *session) write(ctx context.Context) error {
	for {
		frame, ok := s.queue.pop(ctx)
		if !ok {
			return nil
		}
		if err := writeFrame(s.stream, frame, s.queue.move); err != nil {
			return fmt.Errorf("writing: %w", err)
		}
		s.host.traffic.sent(&s.host.traffic.streamOut, s.id, frame[frameHeader:])
		s.queue.written(len(frame))
	}
}

// send queues a frame; a peer whose queue is full is dropped.
func (s *session) send(frame []byte) {
	if err := s.queue.push(frame); err != nil {
		s.stop(fmt.Errorf("%w: %d bytes wait, the peer does not read", err, s.queue.size()))
	}
}

// announce sends a frame with an announcement once: the engine sends it to the peers that
// the node chose, and gossip to those that it would miss.
func (s *session) announce(frame []byte) {
	id := sha256.Sum256(frame)
	s.mu.Lock()
	twice := slices.Contains(s.announced[:], id)
	if !twice {
		s.announced[s.next] = id
		s.next = (s.next + 1) % maxAnnounced
	}
	s.mu.Unlock()
	if !twice {
		s.send(frame)
	}
}

// deliver hands one message to the handler. It returns false, and does nothing, once
// the session has ended; for a message by stream, once it was stopped. Gossip is taken
// until the end, since nobody else is asked for what GossipSub has seen: a peer that
// sends an announcement and hangs up must not take it away with it.
func (s *session) deliver(m p2p.Msg, gossip bool) (p2p.Verdict, bool) {
	s.call.Lock()
	defer s.call.Unlock()
	if s.ended || !gossip && s.stopped() != nil {
		return p2p.Ignore, false
	}
	if hello, ok := m.(*p2p.Hello); ok && hello.BlockOnly() {
		s.blockOnly.Store(true)
	}
	return s.host.handler.Receive(s.peer.ID, m, gossip), true
}
