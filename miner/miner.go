package miner

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/sha256d"
)

// Source is the chain that is mined for. Template and Wait are called in turns, Submit
// at any time.
type Source interface {
	// Template returns a block to work on. An error that is not a *TooEarly
	// ends the search.
	Template() (*Template, error)

	// Stale returns a channel that is closed when a block on parent is worth nothing any
	// more, since a better one than parent is here or on its way; nil where only Wait can
	// tell. Every thread looks at it between two batches, so that nobody has to be
	// scheduled first for the threads to stop.
	Stale(parent consensus.Hash) <-chan struct{}

	// Wait returns when that is so, when there is a better template than the last one,
	// or when ctx is done.
	Wait(ctx context.Context, parent consensus.Hash)

	// Submit takes a solved block. ErrStale says that it is valid but did
	// not become the tip, a *consensus.RuleError that it is not valid; any
	// other error ends the search.
	Submit(*consensus.Block) error
}

// ErrStale is a Source's answer to a valid block that another one preceded.
const ErrStale = staleError("miner: another block came first")

type staleError string

func (e staleError) Error() string { return string(e) }

// Config says how to mine.
type Config struct {
	Threads     int            // 0 for one on each CPU
	MaxHashrate float64        // hashes a second of all threads together, 0 for no limit
	Payout      []byte         // output script that the coinbases pay to
	Text        string         // in the coinbases, up to MaxText bytes
	Kernel      sha256d.Kernel // nil for the best one on this CPU
	Blocks      int            // stop after so many, 0 for never

	Now func() time.Time // the clock that blocks are dated by, for any goroutine; nil for time.Now
	// Solved, unless nil, is told of each block before it is handed in: how many hashes
	// were done since the one before. Run calls it, and waits.
	Solved func(block consensus.Hash, hashes uint64)
}

// refreshEvery bounds the age of the transactions that are worked on.
const refreshEvery = 30 * time.Second

// Miner searches blocks for a Source.
type Miner struct {
	cfg        Config
	source     Source
	limit      limiter
	extranonce atomic.Uint64 // the last one used; no two searches share one

	started time.Time
	meters  []meter // by thread
	mu      sync.Mutex
	stats   Stats   // the counters
	earned  float64 // hashes expected for the blocks found
	loosest uint32  // top word of the best hash
}

// tightenBy is how much better the best hash must have become before the
// candidates are held against it anew.
const tightenBy = 4

// New returns a miner that Run starts.
func New(cfg Config, source Source) *Miner {
	if cfg.Threads <= 0 {
		cfg.Threads = runtime.GOMAXPROCS(0)
	}
	if cfg.Kernel == nil {
		cfg.Kernel = sha256d.Best()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	now := time.Now()
	m := &Miner{
		cfg:     cfg,
		source:  source,
		limit:   limiter{rate: cfg.MaxHashrate, next: now},
		started: now,
		meters:  make([]meter, cfg.Threads),
		loosest: math.MaxUint32, // the first hash is the best one
	}
	// Two miners that pay to one key and share templates must not repeat each
	// other's work.
	var seed [8]byte
	rand.Read(seed[:]) // never fails, by its documentation
	m.extranonce.Store(binary.LittleEndian.Uint64(seed[:]))
	return m
}

// Run mines until ctx is done or as many blocks are found as were asked for,
// which is no error. It is to be called once. All goroutines have ended when it
// returns.
func (m *Miner) Run(ctx context.Context) error {
	defer m.searching(nil)
	for ctx.Err() == nil {
		t, err := m.source.Template()
		var early *TooEarly
		switch {
		case errors.As(err, &early):
			m.pause(ctx, early)
			continue
		case err != nil && ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("miner: template: %w", err)
		}
		m.searching(t)
		if err := m.round(ctx, t); err != nil {
			return err
		}
		if s := m.Stats(); m.cfg.Blocks > 0 && s.Found >= m.cfg.Blocks {
			return nil
		}
	}
	return nil
}

// pause waits until a template may be made, or the tip changes.
func (m *Miner) pause(ctx context.Context, early *TooEarly) {
	m.mu.Lock()
	m.stats.Height, m.stats.Bits, m.stats.Waiting = 0, 0, early.Error()
	m.mu.Unlock()
	m.limit.stop()
	ctx, cancel := context.WithTimeout(ctx, min(early.Wait, refreshEvery)) // the clock may be set
	defer cancel()
	m.source.Wait(ctx, early.Parent)
}

// searching shows what is worked on, nil for nothing.
func (m *Miner) searching(t *Template) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stats.Height, m.stats.Bits, m.stats.Waiting = 0, 0, ""
	if t == nil {
		m.limit.stop()
		return
	}
	m.limit.start()
	m.stats.Height, m.stats.Bits = t.Height, t.Bits
}

