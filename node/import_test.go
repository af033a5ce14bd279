package node_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/storage"
)

// blockFile is a file of blocks in this order, and where each begins.
func blockFile(p *consensus.Params, blocks ...*consensus.Block) (file []byte, offsets []int64) {
	magic := storage.BlockMagic(p)
	for _, block := range blocks {
		offsets = append(offsets, int64(len(file)))
		file = append(file, magic[:]...)
		file = binary.LittleEndian.AppendUint32(file, uint32(block.Size()))
		file = append(file, block.Bytes()...)
	}
	return file, offsets
}

// importInto takes at most n steps of an import and reports whether there are more.
func importInto(c *chaintest.Chain, store storage.Store, file []byte, n int) (i *node.Import, more bool, err error) {
	r := storage.NewBlockReader(c.Params, "some.dat", bytes.NewReader(file), int64(len(file)))
	if i, err = node.NewImport(c.Params, store, consensus.Verifier{Workers: 1}, r); err != nil {
		return nil, false, err
	}
	for more = true; more && err == nil && n > 0; n-- {
		more, err = i.Step(context.Background(), c.Now())
	}
	return i, more, err
}

// In whatever order the blocks of a tree stand in a file, some of them twice, and
// however often the import is killed and begun again, its outcome is that of the same
// blocks from anywhere else.
func TestImportInAnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := newGrove(t, rapid.Uint64().Draw(rt, "seed"), rapid.IntRange(1, 50).Draw(rt, "blocks"))
		blocks := []*consensus.Block{g.Params.Genesis()}
		for _, name := range g.names {
			blocks = append(blocks, g.Block(name))
		}
		blocks = append(blocks, blocks[len(blocks)/2])
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "order"), 0))
		for range rapid.IntRange(0, 2*len(blocks)).Draw(rt, "swaps") {
			i, j := rng.IntN(len(blocks)), rng.IntN(len(blocks))
			blocks[i], blocks[j] = blocks[j], blocks[i]
		}
		file, _ := blockFile(g.Params, blocks...)
		store := storage.OpenMemory(g.Params, true)
		for range rapid.IntRange(0, 3).Draw(rt, "kills") {
			if _, _, err := importInto(g.Chain, store, file, rapid.IntRange(0, 40).Draw(rt, "steps")); err != nil {
				rt.Fatal(err)
			}
			store = store.Crash()
		}
		i, _, err := importInto(g.Chain, store, file, toTheEnd)
		if err != nil {
			rt.Fatal(err)
		}
		imported, known := i.Blocks()
		if store.Tip() != g.Hash(g.top) || store.Sum() != g.stands[g.top].sum || imported+known != len(blocks) {
			rt.Fatalf("it ends at %s with %d and %d of %d blocks", g.Name(store.Tip()), imported, known, len(blocks))
		}
		again, _, err := importInto(g.Chain, store, file, toTheEnd)
		if imported, known := again.Blocks(); err != nil || imported != 0 || known != len(blocks) {
			rt.Fatalf("once more, %d and %d of %d blocks, %v", imported, known, len(blocks), err)
		}
	})
}

// What is wrong with a file is said with its place, and what comes before stays, to be
// gone on with from a good file.
func TestImportOfABadFile(t *testing.T) {
	c := chaintest.New(t, consensus.Regtest())
	c.Grow("genesis - a1..a6")
	c.Mine("a3", "greedy", chaintest.Claim(1))
	c.Grow("greedy - b5")
	path := append([]*consensus.Block{c.Params.Genesis()}, c.Path("a6")...)
	good, at := blockFile(c.Params, path...)
	with := func(offset int64, b byte) []byte {
		file := bytes.Clone(good)
		file[offset] ^= b
		return file
	}
	headless, _ := blockFile(c.Params, path[3:]...)
	bad, badAt := blockFile(c.Params, append(append([]*consensus.Block{}, path[:4]...), c.Block("greedy"), c.Block("b5"))...)
	mutated, err := consensus.DecodeBlock(path[4].Bytes())
	if err != nil {
		t.Fatal(err)
	}
	mutated.Txs[0].Outputs[0].Value--
	twisted, _ := blockFile(c.Params, append(append([]*consensus.Block{}, path[:4]...), mutated)...)
	idle, _ := blockFile(c.Params, append(append([]*consensus.Block{}, path[:4]...), unsolved(c, path[4]))...)
	for name, test := range map[string]struct {
		file   []byte
		tip    string
		offset int64
		words  string
		failed string // a block that stays marked
	}{
		"cut short":       {good[:at[4]+100], "a3", at[4], "it was cut short", ""},
		"foreign":         {with(at[4], 1), "a3", at[4], "no block of this network", ""},
		"damaged":         {with(at[5]+8+4, 1), "a4", at[5], "neither the file nor the node has the parent", ""}, // its parent's hash
		"without a start": {headless, chaintest.Genesis, 0, "blocks without one: 4", ""},
		"mutated":         {twisted, "a3", at[4], "bad-txnmrklroot", ""},
		"no work":         {idle, "a3", at[4], "high-hash", ""},
		"invalid":         {bad, "a3", badAt[4], "block " + c.Hash("greedy").String() + " is refused: bad-cb-amount", "greedy"},
	} {
		t.Run(name, func(t *testing.T) {
			store := storage.OpenMemory(c.Params, true)
			_, _, err := importInto(c, store, test.file, toTheEnd)
			var where *storage.BlockFileError
			if !errors.As(err, &where) || where.Offset != test.offset || !strings.Contains(err.Error(), test.words) {
				t.Errorf("it says %v, not %q at byte %d", err, test.words, test.offset)
			}
			store = store.Crash() // what was taken is on disk
			if i, _, _ := importInto(c, store, nil, toTheEnd); i.Tip().Hash != c.Hash(test.tip) {
				t.Errorf("it ends at %s, not at %s", c.Name(i.Tip().Hash), test.tip)
			}
			state, err := store.Load()
			if err != nil {
				t.Fatal(err)
			}
			for _, rec := range state.Records {
				if failed := rec.Flags&consensus.RecordFailed != 0; failed != (c.Name(rec.Hash) == test.failed) {
					t.Errorf("%s is marked: %t", c.Name(rec.Hash), failed)
				}
			}
			if _, _, err := importInto(c, store, good, toTheEnd); err != nil || store.Tip() != c.Hash("a6") {
				t.Errorf("with a good file it goes on to %s, %v", c.Name(store.Tip()), err)
			}
		})
	}
}

