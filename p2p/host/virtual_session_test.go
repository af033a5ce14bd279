//go:build !race

package host

import (
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
)

// The life of a session in virtual time: deadlines, dead peers, restarts.

// intruder connects a peer that follows no rules.
func (w *world) intruder(t *testing.T, victim *node) (network.Stream, p2p.PeerID) {
	h := stray(t, w.config(), victim)
	return h.intrude(t, victim), h.ID()
}

// ended waits for the end of a session, and checks how long after begin that was: so
// long as expected, and the way there.
func ended(t *testing.T, victim *node, id p2p.PeerID, begin time.Time, expected time.Duration) {
	t.Helper()
	time.Sleep(time.Until(begin.Add(expected + 10*time.Second)))
	took := victim.last("disconnected", id).Sub(begin)
	if took < expected || took > expected+50*time.Millisecond {
		t.Errorf("the session ended after %v, expected %v and the way there", took, expected)
	}
}

// TestVirtualSlowLoris: who sends part of a frame, and nothing or little more, is
// dropped when the deadline of limits.go has passed, and not a moment later. An
// honest peer beside it, which says nothing at all, stays.
func TestVirtualSlowLoris(t *testing.T) {
	const size = 20 * chunkSize
	header := binary.BigEndian.AppendUint32(nil, size)
	for _, c := range []struct {
		name  string
		first []byte        // sent at once
		more  int           // bytes that follow
		every time.Duration // each time
		after time.Duration // the end
	}{
		{"part of a length", header[:1], 0, 0, headerTimeout},
		{"a length", header, 0, 0, chunkTimeout},
		{"a byte each second", header, 1, time.Second, chunkTimeout},
		{"a chunk each 9 s", header, chunkSize, 9 * time.Second, frameBudget(size)},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				victim, honest := start(t, w.config()), start(t, w.config())
				honest.connect(t, victim)
				st, id := w.intruder(t, victim)
				begin := time.Now()
				_, err := st.Write(c.first)
				for end := begin.Add(frameBudget(size) + time.Second); c.more > 0 && err == nil && time.Now().Before(end); {
					time.Sleep(c.every)
					_, err = st.Write(make([]byte, c.more))
				}
				if c.more > 0 && err == nil {
					t.Error("the stream was not reset")
				}
				ended(t, victim, id, begin, c.after)
				time.Sleep(10 * time.Minute)
				if victim.session(honest.ID()) == nil || honest.session(victim.ID()) == nil {
					t.Error("a silent honest peer was dropped")
				}
			})
		})
	}
}

// TestVirtualSlowReader: who does not read is dropped chunkTimeout after the line is
// full, who reads little by little when the whole frame's time is up.
func TestVirtualSlowReader(t *testing.T) {
	big := &p2p.Block{Block: &consensus.Block{Txs: []*consensus.Tx{payment(1, 3_900_000).Tx}}}
	frame := newFrame(p2p.Encode(big))
	for _, c := range []struct {
		name  string
		every time.Duration // that a chunk is read
		after time.Duration
	}{
		{"nothing", time.Hour, chunkTimeout},
		{"16 kB/s", 2 * time.Second, frameBudget(len(frame))},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				victim := start(t, w.config())
				st, id := w.intruder(t, victim)
				begin := time.Now()
				victim.Send(p2p.Outgoing{To: id, Msg: big})
				go func() {
					defer st.Reset()
					buf := make([]byte, chunkSize)
					for end := begin.Add(c.after + 2*time.Second); time.Now().Before(end); {
						time.Sleep(min(c.every, time.Until(end)))
						if _, err := io.ReadFull(st, buf); err != nil {
							return
						}
					}
				}()
				time.Sleep(c.after + 5*time.Second)
				// It takes a moment until the line is full.
				if took := victim.last("disconnected", id).Sub(begin); took < c.after || took > c.after+time.Second {
					t.Errorf("the session ended after %v, expected %v", took, c.after)
				}
				if !strings.Contains(victim.log.String(), "writing: deadline exceeded") && !strings.Contains(victim.log.String(), "writing: i/o") {
					t.Errorf("the log does not say why:\n%s", victim.log)
				}
			})
		})
	}
}

// TestVirtualNoSession: a connection that leads to no session is closed when it is
// idleConnAge old.
func TestVirtualNoSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		victim := start(t, w.config())
		h := stray(t, w.config(), victim)
		time.Sleep(idleConnAge - time.Second)
		if len(victim.swarm.ConnsToPeer(h.id)) != 1 {
			t.Error("the connection was closed early")
		}
		time.Sleep(time.Second + 2*sweepInterval)
		if len(victim.swarm.Conns()) != 0 {
			t.Error("a connection without a session is still there")
		}
	})
}

// TestVirtualEarlyPeer: a peer that is faster than our start waits for it, as long as
// a handshake may take.
func TestVirtualEarlyPeer(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		config := w.config()
		late, err := New(config)
		if err != nil {
			t.Fatal(err)
		}
		a := start(t, w.config())
		begin := time.Now()
		if err := a.Connect(within(t), late.Addrs()[0]); err == nil {
			t.Error("there is a session with a host that does not run")
		}
		if took := time.Since(begin); took < handshakeTimeout || took > handshakeTimeout+time.Second {
			t.Errorf("it gave up after %v, expected %v", took, handshakeTimeout)
		}
		if err := late.Close(); err != nil {
			t.Fatal(err)
		}

		again, err := New(w.config())
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		r := newRecorder()
		time.AfterFunc(handshakeTimeout-time.Second, func() { _ = again.Run(t.Context(), r) })
		begin = time.Now()
		if err := a.Connect(within(t), again.Addrs()[0]); err != nil {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		r.waitFor(t, "connected", a.ID(), 1)
		if took := time.Since(begin); took < handshakeTimeout-time.Second {
			t.Errorf("a session after %v, before the host ran", took)
		}
	})
}

