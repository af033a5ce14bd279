package host

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p-pubsub/timecache"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kapok-chain/kapok/p2p"
)

// GossipSub's settings; Lotus runs a chain on the same ones.
const (
	meshD, meshLow, meshHigh = 8, 6, 12 // mesh peers of a topic: wished, at least, at most
	meshScore, meshOut       = 6, 3     // kept by score; at least this many that we dialed
	meshLazy                 = 12       // peers told of ids only, each heartbeat
	gossipFactor             = 0.25     // of the peers outside the mesh, where that is more
	historyLength            = 10       // heartbeats that a message can be asked for
	historyGossip            = 5        // heartbeats that its id is told
	heartbeat                = time.Second
	seenTTL                  = 120 * time.Second // from the first sight
	outboundQueue            = 256               // messages that wait for one peer
	validateQueue            = 512               // messages that wait for a validator
	validateThrottle         = 1024              // validations of all topics at once
	// blockValidators bounds the validations of announcements at once: 32 MB at worst, and
	// more than a test network mines while it is remembered. One more is dropped, whereupon the
	// peer gater keeps payments out for a minute.
	blockValidators = 64
	// peerBlocks bounds those of one peer once plentyBlocks are being judged, so that variants
	// of one announcement, which wait for each other, do not keep another peer's out.
	peerBlocks   = 8
	plentyBlocks = 48
	// txValidators bounds the validations of payments at once. They wait for the node while
	// it connects a block, and one more is dropped: 256 come in 300 ms of 850 payments/s,
	// and are 128 MB at worst. Beyond them reservedTxs are for peers that have no more than
	// peerTxs, so that a flood of a few peers does not keep all others out.
	txValidators     = 256
	reservedTxs      = 64
	peerTxs          = 16
	maxSubscriptions = 20       // of one announcement; we have two topics
	rpcSlack         = 16 << 10 // bytes around the largest message
	// maxControl bounds an RPC without its messages, in bytes; what says more is split. In
	// memory one takes several times as much, and 32 wait, beside one of each peer.
	maxControl                 = 64 << 10
	maxColocated               = 5    // peers of one public address before they lose score
	gaterThreshold             = 0.33 // dropped to validated messages
	gaterDecay                 = 2 * time.Minute
	gaterSourceDecay           = time.Hour
	scoreDecay                 = time.Hour
	scoreRetain                = 6 * time.Hour
	graylist, publishLimit     = -2500, -1000
	gossipLimit                = -500
	acceptPX                   = math.MaxFloat64 // nobody's: addresses come by our own messages
	opportunistic              = 3.5
	behaviourFrom, behaviourBy = 6, -10
	invalidWeight              = -1000
	scoreEvery                 = 3 * time.Second // how old the scores are that Conn tells, at most
)

// publication is a gossip message of our own.
type publication struct {
	topic *pubsub.Topic
	body  []byte
}

// gossip is the GossipSub router with our two topics joined.
type gossip struct {
	host                *Host
	mesh                *mesh
	txs                 *pubsub.Topic
	blocks              *pubsub.Topic
	shy                 shunned
	txTurns, blockTurns *turns
}

// newGossip starts the router; it ends with h.ctx.
func newGossip(h *Host) (*gossip, error) {
	g := &gossip{host: h, mesh: newMesh(h.traffic), txTurns: newTurns(txValidators, peerTxs), blockTurns: newTurns(plentyBlocks, peerBlocks)}
	ps, err := pubsub.NewGossipSub(h.ctx, h.lib, append(gossipOptions(h), pubsub.WithRawTracer(g.mesh), pubsub.WithBlacklist(&g.shy),
		pubsub.WithAppSpecificRpcInspector(g.inspect))...)
	if err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	if g.txs, err = g.join(ps, h.cfg.txTopic(), txValidators+reservedTxs); err != nil {
		return nil, err
	}
	if g.blocks, err = g.join(ps, h.cfg.blockTopic(), blockValidators); err != nil {
		return nil, err
	}
	return g, nil
}

