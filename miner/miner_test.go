package miner

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/sha256d"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMinesBlocks(t *testing.T) {
	for _, threads := range []int{1, 3} {
		l := newLedger(network(t, nil))
		var told []consensus.Hash
		var hashes uint64
		m := New(Config{Threads: threads, Payout: payout, Text: "test", Blocks: 8, Solved: func(block consensus.Hash, n uint64) {
			if _, handedIn := l.made(); handedIn != len(told) || n == 0 {
				t.Errorf("told of a block after %d hashes, when %d of %d were handed in", n, handedIn, len(told))
			}
			told, hashes = append(told, block), hashes+n
		}}, l)
		if err := m.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := m.Stats()
		for i, b := range l.blocks {
			if b.Hash() != told[i] {
				t.Errorf("block %d is %s, and %s was told of", i, b.Hash(), told[i])
			}
		}
		if hashes > s.Hashes || threads == 1 && hashes != s.Hashes {
			t.Errorf("%d hashes for all blocks, of %d", hashes, s.Hashes)
		}
		if l.tip.Height != 8 || s.Found != 8 || s.Stale+s.Refused != 0 || s.Hashes == 0 || s.SinceBlock > uint64(threads)*uint64(sha256d.Best().Batch()) || s.Best.IsZero() {
			t.Errorf("height %d, %+v", l.tip.Height, s)
		}
		if want := 16 / float64(s.Hashes); math.Abs(s.Luck-want) > 1e-9 { // two hashes a block
			t.Errorf("luck %v, expected %v", s.Luck, want)
		}
		if s.Height != 0 || s.Waiting != "" || s.Kernel != sha256d.Best().Name() || len(s.ThreadRates) != threads {
			t.Errorf("after the end: %+v", s)
		}
	}
}

// A limit is kept to a percent, from two hashes a second to a million, and by
// any number of threads.
func TestHashrateLimit(t *testing.T) {
	for _, rate := range []float64{2, 100, 30_000, 1_000_000} {
		for _, threads := range []int{1, 4} {
			synctest.Test(t, func(t *testing.T) {
				m := New(Config{Threads: threads, MaxHashrate: rate, Payout: payout, Kernel: dummy{versions: 240}}, newLedger(network(t, nil)))
				stop := running(m)
				time.Sleep(60 * time.Second)
				s := m.Stats()
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				want := 60 * rate
				if got := float64(s.Hashes); math.Abs(got-want) > want/100+float64(threads) {
					t.Errorf("%d threads did %v hashes in a minute, expected %v", threads, got, want)
				}
				if math.Abs(s.Rate-rate) > rate/50+float64(threads)/window {
					t.Errorf("%d threads: rate %v, expected %v", threads, s.Rate, rate)
				}
			})
		}
	}
}

// Two threads and three hours: no header is tried twice, and its time is the
// clock's.
func TestSearchesDoNotOverlap(t *testing.T) {
	for _, versions := range []int{1, 5} {
		searchesDoNotOverlap(t, versions)
	}
}

func searchesDoNotOverlap(t *testing.T, versions int) {
	type header struct {
		root consensus.Hash
		time uint32
	}
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		next := make(map[header]uint32)
		roots := make(map[consensus.Hash]bool)
		kernel := dummy{versions: versions, see: func(w *sha256d.Work, start, n uint32, _ []sha256d.Hit) int {
			if w.Versions() != versions {
				t.Errorf("%d versions, expected %d", w.Versions(), versions)
			}
			for i, version := range w.ListVersions() {
				if version != Version|int32(i)<<13 {
					t.Errorf("version %08x is number %d", version, i)
				}
			}
			raw := w.Header(sha256d.Hit{Version: Version})
			h, err := consensus.DecodeHeader(raw[:])
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			key := header{h.MerkleRoot, h.Time}
			if next[key] != start {
				t.Errorf("nonces from %d, expected %d", start, next[key])
			}
			if int64(h.Time) != time.Now().Unix() {
				t.Errorf("time %d at %d", h.Time, time.Now().Unix())
			}
			next[key] += n
			roots[h.MerkleRoot] = true
			return 0
		}}
		l := newLedger(network(t, nil))
		stop := running(New(Config{Threads: 2, MaxHashrate: 1000, Payout: payout, Kernel: kernel}, l))
		time.Sleep(100 * time.Second)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if templates, _ := l.made(); templates != 4 || len(roots) != 8 {
			t.Errorf("%d templates, %d extranonces in 100 s", templates, len(roots))
		}
	})
}

