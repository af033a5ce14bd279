package node

import (
	"context"
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
	t *testing.T
	c *chaintest.Chain
}

// newWorkshop opens one whose tip is given.
func newWorkshop(t *testing.T, params *consensus.Params, store storage.Store, drawing, tip string) *workshop {
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
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return &workshop{&minerSource{Runner: r, life: ctx}, t, c}
}

// worth reports whether a block is worth mining on.
func (w *workshop) worth(name string) bool {
	select {
	case <-w.staleOn(w.c.Hash(name)):
		return false
	default:
		return true
	}
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
	stale := w.staleOn(w.c.Hash("a101"))
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
	})
}