// round lets all threads work on one template: until one solves it, the source has
// something better, or the template is old. A solved block is handed in before anything else,
// also before the other threads have noticed. The error ends the search.
func (m *Miner) round(ctx context.Context, t *Template) error {
	ctx, cancel := context.WithTimeout(ctx, refreshEvery)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		m.source.Wait(ctx, t.Parent)
		cancel()
	})
	stale := m.source.Stale(t.Parent)
	solved := make(chan *consensus.Block, m.cfg.Threads)
	for thread := range m.cfg.Threads {
		wg.Go(func() {
			if block := m.thread(ctx, stale, t, thread); block != nil {
				solved <- block
			}
		})
	}
	select {
	case block := <-solved: // a second one would only be its rival
		cancel() // the others stop meanwhile; nobody waits for them
		return m.submit(block)
	case <-ctx.Done():
	}
	wg.Wait()
	select {
	case block := <-solved: // in the last moment; the source says what it is worth
		return m.submit(block)
	default:
		return nil
	}
}

// thread searches one extranonce after the other.
func (m *Miner) thread(ctx context.Context, stale <-chan struct{}, t *Template, thread int) *consensus.Block {
	for ctx.Err() == nil && !isClosed(stale) {
		block := t.Block(m.cfg.Payout, m.extranonce.Add(1), m.cfg.Text)
		if m.solve(ctx, stale, block, t.Target, thread) {
			return block
		}
	}
	return nil
}

// solve searches a block's nonces. Once a second the header takes the time of
// the clock, and the nonces begin anew.
func (m *Miner) solve(ctx context.Context, stale <-chan struct{}, block *consensus.Block, target consensus.Uint256, thread int) bool {
	batch := m.limit.batch(m.cfg.Threads, m.cfg.Kernel.Batch())
	versions := min(m.cfg.Kernel.Versions(), int(batch)) // a low limit is kept nonce by nonce
	s := newSearch(block.Header, versions, target, m.loosestTop())
	for s.left() > 0 && !isClosed(stale) && m.limit.wait(ctx, batch) {
		if now := m.cfg.Now().Unix(); now > int64(s.header.Time) {
			s.header.Time = uint32(now)
			s = newSearch(s.header, versions, target, m.loosestTop())
		} else if loosest := m.loosestTop(); loosest < s.loosest/tightenBy {
			s.tighten(loosest)
		}
		hashes, solved := s.step(m.cfg.Kernel, batch, m.hashed)
		m.limit.refund(batch - hashes)
		m.count(thread, hashes)
		if solved {
			block.Header = s.header
			return true
		}
		runtime.Gosched() // the network goes first where CPUs are few
	}
	return false
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func (m *Miner) loosestTop() uint32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.loosest
}

// hashed keeps the best hash.
func (m *Miner) hashed(hash consensus.Hash) {
	top := binary.LittleEndian.Uint32(hash[len(hash)-4:])
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stats.Best.IsZero() || lower(hash, m.stats.Best) {
		m.stats.Best = hash
		m.loosest = min(m.loosest, top)
	}
}

// lower compares hashes as the little-endian numbers that they are.
func lower(a, b consensus.Hash) bool {
	for i := len(a) - 1; i >= 0; i-- {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

func (m *Miner) count(thread int, hashes uint32) {
	m.meters[thread].add(time.Since(m.started), hashes)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stats.Hashes += uint64(hashes)
	m.stats.SinceBlock += uint64(hashes)
}

// submit hands a solved block in and counts what became of it.
func (m *Miner) submit(block *consensus.Block) error {
	if m.cfg.Solved != nil {
		m.cfg.Solved(block.Hash(), m.Stats().SinceBlock)
	}
	err := m.source.Submit(block)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.earned += expectedHashes(block.Header.Bits)
	m.stats.SinceBlock = 0
	switch {
	case err == nil:
		m.stats.Found++
	case errors.Is(err, ErrStale):
		m.stats.Stale++
	case consensus.AsRuleError(err) != nil:
		m.stats.Refused++
	default:
		return fmt.Errorf("miner: submit: %w", err)
	}
	return nil
}
