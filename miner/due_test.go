package miner

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/sha256d"
)

// TestDue: what the limit allowed is what a miner does that is not held up, which its own
// delays are told from: those of a quarter of a second are made up for, longer ones are
// not. While there is no template nothing is due, and nothing is made up for afterwards.
func TestDue(t *testing.T) {
	const rate, threads, run = 10_000, 2, 60 * time.Second
	for _, c := range []struct {
		name  string
		at    time.Duration // when there is no template,
		wait  time.Duration // and for how long
		every time.Duration // how often all threads stand still,
		stop  time.Duration // and how long
		due   float64
		done  float64
	}{
		{"not held up", 0, 0, 0, 0, 60 * rate, 60 * rate},
		{"no template at first", 0, 10 * time.Second, 0, 0, 50 * rate, 50 * rate},
		{"no template for a while", 20 * time.Second, 10 * time.Second, 0, 0, 50 * rate, 50 * rate},
		{"short delays", 0, 0, 5 * time.Second, burst, 60 * rate, 60 * rate},
		{"long delays", 0, 0, 5 * time.Second, time.Second + burst, 60 * rate, 60*rate - 12*rate},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLedger(network(t, nil))
			began := time.Now()
			tooEarly := func() { // what comes after this block
				l.mu.Lock()
				defer l.mu.Unlock()
				ahead := uint32(time.Now().Unix() + l.params.FutureLimit + int64(c.wait/time.Second))
				l.move(&consensus.Header{Version: Version, Prev: l.tip.Hash, Time: ahead - 1, Bits: l.params.StartBits})
			}
			if c.wait > 0 && c.at == 0 {
				tooEarly()
			} else if c.wait > 0 {
				time.AfterFunc(c.at, tooEarly)
			}
			kernel := dummy{see: func(*sha256d.Work, uint32, uint32, []sha256d.Hit) int {
				if c.every > 0 && time.Since(began)%c.every < c.stop {
					time.Sleep(c.stop - time.Since(began)%c.every)
				}
				return 0
			}}
			m := New(Config{Threads: threads, MaxHashrate: rate, Payout: payout, Kernel: kernel}, l)
			if m.Due() != 0 {
				t.Errorf("%s: %v hashes are due before the start", c.name, m.Due())
			}
			stop := running(m)
			time.Sleep(run)
			due, done := m.Due(), float64(m.Stats().Hashes)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if math.Abs(due-c.due) > rate/100 || math.Abs(done-c.done) > rate/5 || done > due+rate/100 {
				t.Errorf("%s: %v of %v hashes, expected %v of %v", c.name, done, due, c.done, c.due)
			}
			due = m.Due()
			time.Sleep(run)
			if m.Due() != due {
				t.Errorf("%s: more is due after the end", c.name)
			}
		})
	}
	if m := New(Config{}, newLedger(network(t, nil))); m.Due() != 0 {
		t.Errorf("without a limit %v hashes are due", m.Due())
	}
}