// TestClockOfBlocks: blocks are dated by the clock that the miner was given, and never
// before their template.
func TestClockOfBlocks(t *testing.T) {
	for _, offset := range []time.Duration{10 * time.Hour, -10 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			made := time.Now()
			kernel := dummy{see: func(w *sha256d.Work, _, _ uint32, _ []sha256d.Hit) int {
				raw := w.Header(sha256d.Hit{})
				h, err := consensus.DecodeHeader(raw[:])
				want := time.Now().Add(offset).Unix()
				if offset < 0 {
					want = made.Unix() // of the template, by another clock
				}
				if err != nil || int64(h.Time) != want {
					t.Errorf("dated %d, expected %d (%v)", h.Time, want, err)
				}
				return 0
			}}
			clock := func() time.Time { return time.Now().Add(offset) }
			stop := running(New(Config{Threads: 2, MaxHashrate: 1000, Payout: payout, Kernel: kernel, Now: clock}, newLedger(network(t, nil))))
			time.Sleep(20 * time.Second)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestNewTipStopsOldWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(network(t, nil))
		var mu sync.Mutex
		var parent consensus.Hash
		kernel := dummy{see: func(w *sha256d.Work, _, _ uint32, _ []sha256d.Hit) int {
			raw := w.Header(sha256d.Hit{})
			h, _ := consensus.DecodeHeader(raw[:])
			mu.Lock()
			defer mu.Unlock()
			parent = h.Prev
			return 0
		}}
		m := New(Config{Threads: 2, MaxHashrate: 100_000, Payout: payout, Kernel: kernel}, l)
		stop := running(m)
		for range 5 {
			time.Sleep(3 * time.Second)
			l.others()
			time.Sleep(2 * grain)
			mu.Lock()
			if parent != l.tip.Hash || m.Stats().Height != l.tip.Height+1 {
				t.Error("old work went on")
			}
			mu.Unlock()
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// vanishing is a Source that ends with its miner's context.
type vanishing struct {
	*ledger
	end context.CancelFunc
}

func (v vanishing) Template() (*Template, error) {
	v.end()
	return nil, context.Canceled
}

// A source that ends with the context is no error.
func TestSourceEndsWithTheContext(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	m := New(Config{Threads: 1, Kernel: dummy{}, Payout: consensus.PayToKey([32]byte{1})}, vanishing{newLedger(consensus.Regtest()), end})
	if err := m.Run(ctx); err != nil {
		t.Error(err)
	}
}

// A block is handed in while other threads are still at it, and they stop meanwhile.
func TestSubmitsBeforeAnythingElse(t *testing.T) {
	submitted := make(chan struct{})
	var first sync.Once
	kernel := dummy{see: func(w *sha256d.Work, start, _ uint32, hits []sha256d.Hit) int {
		finder := false
		first.Do(func() { finder = true })
		if !finder {
			<-submitted // this thread does not come back before
			return 0
		}
		return found(w, start, hits)
	}}
	l := newLedger(network(t, nil))
	m := New(Config{Threads: 3, Payout: payout, Kernel: kernel, Blocks: 1}, handedIn{l, submitted})
	if err := m.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l.tip.Height != 1 {
		t.Errorf("height %d", l.tip.Height)
	}
}

// handedIn closes a channel at the first block.
type handedIn struct {
	*ledger
	began chan struct{}
}

func (h handedIn) Submit(b *consensus.Block) error {
	close(h.began)
	return h.ledger.Submit(b)
}

// found searches on with a real kernel until there is a hit that solves regtest.
func found(w *sha256d.Work, start uint32, hits []sha256d.Hit) int {
	n, _ := sha256d.Portable{}.Search(w.WithTop(0x7fffff00), start, 64, hits)
	return n
}

// announced tells when its kernel is called first.
type announced struct {
	sha256d.Kernel
	once  *sync.Once
	began chan struct{}
}

func (k announced) Search(w *sha256d.Work, start, n uint32, hits []sha256d.Hit) (int, uint32) {
	k.once.Do(func() { close(k.began) })
	return k.Kernel.Search(w, start, n, hits)
}

// Without a limit a thread is stopped between two batches of a real kernel.
func TestStopsBetweenBatches(t *testing.T) {
	p := network(t, func(p *consensus.Params) { p.StartBits, p.PowLimitBits = 0x1e7fffff, 0x1e7fffff }) // 2^17 hashes a block
	for _, kernel := range sha256d.Kernels() {
		k := announced{kernel, new(sync.Once), make(chan struct{})}
		stop := running(New(Config{Threads: 2, Payout: payout, Kernel: k}, newLedger(p)))
		<-k.began
		start := time.Now()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: stopped after %v", kernel.Name(), time.Since(start)) // below 2 ms where nothing else runs
	}
}

// The best hash is the lowest of all that were done.
func TestBestHash(t *testing.T) {
	p := network(t, func(p *consensus.Params) { p.StartBits, p.PowLimitBits = 0x1e7fffff, 0x1e7fffff })
	block, err := NewTemplate(p, consensus.NewTree(p).Genesis(), time.Unix(int64(p.GenesisTime)+1, 0), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := block.Block(payout, 0, "").Header
	for _, versions := range []int{1, 5} {
		m := New(Config{}, nil)
		s := newSearch(h, versions, consensus.Uint256{}, math.MaxUint32)
		var want consensus.Hash
		for s.next < 20_000 {
			from := s.next
			hashes, _ := s.step(sha256d.Best(), 700, m.hashed)
			if hashes != uint32(s.next-from)*uint32(versions) {
				t.Fatalf("%d hashes, expected %d nonces of %d versions", hashes, s.next-from, versions)
			}
			s.tighten(m.loosestTop())
			for ; from < s.next; from++ {
				for version := range int32(versions) {
					tried := h
					tried.Nonce, tried.Version = uint32(from), h.Version|version<<13
					if hash := tried.Hash(); want.IsZero() || lower(hash, want) {
						want = hash
					}
				}
			}
			if got := m.Stats().Best; got != want {
				t.Fatalf("after %d nonces of %d versions the best is %s, expected %s", s.next, versions, got, want)
			}
		}
	}
}

// What a kernel calls a hit is believed by nobody.
func TestCandidatesAreHashedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(network(t, nil))
		bits := l.params.StartBits
		target, _, _ := consensus.CompactToTarget(bits)
		kernel := dummy{see: func(w *sha256d.Work, start, n uint32, hits []sha256d.Hit) int {
			found := 0
			for i := range n {
				hit := sha256d.Hit{Nonce: start + i, Version: Version}
				raw := w.Header(hit)
				if h, _ := consensus.DecodeHeader(raw[:]); !consensus.HashMeetsTarget(h.Hash(), target) && found < len(hits) {
					hits[found] = hit // all of them are lies
					found++
				}
			}
			return found
		}}
		m := New(Config{Threads: 1, MaxHashrate: 50, Payout: payout, Kernel: kernel}, l)
		stop := running(m)
		time.Sleep(20 * time.Second)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if _, blocks := l.made(); blocks != 0 || m.Stats().Best.IsZero() {
			t.Errorf("%d blocks were submitted", blocks)
		}
	})
}

func TestAnswersAreCounted(t *testing.T) {
	for name, c := range map[string]struct {
		answer error
		count  func(Stats) int
	}{
		"stale":   {ErrStale, func(s Stats) int { return s.Stale }},
		"refused": {&consensus.RuleError{Code: "bad-cb-amount", Kind: consensus.Invalid}, func(s Stats) int { return s.Refused }},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLedger(network(t, nil))
			l.answer = c.answer
			m := New(Config{Threads: 1, MaxHashrate: 10, Payout: payout}, l)
			stop := running(m)
			time.Sleep(30 * time.Second)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			s := m.Stats()
			if _, blocks := l.made(); blocks == 0 || c.count(s) != blocks || s.Found+s.Stale+s.Refused != blocks || s.Luck == 0 {
				t.Errorf("%s: %d blocks, %+v", name, blocks, s)
			}
		})
	}
}

