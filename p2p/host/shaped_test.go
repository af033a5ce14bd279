package host

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"pgregory.net/rapid"
)

// pipeEnd is an end of net.Pipe that looks like a connection of libp2p's.
type pipeEnd struct{ net.Conn }

func (pipeEnd) LocalMultiaddr() ma.Multiaddr  { return nil }
func (pipeEnd) RemoteMultiaddr() ma.Multiaddr { return nil }

// pair is a shaped connection and what it ends in at the other side, in virtual time.
func pair(t *testing.T, out, in Link, test func(near *shaped, far net.Conn)) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		m, err := NewMatrix([][]Link{{{}, out}, {in, {}}})
		if err != nil {
			t.Fatal(err)
		}
		near, far := joined(m, 0, 1)
		test(near, far)
		_ = near.Close()
		_ = far.Close()
	})
}

// joined is a connection that one node of a matrix has dialed to another.
func joined(m *Matrix, from, to int) (near *shaped, far net.Conn) {
	below, far := net.Pipe()
	out, in := m.open(from, to, 1, 1)
	return newShaped(pipeEnd{below}, m, out, in), far
}

func mustWrite(t *testing.T, c net.Conn, b []byte) {
	t.Helper()
	if n, err := c.Write(b); n != len(b) || err != nil {
		t.Fatalf("wrote %d of %d bytes: %v", n, len(b), err)
	}
}

func mustRead(t *testing.T, c net.Conn, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("read %q, expected %q: %v", got, want, err)
	}
}

// TestLinkDelay: each direction has its own, a write does not wait for it, and what
// is on its way together arrives together.
func TestLinkDelay(t *testing.T) {
	const there, back = 50 * time.Millisecond, 70 * time.Millisecond
	pair(t, Link{Delay: there}, Link{Delay: back}, func(near *shaped, far net.Conn) {
		start := time.Now()
		mustWrite(t, near, []byte("one"))
		time.Sleep(time.Millisecond)
		mustWrite(t, near, []byte("two"))
		if took := time.Since(start); took != time.Millisecond {
			t.Errorf("writing took %v", took-time.Millisecond)
		}
		mustRead(t, far, []byte("one"))
		if took := time.Since(start); took != there {
			t.Errorf("the first write took %v, expected %v", took, there)
		}
		mustRead(t, far, []byte("two"))
		if took := time.Since(start); took != there+time.Millisecond {
			t.Errorf("the second write, a millisecond later, arrived after %v", took)
		}
		start = time.Now()
		mustWrite(t, far, []byte("back"))
		mustRead(t, near, []byte("back"))
		if took := time.Since(start); took != back {
			t.Errorf("the way back took %v, expected %v", took, back)
		}
	})
}

// TestLinkBandwidth: bytes leave one after the other, small writes as large ones.
func TestLinkBandwidth(t *testing.T) {
	const rate, delay = 100_000, 20 * time.Millisecond
	for _, c := range []struct {
		name   string
		writes int
		size   int
	}{{"one large write", 1, 300_000}, {"small writes", 300, 1000}} {
		t.Run(c.name, func(t *testing.T) {
			pair(t, Link{Delay: delay, Bandwidth: rate}, Link{}, func(near *shaped, far net.Conn) {
				start := time.Now()
				for range c.writes {
					mustWrite(t, near, make([]byte, c.size))
				}
				mustRead(t, far, make([]byte, c.writes*c.size))
				if took := time.Since(start); took != 3*time.Second+delay {
					t.Errorf("%d bytes took %v", c.writes*c.size, took)
				}
				time.Sleep(time.Second) // an idle line saves nothing up
				start = time.Now()
				mustWrite(t, near, make([]byte, rate/2))
				mustRead(t, far, make([]byte, rate/2))
				if took := time.Since(start); took != time.Second/2+delay {
					t.Errorf("after a rest, half a second's bytes took %v", took)
				}
			})
		})
	}
}

// TestLinkJitter: the delay is drawn from all of its range, and no further.
func TestLinkJitter(t *testing.T) {
	const delay, jitter = 30 * time.Millisecond, 10 * time.Millisecond
	pair(t, Link{Delay: delay, Jitter: jitter}, Link{}, func(near *shaped, far net.Conn) {
		low, high := time.Hour, time.Duration(0)
		for range 1000 {
			start := time.Now()
			mustWrite(t, near, []byte("x"))
			mustRead(t, far, []byte("x"))
			low, high = min(low, time.Since(start)), max(high, time.Since(start))
		}
		if low < delay || low > delay+jitter/20 || high > delay+jitter || high < delay+jitter*19/20 {
			t.Errorf("delays from %v to %v, expected from %v to %v", low, high, delay, delay+jitter)
		}
	})
}

