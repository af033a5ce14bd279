package host

import (
	"fmt"
	"math"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/x/rate"

	"github.com/kapok-chain/kapok/p2p/peers"
)

// Frames on the stream.
const (
	// headerTimeout bounds the rest of a frame's length once its first byte is
	// there, and each chunk of a body: an honest peer sends both in one piece.
	headerTimeout = 10 * time.Second
	// chunkSize is what must move within chunkTimeout, in bytes: 3.2 kB/s is
	// less than any honest link has and ends a slow-loris in 10 s. It is also
	// what is allocated ahead of the bytes that really came.
	chunkSize    = 32 << 10
	chunkTimeout = 10 * time.Second
	// A whole frame gets frameTimeout plus its size at frameRate bytes/s.
	frameTimeout = 60 * time.Second
	frameRate    = 64_000
	// maxIncoming bounds the unfinished frames of all peers together, in bytes: 8 full
	// blocks. Beyond it the peer whose frame began first is dropped.
	maxIncoming = 32 << 20
)

// Send queues.
const (
	// maxQueueFrames bounds what waits for one peer, in frames. The engine has
	// tens of requests in flight; a thousand means that the peer stopped reading.
	maxQueueFrames = 1024
	// maxQueueBytes bounds the same in bytes: 4 messages of full size. The engine lets bodies
	// wait before that (Backlog).
	maxQueueBytes = 16 << 20
	// maxQueuedBytes bounds the queues of all peers together, in bytes. Beyond it a peer is
	// dropped: one that is slow, or the one with the longest queue. What the engine serves
	// stays below 29 MB.
	maxQueuedBytes = 32 << 20
	// While crowdedBytes wait, for which bodies have to wait that others ask for, whoever is slowFor
	// behind a reader of slowRate bytes/s is dropped: peers that hardly read would keep
	// everybody else from being served.
	crowdedBytes = 20 << 20
	slowRate     = 200_000
	slowFor      = 2 * time.Second
	// maxPublish bounds the gossip messages of our own that wait, in messages. The last
	// of this room is for blocks: payments without it reach peers by reconciliation.
	maxPublish      = 256
	maxPublishTxs   = maxPublish - reservedPublish
	reservedPublish = 16 // a second has far fewer blocks
	// maxAnnounced is how many announcements are remembered that went to a peer by
	// stream, so that none goes twice: both ways take them within milliseconds.
	maxAnnounced = 16
)

// Life of a session.
const (
	dialTimeout      = 15 * time.Second // of one attempt: TCP, Noise, identify, our stream
	handshakeTimeout = 10 * time.Second // from opening a stream to the answer
	// replaceAge protects a session from being replaced by a stream that its
	// peer opened before the session was there; it exceeds handshakeTimeout.
	replaceAge = 15 * time.Second
	// idleConnAge is how long a connection may live without a session.
	idleConnAge = 20 * time.Second
	// hurriedConnAge is the same while half of maxTransient are without one: more
	// than five round trips of an honest peer.
	hurriedConnAge = 3 * time.Second
	// sessionWait is how long a dial waits for the session that the other side sets up.
	sessionWait = 2 * time.Second
	// tickInterval is how often Handler.Tick is called.
	tickInterval  = 200 * time.Millisecond
	sweepInterval = time.Second
)

// Redialing of configured peers.
const (
	redialMin     = 250 * time.Millisecond // a restarted neighbour is found at once
	redialMax     = 30 * time.Second
	redialForeign = 5 * time.Minute  // a peer of another network
	redialSettled = 10 * time.Second // a session this old resets the delay
)

// Discovery in the local network.
const (
	maxLocal      = 8  // peers
	maxFound      = 16 // announcements that wait for their turn: one is dialed at a time
	maxFoundAddrs = 8  // of one announcement: a machine has a few
)

// The address book.
const (
	// reservedOut is how many of Config.MaxOut connections are kept for peers that the
	// node chooses from its book: one more than usual while no block comes, and a feeler.
	reservedOut  = peers.TargetFull + peers.TargetBlockOnly + 2
	dialInterval = 200 * time.Millisecond // at most one attempt begins in it
	saveInterval = 10 * time.Minute
	// What peers are told of the book is drawn anew after sampleMin to sampleMax, as in
	// Bitcoin Core; while the book has less than is told, after sampleSmall.
	sampleMin   = 21 * time.Hour
	sampleMax   = 27 * time.Hour
	sampleSmall = time.Minute
)

