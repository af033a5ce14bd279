package testnet

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/testnet/record"
)

// recorder keeps what the nodes saw, and writes it down. Its methods may be called from
// any goroutine.
type recorder struct {
	began time.Time
	nodes int

	mu     sync.Mutex
	blocks map[consensus.Hash]*recorded
	order  []*recorded               // as they were first seen
	finds  map[consensus.Hash]finder // of blocks that no node has taken yet
	tips   []tipSighting             // by node
	up     []bool                    // by node: it runs
	news   chan struct{}             // closed, and replaced, when a tip moves or a block comes
	ledger *ledger
	over   error // why no more is taken in
}

// maxBlocks bounds what is kept, in blocks: as many as record.Open reads.
const maxBlocks = 1_000_000

// finder is who found a block, and when.
type finder struct {
	node    int // from 0
	private bool
	at      time.Time
	hashes  uint64
}

// recorded is a block that a node has had.
type recorded struct {
	blockSighting
	miner   int       // from 1; 0 unknown
	found   float64   // by its miner, in seconds; NaN unknown
	secret  bool      // found by an attacker's private node
	hashes  float64   // NaN unknown
	arrival []float64 // by node, in seconds; NaN never
}

func newRecorder(began time.Time, nodes int, ledger *ledger) *recorder {
	return &recorder{
		began: began, nodes: nodes, ledger: ledger,
		blocks: make(map[consensus.Hash]*recorded), finds: make(map[consensus.Hash]finder),
		tips: make([]tipSighting, nodes), up: make([]bool, nodes), news: make(chan struct{}),
	}
}

// since is a moment in seconds of the run, to the microsecond.
func (r *recorder) since(at time.Time) float64 {
	if at.IsZero() {
		return math.NaN()
	}
	return math.Round(at.Sub(r.began).Seconds()*1e6) / 1e6
}

// watch returns what a node, counted from 0, tells of itself to. A private one is an
// attacker's second node: what it finds has come to nobody yet.
func (r *recorder) watch(node int, private bool) func(sighting) {
	return func(s sighting) {
		r.mu.Lock()
		defer r.mu.Unlock()
		switch {
		case s.Find != nil:
			r.finds[s.Find.Hash] = finder{node, private, s.At, s.Find.Hashes}
		case s.Block != nil:
			r.block(node, private, s.At, s.Block)
		case private:
		case s.Tx != nil:
			r.ledger.accepted(node, *s.Tx, s.At)
		case s.Tip != nil:
			r.tips[node] = *s.Tip
			r.ledger.tip(node, s.Tip.Hash, s.Tip.Height, s.At)
			r.tell()
		}
	}
}

// block notes that a node has a block; r.mu is held.
func (r *recorder) block(node int, private bool, at time.Time, s *blockSighting) {
	if s.Height <= r.ledger.base {
		return // of the prelude
	}
	b := r.blocks[s.Hash]
	if b == nil {
		if len(r.order) >= maxBlocks {
			r.over = fmt.Errorf("there are %d blocks, the most that a run directory may hold: let the run be shorter", maxBlocks)
			r.tell()
			return
		}
		b = &recorded{blockSighting: *s, found: math.NaN(), hashes: math.NaN(), arrival: slices.Repeat([]float64{math.NaN()}, r.nodes)}
		r.blocks[s.Hash] = b
		r.order = append(r.order, b)
	}
	if f, ok := r.finds[s.Hash]; ok {
		b.miner, b.found, b.secret, b.hashes = f.node+1, r.since(f.at), f.private, float64(f.hashes)
		delete(r.finds, s.Hash)
	} else if b.miner == 0 && s.Own && !private { // by RPC
		b.miner, b.found = node+1, r.since(at)
	}
	if !private && math.IsNaN(b.arrival[node]) {
		b.arrival[node] = r.since(at)
	}
	r.tell()
}

// tell wakes whoever waits for news; r.mu is held.
func (r *recorder) tell() {
	close(r.news)
	r.news = make(chan struct{})
}

// look calls f with the lock held, and returns a channel that is closed when there is
// news.
func (r *recorder) look(f func()) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	return r.news
}

// leaves notes that a node is about to end: it takes no part in the best chain any more.
func (r *recorder) leaves(node int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.up[node] = false
	r.tell()
}

// turned notes that a node runs, or does so no longer.
func (r *recorder) turned(node int, up bool, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.up[node] = up
	if up {
		r.ledger.nodeStarted(node, at)
	} else {
		r.ledger.nodeEnded(node, at)
	}
	r.tell()
}

// best is the tip with the most work of a node that runs, of those the one that most are at; r.mu is
// held.
func (r *recorder) best() (best tipSighting) {
	count := make(map[tipSighting]int)
	for node, t := range r.tips {
		if r.up[node] {
			count[t]++
		}
	}
	for _, t := range r.tips { // in order: of equals always the same
		if cmp.Or(t.Work.Cmp(best.Work), cmp.Compare(count[t], count[best])) > 0 && count[t] > 0 {
			best = t
		}
	}
	return best
}

// chain lists the recorded blocks up to a tip, lowest first; r.mu is held.
func (r *recorder) chain(tip consensus.Hash) []*recorded {
	var chain []*recorded
	for b := r.blocks[tip]; b != nil; b = r.blocks[b.Header.Prev] {
		chain = append(chain, b)
	}
	slices.Reverse(chain)
	return chain
}

// rows are those of blocks.csv as things stand.
func (r *recorder) rows() []record.Block {
	r.mu.Lock()
	defer r.mu.Unlock()
	active := make(map[*recorded]bool)
	for _, b := range r.chain(r.best().Hash) {
		active[b] = true
	}
	rows := make([]record.Block, len(r.order))
	for i, b := range r.order {
		rows[i] = r.row(b, active[b])
	}
	return rows
}

// row is a line of blocks.csv; r.mu is held.
func (r *recorder) row(b *recorded, active bool) record.Block {
	row := record.Block{
		Hash: b.Hash.String(), Parent: b.Header.Prev.String(), Height: b.Height, Miner: b.miner, Status: record.Stale,
		FoundS: b.found, HeaderTime: b.Header.Time, DifficultyHashes: difficulty(b.Header.Bits), Hashes: b.hashes,
		Transactions: b.Txs, SizeBytes: b.Size, WeightUnits: b.Weight, FeesUnits: max(0, b.Fees),
		ArrivalS: slices.Clone(b.arrival),
	}
	switch {
	case active:
		row.Status = record.Active
	case b.secret && !slices.ContainsFunc(b.arrival, func(s float64) bool { return s >= 0 }):
		row.Status = record.Withheld
	}
	return row
}

// difficulty is how many hashes a block with such bits takes on average.
func difficulty(bits uint32) float64 {
	work, _ := consensus.WorkOf(bits).Big().Float64()
	return work
}

// fault says why no more is taken in, if that is so.
func (r *recorder) fault() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over
}
