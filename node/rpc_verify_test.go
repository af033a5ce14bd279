package node

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/mempool"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/rpc"
	"github.com/kapok-chain/kapok/storage"
)

// moody is a store whose undo data fails, and in which something happens while
// somebody looks at coins or undo data.
type moody struct {
	*storage.Memory
	fault   error
	onCoins func()
	onUndo  func()
}

func (m *moody) Undo(hash consensus.Hash) (*consensus.Undo, error) {
	if m.onUndo != nil {
		m.onUndo()
	}
	if m.fault != nil {
		return nil, m.fault
	}
	return m.Memory.Undo(hash)
}

func (m *moody) Snapshot() (storage.Snapshot, error) {
	if m.onCoins != nil {
		defer m.onCoins()
	}
	return m.Memory.Snapshot()
}

// answering is a backend on a store with a short chain.
func answering(t *testing.T, log *slog.Logger) (rpcBackend, *moody) {
	t.Helper()
	c := chaintest.New(t, consensus.Regtest())
	c.Grow("genesis - a1..a8")
	store := &moody{Memory: storage.OpenMemory(c.Params, false)}
	n, err := New(Config{
		Params: c.Params, Store: store, Mempool: mempool.DefaultConfig(),
		P2P: p2p.Config{Params: c.Params}, Rand: rand.New(rand.NewPCG(1, 1)),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range c.Path("a8") {
		if _, err := n.SubmitBlock(c.Now(), block); err != nil {
			t.Fatal(err)
		}
		if err := n.Advance(c.Now(), consensus.Verifier{}); err != nil {
			t.Fatal(err)
		}
	}
	return rpcBackend{&Service{Runner: NewRunner(n, nil, consensus.Verifier{Workers: 1}, log), params: c.Params, log: log}}, store
}

// True, false with a word in the log, and an error are three answers.
func TestVerifyChainAnswers(t *testing.T) {
	var text strings.Builder
	b, store := answering(t, slog.New(slog.NewTextHandler(&text, nil)))
	if ok, err := b.VerifyChain(t.Context(), VerifyAnew, 0); !ok || err != nil {
		t.Errorf("of a good chain: %v, %v", ok, err)
	}
	store.fault = storage.ErrDamaged
	if ok, err := b.VerifyChain(t.Context(), VerifyBody, 0); !ok || err != nil {
		t.Errorf("of what was not looked at: %v, %v", ok, err)
	}
	if text.Len() > 0 {
		t.Errorf("all is well, and the log says %q", text.String())
	}
	if ok, err := b.VerifyChain(t.Context(), VerifyCoins, 6); ok || err != nil || !strings.Contains(text.String(), "block 8 (") || !strings.Contains(text.String(), "damaged-undo") {
		t.Errorf("of a damaged chain: %v, %v; the log says %q", ok, err, text.String())
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if ok, err := b.VerifyChain(gone, VerifyRead, 0); ok || !errors.Is(err, context.Canceled) || b.Runner.fault != nil {
		t.Errorf("to a caller who is gone: %v, %v, %v", ok, err, b.Runner.fault)
	}
	store.fault = errors.New("input/output error")
	if ok, err := b.VerifyChain(t.Context(), VerifyUndo, 0); ok || !errors.Is(err, store.fault) {
		t.Errorf("from a disk that fails: %v, %v", ok, err)
	}
	soon, stop := context.WithTimeout(t.Context(), time.Second)
	defer stop()
	if err := b.Runner.Run(soon); !errors.Is(err, store.fault) {
		t.Errorf("the node goes on with a disk that fails: %v", err)
	}
}

// Coins that are made anew meanwhile are no finding: the look begins again.
func TestVerifyChainBeginsAgain(t *testing.T) {
	b, store := answering(t, slog.New(slog.DiscardHandler))
	tries := 0
	store.onCoins = func() {
		if tries++; tries == 1 {
			if err := b.Runner.node.RebuildCoins(); err != nil {
				t.Error(err)
			}
			if err := b.Runner.node.Advance(time.Now(), consensus.Verifier{}); err != nil {
				t.Error(err)
			}
		}
	}
	ok, err := b.VerifyChain(t.Context(), VerifyAnew, 0)
	if !ok || err != nil || tries != 2 {
		t.Errorf("%v, %v after %d tries", ok, err, tries)
	}
}

// One is enough to keep a disk and a lot of memory busy. The next may begin when
// it is over, however it ended.
func TestVerifyChainOneAtATime(t *testing.T) {
	b, store := answering(t, slog.New(slog.DiscardHandler))
	var second []error
	store.onUndo = func() {
		store.onUndo = nil
		_, err := b.VerifyChain(t.Context(), VerifyRead, 1)
		second = append(second, err)
	}
	if ok, err := b.VerifyChain(t.Context(), VerifyUndo, 0); !ok || err != nil {
		t.Errorf("the first one: %v, %v", ok, err)
	}
	if len(second) != 1 || !errors.Is(second[0], rpc.ErrVerifying) || b.Runner.fault != nil {
		t.Errorf("the second one: %v; the node's fault: %v", second, b.Runner.fault)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.VerifyChain(gone, VerifyRead, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("one whose caller is gone: %v", err)
	}
	if ok, err := b.VerifyChain(t.Context(), VerifyAnew, 0); !ok || err != nil {
		t.Errorf("the next one: %v, %v", ok, err)
	}
}

// While the coins are recounted after an unclean stop, the node says so.
func TestRecountIsTold(t *testing.T) {
	params := consensus.Regtest()
	store, err := storage.Open(params, storage.Options{Dir: t.TempDir(), Lean: true})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	n, err := New(Config{Params: params, Store: store, Mempool: mempool.DefaultConfig(), P2P: p2p.Config{Params: params}, Rand: rand.New(rand.NewPCG(1, 1))})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	b := rpcBackend{&Service{Runner: NewRunner(n, nil, consensus.Verifier{}, log), params: params, store: store, log: log}}
	b.recounting.Store(true)
	if got := b.Chain().Warnings; len(got) != 1 || !strings.Contains(got[0], "recounted") {
		t.Errorf("warnings before the recount: %q", got)
	}
	if err := b.recount(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.Chain().Warnings; len(got) != 0 {
		t.Errorf("warnings after the recount: %q", got)
	}
}