// The number of blocks that wait is bounded.
func TestImportBoundsWhatWaits(t *testing.T) {
	c := chaintest.New(t, consensus.Regtest())
	const most = 100_000
	magic := storage.BlockMagic(c.Params)
	var file []byte
	for i := range most + 2 {
		h := consensus.Header{Version: 4, Nonce: uint32(i), Prev: consensus.Hash{1, byte(i), byte(i >> 8)}}
		raw := h.Bytes()
		file = binary.LittleEndian.AppendUint32(append(file, magic[:]...), consensus.HeaderSize+1)
		file = append(append(file, raw[:]...), 0)
	}
	_, _, err := importInto(c, storage.OpenMemory(c.Params, false), file, toTheEnd)
	var where *storage.BlockFileError
	if !errors.As(err, &where) || where.Offset != most*(8+consensus.HeaderSize+1) || !strings.Contains(err.Error(), "100000 blocks before this one wait") {
		t.Errorf("it says %v", err)
	}
}

// syncs counts them.
type syncs struct {
	*storage.Memory
	n int
}

func (s *syncs) Sync() error {
	s.n++
	return s.Memory.Sync()
}

// Blocks share syncs, as in a first sync.
func TestImportSharesSyncs(t *testing.T) {
	c := chaintest.New(t, consensus.Regtest())
	c.Grow("genesis - a1..a1200")
	file, _ := blockFile(c.Params, c.Path("a1200")...)
	s := &syncs{Memory: storage.OpenMemory(c.Params, false)}
	if _, _, err := importInto(c, s, file, toTheEnd); err != nil || s.Tip() != c.Hash("a1200") {
		t.Fatalf("it ends at %s, %v", s.Tip(), err)
	}
	if s.n > 10 {
		t.Errorf("%d syncs for 1200 blocks", s.n)
	}
}

// An export is the part of the active chain that was asked for, and what is not there
// is said.
func TestExport(t *testing.T) {
	c := chaintest.New(t, consensus.Regtest())
	c.Grow("genesis - a1..a20")
	c.Grow("a15 - b16")
	w := newWorld(t, c.Params, 1, 1)
	r := w.Nodes[0]
	w.submit(r, append(c.Path("a20"), c.Block("b16"))...)
	export := func(from uint32, to *uint32) (blocks []string, err error) {
		path := filepath.Join(t.TempDir(), "blocks.dat")
		e, err := node.NewExport(c.Params, r.Store, from, to)
		if err != nil {
			return nil, err
		}
		f, err := storage.CreateBlockFile(c.Params, path)
		w.check(err)
		for more := true; more; {
			more, err = e.Step(f)
			w.check(err)
		}
		w.check(f.Commit())
		data, err := os.ReadFile(path)
		w.check(err)
		in := storage.NewBlockReader(c.Params, path, bytes.NewReader(data), int64(len(data)))
		for {
			frame, err := in.Next()
			if err == io.EOF {
				break
			}
			w.check(err)
			blocks = append(blocks, c.Name(frame.Header.Hash()))
		}
		if done, total := e.Progress(); done != total || done != len(blocks) {
			t.Errorf("%d of %d are written, %d are there", done, total, len(blocks))
		}
		return blocks, nil
	}
	at := func(height uint32) *uint32 { return &height }
	for _, test := range []struct {
		from        uint32
		to          *uint32
		first, last string
		err         error
	}{
		{0, nil, chaintest.Genesis, "a20", nil},
		{0, at(0), chaintest.Genesis, chaintest.Genesis, nil},
		{20, nil, "a20", "a20", nil},
		{3, at(17), "a3", "a17", nil},
		{21, nil, "", "", node.HeightError("there are no blocks from height 21 to 20: the tip is at 20")},
		{3, at(2), "", "", node.HeightError("there are no blocks from height 3 to 2: the tip is at 20")},
		{3, at(21), "", "", node.HeightError("there are no blocks from height 3 to 21: the tip is at 20")},
	} {
		got, err := export(test.from, test.to)
		if !errors.Is(err, test.err) || err == nil && (got[0] != test.first || got[len(got)-1] != test.last) {
			t.Errorf("from %d to %v: %v, %v", test.from, test.to, got, err)
		}
	}
	r, _ = w.pruneAndRestart(r.Store.(*storage.Memory), 8)
	for _, test := range []struct {
		from uint32
		to   *uint32
		ok   bool
	}{{0, nil, false}, {12, nil, false}, {1, at(5), false}, {13, nil, true}, {0, at(0), true}} {
		if _, err := export(test.from, test.to); (err == nil) != test.ok || err != nil && !errors.Is(err, storage.ErrPruned) {
			t.Errorf("pruned, from %d to %v: %v", test.from, test.to, err)
		}
	}
}
