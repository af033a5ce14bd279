package explorer

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
)

// fake is a Backend over a1..a110 with payments in a105, one that waits, and a
// branch b2.
type fake struct {
	chain  *chaintest.Chain
	tree   *consensus.Tree
	bodies map[consensus.Hash]*consensus.Block
	spent  map[consensus.Hash][]consensus.Coin
	coins  map[consensus.OutPoint]consensus.Coin
	pool   []MempoolTx
	peers  []Peer
	tips   chan struct{}
	index  bool
	disk   error
	pay    *consensus.Tx
}

func newFake(t *testing.T) *fake {
	p := consensus.Regtest()
	c := chaintest.New(t, p)
	c.Grow("genesis - a1..a104")
	pay := c.Pay(chaintest.From(c.Coinbase("a1"), c.Coinbase("a2"), c.Coinbase("a3")), chaintest.To("bob", 90*chaintest.Coins), chaintest.To("carol", 42*chaintest.Coins+12345678),
		chaintest.To("miner", 17*chaintest.Coins), chaintest.Data([]byte("<script>alert(1)</script>")))
	txs := []*consensus.Tx{pay}
	for range 60 {
		next := c.Out(txs[len(txs)-1], 0)
		txs = append(txs, c.Pay(chaintest.From(next), chaintest.To("bob", next.Value-1000)))
	}
	c.Mine("a104", "a105", chaintest.Txs(txs...))
	c.Grow("a105 - a106..a110\n a1 - b2")
	f := &fake{
		chain: c, tree: consensus.NewTree(p), index: true, tips: make(chan struct{}), pay: pay,
		bodies: map[consensus.Hash]*consensus.Block{p.GenesisHash(): p.Genesis()},
		spent:  make(map[consensus.Hash][]consensus.Coin), coins: make(map[consensus.OutPoint]consensus.Coin),
	}
	for _, b := range append(c.Path("a110"), c.Block("b2")) {
		f.add(t, b)
	}
	from := c.Out(pay, 1)
	tx := c.Pay(chaintest.From(from), chaintest.To("dave", 40*chaintest.Coins), chaintest.To("carol", 2*chaintest.Coins))
	f.pool = []MempoolTx{{Tx: tx, TxID: tx.TxID(), Coins: []consensus.Coin{from.Coin}, Fee: 12345678, VSize: tx.VSize(), Time: f.Now().Add(-8 * time.Second)}}
	f.peers = []Peer{
		{ID: "12D3KooWBmAwcd4PJNJvfV89HwE48nwkRmAgo8Vy3uQEyNNHBox2", Addr: "/ip4/198.51.100.7/tcp/19420", Agent: "/kapok:0.1.0/", Transport: "tcp", Since: f.Now().Add(-3 * time.Hour), Ping: 1500 * time.Microsecond, Height: 110},
		{ID: "12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo", Addr: "/ip4/203.0.113.9/udp/19420/quic-v1", Agent: "<b>evil</b>", Transport: "quic", Inbound: true, Since: f.Now().Add(-40 * time.Second), Height: 109},
	}
	return f
}

func (f *fake) add(t *testing.T, b *consensus.Block) {
	index, err := f.tree.AddHeader(&b.Header, f.chain.Now())
	if err != nil {
		t.Fatal(err)
	}
	f.tree.SetBody(index)
	f.bodies[index.Hash] = b
	if index.Parent != f.tree.Tip() {
		return
	}
	delta, err := consensus.ApplyBlock(f.chain.Params, index.Parent, b, f.coins)
	if err != nil {
		t.Fatal(err)
	}
	for i := range delta.Spent {
		delete(f.coins, delta.Spent[i].OutPoint)
	}
	for i := range delta.Created {
		f.coins[delta.Created[i].OutPoint] = delta.Created[i].Coin
	}
	f.spent[index.Hash] = delta.Undo.Spent
	f.tree.SetConnected(index)
	f.tree.SetTip(index)
}

func (f *fake) info(b *consensus.BlockIndex) Block {
	i := Block{Hash: b.Hash, Header: b.Header, Height: b.Height, Work: b.Work, Active: f.tree.InActiveChain(b)}
	if body := f.bodies[b.Hash]; body != nil {
		i.TxCount = uint32(len(body.Txs))
	}
	if next := f.tree.At(b.Height + 1); i.Active && next != nil {
		i.Next = next.Hash
	}
	return i
}

