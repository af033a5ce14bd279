package node_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
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

// healing is a spoiled store in which what is written again is whole again.
type healing struct {
	spoiled
	recount func(found consensus.CoinSum) consensus.CoinSum // until they are made anew; nil: as it is
}

func (s *healing) Recount(ctx context.Context) (found, kept consensus.CoinSum, err error) {
	if found, kept, err = s.Store.Recount(ctx); s.recount != nil {
		found = s.recount(found)
	}
	return found, kept, err
}

func (s *healing) ResetCoins() error {
	s.recount = nil
	return s.Store.ResetCoins()
}

func (s *healing) Forget(hash consensus.Hash) error {
	delete(s.block, hash)
	return s.Store.Forget(hash)
}

func (s *healing) Connect(rec consensus.Record, height uint32, b *consensus.Block, d *consensus.Delta) error {
	delete(s.undo, rec.Hash)
	return s.Store.Connect(rec, height, b, d)
}

// damagedNode is a node's store with the chain of payments, in which some bodies and undo
// data cannot be read; and the world with a peer that has the whole chain.
func damagedNode(t *testing.T, bodies, undos []string) (*world, *chaintest.Chain, *healing) {
	c := payments(t)
	c.Grow("a103 - b104")
	w := newWorld(t, c.Params, 1, 2)
	for _, r := range w.Nodes {
		w.submit(r, c.Path("a105")...)
		w.submit(r, c.Block("b104"))
	}
	s := &healing{spoiled: spoiled{Store: w.Nodes[1].Store, block: map[consensus.Hash]error{}, undo: map[consensus.Hash]error{}}}
	for _, name := range bodies {
		s.block[c.Hash(name)] = storage.ErrDamaged
	}
	for _, name := range undos {
		s.undo[c.Hash(name)] = storage.ErrDamaged
	}
	w.Remove(w.Nodes[1])
	return w, c, s
}

// starts repairs a store and puts a node on it.
func (w *world) starts(s storage.Store) (*resident, node.Repaired) {
	w.t.Helper()
	repaired, err := node.Repair(w.t.(*testing.T).Context(), w.Params, s)
	w.check(err)
	r, err := w.tryReside(s, repaired.Lost...)
	w.check(err)
	w.check(r.Advance(w.Now, consensus.Verifier{Workers: 1}))
	return r, repaired
}

// whole makes sure that a node has what the peer has, coins and all.
func (w *world) whole(r *resident, c *chaintest.Chain, tip string) {
	w.t.Helper()
	w.standsAt(r, c, tip)
	if got, want := r.Store.Sum(), w.Nodes[0].Store.Sum(); got != want {
		w.t.Errorf("the coin sum is %v, want %v", got, want)
	}
	for _, block := range c.Path(tip) {
		hash := block.Hash()
		got, err := r.Store.Block(hash)
		if err != nil || !bytes.Equal(got.Bytes(), block.Bytes()) {
			w.t.Errorf("the body of %s: %v", c.Name(hash), err)
			continue
		}
		undo, err := r.Store.Undo(hash)
		want, _ := w.Nodes[0].Store.Undo(hash)
		if err != nil || !slices.Equal(undo.Spent, want.Spent) {
			w.t.Errorf("the undo data of %s: %v", c.Name(hash), err)
		}
		if index := r.Lookup(hash); !index.HasBody() || index.Lost() {
			w.t.Errorf("%s is still called lost", c.Name(hash))
		}
	}
	again, err := node.Repair(w.t.(*testing.T).Context(), w.Params, r.Store)
	if err != nil || len(again.Lost) > 0 || again.Aside > 0 || again.Rebuild {
		w.t.Errorf("there is more to be repaired: %+v, %v", again, err)
	}
}

// Bodies that are gone come again from a peer, and the tip stays where it is meanwhile.
func TestLostBodiesAreFetchedAgain(t *testing.T) {
	bodies := []string{"a102", "a105", "b104"}
	for n := range 40 {
		bodies = append(bodies, "a"+string([]byte{'1' + byte(n/10), '0' + byte(n%10)}))
	}
	w, c, s := damagedNode(t, bodies, nil)
	r, repaired := w.starts(s)
	if len(repaired.Lost) != 42 || repaired.Aside != 1 || repaired.Rebuild {
		t.Errorf("%d lost, %d aside, rebuild %v", len(repaired.Lost), repaired.Aside, repaired.Rebuild)
	}
	w.standsAt(r, c, "a105")

	// Whoever asks for one is told that it is not here.
	w.greet(r, "peer")
	_, err := r.Receive(w.Now, "peer", &p2p.GetBlocks{Hashes: []consensus.Hash{c.Hash("a102"), c.Hash("a101")}}, false)
	w.check(err)
	w.Now = w.Now.Add(11 * time.Second) // it might come
	w.check(r.Tick(w.Now))
	var sent []string
	for _, out := range r.Outbox() {
		switch m := out.Msg.(type) {
		case *p2p.Block:
			sent = append(sent, c.Name(m.Block.Hash()))
		case *p2p.NotFound:
			sent = append(sent, "not "+c.Name(m.Hashes[0]))
		}
	}
	if got := strings.Join(sent, ", "); got != "a101, not a102" {
		t.Errorf("sent: %s", got)
	}
	r.Disconnected(w.Now, "peer")

	w.Start(r)
	w.link(r, w.Nodes[0])
	w.until(time.Minute, "all bodies are back", func() bool {
		w.standsAt(r, c, "a105")
		return !slices.ContainsFunc(repaired.Lost, func(h consensus.Hash) bool { return r.Lookup(h).Lost() })
	})
	w.whole(r, c, "a105")
	if r.Lookup(c.Hash("b104")).HasBody() {
		t.Error("a body aside is said to be there")
	}
}

