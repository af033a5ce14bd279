//go:build !race

package host

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kapok-chain/kapok/p2p"
)

// Gossip in virtual time: wide and lossy links, partitions, the memory of scores.

// crowd starts hosts of which each dials up to four that were there before it.
func (w *world) crowd(t *testing.T, n int, rng *rand.Rand) []*node {
	var all []*node
	for i := range n {
		c := w.config()
		for _, j := range rng.Perm(i)[:min(i, 4)] {
			c.Peers = append(c.Peers, all[j].Addrs()[0])
		}
		all = append(all, start(t, c))
	}
	return all
}

// heard is when a host first heard of a payment, whichever way it came.
func (n *node) heard(payment uint32) (time.Time, bool) {
	events := n.seen()
	at := slices.IndexFunc(events, func(e event) bool { return number(e.msg) == payment })
	if at < 0 {
		return time.Time{}, false
	}
	return events[at].at, true
}

// TestVirtualDelivery: over links of 50 ms, with a jitter of 20 and one packet in a
// hundred lost, every payment reaches each of 20 hosts, nineteen of twenty in 400 ms.
func TestVirtualDelivery(t *testing.T) {
	if testing.Short() {
		t.Skip("many hosts")
	}
	const hosts, payments = 20, 60
	inWorld(t, func(t *testing.T, w *world) {
		rng := rand.New(rand.NewPCG(3, 4))
		w.links(50*time.Millisecond, 20*time.Millisecond, 0.01)
		all := w.crowd(t, hosts, rng)
		time.Sleep(10 * time.Second)
		sent := make([]time.Time, payments)
		for i := range sent {
			sent[i] = time.Now()
			all[rng.IntN(hosts)].Send(p2p.Outgoing{Msg: payment(uint32(1+i), 200)})
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		var delays []time.Duration
		for i, begin := range sent {
			for _, n := range all {
				if at, ok := n.heard(uint32(1 + i)); ok {
					delays = append(delays, at.Sub(begin))
				}
			}
		}
		if len(delays) != payments*(hosts-1) {
			t.Fatalf("%d of %d deliveries", len(delays), payments*(hosts-1))
		}
		slices.Sort(delays)
		p95 := delays[len(delays)*95/100]
		t.Logf("half in %v, p95 %v, all in %v", delays[len(delays)/2], p95, delays[len(delays)-1])
		if p95 > 400*time.Millisecond || delays[0] < 50*time.Millisecond {
			t.Errorf("from %v to p95 %v, expected 50 to 400 ms", delays[0], p95)
		}
	})
}

// TestVirtualPartition: ten hosts are cut in two for ten minutes. Meanwhile each half
// gossips, and nothing crosses; afterwards they are one again within the time of the
// longest pause between dials.
func TestVirtualPartition(t *testing.T) {
	if testing.Short() {
		t.Skip("many hosts")
	}
	const hosts = 10
	inWorld(t, func(t *testing.T, w *world) {
		all := w.crowd(t, hosts, rand.New(rand.NewPCG(5, 6)))
		time.Sleep(10 * time.Second)
		left := make(map[netip.Addr]bool)
		for _, n := range all[:hosts/2] {
			left[n.ip()] = true
		}
		w.cut(func(from, to netip.Addr) bool { return left[from] != left[to] })
		time.Sleep(time.Minute) // QUIC gives the dead connections up
		all[0].Send(p2p.Outgoing{Msg: payment(1, 100)})
		all[hosts-1].Send(p2p.Outgoing{Msg: payment(2, 100)})
		time.Sleep(9 * time.Minute)
		for i, n := range all {
			for number := uint32(1); number <= 2; number++ {
				own := i == 0 && number == 1 || i == hosts-1 && number == 2
				if _, got := n.heard(number); got != (left[n.ip()] == (number == 1)) && !own {
					t.Errorf("host %d heard of payment %d: %v", i, number, got)
				}
			}
			for _, s := range n.all() {
				if at, _ := addrPort(s.stream.Conn().RemoteMultiaddr()); left[at.Addr()] != left[n.ip()] {
					t.Errorf("host %d has a session across", i)
				}
			}
		}
		w.cut(nil)
		time.Sleep(redialMax*3/2 + dialTimeout)
		all[0].Send(p2p.Outgoing{Msg: payment(3, 100)})
		all[hosts-1].Send(p2p.Outgoing{Msg: payment(4, 100)})
		time.Sleep(10 * time.Second)
		for i, n := range all {
			_, three := n.heard(3)
			_, four := n.heard(4)
			if three != (i != 0) || four != (i != hosts-1) {
				t.Errorf("host %d heard of payment 3: %v, of 4: %v", i, three, four)
			}
		}
	})
}

// TestVirtualGossipMissesNobody: messages right after connecting, before any mesh is
// there, arrive from the sender and from the one who forwards.
func TestVirtualGossipMissesNobody(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b, c := start(t, w.config()), start(t, w.config()), start(t, w.config())
		a.connect(t, b)
		meshed(t, a, b)
		c.connect(t, b)
		b.waitFor(t, "connected", c.ID(), 1)
		if b.gossip.mesh.has(b.cfg.txTopic(), c.id) {
			t.Fatal("a mesh without a heartbeat")
		}
		a.Send(p2p.Outgoing{Msg: payment(1, 100)})
		b.Send(p2p.Outgoing{Msg: payment(2, 100)})
		a.wait(t, "b's transaction at a", hasTx(b.ID(), 2))
		c.wait(t, "both at c", func(events []event) bool { return heardOf(1)(events) && heardOf(2)(events) })
	})
}

