package host

import (
	"slices"
	"sync"
	"time"
)

// uplink is the line by which all leaves that a node of a Matrix sends. Its lanes take
// turns, a parcel each, as connections do whose packets share a line fairly: a large
// block does not hold up what goes to somebody else. A lane that comes anew has its turn
// behind those that wait.
//
// Nobody waits for the line: what leaves when is worked out whenever somebody looks, who
// writes or who waits for what was written, and is the same whenever that is.
type uplink struct {
	rate int64 // bytes a second

	mu    sync.Mutex // of the lanes, too
	free  time.Time  // when all that had its turn has left
	turns []*lane    // those with something that has not left; the next one first
}

// advance sends what has its turn by now; u.mu is held.
func (u *uplink) advance(now time.Time) {
	for len(u.turns) > 0 && !now.Before(u.free) {
		l := u.turns[0]
		u.turns = u.turns[1:]
		l.leave(u.free)
		if l.left < len(l.parcels) {
			u.turns = append(u.turns, l)
		}
	}
}

// queue gives a lane that has something to send its turn; u.mu is held, and u has
// advanced to now.
func (u *uplink) queue(l *lane, now time.Time) {
	if slices.Contains(u.turns, l) {
		return
	}
	if u.free.Before(now) { // which is so only where nobody waits: an idle line saves nothing up
		u.free = now
	}
	u.turns = append(u.turns, l)
	u.advance(now)
}

// drop takes a lane's turn away; u.mu is held, and u has advanced to now.
func (u *uplink) drop(l *lane) {
	u.turns = slices.DeleteFunc(u.turns, func(o *lane) bool { return o == l })
}

// send puts so many bytes on the line, and says when they have left; u.mu is held.
func (u *uplink) send(size int) time.Time {
	u.free = u.free.Add(lineTime(size, u.rate))
	return u.free
}
