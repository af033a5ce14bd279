package storage

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
)

// tall makes a closed store of so many blocks, every sixteenth with outputs enough to lie
// in the value log, and a side branch from near its beginning.
func tall(t *testing.T, dir string, height int) (w *world, tip, side *node) {
	t.Helper()
	w = newWorld(7)
	tip = w.root
	for tip.height < uint32(height) {
		switch {
		case tip.height%16 == 1:
			tip = w.fan(tip, 60, 1)
		default:
			tip = w.grow(tip, int(tip.height)%3)
		}
		if tip.height == 3 {
			side = w.grow(tip, 1)
		}
	}
	s, err := Open(w.params, Options{Dir: dir, Index: true, Lean: true})
	must(t, err)
	must(t, s.PutBlock(side.record(hasBody), side.block))
	for _, n := range tip.chain() {
		must(t, s.PutBlock(n.record(hasBody), n.block))
		must(t, s.Connect(n.record(connected), n.height, n.block, n.delta))
	}
	must(t, s.Close())
	s, err = Open(w.params, Options{Dir: dir, Index: true, Lean: true}) // and another value log: see built
	must(t, err)
	must(t, s.Close())
	return w, tip, side
}

func prune(w *world, dir string, keep uint32) (Pruned, error) {
	return Prune(context.Background(), w.params, Options{Dir: dir, Lean: true}, keep, nil)
}

// hasBodies makes sure which blocks of a chain have bodies and undo data.
func hasBodies(t *testing.T, s Store, tip *node, from uint32) {
	t.Helper()
	for _, n := range append(tip.chain(), tip.chain()[0].parent) {
		want := n.height == 0 || n.height >= from
		_, err := s.Block(n.hash)
		_, uerr := s.Undo(n.hash)
		if want {
			must(t, err)
			must(t, uerr)
		} else {
			wantIs(t, "Block", err, ErrNotFound)
			wantIs(t, "Undo", uerr, ErrNotFound)
		}
	}
}

// Pruned, a store has the blocks that it was told to keep and all else; its disk space
// comes back; and what it cannot do any more it says.
func TestPrune(t *testing.T) {
	const height, keep, from = 400, 300, 101
	dir := t.TempDir()
	w, tip, side := tall(t, dir, height)
	r, err := prune(w, dir, keep)
	must(t, err)
	if r.Height != from || r.Bodies != from-1+1 || r.Nothing { // heights 1 to 100, and the side branch
		t.Errorf("it says %+v", r)
	}
	size := int64(0)
	for _, n := range tip.chain()[:from-1] {
		size += int64(n.block.Size())
	}
	if _, allocated, err := folderSize(filepath.Join(dir, chainDir)); err != nil || r.After != allocated || r.Before-r.After < size {
		t.Errorf("of %d bytes before %d are left, though bodies of %d bytes went; the folder has %d, %v", r.Before, r.After, size, allocated, err)
	}
	names, err := os.ReadDir(dir)
	must(t, err)
	if len(names) != 3 {
		t.Errorf("it leaves %v", names)
	}
	s, err := Open(w.params, Options{Dir: dir, Index: true, Lean: true})
	must(t, err)
	hasBodies(t, s, tip, from)
	_, err = s.Block(side.hash)
	wantIs(t, "Block of the side branch", err, ErrNotFound)
	must(t, agree(s, tip, true))
	state, err := s.Load()
	must(t, err)
	if state.Pruned != from || state.Height != height || len(state.Records) != height+1 || !state.Clean {
		t.Errorf("it says %d records, pruned %d, height %d, clean %t", len(state.Records), state.Pruned, state.Height, state.Clean)
	}
	wantIs(t, "ResetCoins", s.ResetCoins(), ErrPruned)
	must(t, s.Sync()) // it is not broken by that
	other := w.grow(tip.parent, 1)
	must(t, walk(s, tip, other))
	must(t, walk(s, other, tip))
	must(t, s.Close())

	if r, err := prune(w, dir, keep); err != nil || !r.Nothing || r.Height != from {
		t.Errorf("once more it says %+v, %v", r, err)
	}
	refused(t, w.params, Options{Dir: dir, Lean: true, Reindex: true}, ErrPruned, "height 101")
	if r, err := prune(w, dir, MinKeep); err != nil || r.Height != height+1-MinKeep || r.Bodies != 12 {
		t.Errorf("further, it says %+v, %v", r, err)
	}
}

