package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	libp2p "github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	libhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	basichost "github.com/libp2p/go-libp2p/p2p/host/basic"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/p2p/peers"
)

// Host is one node's place in the network. Its methods may be called from any
// goroutine.
type Host struct {
	cfg     Config
	log     *slog.Logger
	id      peer.ID
	lib     libhost.Host
	swarm   *swarm.Swarm
	gater   *gater
	gossip  *gossip
	traffic *traffic
	handler Handler       // set before ready closes
	ready   chan struct{} // closed when Run begins
	fatal   chan error    // ends Run
	publish chan publication
	nat     basichost.NATManager // nil without PortMap
	mapped  atomic.Value         // string: the address that the router gave
	asking  sync.WaitGroup       // who may wait for the router until lib closes
	queued  atomic.Int64         // bytes in all send queues
	intake  *intake              // of all peers
	// unpublished counts the gossip messages of our own that found no room in publish,
	// since it was last empty.
	unpublished atomic.Int64

	ctx    context.Context // ends when Close begins
	cancel context.CancelFunc
	wg     sync.WaitGroup // every goroutine of ours

	secret uint64     // of this node: which net groups are protected from eviction
	slots  sync.Mutex // held while an inbound peer is admitted

	banFile sync.Mutex // held while the bans are written

	mu       sync.Mutex
	running  bool
	closed   bool
	sessions map[p2p.PeerID]*session
	pending  map[peer.ID]chan struct{}     // peers whose stream we are opening
	kept     map[string]context.CancelFunc // by address: what Keep dials
	dialing  map[netip.AddrPort]peers.Kind // addresses of the book that are being tried
	asked    int                           // peers that an operator or the local network named, with those being dialed
	changed  chan struct{}                 // closed and replaced when a session is added
}

// New reads or creates the identity and binds the listening ports; a taken port
// is an error that names it. The host accepts peers once Run is called. Whoever
// does not call Run calls Close.
func New(c Config) (*Host, error) {
	cfg, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	for _, text := range append(append([]string{}, cfg.Peers...), cfg.Bootstrap...) {
		if err := CheckPeer(text); err != nil {
			return nil, err
		}
	}
	key, err := loadIdentity(cfg.KeyFile, cfg.Logger)
	if err != nil {
		return nil, err
	}
	h := &Host{
		cfg:      cfg,
		log:      cfg.Logger,
		gater:    newGater(),
		traffic:  newTraffic(),
		intake:   newIntake(maxIncoming),
		ready:    make(chan struct{}),
		fatal:    make(chan error, 1),
		publish:  make(chan publication, maxPublish),
		sessions: make(map[p2p.PeerID]*session),
		pending:  make(map[peer.ID]chan struct{}),
		kept:     make(map[string]context.CancelFunc),
		dialing:  make(map[netip.AddrPort]peers.Kind),
		secret:   newSecret(),
		changed:  make(chan struct{}),
	}
	h.loadBans()
	h.ctx, h.cancel = context.WithCancel(context.Background())
	if err := h.start(key); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// start builds the libp2p host, listens, and joins the topics.
func (h *Host) start(key crypto.PrivKey) error {
	options, err := h.options(key)
	if err != nil {
		return err
	}
	if h.lib, err = libp2p.New(options...); err != nil {
		return fmt.Errorf("libp2p: %w", err)
	}
	h.id = h.lib.ID()
	var ok bool
	if h.swarm, ok = h.lib.Network().(*swarm.Swarm); !ok {
		return fmt.Errorf("libp2p: the network is a %T, expected a swarm", h.lib.Network())
	}
	if h.gossip, err = newGossip(h); err != nil {
		return err
	}
	h.lib.SetStreamHandler(h.cfg.protocol(), h.accept)
	for _, text := range h.cfg.Listen {
		if err := h.listen(text); err != nil {
			return err
		}
	}
	if h.nat != nil {
		h.asking.Go(func() { h.every(sweepInterval, func(time.Time) { h.noteMapping() }) })
	}
	return nil
}

// options chooses the few parts of libp2p that a node needs: no relay, no hole
// punching, no NAT service, no ping, no mplex, no metrics unless asked.
func (h *Host) options(key crypto.PrivKey) ([]libp2p.Option, error) {
	resources, err := newResourceManager(&h.cfg)
	if err != nil {
		return nil, err
	}
	// GossipSub wants one. Ours never trims: evict.go says who leaves.
	most := h.cfg.MaxIn + maxTransient + h.cfg.MaxOut
	conns, err := connmgr.NewConnManager(most, most)
	if err != nil {
		return nil, fmt.Errorf("connection manager: %w", err)
	}
	options := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.NoListenAddrs,
		libp2p.Security(noise.ID, noise.New),
		libp2p.DefaultMuxers,
		libp2p.ResourceManager(resources),
		libp2p.ConnectionManager(conns),
		libp2p.ConnectionGater(h.gater),
		libp2p.BandwidthReporter(h.traffic),
		libp2p.DisableRelay(),
		libp2p.Ping(false),
		libp2p.ForceReachabilityPrivate(),
		libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.UserAgent(h.cfg.Agent),
		libp2p.ProtocolVersion(h.cfg.identity()),
		libp2p.WithDialTimeout(handshakeTimeout),
	}
	if h.cfg.PortMap {
		options = append(options, libp2p.NATManager(func(n network.Network) basichost.NATManager {
			h.nat = h.cfg.nat(n)
			return h.nat
		}))
	}
	// Two programs could share a port under SO_REUSEPORT, and neither would know.
	switch {
	case h.cfg.transport != nil:
		options = append(options, h.cfg.transport)
	case h.cfg.Shape != nil:
		h.log.Info("connections are shaped: this is a test network", "node", h.cfg.Shape.Node)
		options = append(options, libp2p.Transport(shapedTransport(h.cfg.Shape)))
	default:
		options = append(options, libp2p.Transport(tcp.NewTCPTransport, h.tcpOptions()...))
	}
	if !h.cfg.DisableQUIC {
		options = append(options, libp2p.Transport(quic.NewTransport))
	}
	if h.cfg.PSK != nil {
		options = append(options, libp2p.PrivateNetwork(h.cfg.PSK))
	}
	if h.cfg.Metrics == nil {
		options = append(options, libp2p.DisableMetrics())
	} else {
		options = append(options, libp2p.PrometheusRegisterer(h.cfg.Metrics))
	}
	return options, nil
}

