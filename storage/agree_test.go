package storage

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"pgregory.net/rapid"

	"github.com/kapok-chain/kapok/consensus"
)

// tinySubject is a store on a database that stays open: what a kill takes away
// is all that the store had in memory.
func tinySubject(t failer, p *consensus.Params, db *badger.DB, cache int) subject {
	s, _, err := openDying(p, db, 0, cache)
	must(t, err)
	return subject{tiny{s}, func(t failer) subject { return tinySubject(t, p, db, cache) }}
}

// tiny closes the store and leaves the database open.
type tiny struct{ *Badger }

func (s tiny) Close() error { return s.finish() }

// noted is a store beside which somebody notes, naively, what it was given. The
// coins are noted by the test's nodes.
type noted struct {
	subject
	at      *node
	clean   bool
	records map[consensus.Hash]consensus.Record
	bodies  map[consensus.Hash]*node
	undos   map[consensus.Hash]*node
	steps   int
}

// Sync is called after each step, and does its work after every third.
func (s *noted) Sync() error {
	if s.steps++; s.steps%3 != 0 {
		return nil
	}
	return s.subject.Sync()
}

func (s *noted) PutHeaders(records []consensus.Record) error {
	for _, r := range records {
		s.records[r.Hash] = r
	}
	return s.Store.PutHeaders(records)
}

// walk goes to a node as walk does, block by block.
func (s *noted) walk(to *node) error {
	for !slices.Contains(to.chain(), s.at) && s.at.parent != nil {
		rec := s.at.parent.record(connected)
		rec.Seq += 1000 // what the tree says by now
		s.records[rec.Hash] = rec
		if err := s.Disconnect(rec, s.at.height, s.at.block, s.at.revert()); err != nil {
			return err
		}
		s.at = s.at.parent
	}
	for _, n := range to.chain()[s.at.height:] {
		s.records[n.hash], s.bodies[n.hash], s.undos[n.hash] = n.record(connected), n, n
		if err := attach(s, n); err != nil {
			return err
		}
		s.at = n
	}
	return nil
}

// put stores bodies that are not connected, and the headers of their ancestors.
func (s *noted) put(nodes []*node) error {
	for _, n := range nodes {
		if err := s.headers(n, 0); err != nil {
			return err
		}
		s.records[n.hash], s.bodies[n.hash] = n.record(hasBody), n
		if err := s.PutBlock(n.record(hasBody), n.block); err != nil {
			return err
		}
	}
	return s.Sync()
}

// headers stores the records of a node and of its ancestors, with these flags
// where there are none yet.
func (s *noted) headers(n *node, flags consensus.RecordFlags) error {
	var records []consensus.Record
	for _, a := range n.chain() {
		if _, known := s.records[a.hash]; !known || a == n {
			records = append(records, a.record(flags))
		}
	}
	slices.Reverse(records) // their order means nothing
	return s.PutHeaders(records)
}

// misfit connects and disconnects what does not fit the tip, which is refused.
func (s *noted) misfit(n *node) error {
	if n.parent != nil && n.parent != s.at {
		if err := s.Connect(n.record(connected), n.height, n.block, n.delta); err == nil || consensus.AsRuleError(err) != nil {
			return fmt.Errorf("connected %v, which is no child of the tip: %w", n.hash, err)
		}
	}
	if n.parent != nil && n != s.at {
		if err := detach(s, n); err == nil || consensus.AsRuleError(err) != nil {
			return fmt.Errorf("disconnected %v, which is not the tip: %w", n.hash, err)
		}
	}
	return nil
}

// restart takes the process away, after closing the store or without.
func (s *noted) restart(t failer, stop bool, nodes []*node) error {
	if stop {
		if err := s.Close(); err != nil {
			return err
		}
	}
	if err := s.subject.Sync(); err != nil && !stop { // what the model expects after a kill
		return err
	}
	before := s.at
	s.subject = s.again(t)
	s.at, s.clean = find(t, nodes, s.Tip()), stop
	if stop && s.at != before {
		return errors.New("the tip moved over a restart")
	}
	return nil
}

func find(t failer, nodes []*node, hash consensus.Hash) *node {
	t.Helper()
	i := slices.IndexFunc(nodes, func(n *node) bool { return n.hash == hash })
	if i < 0 {
		t.Fatalf("the tip %v is no block of ours", hash)
	}
	return nodes[i]
}

// agree compares all that the store says with the notes.
func (s *noted) agree(nodes []*node) error {
	if err := agree(s, s.at, true); err != nil {
		return err
	}
	state, err := s.Load()
	if err != nil || state.Tip != s.at.hash || state.Sum != s.at.sum() || state.Clean != s.clean {
		return fmt.Errorf("loaded tip %v, sum %v, clean %v, want %v, %v, %v: %w", state.Tip, state.Sum, state.Clean, s.at.hash, s.at.sum(), s.clean, err)
	}
	known := map[consensus.Hash]bool{nodes[0].hash: true}
	for _, r := range state.Records {
		if r != s.records[r.Hash] || !known[r.Header.Prev] || known[r.Hash] {
			return fmt.Errorf("record %+v, want %+v, once and after its parent's", r, s.records[r.Hash])
		}
		known[r.Hash] = true
	}
	for hash := range s.records {
		if !known[hash] {
			return fmt.Errorf("the record of %v is gone", hash)
		}
	}
	for _, n := range nodes {
		if err := s.agreeOn(n); err != nil {
			return fmt.Errorf("block %v at height %d: %w", n.hash, n.height, err)
		}
	}
	return nil
}

