package host

import (
	"testing"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"
)

// TestGossipAllowance: a peer's messages beyond what it may gossip are taken out before
// GossipSub remembers them, each topic by itself and each peer by itself, and are counted.
func TestGossipAllowance(t *testing.T) {
	victim := start(t, lean())
	_, first := rogue(t, victim)
	_, second := rogue(t, victim)
	g := victim.gossip
	hear := func(from string, topic string, messages int) int {
		t.Helper()
		id, err := peer.Decode(from)
		if err != nil {
			t.Fatal(err)
		}
		rpc := new(pubsub.RPC)
		for range messages {
			rpc.Publish = append(rpc.Publish, &pb.Message{Topic: proto.String(topic), Data: []byte{1}})
		}
		if err := g.inspect(id, rpc); err != nil {
			t.Fatal(err)
		}
		return len(rpc.Publish)
	}
	before := victim.Messages()
	const slack = 5 * blockRate // the allowance grows while the test runs
	if n := hear(string(first), g.blocks.String(), 2000); n < blockBurst || n > blockBurst+slack {
		t.Errorf("%d announcements were let through, about %d are allowed", n, blockBurst)
	}
	if n := hear(string(first), g.txs.String(), 1000); n != 1000 {
		t.Errorf("%d of 1000 payments were let through: announcements count against them", n)
	}
	if n := hear(string(second), g.blocks.String(), 100); n != 100 {
		t.Errorf("%d of 100 announcements of another peer were let through", n)
	}
	if n := hear(string(stray(t, Config{GenesisHash: testGenesis, DisableQUIC: true}, victim).ID()), g.blocks.String(), 10); n != 0 {
		t.Errorf("%d announcements of a peer without a session were let through", n)
	}
	dropped := uint64(0)
	after := victim.Messages()
	for kind, n := range after.Excess {
		dropped += n.Messages - before.Excess[kind].Messages
	}
	if want := uint64(2000 - blockBurst - slack); dropped < want {
		t.Errorf("%d dropped messages were counted, expected at least %d", dropped, want)
	}
}
