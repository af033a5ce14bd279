package host

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/kapok-chain/kapok/p2p"
)

// arrived says how long after begin a reader had so many bytes, once it has them all.
func arrived(t *testing.T, c net.Conn, n int, begin time.Time) <-chan time.Duration {
	took := make(chan time.Duration, 1)
	go func() {
		if _, err := io.ReadFull(c, make([]byte, n)); err != nil {
			t.Error(err)
		}
		took <- time.Since(begin)
	}()
	return took
}

func mustPart(t *testing.T, m *Matrix, groups ...[]int) {
	t.Helper()
	if err := m.Partition(groups); err != nil {
		t.Fatal(err)
	}
}

// TestPartitionHolds: what is on its way when the cut comes, and what is written
// afterwards, in either direction, arrives a delay after it heals, in order; a reader may
// wait all the time. What had arrived before is there.
func TestPartitionHolds(t *testing.T) {
	const delay = 50 * time.Millisecond
	pair(t, Link{Delay: delay}, Link{Delay: 2 * delay}, func(near *shaped, far net.Conn) {
		mustWrite(t, far, []byte("before"))
		time.Sleep(2 * delay)
		mustWrite(t, near, []byte("on its way"))
		mustWrite(t, far, []byte("on its way"))
		time.Sleep(delay / 2)
		begin := time.Now()
		out := arrived(t, far, len("on its way"), begin)
		mustPart(t, near.matrix, []int{0}, []int{1})
		mustRead(t, near, []byte("before"))
		in := arrived(t, near, len("on its way"), begin)
		time.Sleep(time.Minute)
		mustWrite(t, near, []byte(", and later"))
		mustWrite(t, far, []byte(", and later"))
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(out)+len(in) > 0 {
			t.Error("something went across the cut")
		}
		near.matrix.Heal()
		if took := <-out; took != time.Hour+time.Minute+delay {
			t.Errorf("what was held came out after %v", took)
		}
		if took := <-in; took != time.Hour+time.Minute+2*delay {
			t.Errorf("what was held came in after %v", took)
		}
		mustRead(t, far, []byte(", and later"))
		mustRead(t, near, []byte(", and later"))
		if took := time.Since(begin); took != time.Hour+time.Minute+2*delay {
			t.Errorf("the rest took %v", took)
		}
		begin = time.Now()
		mustWrite(t, near, []byte("as ever"))
		mustRead(t, far, []byte("as ever"))
		if took := time.Since(begin); took != delay {
			t.Errorf("after it healed, a write took %v", took)
		}
	})
}

// TestPartitionBandwidth: what was held does not come all at once.
func TestPartitionBandwidth(t *testing.T) {
	pair(t, Link{Bandwidth: 100_000}, Link{}, func(near *shaped, far net.Conn) {
		mustPart(t, near.matrix, []int{0})
		mustWrite(t, near, make([]byte, 300_000))
		time.Sleep(time.Hour)
		took := arrived(t, far, 300_000, time.Now())
		near.matrix.Heal()
		if took := <-took; took != 3*time.Second {
			t.Errorf("three seconds' bytes took %v", took)
		}
		took = arrived(t, far, 300_000, time.Now())
		mustWrite(t, near, make([]byte, 300_000))
		time.Sleep(time.Second) // in which one parcel arrives
		mustPart(t, near.matrix, []int{0})
		time.Sleep(time.Second / 2)
		near.matrix.Heal()
		if took, want := <-took, 1500*time.Millisecond+lineTime(300_000-maxParcel, 100_000); took.Round(time.Microsecond) != want.Round(time.Microsecond) {
			t.Errorf("with a cut in the middle they took %v, expected %v", took, want)
		}
	})
}

