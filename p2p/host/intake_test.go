package host

import (
	"bytes"
	"errors"
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
				place.release()
				here.Close()
			})
			lives.Go(func() { // half now, the rest soon
				half := len(frame)/2 + chunkSize // the buffer has the whole size by then
				if _, err := there.Write(frame[:half]); err != nil {
					return
				}
				pause(t.Context(), 5*time.Second)
				_, _ = there.Write(frame[half:])
			})
			pause(t.Context(), time.Millisecond) // so that there is an order
			in.mu.Lock()
			if in.bytes > in.limit || len(in.frames) > room {
				t.Errorf("%d bytes of %d frames are coming in", in.bytes, len(in.frames))
			}
			in.mu.Unlock()
		}
		lives.Wait()
		if len(cut) != peers-room {
			t.Errorf("given up: %v, expected the first %d", cut, peers-room)
		}
		for i := range peers {
			if given := i < len(cut); given != slices.Contains(cut, i) || given == arrived[i] {
				t.Errorf("given up: %v; arrived: %v", cut, arrived)
				break
			}
		}
		if in.bytes != 0 || in.leaving != 0 || len(in.frames) != 0 {
			t.Errorf("%d bytes of %d frames are left, %d of them leaving", in.bytes, len(in.frames), in.leaving)
		}
	})
}

// TestIntakeWaits: a frame that was given up counts until its buffer is let go, and whoever
// comes waits for that; if it is given up meanwhile, it waits no longer.
func TestIntakeWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newIntake(10)
		place := func() *incoming { return &incoming{all: in, cut: func(error) {}} }
		first, second, third := place(), place(), place()
		want := func(what string, err, is error) {
			t.Helper()
			if !errors.Is(err, is) {
				t.Errorf("%s: %v, want %v", what, err, is)
			}
		}
		want("first", first.grow(6), nil)
		time.Sleep(time.Second)
		came := make(chan error, 2)
		go func() { came <- second.grow(6) }()
		synctest.Wait()
		select {
		case err := <-came:
			t.Fatalf("there was no room for the second: %v", err)
		default:
		}
		want("first, given up", first.grow(7), errIntakeFull)
		time.Sleep(time.Second)
		go func() { came <- third.grow(9) }()
		want("second, given up for the third", <-came, errIntakeFull)
		first.release()
		synctest.Wait()
		select {
		case err := <-came:
			t.Fatalf("there was no room for the third: %v", err)
		default:
		}
		second.release()
		want("third", <-came, nil)
		third.release()
		if in.bytes != 0 || in.leaving != 0 {
			t.Errorf("%d bytes are left, %d of them leaving", in.bytes, in.leaving)
		}
	})
}