// Undo data, coins and what records know are made anew from the blocks; where bodies are
// gone as well, the blocks come from a peer.
func TestRepairFromBlocks(t *testing.T) {
	for name, test := range map[string]struct {
		bodies, undos []string
		spoil         func(*healing, *chaintest.Chain)
		alone         string // the tip before there is a peer
	}{
		"undo data":            {nil, []string{"a102"}, nil, "a105"},
		"undo data and a body": {[]string{"a60", "a104"}, []string{"a102"}, nil, "a59"},
		"a coin": {nil, nil, func(s *healing, c *chaintest.Chain) {
			op := consensus.OutPoint{TxID: c.Block("a104").Txs[0].TxID()}
			coins, err := s.Coins([]consensus.OutPoint{op})
			if err != nil || len(coins) != 1 {
				t.Fatal(coins, err)
			}
			s.recount = func(sum consensus.CoinSum) consensus.CoinSum {
				coin := coins[op]
				sum.Remove(op, &coin)
				return sum
			}
		}, "a105"},
		"a record": {nil, nil, func(s *healing, c *chaintest.Chain) {
			index := c.Index("a101")
			must(t, s.PutHeaders([]consensus.Record{{Header: index.Header, Hash: index.Hash, Flags: consensus.RecordHasBody, Seq: 1, TxCount: 3}}))
		}, "a105"},
	} {
		t.Run(name, func(t *testing.T) {
			w, c, s := damagedNode(t, test.bodies, test.undos)
			w.t = t
			if test.spoil != nil {
				test.spoil(s, c)
			}
			r, repaired := w.starts(s)
			if !repaired.Rebuild || len(repaired.Lost) > 0 || repaired.Aside != len(test.bodies) {
				t.Errorf("%+v", repaired)
			}
			w.standsAt(r, c, test.alone)
			w.Start(r)
			w.link(r, w.Nodes[0])
			w.until(time.Minute, "the tip is back", func() bool { return r.Tip().Hash == c.Hash("a105") })
			w.whole(r, c, "a105")
		})
	}
}

// A reorganisation that needs a lost body waits for it.
func TestReorganisationWaitsForALostBody(t *testing.T) {
	w, c, s := damagedNode(t, []string{"a104"}, nil)
	c.Grow("b104 - b105 - b106")
	r, _ := w.starts(s)
	for _, name := range []string{"b105", "b106"} {
		w.submit(r, c.Block(name))
	}
	w.standsAt(r, c, "a104")
	if r.Advancing() {
		t.Error("the node would try again and again")
	}
	w.submit(r, c.Block("a104")) // from whomever it comes
	w.standsAt(r, c, "b106")
	w.submit(w.Nodes[0], c.Path("b106")[104:]...)
	w.whole(r, c, "b106")
}

// A body on a real disk in which a byte flips: its reader is told, the next start knows,
// and in the one after that all is well.
func TestFlippedBodyIsRepaired(t *testing.T) {
	c := chaintest.New(t, consensus.Regtest())
	c.Grow("genesis - a1..a101")
	outputs := make([]chaintest.Output, 60)
	for i := range outputs {
		outputs[i] = chaintest.To("bob", chaintest.Coins/2)
	}
	c.Mine("a101", "big", chaintest.Txs(c.Pay(chaintest.From(c.Coinbase("a1")), outputs...)))
	c.Grow("big - a103")
	w := newWorld(t, c.Params, 1, 1)
	w.submit(w.Nodes[0], c.Path("a103")...)

	dir := t.TempDir()
	open := func(suspect bool) (*storage.Badger, *resident) {
		s, err := storage.Open(c.Params, storage.Options{Dir: dir, Index: true, Lean: true})
		must(t, err)
		state, err := s.Load()
		must(t, err)
		if state.Suspect != suspect {
			t.Fatalf("suspect: %v", state.Suspect)
		}
		r, _ := w.starts(s)
		return s, r
	}
	s, r := open(false)
	w.submit(r, c.Path("a103")...)
	must(t, s.Close())

	logs, err := filepath.Glob(filepath.Join(dir, "chain", "*.vlog"))
	must(t, err)
	flipped := false
	for _, path := range logs {
		data, err := os.ReadFile(path)
		must(t, err)
		if at := bytes.Index(data, c.Block("big").Bytes()); at >= 0 {
			data[at+500] ^= 4
			must(t, os.WriteFile(path, data, 0o600))
			flipped = true
		}
	}
	if !flipped {
		t.Fatal("the body is in no value log")
	}
	s, err = storage.Open(c.Params, storage.Options{Dir: dir, Index: true, Lean: true})
	must(t, err)
	if _, err := s.Block(c.Hash("big")); !errors.Is(err, storage.ErrDamaged) {
		t.Fatalf("got %v", err)
	}
	must(t, s.Close())

	s, r = open(true)
	w.standsAt(r, c, "a103")
	w.Start(r)
	w.link(r, w.Nodes[0])
	w.until(time.Minute, "the body is back", func() bool { return !r.Lookup(c.Hash("big")).Lost() })
	w.Remove(r)
	must(t, s.Close())
	s, r = open(true) // it looks once more
	w.whole(r, c, "a103")
	must(t, s.Close())
	s, _ = open(false)
	must(t, s.Close())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
