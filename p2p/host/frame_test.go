package host

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/frugal"
	"github.com/kapok-chain/kapok/p2p"
)

// slowly writes b a byte every interval until the other end gives up, and says
// how long that took.
func slowly(t *testing.T, b []byte, interval time.Duration) time.Duration {
	t.Helper()
	var took time.Duration
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		start := time.Now()
		var writer sync.WaitGroup
		writer.Go(func() {
			defer there.Close()
			for i := range b {
				if _, err := there.Write(b[i : i+1]); err != nil {
					return
				}
				pause(t.Context(), interval)
			}
		})
		_, err := readFrame(here, 1<<20, nil)
		took = time.Since(start)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("error %v, expected a deadline", err)
		}
		here.Close()
		writer.Wait()
	})
	return took
}

func TestSlowFrames(t *testing.T) {
	if took := slowly(t, newFrame(nil), 4*time.Second); took != headerTimeout {
		t.Errorf("a header that trickles in was waited for %v, expected %v", took, headerTimeout)
	}
	if took := slowly(t, newFrame(make([]byte, 1000)), time.Second); took > headerTimeout+chunkTimeout {
		t.Errorf("a body that trickles in was waited for %v, expected at most %v", took, headerTimeout+chunkTimeout)
	}
}

// TestFrameBudget: a peer that keeps each chunk's deadline does not get more
// than the whole frame's.
func TestFrameBudget(t *testing.T) {
	const size = 20 * chunkSize
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		start := time.Now()
		var writer sync.WaitGroup
		writer.Go(func() {
			defer there.Close()
			frame := newFrame(make([]byte, size))
			if _, err := there.Write(frame[:frameHeader]); err != nil {
				return
			}
			for rest := frame[frameHeader:]; len(rest) > 0; rest = rest[chunkSize:] {
				pause(t.Context(), 9*time.Second)
				if _, err := there.Write(rest[:chunkSize]); err != nil {
					return
				}
			}
		})
		_, err := readFrame(here, 1<<20, nil)
		if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took != frameBudget(size) {
			t.Errorf("error %v after %v, expected a deadline after %v", err, took, frameBudget(size))
		}
		here.Close()
		writer.Wait()
	})
}

// TestSlowReader: a frame that is not read ends within chunkTimeout.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		start := time.Now()
		err := writeFrame(here, newFrame(make([]byte, 10)), func(int) {})
		if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took != chunkTimeout {
			t.Errorf("error %v after %v, expected a deadline after %v", err, took, chunkTimeout)
		}
		here.Close()
		there.Close()
	})
}

// TestIdleBetweenFrames: silence between frames is no fault.
func TestIdleBetweenFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			for range 2 {
				pause(t.Context(), time.Hour)
				if err := writeFrame(there, newFrame([]byte("hello")), func(int) {}); err != nil {
					t.Error(err)
				}
			}
		}()
		for range 2 {
			if body, err := readFrame(here, 5, nil); err != nil || string(body) != "hello" {
				t.Errorf("frame %q, error %v", body, err)
			}
		}
		here.Close()
	})
}

// TestFrameBuffers: frames that begin and never end take their buffers from those before
// them, and a frame that came in whole keeps its own whatever comes after it.
func TestFrameBuffers(t *testing.T) {
	const size, frames = 256 << 10, 200
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection empties the pool,
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))  // of which each processor has its own
	whole := func(fill byte) []byte { return newFrame(bytes.Repeat([]byte{fill}, size)) }
	read := func(b []byte) ([]byte, error) {
		return readFrame(reader{bytes.NewReader(b), false}, size, nil)
	}
	first, err := read(whole(1))
	if err != nil {
		t.Fatal(err)
	}
	half := whole(2)[:size/2+chunkSize] // the buffer has the whole size by then
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range frames {
		if body, err := read(half); !errors.Is(err, io.ErrUnexpectedEOF) || body != nil {
			t.Fatalf("half a frame is %d bytes, error %v", len(body), err)
		}
	}
	runtime.ReadMemStats(&after)
	// With the race detector a pool loses one in four at random.
	if grew := after.TotalAlloc - before.TotalAlloc; grew > frames*size*3/4 {
		t.Errorf("%d half frames of %d bytes allocate %d, as if none served the next", frames, size, grew)
	}
	second, err := read(whole(3))
	if err != nil {
		t.Fatal(err)
	}
	for fill, body := range map[byte][]byte{1: first, 3: second} {
		if !bytes.Equal(body, bytes.Repeat([]byte{fill}, size)) {
			t.Errorf("the frame of bytes %d has been written over", fill)
		}
	}
}

// TestFrameOf: the frame of a message is its encoding behind its length, and a block, or the
// payments of one, are written in one piece.
func TestFrameOf(t *testing.T) {
	large := payment(1, 1_000_000).Tx
	for _, m := range []p2p.Msg{
		&p2p.Ping{Nonce: 7}, &p2p.TxsDone{}, payment(2, 1000),
		&p2p.Block{Block: &consensus.Block{Txs: []*consensus.Tx{large, large}}},
		&p2p.BlockTxs{Txs: []*consensus.Tx{large, large}},
	} {
		frame := frameOf(m)
		if body := p2p.Encode(m); !bytes.Equal(frame, newFrame(body)) {
			t.Errorf("%T: the frame is not the message behind its length", m)
		}
		if spare := cap(frame) - len(frame); spare > len(frame)/8+1024 {
			t.Errorf("%T: a frame of %d bytes has room for %d more", m, len(frame), spare)
		}
		if n := testing.AllocsPerRun(3, func() { frameOf(m) }); len(frame) > 1<<20 && n > 2 {
			t.Errorf("%T: %v allocations for one frame", m, n)
		}
	}
}

// reader is a stream without deadlines over bytes that are there already.
type reader struct {
	*bytes.Reader
	one bool
}

func (r reader) Read(p []byte) (int, error) {
	if r.one {
		return iotest.OneByteReader(r.Reader).Read(p)
	}
	return r.Reader.Read(p)
}
func (reader) Write([]byte) (int, error)        { return 0, errors.ErrUnsupported }
func (reader) SetReadDeadline(time.Time) error  { return nil }
func (reader) SetWriteDeadline(time.Time) error { return nil }

// FuzzReadFrame: whatever comes, and in whatever pieces, a frame is at most as
// large as allowed and is what was sent.
func FuzzReadFrame(f *testing.F) {
	f.Add(newFrame([]byte("hello")), true)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1}, false)
	f.Add([]byte{0, 0, 0, 0}, true)
	f.Add([]byte{0, 0, 0}, false)
	f.Fuzz(func(t *testing.T, b []byte, one bool) {
		const limit = 100_000
		var body []byte
		var err error
		frugal.Call(t, "readFrame", len(b), func() { body, err = readFrame(reader{bytes.NewReader(b), one}, limit, nil) })
		if err != nil {
			if body != nil {
				t.Fatal("a body beside an error")
			}
			return
		}
		if len(body) == 0 || len(body) > limit || !bytes.HasPrefix(b, newFrame(body)) {
			t.Fatalf("read %d bytes out of %d", len(body), len(b))
		}
	})
}
