package node_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/mempool"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/storage"
)

// startRunner runs a node alone until the test ends, with the error that Run
// returned in the channel.
func startRunner(t *testing.T, store storage.Store, params *consensus.Params) (*node.Runner, <-chan error) {
	n, err := node.New(node.Config{
		Params: params, Store: store, Mempool: mempool.DefaultConfig(),
		P2P: p2p.Config{Params: params}, Rand: rand.New(rand.NewPCG(1, 1)),
	})
	if err != nil {
		t.Fatal(err)
	}
	r := node.NewRunner(n, nil, consensus.Verifier{Workers: 2}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	var life sync.WaitGroup
	life.Go(func() { ended <- r.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		life.Wait()
	})
	return r, ended
}

func TestRunnerConnectsWhatManySubmit(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Run("run", func(t *testing.T) {
		c := chaintest.New(t, consensus.Regtest())
		c.Grow("genesis - a1..a40")
		r, _ := startRunner(t, storage.OpenMemory(c.Params, true), c.Params)
		events := r.Events(t.Context())
		var all sync.WaitGroup
		for worker := range 4 { // each submits all blocks, in order: three of four are duplicates
			all.Go(func() {
				for i, block := range c.Path("a40") {
					active, err := r.SubmitBlock(t.Context(), block)
					if err != nil && !errors.Is(err, consensus.ErrDuplicate) {
						t.Errorf("worker %d, block %d: %v", worker, i+1, err)
					}
					if err == nil && !active {
						t.Errorf("worker %d: block %d is not on the active chain", worker, i+1)
					}
				}
			})
		}
		all.Wait()
		if err := r.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		height := uint32(0)
		for height < 40 {
			e := <-events
			if e.Block != nil {
				continue
			}
			if e.Change == nil || e.Change.To.Height <= height {
				t.Fatalf("after height %d came %+v", height, e.Change)
			}
			height = e.Change.To.Height
		}
	})
}

func TestRunnerEndsAtAFaultOfOurs(t *testing.T) {
	c := chaintest.New(t, consensus.Regtest())
	c.Grow("genesis - a1 - a2")
	broken := &brokenStore{Store: storage.OpenMemory(c.Params, true)}
	r, ended := startRunner(t, broken, c.Params)
	if _, err := r.SubmitBlock(t.Context(), c.Block("a1")); err != nil {
		t.Fatal(err)
	}
	broken.fault = errors.New("input/output error")
	if _, err := r.SubmitBlock(t.Context(), c.Block("a2")); !errors.Is(err, broken.fault) {
		t.Errorf("the submitter got %v", err)
	}
	if err := <-ended; !errors.Is(err, broken.fault) {
		t.Errorf("Run returned %v, want the disk's error", err)
	}
	if err := r.WaitTip(t.Context(), c.Hash("a1")); !errors.Is(err, broken.fault) {
		t.Errorf("who waits for a tip got %v", err)
	}
}

func TestWaitTipEndsWithItsContext(t *testing.T) {
	c := chaintest.New(t, consensus.Regtest())
	r, _ := startRunner(t, storage.OpenMemory(c.Params, true), c.Params)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := r.WaitTip(ctx, c.Params.GenesisHash()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestMockTimeIsTheClock(t *testing.T) {
	c := chaintest.New(t, consensus.Regtest())
	r, _ := startRunner(t, storage.OpenMemory(c.Params, true), c.Params)
	at := time.Unix(int64(c.Params.GenesisTime)+1000, 0)
	r.SetMockTime(at)
	template, err := r.Template(t.Context())
	if err != nil || template.Time != uint32(at.Unix()) {
		t.Errorf("the template is dated %v (%v), want %v", template, err, at.Unix())
	}
	r.SetMockTime(time.Time{})
	if d := time.Since(r.Now()); d < 0 || d > time.Minute {
		t.Errorf("the clock is %v off", d)
	}
}

// TestClockOffset: a clock that is wrong by so much dates what the node makes, and not what
// it observes. One that stands still does so.
func TestClockOffset(t *testing.T) {
	c := chaintest.New(t, consensus.Regtest())
	c.Grow("genesis - a1 - a2")
	r, _ := startRunner(t, storage.OpenMemory(c.Params, true), c.Params)
	events := r.Events(t.Context())
	for i, offset := range []time.Duration{time.Hour, -time.Hour} {
		r.SetClockOffset(offset)
		began := time.Now()
		template, err := r.Template(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for name, at := range map[string]time.Time{"clock": r.Now(), "template": time.Unix(int64(template.Time), 0)} {
			if off := at.Sub(began) - offset; off < -time.Second || off > time.Minute {
				t.Errorf("the %s is %v off, expected %v", name, at.Sub(began), offset)
			}
		}
		if _, err := r.SubmitBlock(t.Context(), c.Path("a2")[i]); err != nil {
			t.Fatal(err)
		}
		for e := (node.Event{}); e.Change == nil; {
			if e = <-events; e.Time.Before(began) || e.Time.After(time.Now()) {
				t.Errorf("an event was timed %v, after %v", e.Time, began)
			}
		}
	}
	r.SetMockTime(c.Now())
	if now := r.Now(); !now.Equal(c.Now()) {
		t.Errorf("the clock that stands at %v shows %v", c.Now(), now)
	}
}