func (f *fake) Params() *consensus.Params { return f.chain.Params }
func (f *fake) Now() time.Time            { return f.chain.Now().Add(14 * time.Second) }
func (f *fake) Tip() Block                { return f.info(f.tree.Tip()) }
func (f *fake) BlockAt(height uint32) (Block, bool) {
	if b := f.tree.At(height); b != nil {
		return f.info(b), true
	}
	return Block{}, false
}
func (f *fake) BlockByHash(h consensus.Hash) (Block, bool) {
	if b := f.tree.Lookup(h); b != nil {
		return f.info(b), true
	}
	return Block{}, false
}
func (f *fake) Body(h consensus.Hash) (*consensus.Block, error) {
	if f.disk != nil {
		return nil, f.disk
	}
	if b := f.bodies[h]; b != nil {
		return b, nil
	}
	return nil, ErrNotFound
}
func (f *fake) Spent(h consensus.Hash) ([]consensus.Coin, error) {
	if s, ok := f.spent[h]; ok {
		return s, nil
	}
	return nil, ErrNotFound
}
func (f *fake) TxLocation(txid consensus.Hash) (consensus.Hash, int, error) {
	if !f.index {
		return consensus.Hash{}, 0, ErrNoIndex
	}
	for h := uint32(0); h <= f.tree.Tip().Height; h++ {
		for i, tx := range f.bodies[f.tree.At(h).Hash].Txs {
			if tx.TxID() == txid {
				return f.tree.At(h).Hash, i, nil
			}
		}
	}
	return consensus.Hash{}, 0, ErrNotFound
}
func (f *fake) History(key [32]byte, after Cursor, limit int) ([]HistoryEntry, error) {
	if !f.index {
		return nil, ErrNoIndex
	}
	all, passed := []HistoryEntry{}, after == Cursor{}
	for h := uint32(0); h <= f.tree.Tip().Height; h++ {
		hash := f.tree.At(h).Hash
		spent := f.spent[hash]
		for pos, tx := range f.bodies[hash].Txs {
			var here []HistoryEntry
			for n, in := range tx.Inputs {
				if pos > 0 {
					if spent[0].Key == key {
						here = append(here, HistoryEntry{h, uint32(pos), uint32(n), tx.TxID(), true, in.PrevOut, spent[0].Value, spent[0].Coinbase})
					}
					spent = spent[1:]
				}
			}
			for n, out := range tx.Outputs {
				if k, ok := consensus.OutputKey(out.Script); ok && k == key {
					here = append(here, HistoryEntry{h, uint32(pos), uint32(n), tx.TxID(), false, consensus.OutPoint{TxID: tx.TxID(), Index: uint32(n)}, out.Value, pos == 0})
				}
			}
			for _, e := range here {
				if passed && len(all) < limit {
					all = append(all, e)
				}
				passed = passed || after == Cursor{e.Height, e.TxPos, !e.Spend, e.N}
			}
		}
	}
	return all, nil
}
func (f *fake) Unspent(op consensus.OutPoint) (bool, error) { _, ok := f.coins[op]; return ok, nil }
func (f *fake) Mempool() Mempool {
	return Mempool{Txs: len(f.pool), VSize: 154, Fees: 12345678, MinFeeRate: 1000}
}
func (f *fake) MempoolTxs() []MempoolTx { return f.pool }
func (f *fake) MempoolTx(txid consensus.Hash) (MempoolTx, bool) {
	for _, m := range f.pool {
		if m.TxID == txid {
			return m, true
		}
	}
	return MempoolTx{}, false
}
func (f *fake) MempoolSpender(op consensus.OutPoint) (consensus.Hash, bool) {
	for _, m := range f.pool {
		for _, in := range m.Tx.Inputs {
			if in.PrevOut == op {
				return m.TxID, true
			}
		}
	}
	return consensus.Hash{}, false
}
func (f *fake) Peers() []Peer { return f.peers }
func (f *fake) WaitTip(ctx context.Context, known consensus.Hash) error {
	select {
	case _, open := <-f.tips:
		if !open {
			return errors.New("the node stops")
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
