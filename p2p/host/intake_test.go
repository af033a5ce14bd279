package host

import (
	"bytes"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestIntake: the frames that are coming in take no more than they may. Those that began
// first are given up, the others arrive.
func TestIntake(t *testing.T) {
	const size, peers, room = 64 * chunkSize, 10, 4
	synctest.Test(t, func(t *testing.T) {
		in := newIntake(room * size)
		var mu sync.Mutex
		var cut []int
		var lives sync.WaitGroup
		arrived := make([]bool, peers)
		for i := range peers {
			here, there := net.Pipe()
			place := &incoming{all: in, cut: func(error) {
				mu.Lock()
				defer mu.Unlock()
				cut = append(cut, i)
				there.Close()
			}}
			frame := newFrame(make([]byte, size))
			lives.Go(func() {
				body, err := readFrame(here, size, place)
				arrived[i] = err == nil && bytes.Equal(body, frame[frameHeader:])
				place.grow(0)
				here.Close()
			})
			lives.Go(func() { // half now, the rest soon
				half := len(frame) / 2
				if _, err := there.Write(frame[:half+1]); err != nil {
					return
				}
				pause(t.Context(), 5*time.Second)
				_, _ = there.Write(frame[half+1:])
			})
			pause(t.Context(), time.Millisecond) // so that there is an order
			in.mu.Lock()
			if in.bytes > in.limit || len(in.frames) > room {
				t.Errorf("%d bytes of %d frames are coming in", in.bytes, len(in.frames))
			}
			in.mu.Unlock()
		}
		lives.Wait()
		if len(cut) < peers-room || len(cut) > peers-room+2 { // buffers are a little larger than frames
			t.Errorf("given up: %v, expected the first %d", cut, peers-room)
		}
		for i := range peers {
			if given := i < len(cut); given != slices.Contains(cut, i) || given == arrived[i] {
				t.Errorf("given up: %v; arrived: %v", cut, arrived)
				break
			}
		}
		if in.bytes != 0 || len(in.frames) != 0 {
			t.Errorf("%d bytes of %d frames are left", in.bytes, len(in.frames))
		}
	})
}