// agreeOn compares what the store says of one block.
func (s *noted) agreeOn(n *node) error {
	block, err := s.Block(n.hash)
	raw, rawErr := s.RawBlock(n.hash)
	switch stored := s.bodies[n.hash]; {
	case stored == nil && n.parent != nil:
		if !errors.Is(err, ErrNotFound) || !errors.Is(rawErr, ErrNotFound) {
			return fmt.Errorf("its body was never put: %w, %w", err, rawErr)
		}
	case err != nil || rawErr != nil || block.Hash() != n.hash || !bytes.Equal(raw, n.block.Bytes()):
		return fmt.Errorf("its body is another one: %w, %w", err, rawErr)
	}
	undo, err := s.Undo(n.hash)
	switch s.undos[n.hash] {
	case nil:
		if n.parent != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("it was never connected, and has undo data: %w", err)
		}
	default:
		if err != nil || !slices.Equal(undo.Spent, n.delta.Undo.Spent) {
			return fmt.Errorf("other undo data: %w", err)
		}
	}
	if active := s.at.height >= n.height && slices.Contains(s.at.chain(), n); active || n.parent == nil {
		return nil // agreeIndex finds its transactions
	}
	for _, tx := range n.block.Txs {
		if _, _, err := s.TxLocation(tx.TxID()); !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("it is not active, and its transaction is found: %w", err)
		}
	}
	return nil
}

// sameHistory asks two stores that stand at one block for a part of a history.
func sameHistory(a, b *noted, key [consensus.KeySize]byte, after Cursor, limit int) error {
	if a.at != b.at {
		return nil
	}
	one, err1 := a.History(key, after, limit)
	two, err2 := b.History(key, after, limit)
	if err1 != nil || err2 != nil || !slices.Equal(one, two) {
		return fmt.Errorf("after %+v, %d entries at the most: %v and %v (%w, %w)", after, limit, one, two, err1, err2)
	}
	return nil
}

// Memory and Badger say the same, and what a naive note says, after every step
// of a random walk over a tree of blocks, with headers and bodies that are not
// connected, moves that do not fit, flushes, resets, kills and restarts.
func TestAgree(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		db := openTiny(t)
		defer func() { must(rt, db.Close()) }()
		w := newWorld(rapid.Uint64().Draw(rt, "seed"))
		cache := rapid.SampledFrom([]int{1, 5 * cachedCoinSize, 0}).Draw(rt, "cache")
		var stores []*noted
		for _, s := range []subject{memorySubject(OpenMemory(w.params, true)), tinySubject(rt, w.params, db, cache)} {
			stores = append(stores, &noted{
				subject: s, at: w.root, clean: true, records: map[consensus.Hash]consensus.Record{},
				bodies: map[consensus.Hash]*node{}, undos: map[consensus.Hash]*node{},
			})
		}
		nodes := []*node{w.root}
		grow := func() *node {
			to := rapid.SampledFrom(nodes).Draw(rt, "to")
			for range rapid.IntRange(0, 3).Draw(rt, "more") {
				to = w.grow(to, rapid.IntRange(0, 6).Draw(rt, "txs"))
				nodes = append(nodes, to)
			}
			return to
		}
		for range rapid.IntRange(1, 8).Draw(rt, "steps") {
			what := rapid.SampledFrom([]string{"walk", "walk", "walk", "headers", "bodies", "misfit", "flush", "reset", "kill", "stop"}).Draw(rt, "step")
			to := w.root
			if what == "walk" || what == "headers" || what == "bodies" || what == "misfit" {
				to = grow()
			}
			flags := rapid.SampledFrom([]consensus.RecordFlags{0, consensus.RecordFailed}).Draw(rt, "flags") // the others promise what was put
			for i, s := range stores {
				step := map[string]func() error{
					"walk":    func() error { return s.walk(to) },
					"headers": func() error { return s.headers(to, flags) },
					"bodies":  func() error { return s.put(to.chain()) },
					"misfit":  func() error { return s.misfit(to) },
					"flush":   s.Flush,
					"reset":   func() error { s.at = w.root; return s.ResetCoins() },
					"kill":    func() error { return s.restart(rt, false, nodes) },
					"stop":    func() error { return s.restart(rt, true, nodes) },
				}[what]
				if err := step(); err != nil {
					rt.Fatalf("%s, store %d: %v", what, i, err)
				}
				if err := s.agree(nodes); err != nil {
					rt.Fatalf("after %s, store %d: %v", what, i, err)
				}
			}
			key := testKey(rapid.IntRange(0, testKeys-1).Draw(rt, "key"))
			after := Cursor{
				Height: rapid.Uint32Range(0, 8).Draw(rt, "height"), TxPos: rapid.Uint32Range(0, 5).Draw(rt, "position"),
				Output: rapid.Bool().Draw(rt, "output"), N: rapid.Uint32Range(0, 3).Draw(rt, "number"),
			}
			if err := sameHistory(stores[0], stores[1], key, after, rapid.IntRange(0, 5).Draw(rt, "limit")); err != nil {
				rt.Fatalf("after %s: %v", what, err)
			}
		}
	})
}
