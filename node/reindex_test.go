package node_test

import (
	"context"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/storage"
)

// openReindex opens a directory to be reindexed.
func openReindex(t *testing.T, c *chaintest.Chain, dir string, restart bool) (*storage.Badger, *node.Reindex) {
	t.Helper()
	s, err := storage.Open(c.Params, storage.Options{Dir: dir, Lean: true, Index: true, Reindex: true, Restart: restart})
	if err != nil {
		t.Fatal(err)
	}
	x, err := node.NewReindex(c.Params, s, consensus.Verifier{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	return s, x
}

// walk takes at most n steps and reports whether there are more.
func walk(t *testing.T, c *chaintest.Chain, x *node.Reindex, n int) (more bool) {
	t.Helper()
	more = true
	for ; more && n > 0; n-- {
		var err error
		if more, err = x.Step(t.Context(), c.Now()); err != nil {
			t.Fatal(err)
		}
	}
	return more
}

const toTheEnd = 1 << 20

// reindexed reindexes a directory, up to the named block.
func reindexed(t *testing.T, c *chaintest.Chain, dir, tip string) {
	t.Helper()
	s, x := openReindex(t, c, dir, false)
	walk(t, c, x, toTheEnd)
	if x.Tip().Hash != c.Hash(tip) || s.Tip() != c.Hash(tip) {
		t.Errorf("it ends at height %d, not at %s", x.Tip().Height, tip)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// kept is a directory of a chain, made by an ordinary node, and the coin sum.
func kept(t *testing.T, c *chaintest.Chain, tip string) (dir string, sum consensus.CoinSum) {
	t.Helper()
	dir = t.TempDir()
	s, err := storage.Open(c.Params, storage.Options{Dir: dir, Lean: true, Index: true})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, c.Params, 1, 0)
	r := w.add(s)
	w.submit(r, c.Path(tip)...)
	sum = s.Sum()
	w.check(s.Close())
	return dir, sum
}

// A reindex that ends early is gone on with, by the next one or by a node; one that is
// finished begins anew, and so does one that is told to.
func TestReindexGoesOn(t *testing.T) {
	needReadOnly(t)
	c := payments(t)
	dir, sum := kept(t, c, "a105")
	s, x := openReindex(t, c, dir, false)
	if x.From() != 0 || s.Resumed() {
		t.Errorf("it begins at %d, resumed %t", x.From(), s.Resumed())
	}
	if !walk(t, c, x, 60) {
		t.Fatal("it is over after 60 steps")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, x = openReindex(t, c, dir, false)
	if x.From() != 60 || !s.Resumed() {
		t.Errorf("the second begins at %d, resumed %t", x.From(), s.Resumed())
	}
	walk(t, c, x, 20)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, x = openReindex(t, c, dir, true)
	if x.From() != 0 || s.Resumed() {
		t.Errorf("told to restart, it begins at %d, resumed %t", x.From(), s.Resumed())
	}
	walk(t, c, x, 50)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	h := openHouse(t, c.Params, dir)
	h.reach(t, t.Context(), c, "a105")
	h.close(t)
	s, x = openReindex(t, c, dir, false)
	if x.From() != 0 {
		t.Errorf("after a node it begins at %d", x.From())
	}
	walk(t, c, x, toTheEnd)
	if s.Sum() != sum {
		t.Errorf("the coin sum is %v, not %v", s.Sum(), sum)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, x = openReindex(t, c, dir, false)
	if x.From() != 0 {
		t.Errorf("after a finished one it begins at %d", x.From())
	}
	walk(t, c, x, toTheEnd)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if codes, _ := verifyDir(t, c, dir); len(codes) > 0 {
		t.Errorf("found %v", codes)
	}
}

// A context that ends is heeded, and what was done stays.
func TestReindexIsInterrupted(t *testing.T) {
	c := payments(t)
	dir, _ := kept(t, c, "a105")
	s, x := openReindex(t, c, dir, false)
	walk(t, c, x, 3)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := x.Step(ctx, c.Now()); err != context.Canceled {
		t.Errorf("it says %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A body that the disk damaged is removed; the node gets it from a peer, and needs
// none of those after it.
func TestReindexOfADamagedBody(t *testing.T) {
	needReadOnly(t)
	c := wide(t)
	dir, sum := kept(t, c, "a108")
	spoil(t, dir, c.Block("a107").Txs[1].AppendStripped(nil)[100:200])
	s, x := openReindex(t, c, dir, false)
	walk(t, c, x, toTheEnd)
	if x.Tip().Hash != c.Hash("a106") || len(x.Dropped()) != 1 || x.Dropped()[0].Hash != c.Hash("a107") || len(x.Refused()) != 0 {
		t.Errorf("it ends at %d, %v dropped, %v refused", x.Tip().Height, x.Dropped(), x.Refused())
	}
	if x.BestHeader().Hash != c.Hash("a108") {
		t.Errorf("the best header is %v", x.BestHeader().Hash)
	}
	w := newWorld(t, c.Params, 1, 0)
	r := w.add(s)
	w.submit(r, c.Block("a107"))
	w.standsAt(r, c, "a108")
	if s.Sum() != sum {
		t.Errorf("the coin sum is %v, not %v", s.Sum(), sum)
	}
	w.check(s.Close())
}
