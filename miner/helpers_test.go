package miner

import (
	"context"
	"sync"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/sha256d"
)

// ledger is a Source: a chain that takes what is valid.
type ledger struct {
	params *consensus.Params

	mu        sync.Mutex
	tip       *consensus.BlockIndex
	moved     chan struct{} // closed when the tip changes
	templates int
	blocks    []*consensus.Block
	answer    error // of Submit, where not nil
	broken    error // of Template, where not nil
}

func newLedger(p *consensus.Params) *ledger {
	return &ledger{params: p, tip: consensus.NewTree(p).Genesis(), moved: make(chan struct{})}
}

func (l *ledger) Template() (*Template, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.templates++
	if l.broken != nil {
		return nil, l.broken
	}
	return NewTemplate(l.params, l.tip, time.Now(), nil, nil)
}

func (l *ledger) Stale(parent consensus.Hash) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tip.Hash == parent {
		return l.moved
	}
	over := make(chan struct{})
	close(over)
	return over
}

func (l *ledger) Wait(ctx context.Context, parent consensus.Hash) {
	for {
		l.mu.Lock()
		tip, moved := l.tip.Hash, l.moved
		l.mu.Unlock()
		if tip != parent {
			return
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return
		}
	}
}

func (l *ledger) Submit(b *consensus.Block) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.blocks = append(l.blocks, b)
	if l.answer != nil {
		return l.answer
	}
	if err := connects(l.params, l.tip, b, time.Now(), nil); err != nil {
		return err
	}
	l.move(&b.Header)
	return nil
}

// move makes a header the tip. The lock is held.
func (l *ledger) move(h *consensus.Header) {
	l.tip = l.tip.Child(h)
	close(l.moved)
	l.moved = make(chan struct{})
}

// others mines somebody else's block.
func (l *ledger) others() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.move(&consensus.Header{Version: Version, Prev: l.tip.Hash, Time: uint32(time.Now().Unix()), Bits: l.params.StartBits})
}

func (l *ledger) made() (templates, blocks int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.templates, len(l.blocks)
}

// dummy is a kernel that takes no time and finds nothing, but for what see
// makes of it.
type dummy struct {
	see      func(w *sha256d.Work, start, n uint32, hits []sha256d.Hit) int
	versions int
}

func (dummy) Name() string    { return "dummy" }
func (dummy) Batch() uint32   { return 1000 }
func (d dummy) Versions() int { return max(1, d.versions) }

func (d dummy) Search(w *sha256d.Work, start, n uint32, hits []sha256d.Hit) (int, uint32) {
	if d.see == nil {
		return 0, n
	}
	return d.see(w, start, n, hits), n
}

var payout = consensus.PayToKey([32]byte{1})

// running starts a miner, and returns how to stop it and get Run's error.
func running(m *Miner) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}
