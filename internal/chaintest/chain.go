package chaintest

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/kapok-chain/kapok/consensus"
)

// Genesis is the name of the block that every Chain begins with.
const Genesis = "genesis"

// Chain is a tree of named blocks. Every mistake in its use, such as a name that
// is not there, ends the test.
type Chain struct {
	Params *consensus.Params

	t          testing.TB
	blocks     map[string]*entry
	names      map[consensus.Hash]string
	latest     uint32 // highest time of all blocks
	keys       map[string]*btcec.PrivateKey
	outputKeys map[string][consensus.KeySize]byte
	owners     map[[consensus.KeySize]byte]string
	outputs    map[consensus.OutPoint]consensus.TxOut // of all blocks and of Pay
}

type entry struct {
	block *consensus.Block
	index *consensus.BlockIndex
}

// New returns the chain that holds the network's genesis block.
func New(t testing.TB, p *consensus.Params) *Chain {
	genesis := p.Genesis()
	c := &Chain{
		Params:     p,
		t:          t,
		blocks:     map[string]*entry{Genesis: {genesis, consensus.NewTree(p).Genesis()}},
		names:      map[consensus.Hash]string{p.GenesisHash(): Genesis},
		latest:     genesis.Header.Time,
		keys:       make(map[string]*btcec.PrivateKey),
		outputKeys: make(map[string][consensus.KeySize]byte),
		owners:     make(map[[consensus.KeySize]byte]string),
		outputs:    make(map[consensus.OutPoint]consensus.TxOut),
	}
	return c
}

// Block returns the named block.
func (c *Chain) Block(name string) *consensus.Block { return c.entry(name).block }

// Index returns the named block in its place. It belongs to no tree, and no
// rule has judged it.
func (c *Chain) Index(name string) *consensus.BlockIndex { return c.entry(name).index }

// Hash returns the named block's hash.
func (c *Chain) Hash(name string) consensus.Hash { return c.entry(name).index.Hash }

// Name returns the name of the block with this hash, or the hash in hex.
func (c *Chain) Name(hash consensus.Hash) string {
	if name, ok := c.names[hash]; ok {
		return name
	}
	return hash.String()
}

// Path returns the blocks from genesis, which is left out, to the named one.
func (c *Chain) Path(name string) []*consensus.Block {
	index := c.Index(name)
	path := make([]*consensus.Block, index.Height)
	for ; index.Height > 0; index = index.Parent {
		path[index.Height-1] = c.blocks[c.names[index.Hash]].block
	}
	return path
}

// Now is the moment of the latest block: as a clock it accepts all of them.
func (c *Chain) Now() time.Time { return time.Unix(int64(c.latest), 0).UTC() }

// Grow mines what a drawing shows. Each line is a path of names with " - "
// between them; it begins with a block that is there, and those that are not are
// mined. "a1..a9" stands for nine blocks. Where a line is indented means
// nothing, which allows to draw a fork below its root.
func (c *Chain) Grow(drawing string, options ...Option) {
	c.t.Helper()
	for line := range strings.Lines(drawing) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		var parent string
		for i, word := range strings.Split(line, " - ") {
			for _, name := range c.expand(strings.TrimSpace(word)) {
				if i == 0 {
					c.entry(name) // must be there
				} else if c.blocks[name] == nil {
					c.Mine(parent, name, options...)
				} else if got := c.Name(c.Block(name).Header.Prev); got != parent {
					c.t.Fatalf("chaintest: %q is drawn on %q, and is already there on %q", name, parent, got)
				}
				parent = name
			}
		}
	}
}

// expand turns "a1..a9" into nine names, and any other word into itself.
func (c *Chain) expand(word string) []string {
	c.t.Helper()
	from, to, ok := strings.Cut(word, "..")
	if !ok {
		return []string{word}
	}
	prefix := strings.TrimRight(from, "0123456789")
	first, err1 := strconv.Atoi(strings.TrimPrefix(from, prefix))
	last, err2 := strconv.Atoi(strings.TrimPrefix(to, prefix))
	if err1 != nil || err2 != nil || first > last {
		c.t.Fatalf("chaintest: %q is no range such as a1..a9", word)
	}
	var names []string
	for n := first; n <= last; n++ {
		names = append(names, prefix+strconv.Itoa(n))
	}
	return names
}

// Mine mines one block on the named parent. Without options it is an empty one,
// one spacing after its parent, whose coinbase pays subsidy and fees to the key
// named "miner". The coinbase carries the name, so that siblings differ.
func (c *Chain) Mine(parent, name string, options ...Option) *consensus.Block {
	c.t.Helper()
	if c.blocks[name] != nil {
		c.t.Fatalf("chaintest: block %q is already there", name)
	}
	on := c.entry(parent).index
	d := draft{payTo: "miner", time: on.Header.Time + uint32(c.Params.Spacing)}
	for _, option := range options {
		option(&d)
	}
	block := c.assemble(on, name, &d)
	for _, edit := range d.sealed {
		edit(block)
	}
	c.solve(&block.Header)
	c.add(on, name, block)
	return block
}

// Add enters a block that was made elsewhere, under a name.
func (c *Chain) Add(name string, block *consensus.Block) {
	c.t.Helper()
	parent, ok := c.names[block.Header.Prev]
	if !ok {
		c.t.Fatalf("chaintest: the parent of %q is not there", name)
	}
	c.add(c.blocks[parent].index, name, block)
}

func (c *Chain) add(parent *consensus.BlockIndex, name string, block *consensus.Block) {
	index := parent.Child(&block.Header)
	c.blocks[name] = &entry{block, index}
	c.names[index.Hash] = name
	c.latest = max(c.latest, block.Header.Time)
	for _, tx := range block.Txs {
		c.learn(tx)
	}
}

// learn remembers a transaction's outputs, so that fees can be counted.
func (c *Chain) learn(tx *consensus.Tx) {
	id := tx.TxID()
	for i := range tx.Outputs {
		c.outputs[consensus.OutPoint{TxID: id, Index: uint32(i)}] = tx.Outputs[i]
	}
}

// maxNonces is how many a test has time for: some seconds.
const maxNonces = 1 << 24

// solve finds the nonce. A block whose bits are no target stays unsolved.
func (c *Chain) solve(h *consensus.Header) {
	c.t.Helper()
	target, negative, overflow := consensus.CompactToTarget(h.Bits)
	if negative || overflow || target.IsZero() {
		return
	}
	for nonce := range uint32(maxNonces) {
		if h.Nonce = nonce; consensus.HashMeetsTarget(h.Hash(), target) {
			return
		}
	}
	c.t.Fatalf("chaintest: no nonce up to %d solves a block with bits %08x", maxNonces, h.Bits)
}

func (c *Chain) entry(name string) *entry {
	c.t.Helper()
	e := c.blocks[name]
	if e == nil {
		c.t.Fatalf("chaintest: there is no block %q", name)
	}
	return e
}
