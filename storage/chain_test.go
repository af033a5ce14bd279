package storage

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"pgregory.net/rapid"

	"github.com/kapok-chain/kapok/consensus"
)

// Stores judge nothing, so that the tests' blocks need neither proof of work
// nor signatures: only hashes, merkle roots and coins that add up.

// world makes blocks and knows, naively, what each does to the coins.
type world struct {
	params *consensus.Params
	rng    *rand.Rand
	root   *node
	made   uint64
}

// node is a block with the coins of its chain, after it.
type node struct {
	parent *node
	height uint32
	hash   consensus.Hash
	block  *consensus.Block
	delta  *consensus.Delta
	coins  map[consensus.OutPoint]consensus.Coin
}

func newWorld(seed uint64) *world {
	p := consensus.Regtest()
	root := &node{hash: p.GenesisHash(), block: p.Genesis(), delta: &consensus.Delta{}, coins: map[consensus.OutPoint]consensus.Coin{}}
	return &world{params: p, rng: rand.New(rand.NewPCG(seed, 1)), root: root}
}

// testKey is one of a few keys, so that histories grow.
func testKey(n int) (key [consensus.KeySize]byte) {
	key[0], key[31] = byte(n), 0xee
	return key
}

const testKeys = 5

func (w *world) output(value int64) consensus.TxOut {
	return consensus.TxOut{Value: value, Script: consensus.PayToKey(testKey(w.rng.IntN(testKeys)))}
}

// grow puts a block with up to txs payments on a parent. Some spend what the
// same block creates.
func (w *world) grow(parent *node, txs int) *node {
	w.made++
	coinbase := &consensus.Tx{Version: 2, Inputs: []consensus.TxIn{{
		PrevOut:   consensus.OutPoint{Index: 0xffffffff},
		ScriptSig: binary.BigEndian.AppendUint64([]byte{8}, w.made),
		Witness:   [][]byte{make([]byte, 32)},
	}}}
	coinbase.Outputs = []consensus.TxOut{w.output(50e8), {Script: []byte{0x6a, 0x01, 0x07}}}
	all := []*consensus.Tx{coinbase}
	free := parent.outpoints()
	for range txs {
		if len(free) == 0 {
			break
		}
		tx := &consensus.Tx{Version: 2}
		for range 1 + w.rng.IntN(2) {
			if len(free) == 0 {
				break
			}
			i := w.rng.IntN(len(free))
			tx.Inputs = append(tx.Inputs, consensus.TxIn{PrevOut: free[i], Witness: [][]byte{make([]byte, 64)}})
			free = slices.Delete(free, i, i+1)
		}
		for range 1 + w.rng.IntN(3) {
			tx.Outputs = append(tx.Outputs, w.output(1+w.rng.Int64N(1e8)))
		}
		all = append(all, tx)
		for n := range tx.Outputs {
			free = append(free, consensus.OutPoint{TxID: tx.TxID(), Index: uint32(n)})
		}
	}
	return w.put(parent, all)
}

// outpoints lists the node's coins in a fixed order.
func (n *node) outpoints() []consensus.OutPoint {
	return slices.SortedFunc(maps.Keys(n.coins), func(a, b consensus.OutPoint) int {
		return cmp.Or(bytes.Compare(a.TxID[:], b.TxID[:]), cmp.Compare(a.Index, b.Index))
	})
}

// fan puts a block on a parent whose coinbase has many outputs; a second
// transaction spends as many coins of the parent as it is told to.
func (w *world) fan(parent *node, outputs, inputs int) *node {
	txs := w.grow(parent, 0).block.Txs
	for range outputs {
		txs[0].Outputs = append(txs[0].Outputs, w.output(1))
	}
	if inputs > 0 {
		tx := &consensus.Tx{Version: 2, Outputs: []consensus.TxOut{w.output(1)}}
		for _, op := range parent.outpoints()[:inputs] {
			tx.Inputs = append(tx.Inputs, consensus.TxIn{PrevOut: op, Witness: [][]byte{make([]byte, 64)}})
		}
		txs = append(txs, tx)
	}
	return w.put(parent, txs)
}

// put makes a block of transactions on a parent.
func (w *world) put(parent *node, txs []*consensus.Tx) *node {
	n := &node{parent: parent, height: parent.height + 1, coins: maps.Clone(parent.coins)}
	ids := make([]consensus.Hash, len(txs))
	d := new(consensus.Delta)
	created := map[consensus.OutPoint]consensus.Coin{}
	for i, tx := range txs {
		ids[i] = tx.TxID()
		if i > 0 {
			for _, in := range tx.Inputs {
				coin, ok := n.coins[in.PrevOut]
				if !ok {
					panic("the test spends what is not there")
				}
				d.Undo.Spent = append(d.Undo.Spent, coin)
				if _, own := created[in.PrevOut]; own {
					delete(created, in.PrevOut)
				} else {
					d.Spent = append(d.Spent, consensus.CoinEntry{OutPoint: in.PrevOut, Coin: coin})
				}
				delete(n.coins, in.PrevOut)
			}
		}
		for j, out := range tx.Outputs {
			if key, ok := consensus.OutputKey(out.Script); ok {
				op := consensus.OutPoint{TxID: ids[i], Index: uint32(j)}
				coin := consensus.Coin{Value: out.Value, Key: key, Height: n.height, Coinbase: i == 0}
				created[op], n.coins[op] = coin, coin
			}
		}
	}
	for op, coin := range created {
		d.Created = append(d.Created, consensus.CoinEntry{OutPoint: op, Coin: coin})
	}
	root, _ := consensus.MerkleRoot(ids)
	n.block = &consensus.Block{Header: consensus.Header{Version: 0x20000000, Prev: parent.hash, MerkleRoot: root, Time: n.height}, Txs: txs}
	n.hash, n.delta = n.block.Hash(), d
	return n
}