// TestVirtualNobodyAnswers: an address where nobody is costs no more than dialTimeout.
func TestVirtualNobodyAnswers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := start(t, w.config())
		for _, addr := range []string{"12.0.0.1:9420", "/ip4/12.0.0.1/tcp/9420/p2p/" + string(testPeer)} {
			begin := time.Now()
			err := a.Connect(within(t), addr)
			if took := time.Since(begin); err == nil || took > dialTimeout {
				t.Errorf("%s: error %v after %v", addr, err, took)
			}
		}
	})
}

// TestVirtualCable: a link that is cut for a few seconds loses nothing of a session. A
// peer whose link stays dead is dropped at both ends when QUIC has heard nothing for
// 30 s, and found again once the link is back.
func TestVirtualCable(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := start(t, w.config())
		c := w.config()
		c.Peers = []string{b.ShortAddrs()[0]}
		a := start(t, c)
		a.waitFor(t, "connected", b.ID(), 1)
		b.waitFor(t, "connected", a.ID(), 1)
		w.unplug(a)
		for i := range uint64(100) {
			a.Send(p2p.Outgoing{To: b.ID(), Msg: &p2p.Ping{Nonce: i}})
		}
		time.Sleep(5 * time.Second)
		if n := len(b.messages("message", a.ID())); n != 0 {
			t.Fatalf("%d messages went through a link that is cut", n)
		}
		w.cut(nil)
		b.waitFor(t, "message", a.ID(), 100)
		for i, m := range b.messages("message", a.ID()) {
			if m.(*p2p.Ping).Nonce != uint64(i) {
				t.Fatalf("message %d is %#v", i, m)
			}
		}

		time.Sleep(time.Minute)
		w.unplug(a)
		begin := time.Now()
		time.Sleep(10 * time.Minute)
		for _, n := range []*node{a, b} {
			if took := n.last("disconnected", "").Sub(begin); took < 15*time.Second || took > 45*time.Second {
				t.Errorf("a dead peer was dropped after %v, expected 30 s, and half of that around it", took)
			}
		}
		w.cut(nil)
		begin = time.Now()
		time.Sleep(2 * time.Minute)
		most := redialMax*3/2 + dialTimeout
		if took := b.last("connected", a.ID()).Sub(begin); took <= 0 || took > most {
			t.Errorf("connected %v after the link came back, expected at most %v", took, most)
		}
	})
}

// TestVirtualRestart: a peer that died without a word comes back. Its old session
// gives way once it is replaceAge old, and not before.
func TestVirtualRestart(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		victim := start(t, w.config())
		key := t.TempDir() + "/node.key"
		life := func() *node {
			c := w.config()
			c.KeyFile = key
			return start(t, c)
		}
		var dead []*node
		for _, c := range []struct {
			age     time.Duration
			refused bool
		}{{replaceAge - 3*time.Second, true}, {replaceAge + time.Second, false}} {
			old := life()
			old.connect(t, victim)
			begin := time.Now()
			dead = append(dead, old)
			w.unplug(dead...)
			again := life()
			time.Sleep(time.Until(begin.Add(c.age)))
			before := len(victim.seen())
			err := again.Connect(within(t), victim.Addrs()[0])
			if refused := errors.Is(err, ErrRefused); refused != c.refused || !refused && err != nil {
				t.Errorf("back after %v: %v", c.age, err)
			}
			synctest.Wait()
			want := []string{"disconnected", "connected"}
			if c.refused {
				want = nil
			}
			var got []string
			for _, e := range victim.seen()[before:] {
				got = append(got, e.what)
			}
			if strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("back after %v: heard %q, expected %q", c.age, got, want)
			}
			dead = append(dead, again)
			w.unplug(dead...)
			time.Sleep(2 * time.Minute) // all of it is forgotten
		}
	})
}

// TestVirtualSubnets: the caps on public addresses hold for QUIC as they are: 8
// connections of an address, 16 of its /24, 32 of its /16; and of one address 16 at
// once, and another every 5 s.
func TestVirtualSubnets(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		victim := start(t, w.config())
		in := func() int { return len(victim.swarm.Conns()) }
		for _, c := range []struct {
			name        string
			hosts, most int
			at          func(i int) netip.Addr
		}{
			{"/24", 20, 16, func(i int) netip.Addr { return netip.AddrFrom4([4]byte{12, 1, 1, byte(1 + i)}) }},
			{"/16", 20, 32 - 16, func(i int) netip.Addr { return netip.AddrFrom4([4]byte{12, 1, byte(2 + i), 1}) }},
			{"another /16", 1, 1, func(i int) netip.Addr { return netip.AddrFrom4([4]byte{12, 2, 1, 1}) }},
		} {
			before, refused := in(), 0
			for i := range c.hosts {
				h := stray(t, w.at(c.at(i)), victim)
				if _, _, err := h.greet(within(t), victim.id); err != nil {
					refused++
				}
			}
			if got := in() - before; got != c.most || refused != c.hosts-c.most {
				t.Errorf("%s: %d of %d hosts got in, %d were told no, expected %d", c.name, got, c.hosts, refused, c.most)
			}
		}

		// One address, again and again.
		a := start(t, w.config())
		times := 0
		for begin := time.Now(); time.Since(begin) < time.Minute; {
			if a.Connect(within(t), victim.Addrs()[0]) == nil {
				times++
				a.Disconnect(victim.ID())
			}
			time.Sleep(time.Second)
		}
		if times < 16+11 || times > 16+13 {
			t.Errorf("%d connections of one address in a minute, expected 16, and one for each 5 s", times)
		}
	})
}