func (h *Host) tcpOptions() []any {
	options := []any{tcp.DisableReuseport()}
	if from := h.cfg.dialFrom; from.IsValid() {
		dialer := &net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
		options = append(options, tcp.WithDialerForAddr(func(ma.Multiaddr) (tcp.ContextDialer, error) { return dialer, nil }))
	}
	return options
}

// Run serves peers until ctx ends, which returns nil, or until a configured
// peer of another network ends it (Config.StrictPeers). It closes the host and
// returns with every goroutine joined. It may be called once.
func (h *Host) Run(ctx context.Context, handler Handler) error {
	h.mu.Lock()
	if h.running || h.closed {
		h.mu.Unlock()
		return fmt.Errorf("Run was called before, or %w", ErrClosed)
	}
	h.running = true
	h.mu.Unlock()
	h.handler = handler
	close(h.ready)

	h.spawn(func() { h.every(tickInterval, func(time.Time) { h.handler.Tick() }) })
	h.spawn(func() {
		h.every(sweepInterval, func(now time.Time) {
			h.sweep(now)
			h.relieve()
		})
	})
	h.spawn(h.publishing)
	if h.cfg.Book != nil {
		h.spawn(h.outbound)
	}
	if h.cfg.MDNS {
		if err := h.startMDNS(); err != nil {
			h.fail(err)
		}
	}
	if h.cfg.DHT && h.cfg.Book != nil {
		if err := h.startDHT(); err != nil {
			h.fail(err)
		}
	}
	for _, text := range h.cfg.Peers {
		h.spawn(func() { h.keep(h.ctx, target{addr: text, strict: h.cfg.StrictPeers}) })
	}
	for _, text := range h.cfg.Bootstrap {
		h.spawn(func() { h.keep(h.ctx, target{addr: text, bootstrap: true}) })
	}
	var cause error
	select {
	case <-ctx.Done():
	case <-h.ctx.Done(): // Close was called
	case cause = <-h.fatal:
	}
	return errors.Join(cause, h.Close())
}

// Close ends Run, disconnects everybody and frees the ports. It waits until no
// goroutine of the host is left, so no Handler may call it.
func (h *Host) Close() error {
	h.mu.Lock()
	first := h.running && !h.closed
	h.closed = true
	h.mu.Unlock()
	if first {
		h.saveBook() // while there are sessions
	}
	h.cancel()
	h.wg.Wait()
	if h.lib == nil {
		return nil
	}
	err := h.lib.Close()
	h.asking.Wait()
	if err != nil {
		return fmt.Errorf("closing the network: %w", err)
	}
	return nil
}

// fail ends Run with an error; the first one counts.
func (h *Host) fail(err error) {
	select {
	case h.fatal <- err:
	default:
	}
}

// every calls f so often until the host closes.
func (h *Host) every(interval time.Duration, f func(now time.Time)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			f(now)
		case <-h.ctx.Done():
			return
		}
	}
}

// sweep hangs up on connections that have not led to a session: slots are for
// peers that speak our protocol.
func (h *Host) sweep(now time.Time) {
	idle := h.idle()
	age := idleConnAge
	if len(idle) > maxTransient/2 {
		age = hurriedConnAge
	}
	for _, conn := range idle {
		if now.Sub(conn.Stat().Opened) > age {
			h.log.Debug("closing a connection without a session", "peer", conn.RemotePeer(), "addr", conn.RemoteMultiaddr())
			_ = conn.CloseWithError(network.ConnProtocolNegotiationFailed)
		}
	}
}