// Where there is nothing to prune, or not enough, or somebody else at work, nothing
// changes.
func TestPruneRefuses(t *testing.T) {
	dir := t.TempDir()
	w, _, _ := tall(t, dir, MinKeep)
	before := snapshot(t, dir)
	if _, err := prune(w, dir, MinKeep-1); err == nil {
		t.Error("fewer blocks stay than a reorganisation may take")
	}
	sameFiles(t, before, snapshot(t, dir))
	if r, err := prune(w, dir, MinKeep); err != nil || !r.Nothing || r.Height != 0 {
		t.Errorf("a short chain: %+v, %v", r, err)
	}
	s, err := Open(w.params, Options{Dir: dir, Lean: true})
	must(t, err)
	_, err = prune(w, dir, MinKeep)
	wantIs(t, "Prune of a directory in use", err, ErrLocked)
	must(t, s.Close())
	nowhere := filepath.Join(dir, "nowhere")
	_, err = prune(w, nowhere, MinKeep)
	wantIs(t, "Prune of nothing", err, ErrNotFound)
	if _, err := os.Stat(nowhere); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it made a directory: %v", err)
	}
}

// Blocks that could mend what is damaged are not given up, and neither is anything by
// a copy that was not finished.
func TestPruneKeepsWhatIsNeeded(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, dir string, w *world, tip *node) context.Context{
		"a coin is lost": func(t *testing.T, dir string, w *world, tip *node) context.Context {
			s, err := Open(w.params, Options{Dir: dir, Lean: true})
			must(t, err)
			wr := s.kv.writer()
			wr.del(coinKey(tip.outpoints()[0]))
			must(t, wr.commit())
			must(t, s.Close())
			return context.Background()
		},
		"a body that stays is damaged": func(t *testing.T, dir string, _ *world, tip *node) context.Context {
			chain := tip.chain()
			at := slices.IndexFunc(chain, func(n *node) bool { return n.height > 60 && len(n.block.Bytes()) > 1<<11 })
			flip(t, files(t, dir, ".vlog"), chain[at].block.Bytes())
			return context.Background()
		},
		"it is interrupted": func(*testing.T, string, *world, *node) context.Context {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			return ctx
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			w, tip, _ := tall(t, dir, MinKeep+50)
			ctx := spoil(t, dir, w, tip)
			want := ErrDamaged
			if ctx.Err() != nil {
				want = ctx.Err()
			}
			_, err := Prune(ctx, w.params, Options{Dir: dir, Lean: true}, MinKeep, nil)
			wantIs(t, "Prune", err, want)
			if _, err := os.Stat(filepath.Join(dir, newChainDir)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the copy is still there: %v", err)
			}
			s, err := Open(w.params, Options{Dir: dir, Lean: true})
			must(t, err)
			defer func() { must(t, s.Close()) }()
			for _, n := range tip.chain()[:51] {
				_, err := s.Block(n.hash)
				must(t, err)
			}
		})
	}
}

// Wherever a kill takes the exchange, the next Open finds the one chain or the other
// whole, and clears away the rest.
func TestPruneIsKilled(t *testing.T) {
	const height = MinKeep + 20
	made := t.TempDir()
	w, tip, _ := tall(t, made, height)
	copied := t.TempDir()
	must(t, os.CopyFS(copied, os.DirFS(made)))
	_, err := prune(w, copied, MinKeep)
	must(t, err)
	for name, state := range map[string]struct {
		chain, fresh, old string // where each folder comes from
		pruned            uint32
	}{
		"while it copies":       {chain: made, fresh: "half", pruned: 0},
		"between two renames":   {fresh: copied, old: made, pruned: height + 1 - MinKeep},
		"before it clears":      {chain: copied, old: made, pruned: height + 1 - MinKeep},
		"the copy then is lost": {old: made, pruned: 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			mark, err := os.ReadFile(filepath.Join(made, markFile))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(dir, markFile), mark, 0o600))
			must(t, os.WriteFile(filepath.Join(dir, lockFile), nil, 0o600))
			for folder, from := range map[string]string{chainDir: state.chain, newChainDir: state.fresh, oldChainDir: state.old} {
				switch from {
				case "":
				case "half":
					must(t, os.Mkdir(filepath.Join(dir, folder), 0o700))
					must(t, os.WriteFile(filepath.Join(dir, folder, "000001.vlog"), []byte("half"), 0o600))
				default:
					must(t, os.CopyFS(filepath.Join(dir, folder), os.DirFS(filepath.Join(from, chainDir))))
				}
			}
			before := snapshot(t, dir)
			ro, err := Open(w.params, Options{Dir: dir, Lean: true, ReadOnly: true})
			if state.chain == "" {
				wantIs(t, "Open to read", err, ErrUnclean)
				sameFiles(t, before, snapshot(t, dir))
			} else {
				must(t, err)
				must(t, ro.Close())
			}
			s, err := Open(w.params, Options{Dir: dir, Index: true, Lean: true})
			must(t, err)
			must(t, agree(s, tip, true))
			hasBodies(t, s, tip, state.pruned)
			must(t, s.Close())
			for _, folder := range []string{newChainDir, oldChainDir} {
				if _, err := os.Stat(filepath.Join(dir, folder)); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s is still there", folder)
				}
			}
		})
	}
}