func TestOurErrorsEndTheRun(t *testing.T) {
	disk := errors.New("disk")
	l := newLedger(network(t, nil))
	l.broken = disk
	if err := New(Config{Payout: payout}, l).Run(t.Context()); !errors.Is(err, disk) {
		t.Errorf("template: %v", err)
	}
	l = newLedger(network(t, nil))
	l.answer = disk
	if err := New(Config{Payout: payout}, l).Run(t.Context()); !errors.Is(err, disk) {
		t.Errorf("submit: %v", err)
	}
}

// A chain whose times are ahead of the clock is waited for, and the statistics
// say so.
func TestWaitsForTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(network(t, nil))
		ahead := uint32(time.Now().Unix() + l.params.FutureLimit + 100)
		for range 12 {
			l.move(&consensus.Header{Version: Version, Prev: l.tip.Hash, Time: ahead, Bits: l.params.StartBits})
		}
		m := New(Config{Threads: 1, MaxHashrate: 100, Payout: payout, Blocks: 1}, l)
		stop := running(m)
		time.Sleep(99 * time.Second)
		if s := m.Stats(); s.Hashes != 0 || !strings.Contains(s.Waiting, "waiting") || s.Height != 0 {
			t.Errorf("before the time: %+v", s)
		}
		time.Sleep(5 * time.Second)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if s := m.Stats(); s.Found != 1 || s.Waiting != "" {
			t.Errorf("after the time: %+v", s)
		}
		if got := l.tip.Header.Time; got != ahead+1 {
			t.Errorf("the block has time %d, expected %d", got, ahead+1)
		}
	})
}

func TestExpectedSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(Config{Threads: 1, MaxHashrate: 1000, Payout: payout, Kernel: dummy{}}, newLedger(network(t, nil)))
		stop := running(m)
		time.Sleep(20 * time.Second)
		s := m.Stats()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if want := 2 / s.Rate; s.Bits != 0x207fffff || math.Abs(s.ExpectedSeconds-want) > want/1000 {
			t.Errorf("expected %v s at %v hashes/s", s.ExpectedSeconds, s.Rate)
		}
	})
}

func TestMeter(t *testing.T) {
	var m meter
	at := func(d time.Duration, want float64) {
		t.Helper()
		if got := m.rate(d); math.Abs(got-want) > 1e-9 {
			t.Errorf("rate %v at %v, expected %v", got, d, want)
		}
	}
	at(0, 0)
	m.add(time.Second/2, 100)
	at(time.Second/2, 200)
	at(time.Second, 100)
	at(10*time.Second, 10)
	at(10*time.Second+time.Second/2, 100/10.5)
	at(11*time.Second, 0)
	m.add(11*time.Second, 50)
	m.add(12*time.Second, 50)
	at(12*time.Second, 10)
	at(1000*time.Second, 0)
	at(999*time.Second, 0) // a late caller
}
