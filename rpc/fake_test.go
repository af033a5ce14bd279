package rpc

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
)

// fake is a Backend over a chain of chaintest: a1..a110 with a payment in a105,
// a branch b2 - b3, and two transactions that wait.
type fake struct {
	t      *testing.T
	chain  *chaintest.Chain
	tree   *consensus.Tree
	bodies map[consensus.Hash]*consensus.Block
	spent  map[consensus.Hash][]consensus.Coin
	coins  map[consensus.OutPoint]consensus.Coin
	sum    consensus.CoinSum
	pool   []MempoolEntry
	sent   []*consensus.Tx
	refuse error // of SubmitTx and SubmitBlock

	duplicates int // that SubmitBlock was given
	mock       time.Time
	stops      int
	added      []string
	bans       []Ban
	index      bool
	woken      chan struct{} // closed: the tip has changed
	disk       error
	main       bool

	verified [][2]int // levels and depths that VerifyChain was asked for
}

func newFake(t *testing.T) *fake {
	p := consensus.Regtest()
	c := chaintest.New(t, p)
	c.Grow("genesis - a1..a104")
	pay := c.Pay(chaintest.From(c.Coinbase("a1")), chaintest.To("bob", 30*chaintest.Coins), chaintest.To("miner", 20*chaintest.Coins-1000), chaintest.Data([]byte("hi")))
	c.Mine("a104", "a105", chaintest.Txs(pay))
	c.Grow("a105 - a106..a110\n a1 - b2 - b3")
	f := &fake{
		t: t, chain: c, tree: consensus.NewTree(p), index: true, woken: make(chan struct{}),
		bodies: map[consensus.Hash]*consensus.Block{p.GenesisHash(): p.Genesis()},
		spent:  make(map[consensus.Hash][]consensus.Coin), coins: make(map[consensus.OutPoint]consensus.Coin),
	}
	for _, b := range append(c.Path("a110"), c.Path("b3")...) {
		if _, known := f.bodies[b.Hash()]; !known {
			f.connect(b)
		}
	}
	first := c.Pay(chaintest.From(c.Out(pay, 0)), chaintest.To("carol", 29*chaintest.Coins))
	second := c.Pay(chaintest.From(c.Out(first, 0)), chaintest.To("bob", 28*chaintest.Coins))
	f.wait(first, c.Out(pay, 0).Coin)
	f.wait(second, c.Out(first, 0).Coin)
	f.pool[0].Children = []consensus.Hash{second.TxID()}
	f.pool[1].Parents = []consensus.Hash{first.TxID()}
	return f
}

func (f *fake) connect(b *consensus.Block) {
	index, err := f.tree.AddHeader(&b.Header, f.chain.Now())
	if err != nil {
		f.t.Fatal(err)
	}
	f.tree.SetBody(index)
	f.bodies[index.Hash] = b
	if index.Parent != f.tree.Tip() {
		return
	}
	delta, err := consensus.ApplyBlock(f.chain.Params, index.Parent, b, f.coins)
	if err != nil {
		f.t.Fatal(err)
	}
	for i := range delta.Spent {
		delete(f.coins, delta.Spent[i].OutPoint)
		f.sum.Remove(delta.Spent[i].OutPoint, &delta.Spent[i].Coin)
	}
	for i := range delta.Created {
		f.coins[delta.Created[i].OutPoint] = delta.Created[i].Coin
		f.sum.Add(delta.Created[i].OutPoint, &delta.Created[i].Coin)
	}
	f.spent[index.Hash] = delta.Undo.Spent
	f.tree.SetConnected(index)
	f.tree.SetTip(index)
}

func (f *fake) wait(tx *consensus.Tx, coin consensus.Coin) {
	fee := coin.Value
	for _, out := range tx.Outputs {
		fee -= out.Value
	}
	f.pool = append(f.pool, MempoolEntry{
		MempoolTx: MempoolTx{Tx: tx, TxID: tx.TxID(), WTxID: tx.WTxID(), Coins: []consensus.Coin{coin}, Fee: fee,
			Weight: tx.Weight(), VSize: tx.VSize(), Time: time.Unix(1700000000, 0), Height: 110},
		Ancestors: Family{1, int64(tx.VSize()), fee}, Descendants: Family{1, int64(tx.VSize()), fee},
	})
}

