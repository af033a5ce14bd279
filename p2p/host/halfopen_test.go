package host

import (
	"fmt"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

// rawConn is a connection that knows whether it was closed.
type rawConn struct {
	addr   ma.Multiaddr
	closed bool
}

func (c *rawConn) LocalMultiaddr() ma.Multiaddr  { return c.addr }
func (c *rawConn) RemoteMultiaddr() ma.Multiaddr { return c.addr }
func (c *rawConn) Close() error                  { c.closed = true; return nil }

// TestHalfOpen: many connections of a few net groups begin a handshake and do not end
// it; the oldest of them give way, and one of another group never does.
func TestHalfOpen(t *testing.T) {
	var h halfOpen
	now := time.Unix(1e9, 0)
	conn := func(group, i int) *rawConn {
		return &rawConn{addr: ma.StringCast(fmt.Sprintf("/ip4/11.%d.%d.%d/tcp/1", group, i/250, 1+i%250))}
	}
	alone, done := conn(200, 1), conn(7, 9999)
	h.begin(now, alone)
	h.begin(now, done)
	h.end(done)
	var crowd []*rawConn
	for i := range 3 * maxHalfOpen {
		now = now.Add(time.Millisecond)
		c := conn(i%5, i)
		h.begin(now, c)
		crowd = append(crowd, c)
		if c.closed || alone.closed || done.closed {
			t.Fatalf("at %d: the new one was closed: %v, the lone one: %v, the one that is done: %v", i, c.closed, alone.closed, done.closed)
		}
	}
	open := 0
	for i, c := range crowd {
		if !c.closed {
			open++
		} else if i >= len(crowd)-maxHalfOpen+5 {
			t.Errorf("%d, of the youngest, was closed", i)
		}
	}
	if open != maxHalfOpen-1 || len(h.conns) != maxHalfOpen {
		t.Errorf("%d of the crowd are open, %d are counted, expected %d", open, len(h.conns), maxHalfOpen)
	}
	h.begin(now.Add(halfOpenAge+time.Second), conn(1, 1)) // the others have failed by now
	if len(h.conns) != 1 {
		t.Errorf("%d are counted that have long failed", len(h.conns)-1)
	}
}