// idle returns the connections that carry no session: of a peer that has one, all but
// its own. GossipSub moves to that one if it was on another.
func (h *Host) idle() []network.Conn {
	var idle []network.Conn
	for _, conn := range h.swarm.Conns() {
		if s := h.session(name(conn.RemotePeer())); s == nil || s.stream.Conn().ID() != conn.ID() {
			idle = append(idle, conn)
		}
	}
	return idle
}

// Send hands a message to the network: to one peer by its stream, or, with an
// empty To, to everybody by gossip. It never waits. A peer that does not read
// what it asked for is dropped; a message for a peer that is gone is lost.
func (h *Host) Send(o p2p.Outgoing) {
	frame := frameOf(o.Msg)
	body := frame[frameHeader:]
	if len(body) == 0 || len(body) > p2p.MaxMessage {
		h.log.Error("not sending a message of a forbidden size", "message", fmt.Sprintf("%T", o.Msg), "bytes", len(body))
		return
	}
	if o.To != "" {
		if s := h.session(o.To); s != nil {
			if _, ok := o.Msg.(*p2p.Announce); ok {
				s.announce(frame)
			} else {
				s.send(frame)
			}
			h.relieve()
		}
		return
	}
	topic := h.gossip.topicOf(o.Msg)
	if topic == nil || len(body) > p2p.MaxGossip { // too large for gossip: by stream
		_, payment := o.Msg.(*p2p.Tx)
		for _, s := range h.all() {
			if !payment || !s.blockOnly.Load() {
				s.send(frame)
			}
		}
		h.relieve()
		return
	}
	if topic == h.gossip.txs && len(h.publish) >= maxPublishTxs {
		h.unpublished.Add(1)
		return
	}
	select {
	case h.publish <- publication{topic, body}:
	default:
		h.unpublished.Add(1)
	}
}

// relieve drops the peer that is furthest behind in reading what it asked for, if it is slow
// and all queues together hold so much that others wait. Where they hold too much and nobody
// is slow, the one with the longest queue goes.
func (h *Host) relieve() {
	queued := h.queued.Load()
	if queued <= crowdedBytes {
		return
	}
	var slowest, longest *session
	most, bytes := slowFor, 0
	for _, s := range h.all() {
		if s.stopped() != nil {
			continue
		}
		if behind := s.queue.behind(); behind > most {
			slowest, most = s, behind
		}
		if size := s.queue.size(); size > bytes {
			longest, bytes = s, size
		}
	}
	switch {
	case slowest != nil:
		slowest.stop(fmt.Errorf("%w: it is %v behind a peer that reads %d kB/s, and others wait", errQueueFull, most.Round(time.Millisecond), slowRate/1000))
		slowest.queue.close()
	case longest != nil && queued > maxQueuedBytes:
		longest.stop(fmt.Errorf("%w: %d bytes, the most of all peers", errQueueFull, bytes))
		longest.queue.close()
	}
}

// Backlog returns how many bytes wait to be sent to each peer.
func (h *Host) Backlog() map[p2p.PeerID]int {
	waiting := make(map[p2p.PeerID]int)
	for _, s := range h.all() {
		waiting[s.peer.ID] = s.queue.size()
	}
	return waiting
}

// Connect dials a peer, given as /ip4/…/tcp/…/p2p/ID or "host:port", and returns
// once there is a session with it. The error says in one sentence why not:
// ErrOtherNetwork, ErrDenied, ErrSelf, ErrRefused, or what the network said.
func (h *Host) Connect(ctx context.Context, addr string) error {
	if !h.begin() {
		return ErrClosed
	}
	defer h.wg.Done()
	select {
	case <-h.ready:
	case <-ctx.Done():
		return ctx.Err()
	case <-h.ctx.Done():
		return ErrClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(h.ctx, cancel)()
	_, err := h.connect(ctx, addr, peers.Manual)
	return err
}

// Disconnect drops a peer. It does not wait: the handler hears Disconnected.
func (h *Host) Disconnect(id p2p.PeerID) {
	if s := h.session(id); s != nil {
		s.stop(errDisconnected)
	}
}

// Deny drops a peer that broke the rules, and keeps its id out for a day; the address
// at which we found it leaves the book. One that an operator asked for is only dropped.
// It does not wait.
func (h *Host) Deny(id p2p.PeerID) {
	p, err := peer.Decode(string(id))
	if err != nil {
		return // nobody has such an id
	}
	if s := h.session(id); s != nil {
		s.stop(errDisconnected)
		if s.kind == peers.Manual {
			return
		}
		if addr, ok := s.dialed(); ok && h.cfg.Book != nil {
			h.cfg.Book.forget(addr)
		}
	}
	h.gater.deny(p, time.Now().Add(denyFor))
}

// ID returns this node's own id.
func (h *Host) ID() p2p.PeerID { return name(h.id) }
