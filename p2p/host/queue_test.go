package host

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kapok-chain/kapok/p2p"
)

func TestQueueLimits(t *testing.T) {
	var total atomic.Int64
	q := newQueue(&total)
	for i := range maxQueueFrames {
		if err := q.push([]byte{byte(i)}); err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
	}
	if err := q.push([]byte{1}); !errors.Is(err, errQueueFull) {
		t.Errorf("frame %d: %v, expected errQueueFull", maxQueueFrames, err)
	}
	if frame, ok := q.pop(t.Context()); !ok || frame[0] != 0 {
		t.Errorf("popped %v", frame)
	}
	if err := q.push([]byte{1}); !errors.Is(err, errQueueFull) {
		t.Error("a frame that is being written does not count")
	}
	q.written(1)
	if err := q.push([]byte{1}); err != nil {
		t.Errorf("after a frame was written: %v", err)
	}
	if total.Load() != maxQueueFrames || q.size() != maxQueueFrames {
		t.Errorf("%d bytes in total, %d in this queue, expected %d", total.Load(), q.size(), maxQueueFrames)
	}
	q.close()
	q.close()
	q.written(1)
	if err := q.push([]byte{1}); err != nil || total.Load() != 0 {
		t.Errorf("a closed queue: error %v, %d bytes", err, total.Load())
	}

	heavy := newQueue(&total)
	if heavy.behind() != 0 {
		t.Error("an empty queue is behind")
	}
	if err := heavy.push(make([]byte, maxQueueBytes)); err != nil {
		t.Fatal(err)
	}
	if err := heavy.push([]byte{1}); !errors.Is(err, errQueueFull) {
		t.Errorf("%v, expected errQueueFull", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	empty := newQueue(&total)
	if _, ok := empty.pop(ctx); ok {
		t.Error("popped from an empty queue")
	}
}

// TestBehind: an honest peer on a slow link is not behind, one that stops is, and one that
// reads just a little is by what it did not read.
func TestBehind(t *testing.T) {
	for _, c := range []struct {
		rate   int // bytes/s that move
		behind time.Duration
	}{{4 << 30, -slowFor}, {2 * slowRate, -slowFor}, {slowRate, 0}, {slowRate / 2, 5 * time.Second}, {0, 10 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			q := newQueue(new(atomic.Int64))
			if err := q.push(make([]byte, p2p.MaxMessage)); err != nil {
				t.Fatal(err)
			}
			if _, ok := q.pop(t.Context()); !ok {
				t.Fatal("nothing to write")
			}
			for range 10 {
				time.Sleep(time.Second)
				q.move(c.rate)
			}
			if behind := q.behind(); behind != c.behind {
				t.Errorf("%d bytes/s: %v behind, want %v", c.rate, behind, c.behind)
			}
			if err := q.push([]byte{1}); err != nil {
				t.Fatal(err)
			}
			if behind := q.behind(); behind != c.behind {
				t.Errorf("%d bytes/s: %v behind with one more frame, want %v", c.rate, behind, c.behind)
			}
			q.written(p2p.MaxMessage)
			q.written(1)
			if err := q.push([]byte{1}); err != nil || q.behind() != 0 {
				t.Errorf("%v behind when everything had been written", q.behind())
			}
		})
	}
}