func (f *fake) Params() *consensus.Params {
	if f.main {
		return consensus.Main()
	}
	return f.chain.Params
}

func (f *fake) info(b *consensus.BlockIndex) BlockInfo {
	i := BlockInfo{
		Hash: b.Hash, Header: b.Header, Height: b.Height, Work: b.Work, MedianTime: b.MTP(),
		Active: f.tree.InActiveChain(b), HasBody: b.HasBody(), Complete: b.Complete(), Connected: b.Connected(), Failed: b.Failed(), ChainTxs: uint64(b.Height) + 1,
	}
	if b.Height >= 105 {
		i.ChainTxs++
	}
	if body := f.bodies[b.Hash]; body != nil {
		i.TxCount = uint32(len(body.Txs))
	}
	if next := f.tree.At(b.Height + 1); i.Active && next != nil {
		i.Next = next.Hash
	}
	return i
}

func (f *fake) Chain() ChainState {
	return ChainState{Tip: f.info(f.tree.Tip()), BestHeader: f.info(f.tree.BestHeader()), SizeOnDisk: 4096}
}

func (f *fake) BlockByHash(h consensus.Hash) (BlockInfo, bool) {
	b := f.tree.Lookup(h)
	if b == nil {
		return BlockInfo{}, false
	}
	return f.info(b), true
}

func (f *fake) BlockAt(height uint32) (BlockInfo, bool) {
	b := f.tree.At(height)
	if b == nil {
		return BlockInfo{}, false
	}
	return f.info(b), true
}

func (f *fake) VerifyChain(_ context.Context, level int, depth uint32) (bool, error) {
	f.verified = append(f.verified, [2]int{level, int(depth)})
	return f.disk == nil, nil
}