// Connections, where Config does not say otherwise.
const (
	defaultMaxIn  = 128
	defaultMaxOut = 64
	// maxPeerMemory bounds what libp2p's buffers take for one peer, in bytes.
	maxPeerMemory = 64 << 20
	maxMemory     = 1 << 30
	// maxPeerConns bounds the connections of one peer: both sides may have dialed, and
	// one may be left over from before the peer was started again.
	maxPeerConns = 3
	// maxPeerStreams bounds the streams of one peer and protocol; we use one.
	maxPeerStreams = 16
	// maxTransient bounds the connections that are being set up, and those without a
	// session: a stranger may hold each for 15 s, and a new peer must get past.
	maxTransient = 1024
	// maxHalfOpen bounds those among them whose handshake has not ended; one more
	// pushes one out. halfOpenAge is when libp2p gives a handshake up.
	maxHalfOpen = 512
	halfOpenAge = 15 * time.Second
	// denyFor is how long Deny keeps a peer out; maxDenied bounds the peers that it
	// remembers, and the bans: the oldest goes first.
	denyFor   = 24 * time.Hour
	maxDenied = 4096
)

// Public addresses share these caps, so that one network does not hold all
// slots. Loopback and private ranges are exempt: a testnet lives in them.
func subnetsV4() []rcmgr.ConnLimitPerSubnet {
	return []rcmgr.ConnLimitPerSubnet{
		{PrefixLength: 32, ConnCount: 8},
		{PrefixLength: 24, ConnCount: 16},
		{PrefixLength: 16, ConnCount: 32},
	}
}

func subnetsV6() []rcmgr.ConnLimitPerSubnet {
	return []rcmgr.ConnLimitPerSubnet{
		{PrefixLength: 64, ConnCount: 8},
		{PrefixLength: 56, ConnCount: 16},
		{PrefixLength: 48, ConnCount: 32},
	}
}

// privateNets is peers.Private for GossipSub, which counts colocated peers.
func privateNets() []*net.IPNet {
	var nets []*net.IPNet
	for _, p := range peers.Private() {
		nets = append(nets, &net.IPNet{
			IP:   p.Addr().AsSlice(),
			Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()),
		})
	}
	return nets
}

// newResourceManager returns libp2p's accountant with this package's limits.
func newResourceManager(c *Config) (network.ResourceManager, error) {
	in := c.MaxIn + maxTransient
	conns := in + c.MaxOut
	limits := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{
			Conns:           rcmgr.LimitVal(conns),
			ConnsInbound:    rcmgr.LimitVal(in),
			ConnsOutbound:   rcmgr.LimitVal(c.MaxOut),
			FD:              rcmgr.LimitVal(conns),
			Streams:         rcmgr.LimitVal(conns * maxPeerStreams),
			StreamsInbound:  rcmgr.LimitVal(conns * maxPeerStreams),
			StreamsOutbound: rcmgr.LimitVal(conns * maxPeerStreams),
			Memory:          maxMemory,
		},
		Transient: rcmgr.ResourceLimits{
			Conns: maxTransient, ConnsInbound: maxTransient, ConnsOutbound: maxTransient, FD: maxTransient,
		},
		PeerDefault: rcmgr.ResourceLimits{
			Conns: maxPeerConns, ConnsInbound: maxPeerConns, ConnsOutbound: maxPeerConns,
			Streams: 4 * maxPeerStreams, StreamsInbound: 2 * maxPeerStreams, StreamsOutbound: 2 * maxPeerStreams,
			Memory: maxPeerMemory,
		},
		ProtocolPeerDefault: rcmgr.ResourceLimits{
			Streams: maxPeerStreams, StreamsInbound: maxPeerStreams, StreamsOutbound: maxPeerStreams,
			Memory: maxPeerMemory,
		},
		ProtocolDefault: rcmgr.ResourceLimits{Memory: maxMemory},
	}
	// Empty, not nil: for nil there would be an exemption of the library's own.
	exemptV4, exemptV6 := []rcmgr.NetworkPrefixLimit{}, []rcmgr.NetworkPrefixLimit{}
	var unlimited []rate.PrefixLimit
	if !c.LimitPrivate {
		for _, p := range peers.Private() {
			free := rcmgr.NetworkPrefixLimit{Network: p, ConnCount: math.MaxInt}
			if p.Addr().Is4() {
				exemptV4 = append(exemptV4, free)
			} else {
				exemptV6 = append(exemptV6, free)
			}
			unlimited = append(unlimited, rate.PrefixLimit{Prefix: p})
		}
	}
	options := []rcmgr.Option{
		rcmgr.WithLimitPerSubnet(subnetsV4(), subnetsV6()),
		rcmgr.WithNetworkPrefixLimit(exemptV4, exemptV6),
		rcmgr.WithConnRateLimiters(&rate.Limiter{
			NetworkPrefixLimits: unlimited,
			SubnetRateLimiter: rate.SubnetLimiter{
				IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: rate.Limit{RPS: 0.2, Burst: 16}}},
				IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: rate.Limit{RPS: 0.2, Burst: 16}}},
				GracePeriod:      time.Minute,
			},
		}),
	}
	if c.Metrics == nil {
		options = append(options, rcmgr.WithMetricsDisabled())
	}
	base := rcmgr.DefaultLimits.Scale(maxMemory, conns)
	manager, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits.Build(base)), options...)
	if err != nil {
		return nil, fmt.Errorf("resource limits: %w", err)
	}
	return manager, nil
}
