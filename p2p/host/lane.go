package host

import (
	"math/rand/v2"
	"os"
	"sync"
	"time"
)

// Limits of a shaped connection, for each direction.
const (
	// maxLaneBytes bounds what is on its way, in bytes; a writer waits for more
	// room, as it does for TCP's. Linux's send buffers grow to the same.
	maxLaneBytes = 4 << 20
	// maxParcel bounds what is put on the way as one, in bytes: the largest write
	// that Noise makes.
	maxParcel = 64 << 10
	// parcelCost is what a parcel takes beside its bytes: its header, its times.
	parcelCost = 128
	// segment is what TCP sends as one over Ethernet, in bytes.
	segment = 1448
	// minResend is the least time until a lost segment is sent again: RACK's, for
	// the end of what was written (RFC 8985).
	minResend = 10 * time.Millisecond
	// maxResends bounds how often one segment is lost.
	maxResends = 6
)

// lane is one direction of a shaped connection: what was put at one end can be
// taken at the other once it has arrived. One goroutine puts and one takes.
type lane struct {
	link   Link
	resend time.Duration // until a lost segment is sent again
	put    token         // there is something to take, or the lane has ended
	taken  token         // there is room, or the lane has ended

	mu      sync.Mutex
	rand    *rand.Rand
	parcels []parcel
	bytes   int       // of parcels, with their cost
	free    time.Time // when all that was put has left the sender
	end     error     // why no more comes; what is on its way is taken first
	endAt   time.Time // when that arrives, at the earliest
}

// parcel is a piece on its way.
type parcel struct {
	data   []byte
	size   int       // that it counts for
	arrive time.Time // or when those before it have been taken
}

// token wakes one goroutine, now or when it comes to wait.
type token chan struct{}

func newToken() token { return make(token, 1) }

func (t token) give() {
	select {
	case t <- struct{}{}:
	default:
	}
}

func newLane(link Link, roundTrip time.Duration, r *rand.Rand) *lane {
	return &lane{link: link, resend: max(roundTrip, minResend), rand: r, put: newToken(), taken: newToken()}
}

// write puts bytes on their way, and waits while there is no room for them, until
// expired is closed. It returns how many were put, and why not all.
func (l *lane) write(expired <-chan struct{}, b []byte) (n int, err error) {
	for n < len(b) {
		select {
		case <-expired:
			return n, os.ErrDeadlineExceeded
		default:
		}
		piece := b[n:min(len(b), n+maxParcel)]
		ok, err := l.add(piece)
		if err != nil {
			return n, err
		}
		if ok {
			n += len(piece)
			continue
		}
		select {
		case <-l.taken:
		case <-expired:
		}
	}
	return n, nil
}

// add puts one parcel on its way, if there is room.
func (l *lane) add(b []byte) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	size := len(b) + parcelCost
	if l.end != nil {
		return false, l.end
	}
	if l.bytes+size > maxLaneBytes {
		return false, nil
	}
	l.bytes += size
	l.parcels = append(l.parcels, parcel{append([]byte(nil), b...), size, l.arrival(len(b))})
	l.put.give()
	return true, nil
}

// arrival says when so many bytes, put now, arrive; l.mu is held.
func (l *lane) arrival(size int) time.Time {
	now := time.Now()
	late := time.Duration(0)
	if l.link.Jitter > 0 {
		late = time.Duration(l.rand.Int64N(int64(l.link.Jitter) + 1))
	}
	again, resent := l.losses((size + segment - 1) / segment)
	if l.link.Bandwidth > 0 {
		if l.free.Before(now) {
			l.free = now
		}
		seconds := float64(size+resent*segment) / float64(l.link.Bandwidth)
		l.free = l.free.Add(time.Duration(seconds * float64(time.Second)))
		now = l.free
	}
	return now.Add(l.link.Delay + late + again)
}

// losses draws how much later the last of so many segments arrives, and how many
// were sent again; l.mu is held.
func (l *lane) losses(segments int) (late time.Duration, resent int) {
	if l.link.Loss == 0 {
		return 0, 0
	}
	for range segments {
		wait, next := time.Duration(0), l.resend
		for range maxResends {
			if l.rand.Float64() >= l.link.Loss {
				break
			}
			wait += next
			next *= 2
			resent++
		}
		late = max(late, wait)
	}
	return late, resent
}

// read takes what has arrived, and waits while nothing has, until expired is closed.
func (l *lane) read(expired <-chan struct{}, b []byte) (int, error) {
	for {
		select {
		case <-expired:
			return 0, os.ErrDeadlineExceeded
		default:
		}
		n, next, err := l.take(b)
		if n > 0 || err != nil || len(b) == 0 {
			return n, err
		}
		l.await(expired, next)
	}
}

// take takes from the first parcel, if it has arrived. Otherwise it says when that
// will be; zero where there is none.
func (l *lane) take(b []byte) (n int, next time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if len(l.parcels) == 0 {
		if l.end != nil && !now.Before(l.endAt) {
			return 0, next, l.end
		}
		return 0, l.endAt, nil
	}
	first := &l.parcels[0]
	if now.Before(first.arrive) {
		return 0, first.arrive, nil
	}
	n = copy(b, first.data)
	first.data = first.data[n:]
	if len(first.data) == 0 {
		l.bytes -= first.size
		l.parcels[0] = parcel{}
		l.parcels = l.parcels[1:]
		l.taken.give()
	}
	return n, next, nil
}

// await waits for the time, unless that is zero, or for whatever changes before.
func (l *lane) await(expired <-chan struct{}, t time.Time) {
	var arrived <-chan time.Time
	if !t.IsZero() {
		timer := time.NewTimer(time.Until(t))
		defer timer.Stop()
		arrived = timer.C
	}
	select {
	case <-arrived:
	case <-l.put:
	case <-expired:
	}
}

// finish says that nothing more comes, and why: that arrives behind all that was
// put. The first reason counts.
func (l *lane) finish(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end == nil {
		l.end, l.endAt = why, time.Now().Add(l.link.Delay)
		l.put.give()
		l.taken.give()
	}
}

// cut ends the lane at once; what is on its way is lost.
func (l *lane) cut(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end, l.endAt, l.parcels, l.bytes = why, time.Time{}, nil, 0
	l.put.give()
	l.taken.give()
}
