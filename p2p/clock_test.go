package p2p_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/p2p"
)

// TestClockOff: a clock that differs from the median of the dialed peers', or of all
// where fewer than three are dialed, by more than blocks may be dated ahead, or by more
// than ten minutes, is off. A crowd that dialed us, and two peers, say nothing. When it is
// set right that is seen with the next pings.
func TestClockOff(t *testing.T) {
	const m, h = time.Minute, time.Hour
	many := func(n int, skew time.Duration) (skews []time.Duration) {
		for range n {
			skews = append(skews, skew)
		}
		return skews
	}
	for _, c := range []struct {
		name            string
		limit           int64 // seconds that a block may be dated ahead
		dialed, inbound []time.Duration
		want            time.Duration
	}{
		{"right", 7200, []time.Duration{-2 * time.Second, 0, 3 * time.Second}, nil, 0},
		{"behind", 7200, many(3, 11*m), nil, -11 * m},
		{"ahead", 7200, many(3, -11*m), nil, 11 * m},
		{"not too far", 7200, many(8, 10*m-2*time.Second), nil, 0},
		{"ahead of a strict network", 60, many(3, -62*time.Second), nil, 62 * time.Second},
		{"not too far for a strict network", 60, many(3, -58*time.Second), nil, 0},
		{"one that lies", 60, []time.Duration{0, h, 0}, nil, 0},
		{"one that is right", 60, []time.Duration{h, 0, h}, nil, -h},
		{"too few", 60, many(2, h), nil, 0},
		{"a crowd that came by itself", 60, many(3, 0), many(20, h), 0},
		{"nobody was dialed", 60, nil, many(4, -h), h},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 51)
			w.params.FutureLimit = c.limit
			us := w.add("us")
			for i, skew := range c.dialed {
				n := w.add(fmt.Sprint("d", i))
				n.Skew = skew
				w.link(us, n)
			}
			for i, skew := range c.inbound {
				n := w.add(fmt.Sprint("i", i))
				n.Skew = skew
				w.link(n, us)
			}
			near := func(off time.Duration) bool {
				d := us.engine.ClockOff() - off
				return (us.engine.ClockOff() == 0) == (off == 0) && d.Abs() <= time.Second // it is told in seconds
			}
			w.until(15*time.Second, "its view of the clock", func() bool { return near(c.want) })
			for range 20 {
				if w.run(10 * time.Second); !near(c.want) {
					t.Fatalf("it is off by %v, expected %v", us.engine.ClockOff(), c.want)
				}
			}
			us.Skew = -c.want
			w.until(45*time.Second, "a clock that is right", func() bool { return us.engine.ClockOff() == 0 })
			us.Skew -= 3 * h
			if len(c.dialed)+len(c.inbound) > 2 {
				w.until(45*time.Second, "a clock that leapt back", func() bool { return us.engine.ClockOff() < -h })
			}
			for _, p := range us.engine.Peers() {
				if p.Score != 0 {
					t.Errorf("%d points against %s", p.Score, p.ID)
				}
			}
		})
	}
}

// TestClockIsNoTimer: a clock that is set wrong, forward and back by hours, is told to the
// peers and noticed, and nothing that is timed comes sooner or later: mempools go on being
// reconciled, and nobody is blamed for it.
func TestClockIsNoTimer(t *testing.T) {
	w := newWorld(t, 52)
	us := w.add("us")
	var others []*node
	for i := range 3 {
		others = append(others, w.add(fmt.Sprint("d", i)))
		w.link(us, others[i])
	}
	w.run(time.Minute)
	for i, offset := range []time.Duration{2 * time.Hour, -2 * time.Hour, 0} {
		us.engine.SetClockOffset(offset)
		tx := loose(i, 0)
		others[i].addTx(tx) // never gossiped
		w.until(70*time.Second, "the payment everywhere", everywhere(append(others[:3:3], us), tx))
		w.until(70*time.Second, "the clock that is off", func() bool { return (us.engine.ClockOff() - offset).Abs() <= time.Second })
		for _, n := range append(others[:3:3], us) {
			for _, p := range n.engine.Peers() {
				if p.Score != 0 {
					t.Errorf("%v ahead: %s has %d points against %s", offset, n.ID, p.Score, p.ID)
				}
			}
			if len(n.engine.Peers()) == 0 {
				t.Fatalf("%v ahead: %s has no peers left", offset, n.ID)
			}
		}
	}
}

// TestPingTellsTheTime: from version 2 on; before, its nonce was chance. A time beyond
// all reason is taken for what it is.
func TestPingTellsTheTime(t *testing.T) {
	w := newWorld(t, 52)
	for version, want := range map[uint32]time.Duration{1: 7 * time.Second, 2: -time.Hour, 3: -time.Hour} {
		engine := p2p.New(p2p.Config{Params: w.params}, w.add(fmt.Sprint("n", version)), rand.New(rand.NewPCG(1, 1)))
		engine.Connected(w.Now, p2p.Peer{ID: "x"})
		for _, m := range []p2p.Msg{
			&p2p.Hello{Version: version, Genesis: w.params.GenesisHash(), Nonce: 1, Time: w.Now.Unix() + 7},
			&p2p.Ping{Nonce: uint64(w.Now.Unix()-3600)<<32 | 0xffffffff},
		} {
			_, err := engine.Handle(w.Now, "x", m)
			w.ok(err)
		}
		if got := engine.Peers()[0].TimeOffset; got != want {
			t.Errorf("version %d: a clock that is %v off, expected %v", version, got, want)
		}
		for _, out := range engine.Outbox() {
			if m, ok := out.Msg.(*p2p.Ping); ok && int64(m.Nonce>>32) != w.Now.Unix() {
				t.Errorf("our ping says %d, not %d", m.Nonce>>32, w.Now.Unix())
			}
		}
	}
	for _, far := range []int64{-1 << 62, 1 << 62, -1, 0} {
		engine := p2p.New(p2p.Config{Params: w.params}, w.add(fmt.Sprint("f", far)), rand.New(rand.NewPCG(1, 1)))
		for _, id := range []p2p.PeerID{"x", "y", "z"} {
			engine.Connected(w.Now, p2p.Peer{ID: id})
			_, err := engine.Handle(w.Now, id, &p2p.Hello{Version: 2, Genesis: w.params.GenesisHash(), Nonce: 1, Time: far})
			w.ok(err)
		}
		w.ok(engine.Tick(w.Now))
		if off := engine.ClockOff(); (off < 0) != (far > w.Now.Unix()) || off == 0 {
			t.Errorf("a time of %d: off by %v", far, off)
		}
	}
}
