package host

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// traffic counts the bytes of all protocols for each peer that has a session.
// The embedded reporter, which counts nothing, answers the questions that
// libp2p's interface asks and that nobody puts.
type traffic struct {
	metrics.Reporter
	peers   sync.Map      // peer.ID → *counter
	in, out atomic.Uint64 // bytes of all peers since the start
	numbers atomic.Int64  // of connections so far

	// Messages of all peers since the start.
	streamOut, streamIn, gossipOut, gossipIn, duplicates, dropped, unsent, strangers, excess tally

	throttled atomic.Uint64 // batches of gossip that were not looked into
}

type counter struct {
	number          int64         // counts connections up from 1
	in, out         atomic.Uint64 // bytes
	lastIn, lastOut atomic.Int64  // Unix nanoseconds
	sent, received  tally         // messages, by stream and by gossip
	score           atomic.Uint64 // GossipSub's, the bits of a float64
}

func newTraffic() *traffic { return &traffic{Reporter: metrics.NewBandwidthCounter()} }

func (t *traffic) follow(id peer.ID) {
	t.peers.LoadOrStore(id, &counter{number: t.numbers.Add(1)})
}

func (t *traffic) forget(id peer.ID) { t.peers.Delete(id) }

// scored takes the scores that GossipSub gives, of which it remembers more peers than
// there are sessions.
func (t *traffic) scored(scores map[peer.ID]float64) {
	for id, score := range scores {
		if c, ok := t.peers.Load(id); ok {
			c.(*counter).score.Store(math.Float64bits(score))
		}
	}
}

func (t *traffic) LogSentMessage(int64) {}
func (t *traffic) LogRecvMessage(int64) {}

func (t *traffic) LogSentMessageStream(size int64, _ protocol.ID, id peer.ID) {
	t.out.Add(uint64(size))
	if c, ok := t.peers.Load(id); ok {
		c := c.(*counter)
		c.out.Add(uint64(size))
		c.lastOut.Store(time.Now().UnixNano())
	}
}

func (t *traffic) LogRecvMessageStream(size int64, _ protocol.ID, id peer.ID) {
	t.in.Add(uint64(size))
	if c, ok := t.peers.Load(id); ok {
		c := c.(*counter)
		c.in.Add(uint64(size))
		c.lastIn.Store(time.Now().UnixNano())
	}
}
