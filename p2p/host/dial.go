package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multistream"

	"github.com/kapok-chain/kapok/p2p/peers"
)

// answer is the byte with which the accepting side opens the conversation.
type answer byte

const (
	answerAccept    answer = 1
	answerDuplicate answer = 2 // there is a session, or a stream of ours that survives
	answerBusy      answer = 3 // this node is starting or stopping
	answerFull      answer = 4 // no slot is free, and nobody is to give way
)

// accept is libp2p's handler for streams of our protocol.
func (h *Host) accept(st network.Stream) {
	if !h.begin() {
		_ = st.Reset()
		return
	}
	defer h.wg.Done()
	timer := time.NewTimer(handshakeTimeout)
	defer timer.Stop()
	select {
	case <-h.ready: // a peer may be faster than our own start
	case <-timer.C:
		_ = st.Reset()
		return
	case <-h.ctx.Done():
		_ = st.Reset()
		return
	}
	s := h.newSession(st, peers.Inbound)
	verdict := h.admit(s)
	err := st.SetWriteDeadline(time.Now().Add(handshakeTimeout))
	if err == nil {
		_, err = st.Write([]byte{byte(verdict)})
	}
	switch {
	case verdict != answerAccept:
		_ = st.Close() // lets the answer arrive, which a reset would not
	case err != nil:
		s.abandon(fmt.Errorf("answering: %w", err))
	default:
		s.serve(h.ctx)
	}
}

// connect brings about a session with the peer at an address, or returns the
// one that exists. ctx bounds the attempt.
func (h *Host) connect(ctx context.Context, text string, kind peers.Kind) (*session, error) {
	info, err := parsePeer(text)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if info.ID == "" {
		if info.ID, err = h.lookup(ctx, info); err != nil {
			return nil, fmt.Errorf("peer %s: %w", text, err)
		}
	}
	s, err := h.open(ctx, info, kind)
	if err != nil {
		return nil, fmt.Errorf("peer %s: %w", text, err)
	}
	return s, nil
}

// lookup asks the peer at an address for its id: a Noise handshake that expects
// somebody else fails with the id of who is there. The id is believed only as
// far as the next dial, which proves it.
func (h *Host) lookup(ctx context.Context, info peer.AddrInfo) (peer.ID, error) {
	key, err := newIdentity()
	if err != nil {
		return "", err
	}
	nobody, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return "", fmt.Errorf("identity: %w", err)
	}
	h.swarm.Peerstore().AddAddrs(nobody, info.Addrs, peerstore.TempAddrTTL)
	defer func() {
		h.swarm.Backoff().Clear(nobody)
		h.swarm.Peerstore().ClearAddrs(nobody)
		h.swarm.Peerstore().RemovePeer(nobody)
	}()
	_, err = h.swarm.DialPeer(ctx, nobody)
	if mismatch, ok := errors.AsType[sec.ErrPeerIDMismatch](err); ok {
		return mismatch.Actual, nil
	}
	if errors.Is(err, swarm.ErrDialToSelf) {
		return "", ErrSelf
	}
	return "", fmt.Errorf("cannot ask for its id: %w", plain(err))
}

// open dials a peer, opens our stream, and registers the session once the peer
// has accepted it. One for blocks alone has no part in gossip.
func (h *Host) open(ctx context.Context, info peer.AddrInfo, kind peers.Kind) (*session, error) {
	if info.ID == h.id {
		return nil, ErrSelf
	}
	if kind == peers.Manual {
		h.gater.pardon(info.ID)
	} else if h.gater.isDenied(info.ID) {
		return nil, ErrDenied
	}
	if s := h.session(name(info.ID)); s != nil && s.stopped() == nil {
		return s, nil
	}
	end, err := h.begins(info.ID, kind)
	if err != nil {
		return nil, err
	}
	s, mine, err := h.reach(ctx, info, kind)
	if mine && h.begin() {
		go func() {
			defer h.wg.Done()
			s.serve(h.ctx)
			end()
		}()
		return s, nil
	}
	if mine {
		s.abandon(ErrClosed)
		s, err = nil, ErrClosed
	}
	end()
	return s, err
}

