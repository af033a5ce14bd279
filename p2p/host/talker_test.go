package host

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
)

// talker is a Handler with a real engine, of a node that has nothing but its genesis
// block.
type talker struct {
	*recorder
	host *Host

	mu     sync.Mutex
	engine *p2p.Engine
}

// startTalker starts a host with an engine, which hears of addresses where c has a book.
func startTalker(t *testing.T, c Config) (*node, *talker) {
	params := consensus.Regtest()
	c.GenesisHash = params.GenesisHash()
	k := &talker{recorder: newRecorder()}
	n := startAs(t, c, k.recorder, func(h *Host) Handler {
		config := p2p.Config{Params: params, Agent: "test", Addr: h.Advertised}
		if c.Book != nil {
			config.Addresses = c.Book
		}
		k.host = h
		k.engine = p2p.New(config, &newborn{consensus.NewTree(params)}, rand.New(rand.NewPCG(rand.Uint64(), 0)))
		return k
	})
	return n, k
}

// do calls the engine, and does what it says.
func (k *talker) do(f func(now time.Time)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f(time.Now())
	for _, out := range k.engine.Outbox() {
		k.host.Send(out)
	}
	for _, drop := range k.engine.Drops() {
		k.host.Disconnect(drop.ID)
	}
}

func (k *talker) Connected(p p2p.Peer) {
	k.recorder.Connected(p)
	k.do(func(now time.Time) { k.engine.Connected(now, p) })
}

func (k *talker) Disconnected(id p2p.PeerID) {
	k.recorder.Disconnected(id)
	k.do(func(now time.Time) { k.engine.Disconnected(now, id) })
}

func (k *talker) Receive(from p2p.PeerID, m p2p.Msg, gossip bool) (verdict p2p.Verdict) {
	k.recorder.Receive(from, m, gossip)
	k.do(func(now time.Time) {
		if headers, ok := m.(*p2p.Headers); ok {
			k.engine.GotHeaders(now, from, nil, len(headers.Headers))
		} else {
			verdict, _ = k.engine.Handle(now, from, m) // there is no disk to fail
		}
	})
	return verdict
}

func (k *talker) Tick() {
	k.do(func(now time.Time) { _ = k.engine.Tick(now) })
}

func (k *talker) Peers() []p2p.PeerInfo {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.engine.Peers()
}

// newborn is the p2p.Source of a node that has nothing but its genesis block.
type newborn struct{ tree *consensus.Tree }

func (n *newborn) Tip() *consensus.BlockIndex                       { return n.tree.Tip() }
func (n *newborn) BestHeader() *consensus.BlockIndex                { return n.tree.BestHeader() }
func (n *newborn) Lookup(hash consensus.Hash) *consensus.BlockIndex { return n.tree.Lookup(hash) }
func (n *newborn) Locator() []consensus.Hash                        { return n.tree.Locator(n.tree.Tip()) }
func (*newborn) Pruned(*consensus.BlockIndex) bool                  { return false }
func (*newborn) MempoolTxs() []p2p.TxRef                            { return nil }
func (*newborn) MempoolTx(consensus.Hash) *consensus.Tx             { return nil }
func (*newborn) MempoolByTxID(consensus.Hash) *consensus.Tx         { return nil }
func (*newborn) MempoolArrivals() int64                             { return 0 }
func (*newborn) MempoolLen() int                                    { return 0 }
func (*newborn) Body(consensus.Hash) (*consensus.Block, error) {
	return consensus.Regtest().Genesis(), nil
}
func (*newborn) MissingBodies(*consensus.BlockIndex, int) []consensus.Hash { return nil }
func (*newborn) HeadersAfter([]consensus.Hash, consensus.Hash, int) []consensus.Header {
	return nil
}