// TestLinkLoss: a lost segment comes a round trip later, or three, or seven; so
// often as the share says; and what was written behind it waits.
func TestLinkLoss(t *testing.T) {
	const delay, rounds, loss = 25 * time.Millisecond, 20_000, 0.1
	pair(t, Link{Delay: delay, Loss: loss}, Link{Delay: delay}, func(near *shaped, far net.Conn) {
		trips := make(map[time.Duration]int) // round trips until it was there
		for range rounds {
			start := time.Now()
			mustWrite(t, near, []byte("ab"))
			mustRead(t, far, []byte("ab"))
			late := time.Since(start) - delay
			if late%(2*delay) != 0 {
				t.Fatalf("a segment came %v late, which is no number of round trips of %v", late, 2*delay)
			}
			trips[late/(2*delay)]++
		}
		for _, want := range []struct {
			trips time.Duration
			share float64
		}{{0, 0.9}, {1, 0.09}, {3, 0.009}} {
			if got := float64(trips[want.trips]) / rounds; got < want.share*0.8 || got > want.share*1.2 {
				t.Errorf("%d round trips late: a share of %.4f, expected %.4f", want.trips, got, want.share)
			}
		}
	})
	pair(t, Link{Delay: delay, Loss: maxLinkLoss}, Link{}, func(near *shaped, far net.Conn) {
		for i := range 200 {
			mustWrite(t, near, []byte{byte(i)})
		}
		for i := range 200 {
			mustRead(t, far, []byte{byte(i)})
		}
	})
}

// TestLinkKeepsBytes: whatever the link is like, what is read is what was written.
func TestLinkKeepsBytes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		link := Link{
			Delay:     time.Duration(rapid.IntRange(0, 100).Draw(rt, "delay")) * time.Millisecond,
			Jitter:    time.Duration(rapid.IntRange(0, 100).Draw(rt, "jitter")) * time.Millisecond,
			Bandwidth: rapid.Int64Range(0, 1_000_000).Draw(rt, "bandwidth"),
			Loss:      rapid.Float64Range(0, maxLinkLoss).Draw(rt, "loss"),
		}
		if link.Bandwidth < 10_000 {
			link.Bandwidth = 0
		}
		sizes := rapid.SliceOfN(rapid.IntRange(1, 3*maxParcel), 1, 20).Draw(rt, "writes")
		pair(t, link, link, func(near *shaped, far net.Conn) {
			r := rand.NewChaCha8([32]byte{1})
			var sent bytes.Buffer
			go func() {
				for _, size := range sizes {
					b := make([]byte, size)
					r.Read(b)
					sent.Write(b)
					if _, err := near.Write(b); err != nil {
						t.Error(err)
					}
				}
			}()
			total := 0
			for _, size := range sizes {
				total += size
			}
			got := make([]byte, total)
			if _, err := io.ReadFull(far, got); err != nil {
				t.Error(err)
			}
			if !bytes.Equal(got, sent.Bytes()) {
				t.Error("what was read is not what was written")
			}
		})
	})
}

// TestShapedBackPressure: a peer that does not read stops the writer at the limit,
// within which nothing is lost, and the writer's deadline holds.
func TestShapedBackPressure(t *testing.T) {
	pair(t, Link{Delay: time.Second}, Link{}, func(near *shaped, far net.Conn) {
		_ = near.SetWriteDeadline(time.Now().Add(5 * time.Second))
		start := time.Now()
		n, err := near.Write(make([]byte, 2*maxLaneBytes))
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 5*time.Second {
			t.Errorf("error %v after %v, expected the deadline", err, time.Since(start))
		}
		if n > maxLaneBytes+maxParcel || n < maxLaneBytes*9/10 { // one more parcel is being written below
			t.Errorf("%d bytes were taken, expected about %d", n, maxLaneBytes)
		}
		if near.out.bytes > maxLaneBytes {
			t.Errorf("%d bytes wait, expected at most %d", near.out.bytes, maxLaneBytes)
		}
		_ = near.SetWriteDeadline(time.Time{})
		written := make(chan error, 1)
		go func() {
			_, err := near.Write([]byte("more"))
			written <- err
		}()
		mustRead(t, far, make([]byte, n))
		mustRead(t, far, []byte("more"))
		if err := <-written; err != nil {
			t.Error(err)
		}
	})
}

