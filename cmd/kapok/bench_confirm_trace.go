package main

import (
	"context"
	"fmt"
	"time"

	"github.com/kapok-chain/kapok/rpc"
)

// confirmDepths are the confirmations whose delays are reported.
var confirmDepths = [...]uint32{1, 3, 6}

// confirmTrace is all that happened: which node had which block and which
// payment when, and what became of the payments' calls. It is only written down
// while it happens; follow makes sense of it, so that a reorganisation needs no
// care until it is over.
type confirmTrace struct {
	tips     []tipEvent              // by node
	blocks   map[string]*tracedBlock // by hash
	inPool   map[string][]time.Time  // txid -> when each node's mempool took it
	payments []outcome
	mining   miningEvent
	miningAt time.Time
}

// tracedBlock is a block that was a tip somewhere.
type tracedBlock struct {
	hash   string
	height uint32
	seen   []time.Time // by node: when it became the tip; zero: never
	parent string      // "" until node 1 has told
	txids  []string
}

func newConfirmTrace(nodes int) *confirmTrace {
	return &confirmTrace{tips: make([]tipEvent, nodes), blocks: make(map[string]*tracedBlock), inPool: make(map[string][]time.Time)}
}

// lowestTip is the height that every node has reached.
func (t *confirmTrace) lowestTip() uint32 {
	lowest := t.tips[0].Height
	for _, tip := range t.tips {
		lowest = min(lowest, tip.Height)
	}
	return lowest
}

// take writes down an event. What is in a block it asks of node 1, once that
// has it.
func (t *confirmTrace) take(ctx context.Context, first *rpc.Client, s sighting) error {
	i := s.node - 1
	switch e := s.event; {
	case e.Tip != nil:
		t.tips[i] = *e.Tip
		if b := t.block(e.Tip.Hash, e.Tip.Height); b.seen[i].IsZero() {
			b.seen[i] = e.Time()
		}
		if i == 0 {
			return t.learn(ctx, first, e.Tip.Hash)
		}
	case e.Tx != nil:
		at := t.inPool[e.Tx.TxID]
		if at == nil {
			at = make([]time.Time, len(t.tips))
			t.inPool[e.Tx.TxID] = at
		}
		if at[i].IsZero() { // it may come again, after a reorganisation
			at[i] = e.Time()
		}
	case e.Mining != nil:
		t.mining, t.miningAt = *e.Mining, e.Time()
	}
	return nil
}

// block returns the record of a block.
func (t *confirmTrace) block(hash string, height uint32) *tracedBlock {
	b := t.blocks[hash]
	if b == nil {
		b = &tracedBlock{hash: hash, height: height, seen: make([]time.Time, len(t.tips))}
		t.blocks[hash] = b
	}
	return b
}

// learn asks what is in a block, and in those below it that are not known yet.
func (t *confirmTrace) learn(ctx context.Context, client *rpc.Client, hash string) error {
	for {
		var got struct {
			Height   uint32   `json:"height"`
			Previous string   `json:"previousblockhash"`
			TxIDs    []string `json:"tx"`
		}
		if err := client.Call(ctx, "getblock", &got, hash, 1); err != nil {
			return fmt.Errorf("asking node 1 for block %s: %w", hash, err)
		}
		b := t.block(hash, got.Height)
		b.parent, b.txids = got.Previous, got.TxIDs
		if got.Height <= 1 || t.blocks[got.Previous] != nil && t.blocks[got.Previous].parent != "" {
			return nil
		}
		hash = got.Previous
	}
}

// chain is node 1's chain: the block at height h is chain[h], and chain[0] nil.
func (t *confirmTrace) chain() []*tracedBlock {
	b := t.blocks[t.tips[0].Hash]
	if b == nil {
		return nil
	}
	chain := make([]*tracedBlock, b.height+1)
	for ; b != nil && b.height > 0; b = t.blocks[b.parent] {
		chain[b.height] = b
	}
	return chain
}

// confirmedEverywhere reports whether the purses' coins are in a block of node
// 1's chain that every node has built on or stands at.
func (t *confirmTrace) confirmedEverywhere(purses []*purse) bool {
	chain := t.chain()
	places := placesOf(chain)
	for _, p := range purses {
		height := places[p.from.TxID().String()]
		if height == 0 || height > t.lowestTip() {
			return false
		}
	}
	return true
}

// placesOf maps the transactions of a chain to their heights.
func placesOf(chain []*tracedBlock) map[string]uint32 {
	places := make(map[string]uint32)
	for _, b := range chain {
		if b != nil {
			for _, txid := range b.txids {
				places[txid] = b.height
			}
		}
	}
	return places
}

// followed is one payment from when it was due. Zero times have not come.
type followed struct {
	outcome
	accepted  time.Time                     // in the mempool of the node that it was sent to
	everyPool time.Time                     // in the last mempool
	block     uint32                        // height; 0: none
	inBlock   time.Time                     // the first node has that block
	confirmed [len(confirmDepths)]time.Time // on the last node
}

// span is from when to when, by node 1, the measured blocks were awaited.
type span struct{ from, to time.Time }

// follow returns the payments that were due while node 1 went from one height to
// the other, or as far as it came.
func (t *confirmTrace) follow(from, to uint32) ([]followed, span) {
	chain := t.chain()
	if int(from) >= len(chain) || from == 0 {
		return nil, span{}
	}
	places, reached := placesOf(chain), t.reached(chain)
	window := span{from: reached[0][from], to: reached[0][min(int(to), len(chain)-1)]}
	var list []followed
	for _, o := range t.payments {
		if o.due.Before(window.from) || !o.due.Before(window.to) {
			continue
		}
		f := followed{outcome: o, block: places[o.txid]}
		if at := t.inPool[o.txid]; at != nil {
			f.accepted = at[o.node]
			f.everyPool = allOf(at)
		}
		if f.block > 0 {
			f.inBlock = firstOf(chain[f.block].seen)
			for i, depth := range confirmDepths {
				if h := int(f.block + depth - 1); h < len(chain) {
					column := make([]time.Time, len(reached))
					for node := range reached {
						column[node] = reached[node][h]
					}
					f.confirmed[i] = allOf(column)
				}
			}
		}
		list = append(list, f)
	}
	return list, window
}

// reached returns, by node and height, when the node first had the chain's block
// of that height or one above it; a node that connects several blocks at once
// tells of the last one only.
func (t *confirmTrace) reached(chain []*tracedBlock) [][]time.Time {
	at := make([][]time.Time, len(t.tips))
	for node := range at {
		at[node] = make([]time.Time, len(chain))
		var earliest time.Time
		for h := len(chain) - 1; h >= 0; h-- {
			if b := chain[h]; b != nil && !b.seen[node].IsZero() && (earliest.IsZero() || b.seen[node].Before(earliest)) {
				earliest = b.seen[node]
			}
			at[node][h] = earliest
		}
	}
	return at
}

// stale counts the blocks above one height, up to another, that were somebody's
// tip and are not in node 1's chain.
func (t *confirmTrace) stale(from, to uint32) (n int) {
	chain := t.chain()
	for _, b := range t.blocks {
		if b.height > from && b.height <= to && int(b.height) < len(chain) && chain[b.height] != b {
			n++
		}
	}
	return n
}

// allOf is the latest of some times, or zero where one of them is.
func allOf(times []time.Time) (last time.Time) {
	for _, at := range times {
		if at.IsZero() {
			return time.Time{}
		}
		if at.After(last) {
			last = at
		}
	}
	return last
}

// firstOf is the earliest of some times that are not zero.
func firstOf(times []time.Time) (first time.Time) {
	for _, at := range times {
		if !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}
