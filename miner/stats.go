package miner

import (
	"sync"
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// Stats is what a miner has done so far.
type Stats struct {
	Kernel      string
	Rate        float64        // hashes a second over the last ten seconds, all threads
	ThreadRates []float64      // the same, by thread
	Hashes      uint64         // since the start
	SinceBlock  uint64         // hashes since the last block that was found here
	Best        consensus.Hash // lowest hash since the start; zero while there is none

	Found   int // blocks accepted
	Stale   int // blocks that came too late to be the tip
	Refused int // blocks that broke a rule

	Height          uint32  // of the block that is searched, 0 while there is none
	Bits            uint32  // its target
	ExpectedSeconds float64 // mean time to find it at Rate; 0 while Rate is 0
	Luck            float64 // hashes expected for the blocks found, by hashes done; 1 is as expected
	Waiting         string  // why nothing is searched, "" while something is
}

// Stats returns the state of this moment.
func (m *Miner) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.stats
	s.Kernel = m.cfg.Kernel.Name()
	elapsed := time.Since(m.started)
	for i := range m.meters {
		rate := m.meters[i].rate(elapsed)
		s.ThreadRates = append(s.ThreadRates, rate)
		s.Rate += rate
	}
	if s.Rate > 0 && s.Bits != 0 {
		s.ExpectedSeconds = expectedHashes(s.Bits) / s.Rate
	}
	if s.Hashes > 0 {
		s.Luck = m.earned / float64(s.Hashes)
	}
	return s
}

// Due is how many hashes MaxHashrate has allowed since the first template; 0 where there is
// no limit. The share of these that Stats.Hashes lacks is how far the machine lags behind.
// Time with no template that the clock would allow does not count; the time that the
// source takes to judge a block and to make the next template does, since a machine that
// keeps up makes up for it: for up to a quarter of a second at once.
func (m *Miner) Due() float64 { return m.limit.due() }

// expectedHashes is how many hashes a block with such a target takes on average.
func expectedHashes(bits uint32) float64 {
	work, _ := consensus.WorkOf(bits).Big().Float64()
	return work
}

// window is over how many whole seconds, and the current one, a rate is taken.
const window = 10

// meter counts one thread's hashes by the second.
type meter struct {
	mu      sync.Mutex
	buckets [window + 1]uint64
	last    int64 // second that was counted last
}

// add counts hashes that were done by a time since the start.
func (m *meter) add(elapsed time.Duration, hashes uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(elapsed)
	m.buckets[m.last%int64(len(m.buckets))] += uint64(hashes)
}

// rate returns the hashes a second of the window that ends at a time since the
// start.
func (m *meter) rate(elapsed time.Duration) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(elapsed)
	var sum uint64
	for _, n := range m.buckets {
		sum += n
	}
	span := window + elapsed.Seconds() - float64(m.last)
	if span = min(span, elapsed.Seconds()); span <= 0 {
		return 0
	}
	return float64(sum) / span
}

// turn clears the buckets of the seconds since the last call.
func (m *meter) turn(elapsed time.Duration) {
	second := int64(elapsed / time.Second)
	for range min(second-m.last, int64(len(m.buckets))) {
		m.last++
		m.buckets[m.last%int64(len(m.buckets))] = 0
	}
	m.last = max(m.last, second)
}
