package virtual

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
)

// Machine is what lives on a host: a *node.Node, or whatever else keeps the
// contract of package p2p. An error is a fault of its own.
type Machine interface {
	Connected(now time.Time, peer p2p.Peer)
	Disconnected(now time.Time, id p2p.PeerID)
	Receive(now time.Time, from p2p.PeerID, msg p2p.Msg, gossip bool) (p2p.Verdict, error)
	Tick(now time.Time) error
	// Advance takes all steps of the chain that there are to take.
	Advance(now time.Time, v consensus.Verifier) error
	Outbox() []p2p.Outgoing
	Drops() []p2p.Drop
}

// Host is a place in the world, with a clock of its own.
type Host struct {
	ID      p2p.PeerID
	Skew    time.Duration // its clock less the world's
	Dropped []p2p.Drop    // whom its machine dropped, and why

	world   *World
	machine Machine
	links   []*link // in the order in which they came
	aside   bool    // on the smaller side of a partition
	gone    bool    // from the world
	seen    seen
}

// Resident is a *Host, or what embeds one.
type Resident interface{ host() *Host }

func (h *Host) host() *Host { return h }

// Now is what the host's clock shows.
func (h *Host) Now() time.Time { return h.world.Now.Add(h.Skew) }

// Add gives a machine a host, without links, whose clock does not tick yet.
func (w *World) Add(id p2p.PeerID, m Machine) *Host {
	h := &Host{ID: id, world: w, machine: m, seen: seen{at: make(map[[sha256.Size]byte]bool)}}
	if w.byID[id] != nil {
		w.Fail(fmt.Errorf("virtual: two hosts are named %s", id))
	}
	w.hosts = append(w.hosts, h)
	w.byID[id] = h
	return h
}

// Remove takes a host out of the world, as a kill would: it is told nothing, and the
// others lose their links to it.
func (w *World) Remove(r Resident) {
	h := r.host()
	h.gone = true
	delete(w.byID, h.ID)
	w.hosts = slices.DeleteFunc(w.hosts, func(other *Host) bool { return other == h })
	w.severed = slices.DeleteFunc(w.severed, func(s severed) bool { return s.a == h || s.b == h })
	for _, l := range slices.Clone(h.links) {
		h.unlink(l.to)
		l.to.unlink(h)
		l.to.machine.Disconnected(l.to.Now(), h.ID)
		w.Settle(l.to)
	}
}

// Start lets the host's clock tick: not in step with all others.
func (w *World) Start(r Resident) {
	h := r.host()
	var tick func()
	tick = func() {
		if h.gone {
			return
		}
		w.Fail(h.machine.Tick(h.Now()))
		w.Settle(h)
		w.After(w.Every, tick)
	}
	w.After(time.Duration(w.Rand.Int64N(int64(w.Every))), tick)
}

// Settle lets a host take the steps of its chain, sends what it has to say, and
// disconnects whom it drops. It is called after every call of its machine that
// the world did not make.
func (w *World) Settle(r Resident) {
	h := r.host()
	if w.err != nil || h.gone {
		return
	}
	w.Fail(h.machine.Advance(h.Now(), consensus.Verifier{Workers: 1}))
	for _, out := range h.machine.Outbox() {
		wire := p2p.Encode(out.Msg)
		if out.To == p2p.Everyone {
			h.seen.add(w.Now, sha256.Sum256(wire))
			w.spread(h, wire, "")
		} else if l := h.linkTo(out.To); l != nil {
			w.send(l, wire, false)
		}
	}
	for _, drop := range h.machine.Drops() {
		h.Dropped = append(h.Dropped, drop)
		if other := w.byID[drop.ID]; other != nil && h.linkTo(drop.ID) != nil {
			w.Unlink(h, other)
		} else {
			h.machine.Disconnected(h.Now(), drop.ID)
		}
	}
}

// spread passes gossip on to all peers but the one that it came from.
func (w *World) spread(h *Host, wire []byte, except p2p.PeerID) {
	for _, l := range h.links {
		if l.to.ID != except {
			w.send(l, wire, true)
		}
	}
}

// deliver is the end of a message's way.
func (w *World) deliver(l *link, wire []byte, gossip bool) {
	h := l.to
	if !l.open || gossip && !h.seen.add(w.Now, sha256.Sum256(wire)) {
		return
	}
	msg, err := p2p.Decode(wire)
	if err != nil {
		w.Fail(fmt.Errorf("virtual: %s sent %s what does not decode: %w", l.from.ID, h.ID, err))
		return
	}
	w.note(Delivery{At: w.Now, From: l.from, To: h, Wire: wire, Msg: msg, Gossip: gossip})
	verdict, err := h.machine.Receive(h.Now(), l.from.ID, msg, gossip)
	w.Fail(err)
	if gossip && verdict == p2p.Accept {
		w.spread(h, wire, l.from.ID)
	}
	w.Settle(h)
}

func (h *Host) linkTo(id p2p.PeerID) *link {
	if i := slices.IndexFunc(h.links, func(l *link) bool { return l.to.ID == id }); i >= 0 {
		return h.links[i]
	}
	return nil
}

// seenFor is how long a message of gossip is known by its id, as in p2p/host.
const seenFor = 120 * time.Second

// seen is the ids of the gossip of the last two minutes.
type seen struct {
	at    map[[sha256.Size]byte]bool
	order []sighting // oldest first
}

type sighting struct {
	id [sha256.Size]byte
	at time.Time
}

// add reports whether the id is new.
func (s *seen) add(now time.Time, id [sha256.Size]byte) bool {
	for len(s.order) > 0 && now.Sub(s.order[0].at) >= seenFor {
		delete(s.at, s.order[0].id)
		s.order = s.order[1:]
	}
	if s.at[id] {
		return false
	}
	s.at[id] = true
	s.order = append(s.order, sighting{id, now})
	return true
}
