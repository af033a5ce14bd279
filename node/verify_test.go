package node_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/storage"
)

// planter writes blocks into a store without asking whether they are any good,
// as a bug, or somebody with access to the disk, would.
type planter struct {
	t     *testing.T
	c     *chaintest.Chain
	store storage.Store
	coins map[consensus.OutPoint]consensus.Coin
	seq   uint64
}

func newPlanter(t *testing.T, c *chaintest.Chain) *planter {
	return &planter{t: t, c: c, store: storage.OpenMemory(c.Params, false), coins: make(map[consensus.OutPoint]consensus.Coin)}
}

func (p *planter) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// plant connects the named block, after twist had its way with what it does.
func (p *planter) plant(name string, twist func(*consensus.Delta)) {
	p.t.Helper()
	index, block := p.c.Index(name), p.c.Block(name)
	p.seq++
	rec := p.record(name)
	p.must(p.store.PutBlock(rec, block))
	delta := p.delta(index, block)
	for i := range delta.Spent {
		delete(p.coins, delta.Spent[i].OutPoint)
	}
	for i := range delta.Created {
		p.coins[delta.Created[i].OutPoint] = delta.Created[i].Coin
	}
	if twist != nil {
		twist(delta)
	}
	p.must(p.store.Connect(rec, index.Height, block, delta))
}

func (p *planter) record(name string) consensus.Record {
	index := p.c.Index(name)
	return consensus.Record{Header: index.Header, Hash: index.Hash, Seq: p.seq, TxCount: uint32(len(p.c.Block(name).Txs)),
		Flags: consensus.RecordHasBody | consensus.RecordConnected}
}

// delta is what a block does, valid or not: its inputs spend what they name, and
// a coin of the zero value where there is nothing.
func (p *planter) delta(index *consensus.BlockIndex, block *consensus.Block) *consensus.Delta {
	p.t.Helper()
	made := make(map[consensus.OutPoint]consensus.Coin)
	var undo consensus.Undo
	for i, tx := range block.Txs {
		for k := range tx.Inputs {
			if i == 0 {
				continue
			}
			coin, ok := made[tx.Inputs[k].PrevOut]
			if !ok {
				coin = p.coins[tx.Inputs[k].PrevOut]
			}
			undo.Spent = append(undo.Spent, coin)
		}
		for k := range tx.Outputs {
			if key, ok := consensus.OutputKey(tx.Outputs[k].Script); ok {
				made[consensus.OutPoint{TxID: tx.TxID(), Index: uint32(k)}] = consensus.Coin{
					Value: tx.Outputs[k].Value, Key: key, Height: index.Height, Coinbase: i == 0,
				}
			}
		}
	}
	back, err := consensus.RevertBlock(block, index.Height, &undo)
	p.must(err)
	return &consensus.Delta{Undo: undo, Spent: back.Created, Created: back.Spent}
}

// plantAll connects the path to the named block, but for what is there already.
func (p *planter) plantAll(name string, twists map[string]func(*consensus.Delta)) {
	p.t.Helper()
	for _, block := range p.c.Path(name) {
		if _, err := p.store.Undo(block.Hash()); err == nil {
			continue
		}
		name := p.c.Name(block.Hash())
		p.plant(name, twists[name])
	}
}

// payments is a chain with something to spend in every way: a101 to a103 hold
// payments, of which one is spent in its own block, one joins two coins, and one
// leaves data.
func payments(t *testing.T) *chaintest.Chain {
	c := chaintest.New(t, consensus.Regtest())
	c.Grow("genesis - a1..a100")
	first := c.Pay(chaintest.From(c.Coinbase("a1")), chaintest.To("bob", 30*chaintest.Coins), chaintest.To("carol", 20*chaintest.Coins))
	second := c.Pay(chaintest.From(c.Out(first, 0)), chaintest.To("dave", 29*chaintest.Coins), chaintest.Data([]byte("rent")))
	c.Mine("a100", "a101", chaintest.Txs(first, second))
	c.Mine("a101", "a102", chaintest.Txs(c.Pay(chaintest.From(c.Coinbase("a2"), c.Out(first, 1)), chaintest.To("bob", 70*chaintest.Coins))))
	c.Mine("a102", "a103", chaintest.Txs(c.Pay(chaintest.From(c.Coinbase("a3")), chaintest.To("bob", 50*chaintest.Coins))))
	c.Grow("a103 - a104 - a105")
	return c
}

// spoiled is a store of which some reads do not answer what was written.
type spoiled struct {
	storage.Store
	block map[consensus.Hash]error
	undo  map[consensus.Hash]error
	coins func(func(consensus.OutPoint, consensus.Coin) error) error
	load  func(*storage.State)
}

func (s *spoiled) Block(hash consensus.Hash) (*consensus.Block, error) {
	if err := s.block[hash]; err != nil {
		return nil, fmt.Errorf("body of block %s: %w", hash, err)
	}
	return s.Store.Block(hash)
}

func (s *spoiled) Undo(hash consensus.Hash) (*consensus.Undo, error) {
	if err := s.undo[hash]; err != nil {
		return nil, fmt.Errorf("undo data of block %s: %w", hash, err)
	}
	return s.Store.Undo(hash)
}

func (s *spoiled) ForEachCoin(f func(consensus.OutPoint, consensus.Coin) error) error {
	if s.coins != nil {
		return s.coins(f)
	}
	return s.Store.ForEachCoin(f)
}

func (s *spoiled) Load() (*storage.State, error) {
	state, err := s.Store.Load()
	if err == nil && s.load != nil {
		s.load(state)
	}
	return state, err
}

// run takes all steps and returns the findings as "name code", lowest first.
func run(t *testing.T, c *chaintest.Chain, v *node.Verification) (codes []string, list []node.Finding) {
	t.Helper()
	for more := true; more; {
		var err error
		if more, err = v.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	list, _ = v.Findings()
	for i := range list {
		codes = append(codes, fmt.Sprint(c.Name(list[i].Hash), " ", list[i].Code))
		if height := list[i].Height; height != c.Index(c.Name(list[i].Hash)).Height {
			t.Errorf("%v has another height", list[i])
		}
	}
	return codes, list
}

func verifyStore(t *testing.T, c *chaintest.Chain, store storage.Store, now time.Time) *node.Verification {
	t.Helper()
	v, err := node.VerifyStore(c.Params, store, consensus.Verifier{Workers: 2}, now)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