// begins takes what a connection of a kind needs, until end is called.
func (h *Host) begins(id peer.ID, kind peers.Kind) (end func(), err error) {
	switch kind {
	case peers.BlockOnly:
		return func() { h.unshun(id) }, h.shun(id)
	case peers.Manual, peers.Local:
		return h.leave, h.enter()
	}
	return func() {}, nil
}

// enter takes one of the places for peers that the node did not choose from its book.
func (h *Host) enter() error {
	most := h.cfg.MaxOut
	if h.cfg.Book != nil {
		most = max(1, most-reservedOut)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.asked >= most {
		return fmt.Errorf("%d peers that were asked for are connected or being dialed, the most allowed", most)
	}
	h.asked++
	return nil
}

// leave gives the place back.
func (h *Host) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked--
}

// reach connects, and returns the session there is then. mine says that it is the
// caller's, who has to serve or abandon it.
func (h *Host) reach(ctx context.Context, info peer.AddrInfo, kind peers.Kind) (s *session, mine bool, err error) {
	h.swarm.Backoff().Clear(info.ID) // the caller's delay is the one that counts
	if err := h.lib.Connect(ctx, info); err != nil {
		return nil, false, plain(err)
	}
	mine, err = h.claim(ctx, info.ID)
	if err != nil {
		return nil, false, err
	}
	verdict := answerDuplicate
	if mine {
		s, verdict, err = h.handshake(ctx, info.ID, kind)
	}
	switch {
	case err != nil:
		return nil, false, err
	case verdict == answerDuplicate:
		s, err = h.settled(ctx, info.ID)
		return s, false, err
	case verdict != answerAccept:
		return nil, false, ErrRefused
	}
	if addr, ok := s.dialed(); ok && h.cfg.Book != nil {
		h.cfg.Book.dialed(time.Now(), addr, nil, true)
	}
	return s, true, nil
}