func (f *fake) Leaves() []Leaf {
	return []Leaf{{f.info(f.tree.Tip()), 0}, {f.info(f.tree.Lookup(f.chain.Hash("b3"))), 2}}
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

func (f *fake) NextBits() uint32                     { return consensus.NextBits(f.chain.Params, f.tree.Tip()) }
func (f *fake) InvalidateBlock(consensus.Hash) error { return nil }
func (f *fake) ReconsiderBlock(consensus.Hash) error { return nil }
func (f *fake) PreciousBlock(consensus.Hash) error   { return nil }

func (f *fake) Coin(op consensus.OutPoint) (consensus.Coin, bool, error) {
	c, ok := f.coins[op]
	return c, ok, f.disk
}
func (f *fake) CoinSum() (consensus.CoinSum, BlockInfo) { return f.sum, f.Chain().Tip }
func (f *fake) EachCoin(visit func(consensus.OutPoint, consensus.Coin) error) error {
	for op, c := range f.coins {
		if err := visit(op, c); err != nil {
			return err
		}
	}
	return nil
}

func (f *fake) Mempool() MempoolInfo {
	return MempoolInfo{Txs: len(f.pool), VSize: 222, Usage: 1000, MaxUsage: 300e6, TotalFee: 2e8, MinFeeRate: 1000, MinRelayFee: 1000, Sequence: 7}
}
func (f *fake) MempoolTxs() (txs []MempoolTx) {
	for i := range f.pool {
		txs = append(txs, f.pool[i].MempoolTx)
	}
	return txs
}
func (f *fake) MempoolEntry(txid consensus.Hash) (MempoolEntry, bool) {
	for _, e := range f.pool {
		if e.TxID == txid {
			return e, true
		}
	}
	return MempoolEntry{}, false
}

// Conflicts: the first payment that waits, had a block held the second one instead.
func (f *fake) Conflicts() []Conflict {
	return []Conflict{{f.pool[0].MempoolTx, f.pool[1].TxID}}
}
func (f *fake) MempoolSpender(op consensus.OutPoint) (consensus.Hash, bool) {
	for _, e := range f.pool {
		for _, in := range e.Tx.Inputs {
			if in.PrevOut == op {
				return e.TxID, true
			}
		}
	}
	return consensus.Hash{}, false
}
func (f *fake) SubmitTxs(list []Submission) []error {
	errs := make([]error, len(list))
	for i, s := range list {
		f.sent = append(f.sent, s.Tx)
		switch {
		case f.refuse != nil:
			errs[i] = f.refuse
		case s.Exceeds(1000, s.Tx.VSize()):
			errs[i] = &consensus.RuleError{Code: ErrFeeTooHigh, Kind: consensus.Policy}
		}
	}
	return errs
}
func (f *fake) TestTxs(txs []*consensus.Tx) ([]TxVerdict, error) {
	verdicts := make([]TxVerdict, len(txs))
	for i := range verdicts {
		verdicts[i] = TxVerdict{Fee: 1000, Rule: consensus.AsRuleError(f.refuse)}
	}
	return verdicts, nil
}

func (f *fake) Network() NetworkInfo {
	return NetworkInfo{ID: "12D3me", Addresses: []string{"/ip4/203.0.113.5/tcp/39420/p2p/12D3me", "/ip6/2001:db8::1/udp/39420/quic-v1/p2p/12D3me"}, Active: true, BytesReceived: 10, BytesSent: 20,
		Messages: map[string]MessageCount{"tx": {Sent: 1, BytesSent: 2, Received: 3, BytesReceived: 4, Duplicates: 1}}, Blocks: BlockRelay{Rebuilt: 5, Completed: 6, Whole: 7}}
}
func (f *fake) Peers() []Peer {
	if f.main {
		return nil
	}
	return []Peer{{ID: "12D3you", Number: 3, Addr: "/ip4/198.51.100.7/tcp/39420", Agent: "/kapok:0.1.0/", Transport: "tcp", Version: 1, PresyncHeight: 4000, Since: time.Unix(1600000000, 0), Ping: 1500 * time.Microsecond, Height: 110, GossipScore: -1.5, SentPerMsg: map[string]uint64{"tx": 2}}}
}
func (f *fake) AddPeer(_ context.Context, addr string, keep bool) error {
	if keep {
		f.added = append(f.added, addr)
	}
	return f.refuse
}
func (f *fake) RemovePeer(addr string) error {
	if !slices.Contains(f.added, addr) {
		return ErrNotFound
	}
	f.added = nil
	return nil
}
func (f *fake) AddedPeers() []string        { return f.added }
func (f *fake) DisconnectPeer(string) error { return nil }
func (f *fake) SetNetworkActive(bool)       {}
func (f *fake) KnownAddresses() []KnownAddress {
	return []KnownAddress{{"/ip4/198.51.100.8/tcp/39420", time.Unix(1600000000, 0)}}
}
func (f *fake) Ban(target string, until time.Time) error {
	f.bans = append(f.bans, Ban{target, f.Now(), until})
	return nil
}
func (f *fake) Unban(string) error { f.bans = nil; return nil }
func (f *fake) Bans() []Ban        { return f.bans }

func (f *fake) Mining() MiningInfo { return MiningInfo{Threads: 2, Hashrate: 1e6} }
func (f *fake) Template() (*Template, error) {
	tip := f.tree.Tip()
	draft := chaintest.New(f.t, f.chain.Params).Params.Genesis()
	block := &consensus.Block{Txs: []*consensus.Tx{draft.Txs[0], f.pool[0].Tx, f.pool[1].Tx}}
	return &Template{
		Height: tip.Height + 1, Parent: tip.Hash, Version: 0x20000000, Bits: f.NextBits(), Time: tip.Header.Time + 1, MinTime: uint32(tip.MTP() + 1),
		CoinbaseValue: 52 * chaintest.Coins, Txs: block.Txs[1:],
		TxIDs: []consensus.Hash{block.Txs[1].TxID(), block.Txs[2].TxID()}, WTxIDs: []consensus.Hash{block.Txs[1].WTxID(), block.Txs[2].WTxID()}, Fees: []int64{chaintest.Coins, chaintest.Coins},
		Commitment: consensus.CommitmentScript(consensus.WitnessRoot(block), [32]byte{}), Coinbase: f.chain.Block("a110").Txs[0],
	}, f.refuse
}
func (f *fake) SubmitBlock(b *consensus.Block) (bool, error) {
	if f.refuse != nil {
		return false, f.refuse
	}
	if err := consensus.CheckBlock(f.chain.Params, b); err != nil {
		return false, err
	}
	if _, known := f.bodies[b.Hash()]; known {
		f.duplicates++
		return false, &consensus.RuleError{Code: consensus.ErrDuplicate, Kind: consensus.Temporary}
	}
	parent := f.tree.Lookup(b.Header.Prev)
	if parent == nil {
		return false, &consensus.RuleError{Code: consensus.ErrPrevNotFound, Kind: consensus.Temporary}
	}
	if err := consensus.CheckBlockContext(f.chain.Params, parent, b); err != nil {
		return false, err
	}
	f.connect(b)
	return f.tree.Tip().Hash == b.Hash(), nil
}
func (f *fake) ProposeBlock(*consensus.Block) error { return f.refuse }
func (f *fake) Mine(_ context.Context, payout []byte, txs []*consensus.Tx, _ uint64, submit bool) (*consensus.Block, error) {
	c := f.chain
	name := "m" + time.Duration(len(f.bodies)).String()
	b := c.Mine(c.Name(f.tree.Tip().Hash), name, chaintest.Txs(txs...), chaintest.Edit(func(b *consensus.Block) { b.Txs[0].Outputs[0].Script = payout }))
	if !submit {
		return b, nil
	}
	_, err := f.SubmitBlock(b)
	return b, err
}

func (f *fake) Index() IndexInfo { return IndexInfo{f.index, true, 110} }
func (f *fake) TxLocation(txid consensus.Hash) (consensus.Hash, int, error) {
	if !f.index {
		return consensus.Hash{}, 0, ErrNoIndex
	}
	for h := uint32(0); h <= f.tree.Tip().Height; h++ {
		b := f.tree.At(h)
		for i, tx := range f.bodies[b.Hash].Txs {
			if tx.TxID() == txid {
				return b.Hash, i, nil
			}
		}
	}
	return consensus.Hash{}, 0, ErrNotFound
}

// History keeps to the cursor by counting: the whole history is built each time.
func (f *fake) History(key [32]byte, after Cursor, limit int) ([]HistoryEntry, error) {
	if !f.index {
		return nil, ErrNoIndex
	}
	all := []HistoryEntry{}
	for h := uint32(0); h <= f.tree.Tip().Height; h++ {
		b := f.bodies[f.tree.At(h).Hash]
		spent := f.spent[f.tree.At(h).Hash]
		for pos, tx := range b.Txs {
			for n, in := range tx.Inputs {
				if pos == 0 {
					continue
				}
				if coin := spent[0]; coin.Key == key {
					all = append(all, HistoryEntry{h, uint32(pos), uint32(n), tx.TxID(), true, in.PrevOut, coin.Value, coin.Coinbase})
				}
				spent = spent[1:]
			}
			for n, out := range tx.Outputs {
				if k, ok := consensus.OutputKey(out.Script); ok && k == key {
					all = append(all, HistoryEntry{h, uint32(pos), uint32(n), tx.TxID(), false, consensus.OutPoint{TxID: tx.TxID(), Index: uint32(n)}, out.Value, pos == 0})
				}
			}
		}
	}
	if after != (Cursor{}) {
		at := slices.IndexFunc(all, func(e HistoryEntry) bool { return e.Cursor() == after })
		all = all[at+1:]
	}
	return all[:min(limit, len(all))], nil
}

func (f *fake) Now() time.Time {
	if !f.mock.IsZero() {
		return f.mock
	}
	return f.chain.Now()
}
func (f *fake) SetMockTime(t time.Time) { f.mock = t }
func (f *fake) Started() time.Time      { return time.Now() }
func (f *fake) Stop()                   { f.stops++ }
func (f *fake) WaitTip(ctx context.Context, known consensus.Hash) error {
	if f.tree.Tip().Hash != known {
		return nil
	}
	select {
	case <-f.woken:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