// join makes this node a forwarder of a topic whose messages validate judges, so many
// at once.
func (g *gossip) join(ps *pubsub.PubSub, name string, validators int) (*pubsub.Topic, error) {
	err := ps.RegisterTopicValidator(name, g.validate, pubsub.WithValidatorConcurrency(validators))
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", name, err)
	}
	topic, err := ps.Join(name)
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", name, err)
	}
	// A relay has no subscription channel to drain: the validator is where
	// messages reach the node.
	if _, err := topic.Relay(); err != nil {
		return nil, fmt.Errorf("topic %s: %w", name, err)
	}
	return topic, nil
}

func gossipOptions(h *Host) []pubsub.Option {
	params := pubsub.DefaultGossipSubParams()
	params.D, params.Dlo, params.Dhi = meshD, meshLow, meshHigh
	params.Dscore, params.Dout, params.Dlazy = meshScore, meshOut, meshLazy
	params.GossipFactor = gossipFactor
	params.HistoryLength, params.HistoryGossip = historyLength, historyGossip
	params.HeartbeatInterval = heartbeat
	topics := pubsub.NewAllowlistSubscriptionFilter(h.cfg.txTopic(), h.cfg.blockTopic())
	score, thresholds := peerScore(&h.cfg)
	return []pubsub.Option{
		pubsub.WithLogger(slog.New(shyLog{atLeast{h.log.With("part", "gossip").Handler(), slog.LevelWarn}})),
		pubsub.WithGossipSubParams(params),
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(messageID),
		pubsub.WithSeenMessagesTTL(seenTTL),
		pubsub.WithSeenMessagesStrategy(timecache.Strategy_FirstSeen),
		pubsub.WithMaxMessageSize(p2p.MaxGossip + rpcSlack),
		pubsub.WithMaxControlMessageSize(maxControl),
		pubsub.WithPeerOutboundQueueSize(outboundQueue),
		pubsub.WithValidateQueueSize(validateQueue),
		pubsub.WithValidateThrottle(validateThrottle),
		pubsub.WithFloodPublish(false),
		pubsub.WithPeerExchange(false),
		pubsub.WithSubscriptionFilter(pubsub.WrapLimitSubscriptionFilter(topics, maxSubscriptions)),
		pubsub.WithPeerScore(score, thresholds),
		pubsub.WithPeerScoreInspect(h.traffic.scored, scoreEvery),
		pubsub.WithPeerGater(pubsub.NewPeerGaterParams(gaterThreshold,
			pubsub.ScoreParameterDecay(gaterDecay), pubsub.ScoreParameterDecay(gaterSourceDecay))),
	}
}

// peerScore returns Lotus' score. Mesh delivery (P3) stays off: our topics may
// be silent for minutes.
func peerScore(c *Config) (*pubsub.PeerScoreParams, *pubsub.PeerScoreThresholds) {
	topic := func(firstWeight float64, firstDecay time.Duration) *pubsub.TopicScoreParams {
		return &pubsub.TopicScoreParams{
			TopicWeight:                    0.1,
			TimeInMeshWeight:               1.0 / 3600,
			TimeInMeshQuantum:              time.Second,
			TimeInMeshCap:                  1,
			FirstMessageDeliveriesWeight:   firstWeight,
			FirstMessageDeliveriesDecay:    pubsub.ScoreParameterDecay(firstDecay),
			FirstMessageDeliveriesCap:      100,
			InvalidMessageDeliveriesWeight: invalidWeight,
			InvalidMessageDeliveriesDecay:  pubsub.ScoreParameterDecay(scoreDecay),
		}
	}
	params := &pubsub.PeerScoreParams{
		AppSpecificScore:            func(peer.ID) float64 { return 0 },
		AppSpecificWeight:           1,
		IPColocationFactorThreshold: maxColocated,
		IPColocationFactorWeight:    -100,
		BehaviourPenaltyThreshold:   behaviourFrom,
		BehaviourPenaltyWeight:      behaviourBy,
		BehaviourPenaltyDecay:       pubsub.ScoreParameterDecay(scoreDecay),
		DecayInterval:               pubsub.DefaultDecayInterval,
		DecayToZero:                 pubsub.DefaultDecayToZero,
		RetainScore:                 scoreRetain,
		Topics: map[string]*pubsub.TopicScoreParams{
			c.blockTopic(): topic(5, time.Hour),
			c.txTopic():    topic(0.5, 10*time.Minute),
		},
	}
	if !c.LimitPrivate {
		params.IPColocationFactorWhitelist = privateNets()
	}
	return params, &pubsub.PeerScoreThresholds{
		GossipThreshold:             gossipLimit,
		PublishThreshold:            publishLimit,
		GraylistThreshold:           graylist,
		AcceptPXThreshold:           acceptPX,
		OpportunisticGraftThreshold: opportunistic,
	}
}

