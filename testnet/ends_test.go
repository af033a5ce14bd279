package testnet

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/rpc"
	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/spec"
)

// statuses counts the payments of a run directory by what became of them.
func statuses(r *record.Run) map[record.PaymentStatus]int {
	n := make(map[record.PaymentStatus]int)
	for _, p := range r.Payments {
		n[p.Status]++
	}
	return n
}

// Where a run ends with two branches, what is in the blocks of the shorter one is not lost.
func TestEndsInPartition(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s := smallSpec(t, 4)
	s.Payments.Rate, s.Coins, s.Blocks = 20, 400, 16 // so many that both sides find some, but for one time in thousands
	s.Events = []spec.Event{{Kind: spec.Partition, Groups: [][]int{{0, 3}, {1, 2}}}}
	o := smallOptions(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Progress = func(text string) {
		if strings.HasPrefix(text, "waiting for the last confirmations") {
			cancel()
		}
	}
	if _, err := Run(ctx, o); err == nil {
		t.Error("an interrupted run is content")
	}
	r, err := record.Open(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	n := statuses(r)
	beside := 0
	for _, p := range r.Payments {
		if strings.Contains(p.Detail, "beside") {
			beside++
		}
	}
	if n[record.Lost] > 0 || n[record.Confirmed] == 0 || beside == 0 || r.Manifest.PaymentsUnknown != "" {
		t.Errorf("%v, of these %d in blocks beside the best chain; %q", n, beside, r.Manifest.PaymentsUnknown)
	}
}

// Nodes that do not answer in the end leave open what became of the payments: nothing is
// called lost, and whoever reads the record is told.
func TestPaymentsUnknown(t *testing.T) {
	s := smallSpec(t, 2)
	r := smallRun(t, smallOptions(t, s))
	eventually(t, r, "a block", func() bool { return lowest(r.recorder.tips) > s.Prelude })
	r.ledger.submit(submission{tx: named("x"), sent: r.began})
	r.ledger.answer(0, r.began, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.conclude(ctx, commandTime)
	if row := r.ledger.rows()[0]; row.Status != record.Pending || r.manifest.PaymentsUnknown == "" {
		t.Errorf("%+v; %q", row, r.manifest.PaymentsUnknown)
	}
	if err := r.writer.Manifest(r.manifest); err != nil {
		t.Fatal(err)
	}
	read, err := record.Open(r.Dir)
	if err != nil || len(read.Notes) != 1 || !strings.Contains(read.Notes[0], "not known") {
		t.Errorf("%+v, %v", read, err)
	}
	r.conclude(t.Context(), commandTime)
	if row := r.ledger.rows()[0]; row.Status != record.Lost {
		t.Errorf("%+v, though all nodes say that they do not have it", row)
	}
}

// A network for people goes on when the coins that were prepared are spent.
func TestInteractiveOutOfCoins(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s := smallSpec(t, 2)
	s.Coins, s.Payments.Rate = 10, 50
	o := smallOptions(t, s)
	o.Interactive = true
	r, err := newRun(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- r.play(ctx) }()
	grown := func(by uint32) func() bool { // blocks above those that are there
		var from, now uint32
		r.recorder.look(func() { from = r.recorder.best().Height })
		return func() bool {
			r.recorder.look(func() { now = r.recorder.best().Height })
			return now >= from+by
		}
	}
	spent := func() bool { return len(r.ledger.rows()) == s.Coins }
	if err := r.until(t.Context(), commandTime, spent); err != nil || !spent() {
		t.Fatalf("%d of %d coins are spent, %v", len(r.ledger.rows()), s.Coins, err)
	}
	more := grown(5)
	if err := r.until(t.Context(), commandTime, more); err != nil || !more() {
		t.Errorf("the network does not go on: %v", err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if _, err := r.finish(ctx, nil); err != nil {
		t.Fatal(err)
	}
	read, err := record.Open(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	for _, e := range read.Events {
		if e.Kind == "out-of-coins" {
			told++
		}
	}
	if told != 1 {
		t.Errorf("%d events say that the coins are spent", told)
	}
}

// The last confirmation is there when the last node has the block, though the best chain is
// the one of before.
func TestDrainWaitsForTheLastNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &run{Options: Options{Spec: &spec.Spec{Coins: 1, SpacingS: 1}}, began: time.Now(), net: &network{}}
		r.ledger = newLedger(r.began, 2, 0)
		r.recorder = newRecorder(r.began, 2, r.ledger)
		for node := range 2 {
			client := rpc.NewClient(rpc.Dial{URL: "http://127.0.0.1:1"}) // nobody there: all is learnt already
			defer client.Close()
			r.net.seats = append(r.net.seats, &seat{net: r.net, node: node, client: client})
			r.recorder.turned(node, true, r.began)
		}
		id := r.ledger.submit(submission{tx: named("x"), due: r.began, sent: r.began})
		r.ledger.answer(id, r.began, nil)
		tips := []tipSighting{{Hash: named("genesis")}}
		for i, name := range []string{"A", "B", "C", "D", "E", "F"} {
			txs := []consensus.Hash{named("x")}
			height := uint32(i + 1)
			r.ledger.learnBlock(named(name), height, tips[i].Hash, txs[:max(0, 1-i)])
			tips = append(tips, tipSighting{Hash: named(name), Height: height, Work: consensus.Uint256{uint64(height)}})
		}
		r.recorder.watch(0, false)(sighting{At: time.Now(), Tip: &tips[6]})
		r.recorder.watch(1, false)(sighting{At: time.Now(), Tip: &tips[5]})
		paid := make(chan struct{})
		close(paid)
		ended := make(chan error, 1)
		go func() { ended <- r.drain(t.Context(), paid) }()
		synctest.Wait()
		select {
		case err := <-ended:
			t.Fatalf("it waits for no last node: %v", err)
		case <-time.After(time.Second):
		}
		r.recorder.watch(1, false)(sighting{At: time.Now(), Tip: &tips[6]})
		if err := <-ended; err != nil || time.Since(r.began) != time.Second {
			t.Errorf("it ended after %v with %v", time.Since(r.began), err)
		}
	})
}
