package virtual_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/sim/virtual"
)

// parrot says what it is told to, and notes what it hears.
type parrot struct {
	*virtual.Host
	say     []p2p.Outgoing
	drop    []p2p.Drop
	heard   []uint64 // nonces of pings
	at      []time.Duration
	peers   []p2p.PeerID
	verdict p2p.Verdict
	fault   error
	start   time.Time
}

func (p *parrot) Connected(_ time.Time, peer p2p.Peer) { p.peers = append(p.peers, peer.ID) }
func (p *parrot) Disconnected(_ time.Time, id p2p.PeerID) {
	p.peers = slices.DeleteFunc(p.peers, func(other p2p.PeerID) bool { return other == id })
}
func (p *parrot) Receive(now time.Time, _ p2p.PeerID, m p2p.Msg, _ bool) (p2p.Verdict, error) {
	p.heard, p.at = append(p.heard, m.(*p2p.Ping).Nonce), append(p.at, now.Sub(p.start))
	return p.verdict, p.fault
}
func (p *parrot) Tick(time.Time) error                        { return nil }
func (p *parrot) Advance(time.Time, consensus.Verifier) error { return nil }
func (p *parrot) Outbox() (out []p2p.Outgoing)                { out, p.say = p.say, nil; return out }
func (p *parrot) Drops() (drops []p2p.Drop)                   { drops, p.drop = p.drop, nil; return drops }
func (p *parrot) tell(w *virtual.World, to p2p.PeerID, n uint64) {
	p.say = append(p.say, p2p.Outgoing{To: to, Msg: &p2p.Ping{Nonce: n}})
	w.Settle(p)
}

func cage(seed uint64, names ...p2p.PeerID) (*virtual.World, []*parrot) {
	start := time.Unix(1e9, 0)
	w := virtual.New(start, seed)
	parrots := make([]*parrot, len(names))
	for i, name := range names {
		parrots[i] = &parrot{start: start}
		parrots[i].Host = w.Add(name, parrots[i])
	}
	return w, parrots
}

// A stream keeps its order and loses nothing, whatever the link does; what is lost
// comes later. Of gossip a share is gone.
func TestLoss(t *testing.T) {
	w, p := cage(1, "a", "b")
	w.Link(p[0], p[1], virtual.Shape{Delay: 10 * time.Millisecond, Jitter: 50 * time.Millisecond, Loss: 0.3})
	const messages = 1000
	var want []uint64
	for i := range uint64(messages) {
		want = append(want, i)
		w.After(time.Duration(i)*time.Second, func() { p[0].tell(w, "b", i) })
	}
	if err := w.Run(messages * time.Second * 2); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p[1].heard, want) {
		t.Errorf("%d of %d came, or in another order", len(p[1].heard), messages)
	}
	late := 0
	for i, at := range p[1].at {
		if took := at - time.Duration(i)*time.Second; took < 10*time.Millisecond {
			t.Fatalf("message %d took %v", i, took)
		} else if took >= 210*time.Millisecond {
			late++
		}
	}
	if late < 250 || late > 450 {
		t.Errorf("%d of %d were sent again", late, messages)
	}
	p[1].heard = nil
	for i := range uint64(messages) {
		p[0].tell(w, p2p.Everyone, messages+i)
	}
	if err := w.Run(time.Minute); err != nil {
		t.Fatal(err)
	}
	if n := len(p[1].heard); n < 650 || n > 750 {
		t.Errorf("%d of %d gossip messages came with a loss of 0.3", n, messages)
	}
}

// A link carries so many bytes a second, each way.
func TestBandwidth(t *testing.T) {
	w, p := cage(2, "a", "b")
	w.Link(p[0], p[1], virtual.Shape{Delay: time.Second, Bandwidth: 9}) // a ping is nine bytes
	for i := range uint64(5) {
		p[0].tell(w, "b", i)
	}
	p[1].tell(w, "a", 9)
	if err := w.Run(time.Minute); err != nil {
		t.Fatal(err)
	}
	want := []time.Duration{2 * time.Second, 3 * time.Second, 4 * time.Second, 5 * time.Second, 6 * time.Second}
	if !slices.Equal(p[1].at, want) || !slices.Equal(p[0].at, want[:1]) {
		t.Errorf("messages came after %v and %v, want %v", p[1].at, p[0].at, want)
	}
}

// Gossip goes on from whoever accepts it, to everybody once.
func TestGossip(t *testing.T) {
	w, p := cage(3, "a", "b", "c", "d", "e")
	for _, l := range [][2]int{{0, 1}, {0, 2}, {1, 2}, {2, 3}, {3, 4}} {
		w.Link(p[l[0]], p[l[1]], virtual.Shape{Delay: time.Millisecond})
	}
	p[3].verdict = p2p.Ignore
	p[0].tell(w, p2p.Everyone, 7)
	if err := w.Run(time.Second); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{0, 1, 1, 1, 0} {
		if got := len(p[i].heard); got != want {
			t.Errorf("%s heard it %d times, want %d", p[i].ID, got, want)
		}
	}
	p[0].tell(w, p2p.Everyone, 7) // seen by all for two minutes
	w.After(2*time.Minute, func() { p[0].tell(w, p2p.Everyone, 7) })
	if err := w.Run(time.Minute); err != nil || len(p[1].heard) != 1 {
		t.Errorf("the same once more was heard %d times: %v", len(p[1].heard), err)
	}
	if err := w.Run(2 * time.Minute); err != nil || len(p[1].heard) != 2 {
		t.Errorf("and two minutes later %d times: %v", len(p[1].heard), err)
	}
}

// What is on its way across a partition is lost, and a link made meanwhile waits.
func TestPartition(t *testing.T) {
	w, p := cage(4, "a", "b", "c")
	s := virtual.Shape{Delay: time.Second}
	w.Link(p[0], p[1], s)
	w.Link(p[1], p[2], s)
	p[1].tell(w, "a", 1)
	p[1].tell(w, "c", 2)
	w.Partition(p[0])
	w.Link(p[2], p[0], s)
	if err := w.Run(time.Minute); err != nil || len(p[0].heard)+len(p[0].peers) > 0 || len(p[2].heard) != 1 {
		t.Errorf("a heard %v and has peers %v, c heard %v: %v", p[0].heard, p[0].peers, p[2].heard, err)
	}
	w.Heal()
	p[1].tell(w, "a", 3)
	if err := w.Run(time.Minute); err != nil || !slices.Equal(p[0].heard, []uint64{3}) || len(p[0].peers) != 2 {
		t.Errorf("healed, a heard %v and has peers %v: %v", p[0].heard, p[0].peers, err)
	}
	p[1].drop = []p2p.Drop{{ID: "a", Reason: "enough"}}
	w.Settle(p[1])
	w.Remove(p[2])
	if len(p[0].peers)+len(p[1].peers) > 0 || len(p[1].Dropped) != 1 {
		t.Errorf("a has peers %v, b has %v and dropped %v", p[0].peers, p[1].peers, p[1].Dropped)
	}
}

// A fault of a host stops the world.
func TestFault(t *testing.T) {
	w, p := cage(5, "a", "b")
	w.Link(p[0], p[1], virtual.Shape{Delay: time.Second})
	p[1].fault = errors.New("disk on fire")
	p[0].tell(w, "b", 1)
	if err := w.Run(time.Minute); !errors.Is(err, p[1].fault) || w.Now != p[1].start.Add(time.Second) {
		t.Errorf("%v at %v", err, w.Now)
	}
}
