package virtual

import (
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math/rand/v2"
	"time"

	"github.com/kapok-chain/kapok/p2p"
)

// World is a network in virtual time. It is not safe for concurrent use.
type World struct {
	Now   time.Time
	Rand  *rand.Rand    // of the links, and of whoever lives here
	Every time.Duration // between the ticks of a host; New sets 200 ms

	hosts    []*Host // in the order in which they came; all loops run over it
	byID     map[p2p.PeerID]*Host
	events   eventHeap
	seq      uint64
	severed  []severed
	watchers []func(Delivery)
	digest   hash.Hash
	err      error
}

// Delivery is a message that arrives, and that its host has not seen before.
type Delivery struct {
	At       time.Time
	From, To *Host
	Wire     []byte // encoded, with the type byte
	Msg      p2p.Msg
	Gossip   bool
}

// New returns a world without hosts. One seed is one world.
func New(start time.Time, seed uint64) *World {
	return &World{
		Now: start, Rand: rand.New(rand.NewPCG(seed, seed)), Every: 200 * time.Millisecond,
		byID: make(map[p2p.PeerID]*Host), digest: sha256.New(),
	}
}

// event is something that happens at its time; of two at one time the first that
// was planned comes first.
type event struct {
	at  time.Time
	seq uint64
	do  func()
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	if c := h[i].at.Compare(h[j].at); c != 0 {
		return c < 0
	}
	return h[i].seq < h[j].seq
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = event{}
	*h = (*h)[:last]
	return e
}

// After plans something.
func (w *World) After(d time.Duration, do func()) { w.at(w.Now.Add(d), do) }

func (w *World) at(when time.Time, do func()) {
	w.seq++
	heap.Push(&w.events, event{when, w.seq, do})
}

// Run lets time pass. The error is the first one that a host returned, a fault of
// its own and never of a peer; the world stands still from then on.
func (w *World) Run(d time.Duration) error {
	end := w.Now.Add(d)
	for w.err == nil && len(w.events) > 0 && !w.events[0].at.After(end) {
		e := heap.Pop(&w.events).(event)
		w.Now = e.at
		e.do()
	}
	if w.err == nil {
		w.Now = end
	}
	return w.err
}

// Until lets time pass, at most d, until done, which is asked every 50 ms. It
// reports whether that came.
func (w *World) Until(d time.Duration, done func() bool) (bool, error) {
	for end := w.Now.Add(d); !done(); {
		if !w.Now.Before(end) {
			return false, nil
		}
		if err := w.Run(50 * time.Millisecond); err != nil {
			return false, err
		}
	}
	return true, w.err
}

// Pending reports whether anything is planned.
func (w *World) Pending() bool { return len(w.events) > 0 }

// Err is the error that the world stands still for.
func (w *World) Err() error { return w.err }

// Fail keeps the first error.
func (w *World) Fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// Watch calls see with everything that is delivered, before the host judges it.
func (w *World) Watch(see func(Delivery)) { w.watchers = append(w.watchers, see) }

// note takes a delivery into the digest and tells who watches.
func (w *World) note(d Delivery) {
	var head []byte
	head = binary.BigEndian.AppendUint64(head, uint64(d.At.UnixNano()))
	for _, id := range []p2p.PeerID{d.From.ID, d.To.ID} {
		head = append(binary.BigEndian.AppendUint32(head, uint32(len(id))), id...)
	}
	kind := byte(0)
	if d.Gossip {
		kind = 1
	}
	head = append(head, kind)
	head = binary.BigEndian.AppendUint32(head, uint32(len(d.Wire)))
	w.digest.Write(head)
	w.digest.Write(d.Wire)
	for _, see := range w.watchers {
		see(d)
	}
}

// Digest is the SHA-256 of all that was delivered so far: when, from whom, to
// whom, how, and what.
func (w *World) Digest() [sha256.Size]byte { return [sha256.Size]byte(w.digest.Sum(nil)) }
