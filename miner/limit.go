package miner

import (
	"context"
	"sync"
	"time"
)

const (
	// burst is how much unused time a limit makes up for: what a thread that
	// was not run in time may catch up on.
	burst = 250 * time.Millisecond

	// slack is how far ahead of its rate a thread may be before it sleeps:
	// sleeps much shorter than that are no use on most systems.
	slack = 2 * time.Millisecond

	// grain is how much of its time's hashes a thread asks for at once, so
	// that a low rate is kept with small batches.
	grain = 10 * time.Millisecond
)

// limiter is a token bucket for all threads: it lets hashes through at a rate
// and up to a burst at once. Whoever is early waits.
type limiter struct {
	rate float64 // hashes a second; 0 for no limit

	mu    sync.Mutex
	next  time.Time     // when the hashes let through so far will all be due
	since time.Time     // from when on there is something to search; zero while there is not
	spent time.Duration // before that, with something to search
}

// start says that there is something to search from now on. What was not done before is
// not made up for.
func (l *limiter) start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.since.IsZero() {
		return
	}
	l.since = time.Now()
	if l.next.Before(l.since) {
		l.next = l.since
	}
}

// stop says that there is nothing to search.
func (l *limiter) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spent, l.since = l.searched(), time.Time{}
}

// searched is for how long there was something to search; l.mu is held.
func (l *limiter) searched() time.Duration {
	if l.since.IsZero() {
		return l.spent
	}
	return l.spent + time.Since(l.since)
}

// due is how many hashes the rate has allowed until now; 0 for no limit.
func (l *limiter) due() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rate * l.searched().Seconds()
}

// batch is how many hashes one of several threads asks for at once, of up to
// most.
func (l *limiter) batch(threads int, most uint32) uint32 {
	if l.rate <= 0 {
		return most
	}
	return uint32(min(float64(most), max(1, l.rate*grain.Seconds()/float64(threads))))
}

// wait returns when n more hashes are due, and false where ctx ended before.
func (l *limiter) wait(ctx context.Context, n uint32) bool {
	if l.rate <= 0 {
		return ctx.Err() == nil
	}
	early := l.take(n)
	if early <= slack {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(early)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		l.refund(n)
		return false
	}
}

// take lets n hashes through and returns how long before their time that is.
func (l *limiter) take(n uint32) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if oldest := now.Add(-burst); l.next.Before(oldest) {
		l.next = oldest
	}
	early := l.next.Sub(now)
	l.next = l.next.Add(l.duration(n))
	return early
}

// refund gives back n hashes that were let through and not done.
func (l *limiter) refund(n uint32) {
	if l.rate <= 0 || n == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = l.next.Add(-l.duration(n))
}

// duration is how long n hashes take at the rate, at most a year.
func (l *limiter) duration(n uint32) time.Duration {
	const year = 365 * 24 * time.Hour
	return time.Duration(min(float64(n)/l.rate*float64(time.Second), float64(year)))
}