// claim makes this goroutine the one that opens a stream to id; false where a
// session is there already. Another opener is waited for.
func (h *Host) claim(ctx context.Context, id peer.ID) (bool, error) {
	for {
		h.mu.Lock()
		if s := h.sessions[name(id)]; s != nil && s.stopped() == nil {
			h.mu.Unlock()
			return false, nil
		}
		other, dialing := h.pending[id]
		if !dialing {
			h.pending[id] = make(chan struct{})
			h.mu.Unlock()
			return true, nil
		}
		h.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// handshake opens the stream to a claimed peer and reads the answer. The claim
// ends with it; where the answer is answerAccept, the session is registered, unless
// the peer was banned meanwhile.
func (h *Host) handshake(ctx context.Context, id peer.ID, kind peers.Kind) (*session, answer, error) {
	st, verdict, err := h.greet(ctx, id)
	var s *session
	if err == nil && verdict == answerAccept {
		s = h.newSession(st, kind)
	}
	for {
		h.mu.Lock()
		old := h.sessions[name(id)]
		if s == nil || old == nil {
			break
		}
		h.mu.Unlock() // a dead predecessor, or one that the peer gave up
		old.stop(errReplaced)
		<-old.done
	}
	close(h.pending[id])
	delete(h.pending, id)
	banned := s != nil && !h.gater.admits(id, st.Conn().RemoteMultiaddr())
	if s != nil && !banned {
		h.register(s)
	}
	h.mu.Unlock()
	if banned {
		s.abandon(ErrDenied)
		return nil, verdict, ErrDenied
	}
	return s, verdict, err
}

// greet opens the stream and reads the peer's answer.
func (h *Host) greet(ctx context.Context, id peer.ID) (network.Stream, answer, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	st, err := h.lib.NewStream(network.WithNoDial(ctx, "connected"), id, h.cfg.protocol())
	if err != nil {
		return nil, 0, h.explain(id, err)
	}
	unlink := context.AfterFunc(ctx, func() { _ = st.Reset() })
	defer unlink()
	var b [1]byte
	// Over QUIC the end of a refused stream comes with the answer: n 1, io.EOF.
	if _, err = io.ReadFull(st, b[:]); err != nil {
		_ = st.Reset()
		return nil, 0, h.explain(id, err)
	}
	if answer(b[0]) != answerAccept {
		_ = st.Reset()
	}
	return st, answer(b[0]), nil
}

// explain turns a failed negotiation of our protocol into ErrOtherNetwork, and
// hangs up on that peer.
func (h *Host) explain(id peer.ID, err error) error {
	if !errors.Is(err, multistream.ErrNotSupported[protocol.ID]{}) {
		return err
	}
	theirs := "something that is not kapok"
	if v, lookErr := h.lib.Peerstore().Get(id, "ProtocolVersion"); lookErr == nil {
		if text, ok := v.(string); ok && strings.HasPrefix(text, "kapok/") && text != h.cfg.identity() {
			theirs = text
		}
	}
	_ = h.swarm.ClosePeer(id)
	return fmt.Errorf("%s %w: it speaks %s, this node %s", id, ErrOtherNetwork, theirs, h.cfg.identity())
}

// settled returns the session that the other side is setting up.
func (h *Host) settled(ctx context.Context, id peer.ID) (*session, error) {
	if s := h.awaitSession(ctx, name(id), sessionWait); s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("%w: it has another one with this node, which ended", ErrRefused)
}

// target is an address to have a session with.
type target struct {
	addr      string
	bootstrap bool // left alone while there are enough others
	strict    bool // ends Run where it is of another network
}

func (t *target) kind() peers.Kind {
	if t.bootstrap {
		return peers.Full
	}
	return peers.Manual
}

// keep has a session with the peer at an address whenever that is possible,
// until ctx ends.
func (h *Host) keep(ctx context.Context, to target) {
	delay, said := redialMin, ""
	for ctx.Err() == nil {
		if to.bootstrap && len(h.kind(peers.Full))+len(h.kind(peers.Manual))+len(h.kind(peers.Local)) >= peers.TargetFull && !h.handler.Quiet() {
			pause(ctx, redialMax)
			continue
		}
		s, err := h.connect(ctx, to.addr, to.kind())
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			said = ""
			select {
			case <-s.done:
			case <-ctx.Done():
				return
			}
			if time.Since(s.since) > redialSettled {
				delay = redialMin
			}
		case errors.Is(err, ErrSelf):
			h.log.Warn("not dialing a peer", "reason", err)
			return
		case errors.Is(err, ErrOtherNetwork) && to.strict:
			h.fail(err)
			return
		}
		if err != nil && err.Error() != said {
			said = err.Error()
			h.log.Warn("cannot connect", "reason", err)
		}
		wait := delay
		if errors.Is(err, ErrOtherNetwork) {
			wait = redialForeign
		}
		pause(ctx, wait/2+rand.N(wait)) // jitter keeps a restarted testnet from dialing in step
		delay = min(2*delay, redialMax)
	}
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// plain returns libp2p's dial errors in one line.
func plain(err error) error {
	dial, ok := errors.AsType[*swarm.DialError](err)
	if !ok || len(dial.DialErrors) == 0 {
		return err
	}
	var parts []string
	for _, e := range dial.DialErrors {
		cause := e.Cause
		if mismatch, ok := errors.AsType[sec.ErrPeerIDMismatch](cause); ok {
			cause = fmt.Errorf("the peer there is %s, expected %s", mismatch.Actual, mismatch.Expected)
		}
		parts = append(parts, fmt.Sprintf("%s: %v", e.Address, cause))
	}
	return fmt.Errorf("cannot dial: %s", strings.Join(parts, "; "))
}