// TestVirtualGossipBeforeSession: what a peer gossips before it has a session is not looked
// at, and not marked as seen: it is heard when it comes from another.
func TestVirtualGossipBeforeSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		victim, good := start(t, w.config()), start(t, w.config())
		good.connect(t, victim)
		h := stray(t, w.config(), victim)
		meshed(t, victim, good)
		time.Sleep(3 * heartbeat)
		if !h.gossip.mesh.has(h.cfg.txTopic(), victim.id) {
			t.Fatal("no mesh")
		}
		if err := h.gossip.txs.Publish(t.Context(), p2p.Encode(payment(1, 100))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if hasTx(h.ID(), 1)(victim.seen()) {
			t.Error("a payment of a peer without a session was heard")
		}
		good.Send(p2p.Outgoing{Msg: payment(1, 100)})
		time.Sleep(time.Second)
		if !hasTx(good.ID(), 1)(victim.seen()) {
			t.Error("the payment was not heard of another either")
		}
	})
}

// TestVirtualForgiven: six payments that are wrong for everybody put a peer below the
// graylist, and nothing that it gossips is looked at. Its points halve every nine
// minutes: after ten it is heard again where it was not pruned for good, and within
// two hours it is in the mesh as before. Its session it keeps throughout, and what
// comes by stream is heard.
func TestVirtualForgiven(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		judge := newRecorder()
		judge.judge = func(m p2p.Msg) p2p.Verdict {
			if number(m) < 100 {
				return p2p.Reject
			}
			return p2p.Accept
		}
		bad, b, good := start(t, w.config()), startWith(t, w.config(), judge), start(t, w.config())
		bad.connect(t, b)
		good.connect(t, b)
		meshed(t, b, bad, good)
		time.Sleep(meshAge)
		for i := range uint32(6) {
			bad.Send(p2p.Outgoing{Msg: payment(1+i, 100)})
			time.Sleep(100 * time.Millisecond)
		}
		bad.Send(p2p.Outgoing{Msg: payment(100, 100)})
		time.Sleep(5 * time.Second)
		if got := has(b.seen(), "gossip", bad.ID()); got != 6 {
			t.Errorf("%d gossip messages of the peer were judged, expected 6", got)
		}
		if b.gossip.mesh.has(b.cfg.txTopic(), bad.id) {
			t.Error("the peer is still in the mesh")
		}
		bad.Send(p2p.Outgoing{To: b.ID(), Msg: payment(101, 100)})
		synctest.Wait()
		b.waitFor(t, "message", bad.ID(), 1)
		good.Send(p2p.Outgoing{Msg: payment(102, 100)})
		b.wait(t, "the good peer's payment", hasTx(good.ID(), 102))

		begin := time.Now()
		for !b.gossip.mesh.has(b.cfg.txTopic(), bad.id) && time.Since(begin) < 3*time.Hour {
			time.Sleep(time.Minute)
		}
		t.Logf("in the mesh again after %v", time.Since(begin))
		if took := time.Since(begin); took < 30*time.Minute || took > 2*time.Hour {
			t.Errorf("in the mesh again after %v, expected one to two hours", took)
		}
		bad.Send(p2p.Outgoing{Msg: payment(103, 100)})
		b.wait(t, "the forgiven peer's payment", hasTx(bad.ID(), 103))
		for _, n := range []*node{bad, good} {
			if !b.last("disconnected", n.ID()).IsZero() {
				t.Errorf("%s was disconnected", n.ID())
			}
		}
	})
}