// messageID is the SHA-256 of the bytes: nobody can send the same message under
// two ids, or censor one by sending garbage under its id.
func messageID(m *pb.Message) string {
	sum := sha256.Sum256(m.Data)
	return string(sum[:])
}

// topicOf returns the topic that carries messages of m's type, or nil.
func (g *gossip) topicOf(m p2p.Msg) *pubsub.Topic {
	switch m.(type) {
	case *p2p.Tx:
		return g.txs
	case *p2p.Announce:
		return g.blocks
	}
	return nil
}

// validate asks the handler about a message that the peer from forwarded. A
// message is rejected, and costs score, only where it is wrong for everybody.
func (g *gossip) validate(_ context.Context, from peer.ID, m *pubsub.Message) pubsub.ValidationResult {
	if from == g.host.id {
		return pubsub.ValidationAccept
	}
	if len(m.Data) > p2p.MaxGossip {
		return pubsub.ValidationReject
	}
	msg, err := p2p.Decode(m.Data)
	if err != nil {
		return pubsub.ValidationReject
	}
	if _, unknown := msg.(*p2p.Unknown); unknown {
		return pubsub.ValidationIgnore // of a later version, perhaps
	}
	topic := g.topicOf(msg)
	if topic == nil || topic.String() != m.GetTopic() {
		return pubsub.ValidationReject
	}
	turns := g.txTurns
	if topic == g.blocks {
		turns = g.blockTurns
	}
	if !turns.take(from) {
		g.host.traffic.dropped.add(m.Data)
		return pubsub.ValidationIgnore
	}
	defer turns.give(from)
	s := g.host.session(name(from))
	if s == nil {
		return pubsub.ValidationIgnore // it ended just now
	}
	verdict, alive := s.deliver(msg, true)
	switch {
	case alive && verdict == p2p.Accept:
		g.bypass(topic, m.Data, from)
		return pubsub.ValidationAccept
	case alive && verdict == p2p.Reject:
		return pubsub.ValidationReject
	}
	return pubsub.ValidationIgnore
}

// publishing sends our own gossip in the order in which it was given.
func (h *Host) publishing() {
	for {
		select {
		case p := <-h.publish:
			h.gossip.bypass(p.topic, p.body, h.id)
			err := p.topic.Publish(h.ctx, p.body)
			if err != nil && !errors.Is(err, context.Canceled) {
				h.log.Warn("cannot gossip", "topic", p.topic.String(), "reason", err)
			}
			if len(h.publish) == 0 {
				if n := h.unpublished.Swap(0); n > 0 { // one word for all of them
					h.log.Warn("messages of our own came faster than gossip takes them; peers get payments when mempools are compared, and blocks when they ask", "messages", n)
				}
			}
		case <-h.ctx.Done():
			return
		}
	}
}
