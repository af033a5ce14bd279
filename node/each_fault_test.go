package node_test

import (
	"errors"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/storage"
)

// plot is what happens to a node whose disk fails on the way: two
// reorganisations, the second of which walks back, an operator's hand, coins
// that are built anew, and what the disk is told between them.
//
//	a1 - a2 - a3 - a4
//	      \ - b3 - b4 - b5 - b6 - b7
//	                     \ - c6* - c7 - c8
type plot struct{ *grove }

func newPlot(t testing.TB) *plot {
	g := plant(t, 5)
	for _, step := range []string{"genesis a1", "a1 a2", "a2 a3", "a3 a4", "a2 b3", "b3 b4", "b4 b5", "b5 b6", "b6 b7"} {
		parent, name, _ := strings.Cut(step, " ")
		g.mine(parent, name)
	}
	g.Chain.Mine("b5", "c6", chaintest.Claim(1))
	g.Grow("c6 - c7 - c8")
	return &plot{g}
}

// scene is one call to the node.
type scene struct {
	name     string
	operator bool // by its operator
	do       func(n *node.Node, now time.Time) error
}

// scenes are what is asked of the node, one call after the other.
func (p *plot) scenes(s storage.Store) (scenes []scene) {
	add := func(name string, do func(n *node.Node, now time.Time) error) {
		scenes = append(scenes, scene{name, false, do})
	}
	operator := func(name string, do func(n *node.Node, now time.Time) error) {
		scenes = append(scenes, scene{name, true, do})
	}
	headers := func(from p2p.PeerID, names ...string) {
		m := &p2p.Headers{}
		for _, name := range names {
			m.Headers = append(m.Headers, p.Block(name).Header)
		}
		add("headers", func(n *node.Node, now time.Time) error {
			_, err := n.Receive(now, from, m, false)
			return err
		})
	}
	bodies := func(from p2p.PeerID, names ...string) {
		for _, name := range names {
			add("body of "+name, func(n *node.Node, now time.Time) error {
				_, err := n.Receive(now, from, &p2p.Block{Block: p.Block(name)}, false)
				return err
			})
		}
	}
	flush := func() { add("flush", func(*node.Node, time.Time) error { return s.Flush() }) }

	headers("friend", "a1", "a2", "a3", "a4")
	bodies("friend", "a1", "a2")
	flush()
	bodies("friend", "a3", "a4")
	headers("friend", "b3", "b4", "b5", "b6")
	bodies("friend", "b5", "b4", "b6", "b3")
	headers("foe", "c6", "c7", "c8")
	bodies("foe", "c8", "c7", "c6")
	flush()
	operator("invalidate b5", func(n *node.Node, now time.Time) error { return n.Invalidate(now, n.Lookup(p.Hash("b5"))) })
	operator("reconsider b5", func(n *node.Node, _ time.Time) error { return n.Reconsider(n.Lookup(p.Hash("b5"))) })
	operator("rebuild", func(n *node.Node, _ time.Time) error { return n.RebuildCoins() })
	headers("friend", "b7")
	bodies("friend", "b7")
	add("tick", func(n *node.Node, now time.Time) error { return n.Tick(now) })
	flush()
	return scenes
}

// play makes the calls, and walks to the best block after each, until one fails.
func (p *plot) play(r *node.Runner, scenes []scene) (failed scene, err error) {
	for _, s := range scenes {
		err := r.Do(func(n *node.Node, now time.Time) error {
			if err := s.do(n, now); err != nil {
				return err
			}
			return n.Advance(now, consensus.Verifier{Workers: 1})
		})
		if err != nil {
			return s, err
		}
	}
	return scene{}, nil
}

// disk is a store that can be opened again after its user ended.
type disk struct {
	storage.Store
	again func() storage.Store
}

// The k-th write fails, or the k-th read, for every k: the node returns that
// error, blames no block, and touches the disk no more. Opened again, the tip is
// one of those that were on disk before, with the coins that a naive count of its
// chain has; and from there the node comes to the best tip.
func TestEachFault(t *testing.T) {
	p := newPlot(t)
	memory := func(*testing.T) disk {
		m := storage.OpenMemory(p.Params, true)
		return disk{m, func() storage.Store { return m.Crash() }}
	}
	for _, test := range []struct {
		name string
		open func(*testing.T) disk
		step int // of k
		at   func(k int) dyingStore
	}{
		{"write refused", memory, 1, func(k int) dyingStore { return dyingStore{writes: k - 1} }},
		{"write done all the same", memory, 1, func(k int) dyingStore { return dyingStore{writes: k - 1, late: true} }},
		{"read", memory, 1, func(k int) dyingStore { return dyingStore{writes: math.MaxInt, reads: k} }},
		{"write refused, on disk", p.onDisk, 3, func(k int) dyingStore { return dyingStore{writes: k - 1} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			faults := 0
			for k := 1; ; k += test.step {
				d, s := test.open(t), test.at(k)
				s.Store = d.Store
				died := p.dies(t, &s, k)
				p.recovers(t, d.again(), &s, k, died)
				if !s.dead {
					break
				}
				faults++
			}
			t.Logf("%d faults", faults)
			if faults*test.step < 40 {
				t.Error("the plot is too short")
			}
		})
	}
}

