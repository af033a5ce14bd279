package node

import "time"

// clock is a node's: the system's, unless it is wrong on purpose.
type clock struct {
	mock   time.Time     // where it stands still, unless zero
	offset time.Duration // else: how far it is ahead
}

// at is what it shows at a moment.
func (c *clock) at(now time.Time) time.Time {
	if !c.mock.IsZero() {
		return c.mock
	}
	return now.Add(c.offset)
}

// Now is the node's clock. It does without the lock.
func (r *Runner) Now() time.Time { return r.clock.Load().at(time.Now()) }

// SetMockTime stops the clock at t; the zero time lets it run again.
func (r *Runner) SetMockTime(t time.Time) { r.setClock(func(c *clock) { c.mock = t }) }

// SetClockOffset makes the clock wrong: so far ahead of the system's, or behind where it is
// below zero. One that stands still stays where it is.
func (r *Runner) SetClockOffset(d time.Duration) { r.setClock(func(c *clock) { c.offset = d }) }

func (r *Runner) setClock(change func(*clock)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := *r.clock.Load()
	change(&c)
	r.clock.Store(&c)
}
