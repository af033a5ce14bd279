package node

import "time"

// clock is a node's: the system's, unless it is wrong on purpose.
type clock struct {
	mock   time.Time     // where it stands still, unless zero
	offset time.Duration // else: how far it is ahead
}

// timer is what things are timed by at a moment: where a clock is wrong a second is as long as
// elsewhere, but time itself stands still with the one that does.
func (c *clock) timer(now time.Time) time.Time {
	if !c.mock.IsZero() {
		return c.mock
	}
	return now
}

// ahead is how far the clock is ahead of the timer.
func (c *clock) ahead() time.Duration {
	if !c.mock.IsZero() {
		return 0
	}
	return c.offset
}

// Now is the node's clock. It does without the lock.
func (r *Runner) Now() time.Time {
	c := r.clock.Load()
	return c.timer(time.Now()).Add(c.ahead())
}

// timer is what the node times things by. It does without the lock.
func (r *Runner) timer() time.Time { return r.clock.Load().timer(time.Now()) }

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
	r.node.SetClockOffset(c.ahead())
}
