package host

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
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
