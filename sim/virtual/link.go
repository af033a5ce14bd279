package virtual

import (
	"slices"
	"time"

	"github.com/kapok-chain/kapok/p2p"
)

// Shape is how a link carries messages, each way by itself.
type Shape struct {
	Delay     time.Duration // of every message
	Jitter    time.Duration // up to so much more, drawn for each message
	Loss      float64       // share of messages lost: sent again by a stream, gone where they are gossip
	Bandwidth int           // bytes a second; 0: no limit
}

// Retransmission of what a stream lost, as TCP has it: after the longer of
// minRetransmit and two round trips, and then after twice as long each time.
const (
	minRetransmit = 200 * time.Millisecond
	maxRetransmit = 6 // times; then it arrives whatever the dice say
)

// link is one way of a link.
type link struct {
	from, to *Host
	shape    *Shape // of both ways
	dialled  bool   // by from
	open     bool
	free     time.Time // when all that was sent before is on the wire
	last     time.Time // when the last message of the stream arrives
}

// Link connects two hosts; the first one dials. Where they were linked, that link
// ends first; where a partition lies between them, the link waits for its end.
func (w *World) Link(a, b Resident, s Shape) {
	from, to := a.host(), b.host()
	w.Unlink(from, to)
	if w.apart(from, to) {
		w.severed = append(w.severed, severed{from, to, s})
		return
	}
	from.links = append(from.links, &link{from: from, to: to, shape: &s, dialled: true, open: true})
	to.links = append(to.links, &link{from: to, to: from, shape: &s, open: true})
	from.machine.Connected(from.Now(), p2p.Peer{ID: to.ID, Addr: "/dns4/" + string(to.ID)})
	to.machine.Connected(to.Now(), p2p.Peer{ID: from.ID, Addr: "/dns4/" + string(from.ID), Inbound: true})
	w.Settle(from)
	w.Settle(to)
}

// Unlink takes a link away, if there is one; what is on its way is lost.
func (w *World) Unlink(a, b Resident) {
	from, to := a.host(), b.host()
	if from.unlink(to) && to.unlink(from) {
		from.machine.Disconnected(from.Now(), to.ID)
		to.machine.Disconnected(to.Now(), from.ID)
		w.Settle(from)
		w.Settle(to)
	}
}

func (h *Host) unlink(to *Host) bool {
	l := h.linkTo(to.ID)
	if l != nil {
		l.open = false
		h.links = slices.DeleteFunc(h.links, func(other *link) bool { return other == l })
	}
	return l != nil
}

// Shape is how the link between two hosts carries messages, for changing it: nil
// where there is none.
func (w *World) Shape(a, b Resident) *Shape {
	if l := a.host().linkTo(b.host().ID); l != nil {
		return l.shape
	}
	return nil
}

// severed is a link that a partition took away.
type severed struct {
	a, b *Host
	Shape
}

// Partition cuts all links between the hosts named and the others. What is on its
// way is lost, and nothing goes across before Heal.
func (w *World) Partition(side ...Resident) {
	w.Heal()
	for _, r := range side {
		r.host().aside = true
	}
	for _, h := range w.hosts {
		for _, l := range slices.Clone(h.links) {
			if l.dialled && l.open && w.apart(l.from, l.to) {
				w.severed = append(w.severed, severed{l.from, l.to, *l.shape})
				w.Unlink(l.from, l.to)
			}
		}
	}
}

func (w *World) apart(a, b *Host) bool { return a.aside != b.aside }

// Heal ends a partition: the links are made anew.
func (w *World) Heal() {
	for _, h := range w.hosts {
		h.aside = false
	}
	links := w.severed
	w.severed = nil
	for _, l := range links {
		w.Link(l.a, l.b, l.Shape)
	}
}

// send puts a message on its way.
func (w *World) send(l *link, wire []byte, gossip bool) {
	s := l.shape
	at := w.Now
	if s.Bandwidth > 0 {
		if l.free.After(at) {
			at = l.free
		}
		at = at.Add(time.Duration(len(wire)) * time.Second / time.Duration(s.Bandwidth))
		l.free = at
	}
	at = at.Add(s.Delay)
	if s.Jitter > 0 {
		at = at.Add(time.Duration(w.Rand.Int64N(int64(s.Jitter))))
	}
	if s.Loss > 0 {
		wait := max(minRetransmit, 4*(s.Delay+s.Jitter))
		for range maxRetransmit {
			if w.Rand.Float64() >= s.Loss {
				break
			}
			if gossip {
				return
			}
			at = at.Add(wait)
			wait *= 2
		}
	}
	if !gossip { // a stream keeps the order
		if at.Before(l.last) {
			at = l.last
		}
		l.last = at
	}
	w.at(at, func() { w.deliver(l, wire, gossip) })
}