// TestShapedReadBackPressure: what nobody reads fills the lane and then stops the
// other end.
func TestShapedReadBackPressure(t *testing.T) {
	pair(t, Link{}, Link{Delay: time.Second}, func(near *shaped, far net.Conn) {
		_ = far.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := far.Write(make([]byte, 2*maxLaneBytes))
		if !errors.Is(err, os.ErrDeadlineExceeded) || n > maxLaneBytes+maxParcel || n < maxLaneBytes*9/10 {
			t.Errorf("%d bytes were taken: %v", n, err)
		}
		mustRead(t, near, make([]byte, n))
	})
}

// TestShapedDeadlines: they hold for calls that wait already, can be moved, and end.
func TestShapedDeadlines(t *testing.T) {
	pair(t, Link{}, Link{Delay: 100 * time.Millisecond}, func(near *shaped, far net.Conn) {
		start := time.Now()
		wantDeadline := func(after time.Duration) {
			t.Helper()
			n, err := near.Read(make([]byte, 1))
			if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != after {
				t.Errorf("read %d bytes after %v (%v), expected the deadline after %v", n, time.Since(start), err, after)
			}
			if e, ok := err.(net.Error); !ok || !e.Timeout() {
				t.Errorf("%v is no timeout", err)
			}
		}
		_ = near.SetReadDeadline(start.Add(time.Second))
		wantDeadline(time.Second)
		wantDeadline(time.Second) // it stays

		_ = near.SetDeadline(start.Add(time.Hour))
		time.AfterFunc(time.Second, func() { _ = near.SetReadDeadline(time.Now()) })
		wantDeadline(2 * time.Second)

		_ = near.SetReadDeadline(start.Add(3 * time.Second))
		time.AfterFunc(time.Second/2, func() { _ = near.SetReadDeadline(start.Add(4 * time.Second)) })
		wantDeadline(4 * time.Second)

		_ = near.SetReadDeadline(time.Now().Add(99 * time.Millisecond)) // on its way, and too late
		mustWrite(t, far, []byte("x"))
		wantDeadline(4*time.Second + 99*time.Millisecond)
		_ = near.SetReadDeadline(time.Time{})
		mustRead(t, near, []byte("x"))

		_ = near.SetWriteDeadline(time.Now().Add(-time.Second))
		if n, err := near.Write([]byte("x")); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("wrote %d bytes after the deadline: %v", n, err)
		}
	})
}

// TestShapedEnds: the other end's goodbye comes behind all that it wrote; our own
// ends waiting calls at once, and leaves nothing behind.
func TestShapedEnds(t *testing.T) {
	const delay = 40 * time.Millisecond
	pair(t, Link{Delay: delay}, Link{Delay: delay}, func(near *shaped, far net.Conn) {
		start := time.Now()
		mustWrite(t, far, []byte("last words"))
		time.Sleep(time.Millisecond)
		_ = far.Close()
		mustRead(t, near, []byte("last words"))
		if took := time.Since(start); took != delay {
			t.Errorf("the last words took %v", took)
		}
		if _, err := near.Read(make([]byte, 1)); err != io.EOF || time.Since(start) != delay+time.Millisecond {
			t.Errorf("error %v after %v, expected the end after %v", err, time.Since(start), delay+time.Millisecond)
		}
		mustWrite(t, near, []byte("nobody hears this"))
		synctest.Wait()
		time.Sleep(delay)
		synctest.Wait()
		if _, err := near.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("writing to an end that is gone: %v", err)
		}
	})
	pair(t, Link{Delay: delay}, Link{Delay: delay}, func(near *shaped, far net.Conn) {
		reads, writes := make(chan error), make(chan error)
		go func() {
			_, err := near.Read(make([]byte, 1))
			reads <- err
		}()
		go func() {
			_, err := near.Write(make([]byte, 2*maxLaneBytes))
			writes <- err
		}()
		synctest.Wait()
		start := time.Now()
		if err := near.Close(); err != nil {
			t.Error(err)
		}
		for name, ended := range map[string]chan error{"read": reads, "write": writes} {
			if err := <-ended; !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s ended with %v", name, err)
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("closing took %v", took)
		}
		if _, err := near.Read(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("reading after Close: %v", err)
		}
		if err := near.Close(); err != nil {
			t.Errorf("closing twice: %v", err)
		}
		if _, err := far.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the other end reads %v", err)
		}
	})
}
