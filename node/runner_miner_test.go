package node

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/mempool"
	"github.com/kapok-chain/kapok/miner"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/storage"
)

// slowDisk connects a block once it is told to, where there is somebody to tell it.
type slowDisk struct {
	storage.Store
	connect chan struct{}
}

func (s *slowDisk) Connect(r consensus.Record, height uint32, b *consensus.Block, d *consensus.Delta) error {
	if s.connect != nil {
		<-s.connect
	}
	return s.Store.Connect(r, height, b, d)
}

// workshop is a node as its miner sees it.
type workshop struct {
	*minerSource
	t    *testing.T
	c    *chaintest.Chain
	stop context.CancelFunc
}

// newWorkshop opens one whose tip is given, and runs it.
func newWorkshop(t *testing.T, params *consensus.Params, store storage.Store, drawing, tip string) *workshop {
	w := newIdleWorkshop(t, params, store, drawing, tip)
	ended := make(chan error)
	go func() { ended <- w.Run(w.life) }()
	t.Cleanup(func() {
		w.stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return w
}

// newIdleWorkshop opens one that takes blocks and takes no step.
func newIdleWorkshop(t *testing.T, params *consensus.Params, store storage.Store, drawing, tip string) *workshop {
	c := chaintest.New(t, params)
	c.Grow(drawing)
	n, err := New(Config{Params: params, Store: store, Mempool: mempool.DefaultConfig(), P2P: p2p.Config{Params: params}, Rand: rand.New(rand.NewPCG(1, 1))})
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range c.Path(tip) {
		if _, err := n.SubmitBlock(c.Now(), block); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Advance(c.Now(), consensus.Verifier{Workers: 1}); err != nil {
		t.Fatal(err)
	}
	r := NewRunner(n, nil, consensus.Verifier{Workers: 1}, slog.New(slog.DiscardHandler))
	r.SetMockTime(c.Now())
	ctx, stop := context.WithCancel(t.Context())
	return &workshop{&minerSource{Runner: r, life: ctx}, t, c, stop}
}

// worth reports whether a block is worth mining on.
func (w *workshop) worth(name string) bool {
	return !isClosed(w.Stale(w.c.Hash(name)))
}

// A better block ends the work on the tip before it is on disk: else this test stands
// still. The next template waits until it is. A block that changes nothing ends nothing.
func TestWorkEndsBeforeTheDisk(t *testing.T) {
	params := consensus.Regtest()
	disk := &slowDisk{Store: storage.OpenMemory(params, true)}
	w := newWorkshop(t, params, disk, `
		genesis - a1 - a2 - a3
		          a1 - b2`, "a2")
	disk.connect = make(chan struct{})
	if active, err := w.SubmitBlock(t.Context(), w.c.Block("b2")); active || err != nil {
		t.Error(active, err)
	}
	if !w.worth("a2") {
		t.Error("a block with no more work than the tip ended the work")
	}
	over := make(chan struct{})
	go func() {
		w.Wait(t.Context(), w.c.Hash("a2"))
		w.Wait(t.Context(), w.c.Hash("a2")) // none is begun anew
		close(over)
	}()
	answer := make(chan error)
	go func() {
		_, err := w.SubmitBlock(t.Context(), w.c.Block("a3"))
		answer <- err
	}()
	<-over
	templates := make(chan *miner.Template)
	go func() {
		next, err := w.Template()
		if err != nil {
			t.Error(err)
		}
		templates <- next
	}()
	select {
	case next := <-templates:
		t.Errorf("a template before the tip is there: %+v", next)
	case <-answer:
		t.Error("an answer before the block is there")
	case disk.connect <- struct{}{}:
	}
	if next := <-templates; next.Parent != w.c.Hash("a3") {
		t.Errorf("built on %s", w.c.Name(next.Parent))
	}
	if err := <-answer; err != nil {
		t.Error(err)
	}
	if w.worth("a2") || !w.worth("a3") {
		t.Error("the tip is not what is worth mining on")
	}
}

// A better block whose signatures are bad ends the work too, and then it goes on where
// it was.
func TestWorkGoesOnAfterABadBlock(t *testing.T) {
	params := consensus.Regtest()
	w := newWorkshop(t, params, storage.OpenMemory(params, true), "genesis - a1..a101", "a101")
	forged := w.c.Pay(chaintest.From(w.c.Coinbase("a1")), chaintest.To("bob", chaintest.Coins))
	forged.Inputs[0].Witness[0][0] ^= 1
	stale := w.Stale(w.c.Hash("a101"))
	if _, err := w.SubmitBlock(t.Context(), w.c.Mine("a101", "bad", chaintest.Txs(forged))); consensus.AsRuleError(err) == nil {
		t.Fatal("got", err)
	}
	<-stale
	if next, err := w.Template(); err != nil || next.Parent != w.c.Hash("a101") {
		t.Errorf("%+v, %v", next, err)
	}
	if !w.worth("a101") {
		t.Error("the tip is not worth mining on any more")
	}
}

// Without a step nothing is settled: no template, and no answer to a submitter, also not
// that the block is known.
func TestNothingIsSaidBeforeTheStep(t *testing.T) {
	params := consensus.Regtest()
	w := newIdleWorkshop(t, params, storage.OpenMemory(params, true), "genesis - a1 - a2", "a1")
	ended, end := context.WithCancel(t.Context())
	end()
	stale := w.Stale(w.c.Hash("a1"))
	w.node.poolSequence++ // payments have come,
	w.fees = -1           // and any template is better
	for _, when := range []string{"a new block", "a known block"} {
		if _, err := w.SubmitBlock(ended, w.c.Block("a2")); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: answered %v", when, err)
		}
	}
	if w.better(stale) {
		t.Error("a template is made where a block is to be taken first")
	}
	w.stop()
	if next, err := w.Template(); err == nil {
		t.Errorf("a template on %s", w.c.Name(next.Parent))
	}
}

// A block on a side branch has no step that writes it. It is on disk with the answer all
// the same, and a disk that fails is an error of ours.
func TestSideBranchIsOnDisk(t *testing.T) {
	params := consensus.Regtest()
	store := storage.OpenMemory(params, true)
	w := newWorkshop(t, params, store, `
		genesis - a1 - a2
		          a1 - b2
		genesis - c1`, "a2")
	if active, err := w.SubmitBlock(t.Context(), w.c.Block("b2")); active || err != nil {
		t.Fatal(active, err)
	}
	if _, err := store.Crash().Block(w.c.Hash("b2")); err != nil {
		t.Error(err)
	}

	broken := &noSync{Memory: storage.OpenMemory(params, true)}
	idle := newIdleWorkshop(t, params, broken, "genesis - a1 - a2", "a1")
	broken.fault = errNoSync
	ended := make(chan error)
	go func() { ended <- idle.Run(idle.life) }()
	if _, err := idle.SubmitBlock(t.Context(), idle.c.Block("a2")); !errors.Is(err, errNoSync) {
		t.Errorf("the submitter got %v", err)
	}
	if err := <-ended; !errors.Is(err, errNoSync) || consensus.AsRuleError(err) != nil {
		t.Errorf("the node ended with %v", err)
	}
	idle.stop()
}

var errNoSync = errors.New("input/output error")

// noSync is a store that cannot sync bodies while it has a fault.
type noSync struct {
	*storage.Memory
	fault error
}

func (s *noSync) Sync() error {
	if s.fault != nil {
		return s.fault
	}
	return s.Memory.Sync()
}

// A payment is worth a new template if that pays more, and no sooner than lookAfter.
func TestPaymentsAreWorthATemplate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		params := consensus.Regtest()
		params.MaxWeight = miner.ReservedWeight + 600 // room for one payment
		w := newWorkshop(t, params, storage.OpenMemory(params, true), "genesis - a1..a103", "a103")
		began := time.Now()
		if first, err := w.Template(); err != nil || len(first.Txs) != 0 {
			t.Fatalf("%+v, %v", first, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		pay := func(coinbase string, fee int64) *consensus.Tx {
			tx := w.c.Pay(chaintest.From(w.c.Coinbase(coinbase)), chaintest.To("bob", 50*chaintest.Coins-fee))
			if _, err := w.SubmitTx(t.Context(), tx); err != nil {
				t.Error(err)
			}
			return tx
		}
		good := pay("a1", 2000)
		if w.Wait(ctx, w.c.Hash("a103")); time.Since(began) != lookAfter {
			t.Errorf("a payment was seen after %v", time.Since(began))
		}
		second, err := w.Template()
		if err != nil || len(second.Txs) != 1 || second.Txs[0].TxID() != good.TxID() {
			t.Fatalf("%+v, %v", second, err)
		}
		pay("a2", 1000) // no room for it
		time.AfterFunc(30*time.Second, func() { pay("a3", 3000) })
		began = time.Now()
		w.Wait(ctx, w.c.Hash("a103"))
		if after := time.Since(began); after < 30*time.Second || ctx.Err() != nil || w.next == nil || w.next.Fees != 3000 {
			t.Errorf("after %v: %+v", after, w.next)
		}
		if _, err := w.Template(); err != nil {
			t.Fatal(err)
		}
		w.took = 20 * time.Millisecond // a template that takes long is looked at seldom
		pay("a4", 4000)
		began = time.Now()
		if w.Wait(ctx, w.c.Hash("a103")); time.Since(began) != lookShare*20*time.Millisecond {
			t.Errorf("looked after %v", time.Since(began))
		}
		if _, err := w.SubmitBlock(t.Context(), w.c.Mine("a103", "a104")); err != nil {
			t.Fatal(err)
		}
		if next, err := w.Template(); err != nil || next.Parent != w.c.Hash("a104") {
			t.Errorf("what was found for the tip before is handed out: %+v, %v", next, err)
		}
	})
}
