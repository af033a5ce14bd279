package host

import (
	"errors"
	"sync"
	"time"
)

// errIntakeFull: the frames of all peers took too much, and this one had been coming
// in for longest.
var errIntakeFull = errors.New("a frame was too slow while many came in")

// intake bounds what unfinished frames of all peers take. Where there is no room, the
// one that began first has to go: an honest peer's is there within seconds, and whoever
// begins frames in order to fill memory does not end them.
type intake struct {
	limit int // bytes

	mu     sync.Mutex
	bytes  int
	frames map[*incoming]struct{} // that count
}

func newIntake(limit int) *intake {
	return &intake{limit: limit, frames: make(map[*incoming]struct{})}
}

// incoming is one peer's place in the intake, with at most one frame at a time.
type incoming struct {
	all *intake
	cut func(error) // ends the peer's session; it does not wait

	since time.Time // all.mu guards the rest
	bytes int
}

// grow says how many bytes the buffer of the peer's frame has by now; 0: it is read.
// A nil incoming counts nothing.
func (f *incoming) grow(bytes int) {
	if f == nil {
		return
	}
	for _, slow := range f.all.count(f, bytes) {
		slow.cut(errIntakeFull)
	}
}

// count enters a frame's bytes and returns whom that leaves no room for.
func (in *intake) count(f *incoming, bytes int) (slow []*incoming) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if f.bytes == 0 {
		f.since = time.Now()
	}
	in.enter(f, bytes)
	for in.bytes > in.limit {
		var first *incoming
		for g := range in.frames {
			if first == nil || g.since.Before(first.since) {
				first = g
			}
		}
		in.enter(first, 0)
		slow = append(slow, first)
	}
	return slow
}

// enter sets what a frame counts for; in.mu is held.
func (in *intake) enter(f *incoming, bytes int) {
	in.bytes += bytes - f.bytes
	f.bytes = bytes
	if bytes > 0 {
		in.frames[f] = struct{}{}
	} else {
		delete(in.frames, f)
	}
}
