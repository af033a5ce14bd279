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

	mu      sync.Mutex
	freed   sync.Cond // bytes were let go, or a frame was given up
	bytes   int
	leaving int                    // of them, in frames that were given up and are not let go yet
	frames  map[*incoming]struct{} // that count
}

func newIntake(limit int) *intake {
	in := &intake{limit: limit, frames: make(map[*incoming]struct{})}
	in.freed.L = &in.mu
	return in
}

// incoming is one peer's place in the intake, with at most one frame at a time.
type incoming struct {
	all *intake
	cut func(error) // ends the peer's session; it does not wait

	since   time.Time // all.mu guards the rest
	bytes   int
	leaving bool // it was given up: the session ends
}

// grow makes room for the buffer of the peer's frame, of so many bytes, before it is made.
// Where frames that were given up still hold theirs it waits for them to let go, as
// they do at once. A nil incoming counts nothing.
func (f *incoming) grow(bytes int) error {
	if f == nil {
		return nil
	}
	for _, slow := range f.all.enter(f, bytes) {
		slow.cut(errIntakeFull)
	}
	in := f.all
	in.mu.Lock()
	defer in.mu.Unlock()
	for in.bytes > in.limit && !f.leaving {
		in.freed.Wait()
	}
	if f.leaving {
		return errIntakeFull
	}
	return nil
}

// release says that the buffer of the peer's frame is not needed any more.
func (f *incoming) release() {
	in := f.all
	in.mu.Lock()
	defer in.mu.Unlock()
	in.set(f, 0)
}

// enter counts a frame's bytes, and returns the frames that have to go for them.
func (in *intake) enter(f *incoming, bytes int) (slow []*incoming) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if f.leaving {
		return nil
	}
	if f.bytes == 0 {
		f.since = time.Now()
	}
	in.set(f, bytes)
	for in.bytes-in.leaving > in.limit {
		var first *incoming
		for g := range in.frames {
			if !g.leaving && (first == nil || g.since.Before(first.since)) {
				first = g
			}
		}
		first.leaving = true
		in.leaving += first.bytes
		slow = append(slow, first)
	}
	if len(slow) > 0 {
		in.freed.Broadcast()
	}
	return slow
}

// set sets what a frame counts for; in.mu is held.
func (in *intake) set(f *incoming, bytes int) {
	more := bytes - f.bytes
	in.bytes += more
	if f.leaving {
		in.leaving += more
	}
	f.bytes = bytes
	if bytes > 0 {
		in.frames[f] = struct{}{}
	} else {
		delete(in.frames, f)
	}
	if more < 0 {
		in.freed.Broadcast()
	}
}