// TestPartitionKeepsBytes: whatever is cut when, what is read is what was written.
func TestPartitionKeepsBytes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		link := Link{
			Delay:     time.Duration(rapid.IntRange(0, 100).Draw(rt, "delay")) * time.Millisecond,
			Jitter:    time.Duration(rapid.IntRange(0, 100).Draw(rt, "jitter")) * time.Millisecond,
			Bandwidth: rapid.SampledFrom([]int64{0, 1_000_000}).Draw(rt, "bandwidth"),
			Loss:      rapid.SampledFrom([]float64{0, 0.1}).Draw(rt, "loss"),
		}
		uplink := rapid.SampledFrom([]int64{0, 2_000_000}).Draw(rt, "uplink")
		cuts := rapid.SliceOfN(rapid.IntRange(0, 500), 1, 20).Draw(rt, "cuts")
		sizes := rapid.SliceOfN(rapid.IntRange(1, 2*maxParcel), 1, 20).Draw(rt, "writes")
		pair(t, link, link, func(near *shaped, far net.Conn) {
			m := near.matrix
			if err := m.Uplinks([]int64{uplink, 0}); err != nil {
				t.Fatal(err)
			}
			near2, far2 := joined(m, 0, 1)
			var sent []byte
			for i, size := range sizes {
				sent = append(sent, bytes.Repeat([]byte{byte(i)}, size)...)
			}
			var work sync.WaitGroup
			work.Go(func() {
				for rest := sent; len(rest) > 0; {
					n := min(len(rest), max(sizes[0], 1000))
					for _, c := range []net.Conn{near, near2} {
						if _, err := c.Write(rest[:n]); err != nil {
							t.Error(err)
						}
					}
					time.Sleep(20 * time.Millisecond)
					rest = rest[n:]
				}
			})
			work.Go(func() {
				for i, wait := range cuts {
					time.Sleep(time.Duration(wait) * time.Millisecond)
					if i%2 == 0 {
						mustPart(t, m, []int{1})
					} else {
						m.Heal()
					}
				}
				m.Heal()
			})
			for _, c := range []net.Conn{far, far2} {
				mustRead(t, c, sent)
			}
			work.Wait()
			_ = near2.Close()
			_ = far2.Close()
		})
	})
}

// TestPartitionGroups: only links between groups are cut; nodes in none form one; another
// partition takes the place of the one before, and nonsense changes nothing.
func TestPartitionGroups(t *testing.T) {
	m, err := UniformMatrix(5, Link{})
	if err != nil {
		t.Fatal(err)
	}
	mustPart(t, m, []int{0, 1}, []int{2}) // 3 and 4 are in none
	for _, groups := range [][][]int{{{5}}, {{-1}}, {{0, 0}}, {{0}, {1, 0}}} {
		if err := m.Partition(groups); err == nil {
			t.Errorf("the groups %v are taken", groups)
		}
	}
	for _, c := range []struct {
		name string
		do   func()
		cut  string // pairs
	}{
		{"two groups", func() {}, "02 03 04 12 13 14 23 24"},
		{"others", func() { mustPart(t, m, []int{1, 2, 3}) }, "01 02 03 14 24 34"},
		{"healed", m.Heal, ""},
	} {
		c.do()
		var cut []string
		for from := range 5 {
			for to := range 5 {
				out, in := m.open(from, to, 1, 1)
				if out.held != in.held || out.held != m.isCut(from, to) {
					t.Errorf("%s: from %d to %d: %t, and back %t", c.name, from, to, out.held, in.held)
				}
				if out.held && from < to {
					cut = append(cut, string([]byte{'0' + byte(from), '0' + byte(to)}))
				}
				m.close(out, in)
			}
		}
		if got := strings.Join(cut, " "); got != c.cut {
			t.Errorf("%s: %s are cut, expected %s", c.name, got, c.cut)
		}
	}
	if len(m.lanes) != 0 {
		t.Errorf("%d lanes are kept of connections that were closed", len(m.lanes))
	}
}

// TestPartitionBounded: what is held has the limit of what is on its way, and a writer's
// deadline holds.
func TestPartitionBounded(t *testing.T) {
	pair(t, Link{}, Link{}, func(near *shaped, far net.Conn) {
		mustPart(t, near.matrix, []int{0})
		for _, c := range []struct {
			name string
			conn net.Conn
			lane *lane
		}{{"out", near, near.out}, {"in", far, near.in}} {
			_ = c.conn.SetWriteDeadline(time.Now().Add(time.Second))
			n, err := c.conn.Write(make([]byte, 2*maxLaneBytes))
			if !errors.Is(err, os.ErrDeadlineExceeded) || n < maxLaneBytes*9/10 || n > maxLaneBytes+maxParcel {
				t.Errorf("%s: %d bytes were taken: %v", c.name, n, err)
			}
			if c.lane.bytes > maxLaneBytes {
				t.Errorf("%s: %d bytes are held, expected at most %d", c.name, c.lane.bytes, maxLaneBytes)
			}
		}
	})
}

