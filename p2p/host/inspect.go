package host

import (
	"slices"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

// Gossip that is taken from one peer, in messages. GossipSub remembers each message for
// seenTTL, some 280 bytes of memory, whatever becomes of it: without a limit a flood of
// announcements that are ignored would fill memory as fast as it comes.
const (
	// A miner at work on regtest tells of hundreds of blocks at once; what is beyond that is
	// asked for with the next headers. 0.6 MB of memory.
	blockRate  = 16 // a second
	blockBurst = 256
	// The payments of network local's blocks, were all of them full, are 800 a second; what
	// is beyond that comes when mempools are compared. 35 MB of memory.
	txRate  = 1000
	txBurst = 4000
)

// allowance is what a peer may still gossip.
type allowance struct{ txs, blocks *rate.Limiter }

func newAllowance() allowance {
	return allowance{rate.NewLimiter(txRate, txBurst), rate.NewLimiter(blockRate, blockBurst)}
}

// inspect takes messages out of what a peer sent, before GossipSub remembers them and would
// ask nobody else for them: those beyond the peer's allowance, and all of a peer without a
// session. Whoever connects and opens no session could otherwise keep a block from us by
// being the first to send its announcement. A peer whose session is being set up loses
// little: what it gossips comes from others, when mempools are compared, or when it is
// asked for news.
func (g *gossip) inspect(from peer.ID, rpc *pubsub.RPC) error {
	if len(rpc.GetPublish()) == 0 {
		return nil
	}
	s := g.host.session(name(from))
	if s == nil || s.stopped() != nil {
		for _, m := range rpc.GetPublish() {
			g.host.traffic.strangers.add(m.GetData())
		}
		rpc.Publish = nil
		return nil
	}
	rpc.Publish = slices.DeleteFunc(rpc.Publish, func(m *pb.Message) bool {
		limit := s.allowance.txs
		if m.GetTopic() == g.blocks.String() {
			limit = s.allowance.blocks
		}
		if limit.Allow() {
			return false
		}
		g.host.traffic.excess.add(m.GetData())
		return true
	})
	return nil
}