// onDisk is stopped in order: a disk that refused one write may take the next,
// when the store is closed.
func (p *plot) onDisk(t *testing.T) disk {
	options := storage.Options{Dir: t.TempDir(), Index: true, Lean: true}
	open := func() *storage.Badger {
		s, err := storage.Open(p.Params, options)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	s := open()
	return disk{s, func() storage.Store {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return open()
	}}
}

// dies plays the plot on a store that fails, and returns the scene in which it
// did.
func (p *plot) dies(t *testing.T, s *dyingStore, k int) scene {
	w := newWorld(t, p.Params, 1, 0)
	n, err := w.tryReside(s)
	if err != nil {
		if !errors.Is(err, errKilled) {
			t.Fatalf("fault %d: New returned %v", k, err)
		}
		return scene{name: "start"}
	}
	w.greet(n, "friend")
	w.greet(n, "foe")
	r := node.NewRunner(n.Node, nil, consensus.Verifier{Workers: 1}, slog.New(slog.DiscardHandler))
	r.SetMockTime(w.Now)
	died, err := p.play(r, p.scenes(s))
	if !s.dead {
		if err != nil || n.Tip().Hash != p.Hash("b7") {
			t.Fatalf("without a fault the plot ends in %q with %v, on %s", died.name, err, p.Name(n.Tip().Hash))
		}
		return died
	}
	if !errors.Is(err, errKilled) || consensus.AsRuleError(err) != nil {
		t.Fatalf("fault %d, %s: got %v, want the disk's error and no rule", k, died.name, err)
	}
	called := false
	if again := r.Do(func(*node.Node, time.Time) error { called = true; return nil }); called || !errors.Is(again, errKilled) {
		t.Errorf("fault %d, %s: the node goes on: %v", k, died.name, again)
	}
	if s.after > 0 {
		t.Errorf("fault %d, %s: %d more writes", k, died.name, s.after)
	}
	return died
}

// recovers opens what the fault left.
func (p *plot) recovers(t *testing.T, s storage.Store, was *dyingStore, k int, died scene) {
	w := newWorld(t, p.Params, 2, 0)
	n := w.reside(s)
	if tip := n.Tip().Hash; tip != p.Params.GenesisHash() && !slices.Contains(was.tips, tip) {
		t.Errorf("fault %d, %s: the tip is %s, which it never was", k, died.name, p.Name(tip))
	}
	if err := p.coins(s); err != nil {
		t.Errorf("fault %d, %s: %v", k, died.name, err)
	}
	if died.operator { // the mark that was set by hand may be kept
		if b5 := n.Lookup(p.Hash("b5")); b5.Failed() {
			w.check(n.Reconsider(b5))
		}
	}
	p.onlyBadFail(t, n, k, died)
	w.greet(n, "friend")
	w.greet(n, "foe")
	for _, scene := range p.scenes(s) {
		if !scene.operator {
			w.check(scene.do(n.Node, w.Now))
		}
	}
	w.check(n.Advance(w.Now, consensus.Verifier{Workers: 1}))
	if got := p.Name(n.Tip().Hash); got != "b7" {
		t.Errorf("fault %d, %s: the tip is %s in the end", k, died.name, got)
	}
	if err := p.coins(s); err != nil {
		t.Errorf("fault %d, %s: in the end %v", k, died.name, err)
	}
	if c6 := n.Lookup(p.Hash("c6")); c6 == nil || !c6.Failed() {
		t.Errorf("fault %d, %s: c6 is not marked as failed in the end", k, died.name)
	}
	p.onlyBadFail(t, n, k, died)
}

func (p *plot) onlyBadFail(t *testing.T, n *resident, k int, died scene) {
	for _, name := range p.names {
		if b := n.Lookup(p.Hash(name)); b != nil && b.Failed() {
			t.Errorf("fault %d, %s: %s is marked as failed: %v", k, died.name, name, n.Failure(b.Hash))
		}
	}
}
