package p2p

import "time"

// recent remembers the last few keys, the oldest forgotten first.
type recent[K comparable] struct {
	limit int
	keys  map[K]struct{}
	order []K // a ring once it is full
	next  int
}

func newRecent[K comparable](limit int) recent[K] {
	return recent[K]{limit: limit, keys: make(map[K]struct{})}
}

func (r *recent[K]) has(k K) bool {
	_, ok := r.keys[k]
	return ok
}

// add reports whether k is new.
func (r *recent[K]) add(k K) bool {
	if r.has(k) {
		return false
	}
	if len(r.order) < r.limit {
		r.order = append(r.order, k)
	} else {
		delete(r.keys, r.order[r.next])
		r.order[r.next] = k
		r.next = (r.next + 1) % r.limit
	}
	r.keys[k] = struct{}{}
	return true
}

// bucket is a token bucket: it holds up to burst and gains rate a second.
type bucket struct {
	level, burst, rate int64
	at                 time.Time
}

func newBucket(now time.Time, burst, rate int64) bucket {
	return bucket{level: burst, burst: burst, rate: rate, at: now}
}

// refill adds the tokens that have come since at. A clock that was set back
// brings none.
func (b *bucket) refill(now time.Time) {
	elapsed := min(now.Sub(b.at), time.Duration(b.burst/b.rate+1)*time.Second) // which fills it
	if elapsed < 0 {
		b.at = now
		return
	}
	if gained := elapsed.Microseconds() * b.rate / 1e6; gained > 0 {
		b.level, b.at = min(b.level+gained, b.burst), now
	}
}

// take takes n tokens where there are that many.
func (b *bucket) take(now time.Time, n int64) bool { return b.takeAbove(now, n, 0) }

// takeAbove takes n tokens where that leaves so many.
func (b *bucket) takeAbove(now time.Time, n, rest int64) bool {
	b.refill(now)
	if b.level-n < rest {
		return false
	}
	b.level -= n
	return true
}

// open reports whether there is any token. Then borrow may take more than there
// are: a single large thing passes, and the next one waits for the debt.
func (b *bucket) open(now time.Time) bool {
	b.refill(now)
	return b.level > 0
}

func (b *bucket) borrow(n int64) { b.level -= n }
