package host

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// errQueueFull: the peer does not read as fast as it asks.
var errQueueFull = errors.New("send queue is full")

// queue holds the frames that wait for one peer. One goroutine pops, any may
// push. A frame counts until it is written, so that memory is what is bounded.
type queue struct {
	total *atomic.Int64 // bytes in the queues of all peers
	wake  chan struct{} // holds a token while frames wait

	mu     sync.Mutex
	frames [][]byte
	since  time.Time // when there was something to write first; later where more moved than counts
	moved  int       // bytes that were written since
	count  int       // frames, with the one being written
	bytes  int       // bytes, with the one being written
	closed bool
}

func newQueue(total *atomic.Int64) *queue {
	return &queue{total: total, wake: make(chan struct{}, 1)}
}

// push appends a frame, or returns errQueueFull. A closed queue swallows it.
func (q *queue) push(frame []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil
	}
	if q.count >= maxQueueFrames || q.bytes+len(frame) > maxQueueBytes {
		return errQueueFull
	}
	if q.count == 0 {
		q.since, q.moved = time.Now(), 0
	}
	q.frames = append(q.frames, frame)
	q.count++
	q.bytes += len(frame)
	q.total.Add(int64(len(frame)))
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return nil
}

// pop waits for the next frame; false when ctx ends first. The caller calls
// written once the frame has left.
func (q *queue) pop(ctx context.Context) ([]byte, bool) {
	for {
		q.mu.Lock()
		if len(q.frames) > 0 {
			first := q.frames[0]
			q.frames[0] = nil
			q.frames = q.frames[1:]
			q.mu.Unlock()
			return first, true
		}
		q.mu.Unlock()
		select {
		case <-q.wake:
		case <-ctx.Done():
			return nil, false
		}
	}
}

// written releases a frame of size bytes that pop returned.
func (q *queue) written(size int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.count--
	q.bytes -= size
	q.total.Add(int64(-size))
}

// size returns the bytes that wait.
func (q *queue) size() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes
}

// move counts bytes that were written. Who was fast at first gains slowFor by it at most.
func (q *queue) move(bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.moved += bytes
	if -q.late() > slowFor {
		q.since, q.moved = time.Now().Add(slowFor), 0
	}
}

// behind returns how far the peer is behind one that reads slowRate bytes/s, since something
// waited for it first; below 0 it is ahead.
func (q *queue) behind() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count == 0 {
		return 0
	}
	return q.late()
}

func (q *queue) late() time.Duration {
	return time.Since(q.since) - time.Duration(q.moved)*time.Second/slowRate
}

// close releases everything.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.total.Add(int64(-q.bytes))
	q.closed, q.frames, q.count, q.bytes = true, nil, 0, 0
}
