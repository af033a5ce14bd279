package testnet

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kapok-chain/kapok/testnet/record"
)

// The end of a run says how late the load's payments of the measured part were, and not
// those of attackers, nor those that were due before and after it.
func TestLoadLateness(t *testing.T) {
	began := time.Now()
	r := &run{ledger: newLedger(began, 1, 0), net: &network{}}
	r.from.at, r.to.at = began.Add(10*time.Second), began.Add(20*time.Second)
	paid := func(due, late time.Duration, role record.Role) {
		r.ledger.submit(submission{tx: named("x"), due: began.Add(due), sent: began.Add(due + late), role: role})
	}
	if end := r.cost(); end.LoadLate != nil || end.LookLate != nil {
		t.Errorf("nothing was due, and %+v, %+v was late", end.LoadLate, end.LookLate)
	}
	paid(10*time.Second-1, time.Minute, "")
	paid(20*time.Second, time.Minute, "")
	paid(15*time.Second, time.Minute, record.DoubleSpend)
	r.ledger.skip(0, began.Add(15*time.Second), errNodeDown)
	for i := range 200 {
		paid(10*time.Second+time.Duration(i), time.Duration(i+1)*time.Millisecond, "")
	}
	if got, want := r.cost().LoadLate, (record.Lateness{P50S: 0.1, P99S: 0.198, MaxS: 0.2}); got == nil || *got != want {
		t.Errorf("payments were late by %+v, expected %+v", got, want)
	}
}

// A look that takes long stands for those that were due meanwhile, and makes none late: it
// is the node that is.
func TestLookLateness(t *testing.T) {
	o := smallOptions(t, smallSpec(t, 2))
	synctest.Test(t, func(t *testing.T) {
		r, err := newRun(o)
		if err != nil {
			t.Fatal(err)
		}
		defer r.writer.Close()
		r.enter("measuring")
		ctx, cancel := context.WithCancel(t.Context())
		looks := 0
		r.net.seats[0].member = &probed{asked: func() {
			looks++
			switch looks {
			case 1:
				<-time.After(2500 * time.Millisecond)
			case 2:
				cancel()
			}
		}}
		r.from = mark{at: time.Now(), hashes: make([]float64, 2), due: make([]float64, 2)}
		r.to = r.from
		if err := r.sample(ctx); err != nil {
			t.Fatal(err)
		}
		r.to.at = time.Now().Add(1)
		if got := r.cost().LookLate; got == nil || *got != (record.Lateness{}) {
			t.Errorf("looks were late by %+v", got)
		}
		if took := r.to.at.Sub(r.from.at); len(r.looks) != 2 || took != 4*time.Second+1 { // they are due at 1 s and, since that one ends at 3.5 s, at 4 s
			t.Errorf("%d looks in %v", len(r.looks), took)
		}
		r.looks[1].by = time.Second
		if got, want := r.cost().LookLate, (record.Lateness{P50S: 0, P99S: 1, MaxS: 1}); got == nil || *got != want {
			t.Errorf("looks were late by %+v, expected %+v", got, want)
		}
	})
}