// TestPartitionEnds: whoever closes during a partition has done so at once. The side that
// dialed hears of it when it heals, behind the last words.
func TestPartitionEnds(t *testing.T) {
	const delay = 40 * time.Millisecond
	pair(t, Link{Delay: delay}, Link{Delay: delay}, func(near *shaped, far net.Conn) {
		mustPart(t, near.matrix, []int{0})
		mustWrite(t, far, []byte("last words"))
		_ = far.Close()
		words := arrived(t, near, len("last words"), time.Now())
		time.Sleep(time.Hour)
		near.matrix.Heal()
		if took := <-words; took != time.Hour+delay {
			t.Errorf("the last words took %v", took)
		}
		if _, err := near.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("error %v, expected the end", err)
		}
	})
	pair(t, Link{Delay: delay}, Link{Delay: delay}, func(near *shaped, far net.Conn) {
		mustPart(t, near.matrix, []int{0})
		_ = far.Close() // without a word
		time.AfterFunc(time.Hour, near.matrix.Heal)
		begin := time.Now()
		_, err := near.Read(make([]byte, 1))
		if took := time.Since(begin); err != io.EOF || took != time.Hour+delay {
			t.Errorf("error %v after %v, expected the end after %v", err, took, time.Hour+delay)
		}
	})
	pair(t, Link{Delay: delay}, Link{Delay: delay}, func(near *shaped, far net.Conn) {
		mustPart(t, near.matrix, []int{0})
		reads := make(chan error, 2)
		for _, c := range []net.Conn{near, far} {
			go func() {
				_, err := c.Read(make([]byte, 1))
				reads <- err
			}()
		}
		mustWrite(t, near, []byte("nobody hears this"))
		synctest.Wait()
		begin := time.Now()
		if err := near.Close(); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := <-reads; !errors.Is(err, net.ErrClosed) && err != io.EOF {
				t.Errorf("a read ended with %v", err)
			}
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("closing took %v", took)
		}
		near.matrix.Heal()
		if _, err := near.Read(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after it healed: %v", err)
		}
	})
}

// TestPartitionReach: a dial across the cut waits for the end of its context, or goes on
// when the cut heals.
func TestPartitionReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := UniformMatrix(3, Link{})
		if err != nil {
			t.Fatal(err)
		}
		mustPart(t, m, []int{0})
		for _, c := range []struct {
			name     string
			from, to int
			heal     bool // after a second, of five
			took     time.Duration
		}{
			{"one side", 1, 2, false, 0},
			{"across", 0, 2, false, 5 * time.Second},
			{"back", 2, 0, false, 5 * time.Second},
			{"across, and it heals", 0, 2, true, time.Second},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			begin := time.Now()
			if c.heal {
				time.AfterFunc(time.Second/2, func() { mustPart(t, m, []int{0, 1}) })
				time.AfterFunc(time.Second, m.Heal)
			}
			err := m.reach(ctx, c.from, c.to)
			if took := time.Since(begin); took != c.took || errors.Is(err, os.ErrDeadlineExceeded) != (took == 5*time.Second) {
				t.Errorf("%s: after %v: %v", c.name, took, err)
			}
			cancel()
		}
	})
}

// TestPartitionedHosts: over real connections a dial across the cut is one that nobody
// answers, and a session hears nothing until it heals.
func TestPartitionedHosts(t *testing.T) {
	const delay = 10 * time.Millisecond
	a, b, m := shapedPair(t, Link{Delay: delay})
	place(t, m, 1, b)
	mustPart(t, m, []int{1})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	dialer := &shaper{shape: a.cfg.Shape}
	if _, err := dialer.DialContext(ctx, "tcp", b.ShortAddrs()[0]); !errors.Is(err, os.ErrDeadlineExceeded) || ctx.Err() == nil {
		t.Fatalf("a dial across the cut: %v", err)
	}
	if err := a.Connect(ctx, b.Addrs()[0]); err == nil {
		t.Fatal("there is a session across the cut")
	}
	m.Heal()
	a.connect(t, b)
	b.waitFor(t, "connected", a.ID(), 1)

	mustPart(t, m, []int{0})
	began := time.Now()
	a.Send(p2p.Outgoing{To: b.ID(), Msg: &p2p.Ping{Nonce: 1}})
	b.Send(p2p.Outgoing{To: a.ID(), Msg: &p2p.Ping{Nonce: 2}})
	<-time.After(20 * delay) // which nothing may use
	if has(a.seen(), "message", b.ID())+has(b.seen(), "message", a.ID()) > 0 {
		t.Error("a message went across the cut")
	}
	m.Heal()
	b.waitFor(t, "message", a.ID(), 1)
	a.waitFor(t, "message", b.ID(), 1)
	if took := time.Since(began); took < 21*delay {
		t.Errorf("the messages took %v, with a cut of %v", took, 20*delay)
	}
}
