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
	// maxTurn bounds that where connections share an uplink, in bytes: TCP's initial
	// window (RFC 6928), after which others have their turn.
	maxTurn = 10 * segment
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
	link     Link
	from, to int           // nodes of the matrix
	resend   time.Duration // until a lost segment is sent again
	uplink   *uplink       // of the sender; nil: it shares none
	put      token         // there is something to take, or the lane has ended
	taken    token         // there is room, or the lane has ended

	mu      *sync.Mutex // the uplink's, where there is one
	rand    *rand.Rand
	parcels []parcel
	left    int       // of parcels, the first ones: those that have left the sender
	bytes   int       // of parcels, with their cost
	free    time.Time // when all that was put has left the sender
	held    bool      // the link is dead: nothing leaves
	end     error     // why no more comes; what is on its way is taken first
	endAt   time.Time // when that arrives, at the earliest; zero: it has not left
}

// parcel is a piece on its way.
type parcel struct {
	data   []byte
	size   int       // that it counts for
	arrive time.Time // or when those before it have been taken; unset until it has left
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

func newLane(link Link, roundTrip time.Duration, r *rand.Rand, up *uplink) *lane {
	l := &lane{link: link, resend: max(roundTrip, minResend), rand: r, uplink: up, put: newToken(), taken: newToken()}
	if up == nil {
		l.mu = new(sync.Mutex)
	} else {
		l.mu = &up.mu
	}
	return l
}

// write puts bytes on their way, and waits while there is no room for them, until
// expired is closed. It returns how many were put, and why not all.
func (l *lane) write(expired <-chan struct{}, b []byte) (n int, err error) {
	most := maxParcel
	if l.uplink != nil {
		most = maxTurn
	}
	for n < len(b) {
		select {
		case <-expired:
			return n, os.ErrDeadlineExceeded
		default:
		}
		piece := b[n:min(len(b), n+most)]
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
	now := time.Now()
	if l.uplink != nil {
		l.uplink.advance(now) // before this one is there, which leaves no sooner than now
	}
	l.bytes += size
	l.parcels = append(l.parcels, parcel{data: append([]byte(nil), b...), size: size})
	if !l.held {
		l.depart(now)
	}
	l.put.give()
	return true, nil
}

// depart lets what has not left do so, from now on; l.mu is held, and the uplink has
// advanced.
func (l *lane) depart(now time.Time) {
	if l.uplink != nil {
		l.uplink.queue(l, now)
		return
	}
	for l.left < len(l.parcels) {
		l.leave(now)
	}
}

// leave sends the next parcel; l.mu is held.
func (l *lane) leave(at time.Time) {
	p := &l.parcels[l.left]
	p.arrive = l.arrival(len(p.data), at)
	l.left++
}

// arrival says when so many bytes arrive whose turn to leave is at a time; l.mu is held.
func (l *lane) arrival(size int, at time.Time) time.Time {
	late := time.Duration(0)
	if l.link.Jitter > 0 {
		late = time.Duration(l.rand.Int64N(int64(l.link.Jitter) + 1))
	}
	again, resent := l.losses((size + segment - 1) / segment)
	size += resent * segment
	if l.uplink != nil {
		at = l.uplink.send(size)
	}
	if l.link.Bandwidth > 0 {
		if l.free.Before(at) {
			l.free = at
		}
		l.free = l.free.Add(lineTime(size, l.link.Bandwidth))
		at = l.free
	}
	return at.Add(l.link.Delay + late + again)
}

// lineTime is how long so many bytes take at so many a second.
func lineTime(size int, rate int64) time.Duration {
	return time.Duration(float64(size) / float64(rate) * float64(time.Second))
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

// take takes from the first parcel, if it has arrived. Otherwise it says when to look
// again; zero where something has to change first.
func (l *lane) take(b []byte) (n int, next time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.uplink != nil {
		l.uplink.advance(now)
	}
	switch {
	case len(l.parcels) == 0 && l.end != nil && !l.endAt.IsZero() && !now.Before(l.endAt):
		return 0, next, l.end
	case len(l.parcels) == 0:
		return 0, l.endAt, nil
	case l.left == 0 && l.held:
		return 0, next, nil
	case l.left == 0:
		return 0, l.uplink.free, nil
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
		l.left--
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
	if l.end != nil {
		return
	}
	l.end = why
	if !l.held {
		l.endAt = time.Now().Add(l.link.Delay)
	}
	l.put.give()
	l.taken.give()
}

// cut ends the lane at once; what is on its way is lost.
func (l *lane) cut(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.uplink != nil {
		l.uplink.advance(now)
		l.uplink.drop(l)
	}
	l.end, l.endAt, l.parcels, l.left, l.bytes = why, now, nil, 0, 0
	l.put.give()
	l.taken.give()
}

// hold makes the link dead, or alive again. What is on its way when it dies is lost,
// and TCP sends it again: it leaves, with all that was put meanwhile, when the link
// comes back.
func (l *lane) hold(held bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == held {
		return
	}
	l.held = held
	now := time.Now()
	if l.uplink != nil {
		l.uplink.advance(now)
	}
	if held {
		l.recall(now)
		return
	}
	if l.end != nil && l.endAt.IsZero() {
		l.endAt = now.Add(l.link.Delay)
	}
	if len(l.parcels) > l.left {
		l.depart(now)
	}
	l.put.give()
}

// recall takes back what has left and has not arrived; l.mu is held.
func (l *lane) recall(now time.Time) {
	if l.uplink != nil {
		l.uplink.drop(l)
	}
	arrived := 0
	for arrived < l.left && !now.Before(l.parcels[arrived].arrive) {
		arrived++
	}
	if arrived < len(l.parcels) || now.Before(l.endAt) {
		l.endAt = time.Time{}
	}
	l.left, l.free = arrived, time.Time{}
}
