package p2p

import (
	"math"
	"slices"
	"time"
)

// When peers' clocks say that ours is wrong.
const (
	// clockVersion is the first version in which the nonce of a Ping begins with the time.
	clockVersion = 2
	// clockLimit is how far off is too far, where the network lets blocks be dated no less
	// ahead; where it does, what it allows.
	clockLimit = 10 * time.Minute
	// clockPeers is how many peers it takes: of two that disagree nobody knows who is right.
	clockPeers = 3
	// clockEvery is how often they are asked, so that nobody can have it said more often.
	clockEvery = 10 * time.Second
)

// SetClockOffset has peers be told a clock that is so far ahead of what now says, or behind
// it where it is below zero. What is timed goes by now alone: on a machine whose clock is
// wrong a second is as long as on any other.
func (e *Engine) SetClockOffset(d time.Duration) { e.ahead = d }

// clock is what our clock shows.
func (e *Engine) clock(now time.Time) time.Time { return now.Add(e.ahead) }

// pingNonce is what a Pong repeats: our clock in Unix seconds, above 32 random bits, for
// nobody is to know the answer before the question.
func (e *Engine) pingNonce(now time.Time) uint64 {
	return max(uint64(uint32(e.clock(now).Unix()))<<32|uint64(e.rng.Uint32()), 1)
}

// onPing answers, and takes the time that the peer sent it at.
func (e *Engine) onPing(now time.Time, p *peer, m *Ping) {
	e.send(p, &Pong{m.Nonce})
	if p.hello.Version >= clockVersion {
		p.offset = time.Duration(int32(uint32(m.Nonce>>32)-uint32(e.clock(now).Unix()))) * time.Second
	}
}

// ClockOffset is the median of the peers' clocks less ours: of those that we dialed, or
// of all where these are too few; zero where all are. A crowd that dials us decides
// nothing while there are three that we chose.
func (e *Engine) ClockOffset() time.Duration {
	var chosen, all []time.Duration
	for _, p := range e.order {
		if p.greeted() {
			all = append(all, p.offset)
			if !p.Inbound {
				chosen = append(chosen, p.offset)
			}
		}
	}
	if len(chosen) >= clockPeers {
		all = chosen
	}
	if len(all) < clockPeers {
		return 0
	}
	slices.Sort(all)
	return all[(len(all)-1)/2]
}

// ClockOff is how far our clock is ahead of the peers' clocks (below zero: behind them),
// where that is further than it may be; otherwise zero. It is for people: no rule, and
// nobody's score, looks at it.
func (e *Engine) ClockOff() time.Duration { return e.clockOff }

// tickClock looks at the peers' clocks.
func (e *Engine) tickClock(now time.Time) {
	if !now.Before(e.clockAt) && now.Sub(e.clockAt) < clockEvery {
		return
	}
	e.clockAt, e.clockOff = now, 0
	limit := min(clockLimit, time.Duration(e.cfg.Params.FutureLimit)*time.Second)
	if offset := e.ClockOffset(); offset.Abs() > limit {
		e.clockOff = -max(offset, -math.MaxInt64)
	}
}