// Both stores mean the same by a pruned chain.
func TestPrunedMemory(t *testing.T) {
	w := newWorld(7)
	m := OpenMemory(w.params, true)
	tip := w.root
	for range 10 {
		tip = w.grow(tip, 1)
	}
	must(t, walk(m, w.root, tip))
	m.Prune(4)
	for range 2 {
		hasBodies(t, m, tip, 7)
		must(t, agree(m, tip, true))
		wantIs(t, "ResetCoins", m.ResetCoins(), ErrPruned)
		state, err := m.Load()
		must(t, err)
		if state.Pruned != 7 || state.Height != 10 {
			t.Errorf("it says %d, %d", state.Pruned, state.Height)
		}
		must(t, m.Close())
		m = m.Crash()
	}
}

// Turned on where blocks are gone that it would need, the index says so, and the store
// can be opened without it.
func TestIndexOfAPrunedChain(t *testing.T) {
	dir := t.TempDir()
	w, tip, _ := tall(t, dir, MinKeep+5)
	s, err := Open(w.params, Options{Dir: dir, Lean: true})
	must(t, err)
	wr := s.kv.writer()
	wr.del(metaKey(metaIndex)) // as if it had never been on
	must(t, wr.commit())
	must(t, s.Close())
	_, err = prune(w, dir, MinKeep)
	must(t, err)
	refused(t, w.params, Options{Dir: dir, Lean: true, Index: true}, ErrPruned, "the index", "below height 6")
	s, err = Open(w.params, Options{Dir: dir, Lean: true})
	must(t, err)
	must(t, agree(s, tip, false))
	must(t, s.Close())
}

// DiskUsage counts what was put, and each kind by itself.
func TestDiskUsage(t *testing.T) {
	dir := t.TempDir()
	w, tip := built(t, dir)
	s, err := Open(w.params, Options{Dir: dir, Lean: true})
	must(t, err)
	defer func() { must(t, s.Close()) }()
	u, err := s.DiskUsage(t.Context())
	must(t, err)
	blocks := int64(tip.height) + 1
	if u.Bodies.Count != blocks || u.Undo.Count != blocks || u.Headers.Count != blocks || u.Coins.Count != int64(len(tip.coins)) || u.Index.Count == 0 {
		t.Errorf("it counts %+v", u)
	}
	bodies := int64(w.params.Genesis().Size())
	for _, n := range tip.chain() {
		bodies += int64(n.block.Size())
	}
	if over := u.Bodies.Bytes - bodies; over < blocks*(1+consensus.HashSize+sealSize) || over > blocks*100 {
		t.Errorf("%d bodies of %d bytes are said to take %d", blocks, bodies, u.Bodies.Bytes)
	}
	if each := u.Coins.Bytes / u.Coins.Count; each < 70 || each > 80 {
		t.Errorf("a coin takes %d bytes", each)
	}
	if u.Apparent < u.Bodies.Bytes || u.Allocated == 0 {
		t.Errorf("the folder has %d bytes, %d on disk", u.Apparent, u.Allocated)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.DiskUsage(ctx)
	wantIs(t, "DiskUsage", err, context.Canceled)
}

// A kill leaves the index behind by more blocks than are kept: a prune brings it to the
// tip first.
func TestPruneWithAnIndexBehind(t *testing.T) {
	w := newWorld(17)
	tip := w.root
	dir, killed := t.TempDir(), t.TempDir()
	s, err := Open(w.params, Options{Dir: dir, Index: true, Lean: true})
	must(t, err)
	for tip.height < 2*MinKeep-200 {
		tip = w.grow(tip, 1)
		must(t, s.PutBlock(tip.record(hasBody), tip.block))
		must(t, s.Connect(tip.record(connected), tip.height, tip.block, tip.delta))
	}
	must(t, s.Flush())
	if behind := len(s.unindexed.moves); behind <= MinKeep {
		t.Fatalf("the index is %d blocks behind", behind)
	}
	must(t, os.CopyFS(killed, os.DirFS(dir)))
	must(t, s.Close())
	if _, err := prune(w, killed, MinKeep); err != nil {
		t.Fatal(err)
	}
	s, err = Open(w.params, Options{Dir: killed, Index: true, Lean: true})
	must(t, err)
	must(t, agree(s, tip, true))
	must(t, s.Close())
}

// On a pruned chain a damaged index costs no coins: those could not be made anew.
func TestDamagedIndexOfAPrunedChain(t *testing.T) {
	dir := t.TempDir()
	w, tip, _ := tall(t, dir, MinKeep+20)
	if _, err := prune(w, dir, MinKeep); err != nil {
		t.Fatal(err)
	}
	s, err := Open(w.params, Options{Dir: dir, Lean: true})
	must(t, err)
	writer := s.kv.writer()
	writer.put(metaKey(metaIndex), []byte("damaged"))
	must(t, writer.commit())
	must(t, s.Close())
	for range 2 {
		_, err = Open(w.params, Options{Dir: dir, Index: true, Lean: true})
		wantIs(t, "Open with the index", err, ErrPruned)
	}
	s, err = Open(w.params, Options{Dir: dir, Lean: true})
	must(t, err)
	must(t, agree(s, tip, false))
	must(t, s.Close())
}
