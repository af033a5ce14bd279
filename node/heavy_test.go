package node_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/storage"
)

// profiles are the ways in which a store may be opened.
var profiles = map[string]storage.Options{
	"lean": {Lean: true, Index: true},
	"fast": {Index: true},
}

// most returns the greatest n for which a block of make(n) is within the weight limit,
// given what one more costs.
func most(t *testing.T, p *consensus.Params, n, each int, weight func(n int) int) int {
	t.Helper()
	n += (p.MaxWeight - weight(n)) / each
	if w := weight(n); w > p.MaxWeight || w+each <= p.MaxWeight {
		t.Fatalf("%d weigh %d", n, w)
	}
	return n
}

// The block with the most outputs that the weight allows, and the one with the most
// inputs, go on and off the chain, and on again, whatever the limits of the database.
func TestMostOutputsAndInputs(t *testing.T) {
	if testing.Short() {
		t.Skip("17,386 signatures")
	}
	c := chaintest.New(t, consensus.Regtest())
	c.Grow("genesis - a1..a102")
	fan := func(n int) *consensus.Tx {
		outputs := make([]chaintest.Output, n)
		for i := range outputs {
			outputs[i] = chaintest.To("bob", 200_000)
		}
		return c.Pay(chaintest.From(c.Coinbase("a1")), outputs...)
	}
	trial := 0
	blockWeight := func(parent string, tx func(n int) *consensus.Tx) func(int) int {
		return func(n int) int {
			trial++
			return c.Mine(parent, fmt.Sprint("trial", trial), chaintest.Txs(tx(n))).Weight()
		}
	}
	outputs := most(t, c.Params, 23_000, 4*43, blockWeight("a102", fan))
	split := fan(outputs)
	c.Mine("a102", "outputs", chaintest.Txs(split))
	coins := slices.Repeat(chaintest.From(c.Out(split, 0)), outputs)
	for i := range coins {
		coins[i].Index = uint32(i)
	}
	joined := func(n int) *consensus.Tx {
		tx := c.Unsigned(coins[:n], chaintest.To("carol", int64(n)*200_000))
		for i := range tx.Inputs {
			tx.Inputs[i].Witness = [][]byte{make([]byte, 64)}
		}
		return tx
	}
	inputs := most(t, c.Params, 17_000, 4*41+66, blockWeight("outputs", joined))
	c.Mine("outputs", "inputs", chaintest.Txs(c.Pay(coins[:inputs], chaintest.To("carol", int64(inputs)*200_000))))
	c.Grow("a102 - b103 - b104 - b105")
	c.Grow("inputs - a105 - a106 - a107")
	t.Logf("%d outputs, %d inputs", outputs, inputs)

	stations := []struct {
		tip    string
		blocks []*consensus.Block
	}{
		{"inputs", c.Path("inputs")},
		{"b105", c.Path("b105")[102:]},
		{"a107", c.Path("a107")[104:]},
	}
	twin := newWorld(t, c.Params, 1, 1)
	var sums []consensus.CoinSum
	for _, at := range stations {
		twin.submit(twin.Nodes[0], at.blocks...)
		sums = append(sums, twin.Nodes[0].Store.Sum())
	}
	for name, o := range profiles {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.Params, 1, 0)
			o.Dir = t.TempDir()
			s, err := storage.Open(c.Params, o)
			must(t, err)
			r := w.reside(s)
			for i, at := range stations {
				w.submit(r, at.blocks...)
				w.standsAt(r, c, at.tip)
				must(t, s.Flush())
				if s.Sum() != sums[i] {
					t.Errorf("on %s the coin sum is another one", at.tip)
				}
				if found, kept, err := s.Recount(t.Context()); err != nil || found != kept {
					t.Errorf("on %s: counted %v, kept %v: %v", at.tip, found, kept, err)
				}
			}
			must(t, s.Close())
			s, err = storage.Open(c.Params, o)
			must(t, err)
			if s.Tip() != c.Hash("a107") || s.Sum() != sums[2] {
				t.Error("another tip after a restart")
			}
			must(t, s.Close())
		})
	}
}

// What a reorganisation may take in memory beyond what the node had before it, in bytes:
// what the profile gives to the database (its memtables, and one more of them on its way to
// the disk), the coin cache, what waits for a sync, and 24 MB for the payments of the
// blocks that came off and whatever else.
const reorgCache = 8 << 20

var reorgMemory = map[string]int64{
	"lean": 3*16<<20 + reorgCache + 8<<20 + 24<<20,
	"fast": 4*64<<20 + reorgCache + 8<<20 + 24<<20,
}

// A long reorganisation of blocks with many coins takes no more memory than a short one.
// KAPOK_LONG=1 makes it 1,100 blocks off and 1,101 on.
func TestLongReorganisation(t *testing.T) {
	if testing.Short() {
		t.Skip("it measures memory, which the race detector takes more of")
	}
	depth, outputs := 110, 100
	if os.Getenv("KAPOK_LONG") != "" {
		depth, outputs = 1100, 400
	}
	c := chaintest.New(t, consensus.Regtest())
	c.Grow("genesis - f1..f100")
	branch := func(prefix string, blocks int) string {
		parent := "f100"
		path := make([]string, 0, 100+blocks)
		for n := range 100 {
			path = append(path, fmt.Sprint("f", n+1))
		}
		for n := range blocks {
			value := c.Block(path[n]).Txs[0].Outputs[0].Value / int64(outputs)
			to := make([]chaintest.Output, outputs)
			for i := range to {
				to[i] = chaintest.To("bob", value)
			}
			name := fmt.Sprint(prefix, n+1)
			c.Mine(parent, name, chaintest.Txs(c.Pay(chaintest.From(c.Coinbase(path[n])), to...)))
			parent, path = name, append(path, name)
		}
		return parent
	}
	left, right := branch("l", depth), branch("r", depth+1)
	for name, o := range profiles {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.Params, 1, 0)
			base := heapInUse()
			o.Dir, o.CoinCacheBytes, o.Index = t.TempDir(), reorgCache, false
			s, err := storage.Open(c.Params, o)
			must(t, err)
			defer func() { must(t, s.Close()) }()
			r := w.reside(s)
			w.submit(r, c.Path(left)...)
			var peak int64
			steps := 0
			for _, block := range c.Path(right)[100:] {
				_, err := r.SubmitBlock(w.Now, block)
				must(t, err)
			}
			must(t, r.Sync())
			for {
				job, err := r.Gather()
				must(t, err)
				if job == nil {
					break
				}
				job.Verify(consensus.Verifier{Workers: 1})
				must(t, r.Commit(w.Now, job))
				r.Changes()
				if steps++; steps%max(depth/20, 1) == 0 {
					peak = max(peak, heapInUse()-base)
				}
			}
			w.standsAt(r, c, right)
			if want := 2*depth + 1; steps != want {
				t.Errorf("%d steps, want %d", steps, want)
			}
			peak = max(peak, heapInUse()-base)
			t.Logf("%d blocks off, %d on, %d coins: at most %.0f MB", depth, depth+1, s.Sum().Count, float64(peak)/1e6)
			if peak > reorgMemory[name] {
				t.Errorf("it took %d bytes of memory, want at most %d", peak, reorgMemory[name])
			}
			if found, kept, err := s.Recount(t.Context()); err != nil || found != kept {
				t.Errorf("counted %v, kept %v: %v", found, kept, err)
			}
		})
	}
}

// heapInUse is how many bytes are in use.
func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