func (n *node) record(flags consensus.RecordFlags) consensus.Record {
	return consensus.Record{Header: n.block.Header, Hash: n.hash, Flags: flags, Seq: uint64(n.height), TxCount: uint32(len(n.block.Txs))}
}

const (
	hasBody   = consensus.RecordHasBody
	connected = consensus.RecordHasBody | consensus.RecordConnected
)

// revert is what consensus.RevertBlock returns for the node's block.
func (n *node) revert() *consensus.Delta {
	return &consensus.Delta{Spent: n.delta.Created, Created: n.delta.Spent}
}

func (n *node) sum() (s consensus.CoinSum) {
	for op, coin := range n.coins {
		s.Add(op, &coin)
	}
	return s
}

// chain lists the nodes from the child of genesis to n.
func (n *node) chain() (list []*node) {
	for ; n.parent != nil; n = n.parent {
		list = append(list, n)
	}
	slices.Reverse(list)
	return list
}

// attach stores and connects a node's block.
func attach(s Store, n *node) error {
	if err := s.PutBlock(n.record(hasBody), n.block); err != nil {
		return err
	}
	if err := s.Connect(n.record(connected), n.height, n.block, n.delta); err != nil {
		return err
	}
	return s.Sync()
}

func detach(s Store, n *node) error {
	if err := s.Disconnect(n.parent.record(connected), n.height, n.block, n.revert()); err != nil {
		return err
	}
	return s.Sync()
}

// walk moves a store from one node to another, as a node's advance does.
func walk(s Store, from, to *node) error {
	var up []*node
	for from != to {
		if from.height >= to.height {
			if err := detach(s, from); err != nil {
				return err
			}
			from = from.parent
			continue
		}
		up, to = append(up, to), to.parent
	}
	for _, n := range slices.Backward(up) {
		if err := attach(s, n); err != nil {
			return err
		}
	}
	return nil
}

// agree compares everything that a store says about its tip with a node. The
// histories are told from the blocks, by code of the test's own.
func agree(s Store, n *node, index bool) error {
	if s.Tip() != n.hash {
		return fmt.Errorf("the tip is %v, not %v", s.Tip(), n.hash)
	}
	if s.Sum() != n.sum() {
		return fmt.Errorf("the sum is %v, not %v", s.Sum(), n.sum())
	}
	found, kept, err := s.Recount(context.Background())
	if err != nil || found != kept || kept != n.sum() {
		return fmt.Errorf("recounted %v, kept %v, want %v: %w", found, kept, n.sum(), err)
	}
	all := map[consensus.OutPoint]consensus.Coin{}
	err = s.ForEachCoin(func(op consensus.OutPoint, c consensus.Coin) error {
		if _, twice := all[op]; twice {
			return fmt.Errorf("coin %v twice", op)
		}
		all[op] = c
		return nil
	})
	if err != nil || !maps.Equal(all, n.coins) {
		return fmt.Errorf("%d coins, want %d: %w", len(all), len(n.coins), err)
	}
	asked := slices.Collect(maps.Keys(n.coins))
	for _, b := range n.chain() { // and all that were spent
		for _, tx := range b.block.Txs[1:] {
			asked = append(asked, tx.Inputs[0].PrevOut)
		}
	}
	if got, err := s.Coins(asked); err != nil || !maps.Equal(got, n.coins) {
		return fmt.Errorf("asked for %d coins, got %d of %d: %w", len(asked), len(got), len(n.coins), err)
	}
	if !index {
		return nil
	}
	return agreeIndex(s, n)
}

func agreeIndex(s Store, n *node) error {
	want := map[[consensus.KeySize]byte][]HistoryEntry{}
	for _, b := range append([]*node{}, n.chain()...) {
		undo := b.delta.Undo.Spent
		for pos, tx := range b.block.Txs {
			id := tx.TxID()
			block, at, err := s.TxLocation(id)
			if err != nil || block != b.hash || at != pos {
				return fmt.Errorf("transaction %v is at %v:%d, not %v:%d: %w", id, block, at, b.hash, pos, err)
			}
			for i, in := range tx.Inputs {
				if pos == 0 {
					continue
				}
				want[undo[0].Key] = append(want[undo[0].Key], HistoryEntry{b.height, uint32(pos), uint32(i), id, true, in.PrevOut, undo[0].Value, undo[0].Coinbase})
				undo = undo[1:]
			}
			for i, out := range tx.Outputs {
				if key, ok := consensus.OutputKey(out.Script); ok {
					want[key] = append(want[key], HistoryEntry{b.height, uint32(pos), uint32(i), id, false, consensus.OutPoint{TxID: id, Index: uint32(i)}, out.Value, pos == 0})
				}
			}
		}
	}
	page := 7 // small, so that cursors are tried
	if len(n.coins) > 1000 {
		page = MaxHistory
	}
	for k := range testKeys {
		var got []HistoryEntry
		for after := (Cursor{}); ; {
			list, err := s.History(testKey(k), after, page)
			if err != nil {
				return err
			}
			if got = append(got, list...); len(list) < page {
				break
			}
			after = list[len(list)-1].Cursor()
		}
		if !slices.Equal(got, want[testKey(k)]) {
			return fmt.Errorf("history of key %d: %d entries, want %d:\n got %.999v\nwant %.999v", k, len(got), len(want[testKey(k)]), got, want[testKey(k)])
		}
	}
	return nil
}

// failer is what tests and the runs of a rapid.Check have in common.
type failer interface {
	rapid.TB
	Cleanup(func())
}

func must(t failer, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
