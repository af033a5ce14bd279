package sim_test

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/mempool"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/sim"
	"github.com/kapok-chain/kapok/sim/virtual"
)

// record is every message, each once, that nodes say to each other while they meet,
// pay, mine, are cut in two, heal, and a new one joins.
func record(t *testing.T, seed uint64) (msgs []p2p.Msg) {
	w := newWorld(t, seed, 4, coinsAMake)
	seen := make(map[[sha256.Size]byte]bool)
	w.Watch(func(d virtual.Delivery) {
		if id := sha256.Sum256(d.Wire); !seen[id] {
			seen[id] = true
			msgs = append(msgs, d.Msg)
		}
	})
	w.weave(0.3) // gossip is lost, so that payments of blocks are missing
	w.line()
	for i, n := range w.Nodes[:3] {
		n.Mine(rateFor(time.Duration(20+10*i)*time.Second), w.payout)
	}
	for minute := range 4 {
		if minute == 2 {
			w.Partition(w.Nodes[0], w.Nodes[1])
		}
		for range 8 {
			parent := w.payment("alice")
			w.pay(w.Nodes[w.Rand.IntN(4)], parent)
			if n := w.Nodes[w.Rand.IntN(4)]; n.InMempool(parent.TxID()) {
				w.pay(n, w.childOf(parent))
			}
			w.run(time.Duration(w.Rand.IntN(15)) * time.Second)
		}
	}
	w.Heal()
	for _, n := range w.Nodes[:3] { // a block that holds what nobody has heard of
		w.run(20 * time.Second)
		for _, other := range w.Nodes {
			if s := w.Shape(n, other); s != nil {
				s.Loss = 1
			}
		}
		w.pay(n, w.payment("alice"))
		for _, other := range w.Nodes {
			if s := w.Shape(n, other); s != nil {
				s.Loss = 0
			}
		}
		w.find(n)
	}
	late, err := w.Add(node.Config{})
	w.ok(err)
	w.Start(late)
	w.Link(late, w.Nodes[0], wide)
	w.Link(w.Nodes[3], late, wide)
	w.run(time.Minute)
	return append(msgs, &p2p.NotFound{Hashes: []consensus.Hash{w.Nodes[0].Tip().Hash}}) // nobody here lacked a body for long
}

// stage is a node in some state of its life, with an honest peer.
type stage struct {
	*world
	victim, honest *sim.Node
	busy           bool // the victim is not to take any more steps yet
}

// states are those that a node goes through. Each ends where it may be interrupted.
var states = []struct {
	name  string
	reach func(s *stage)
}{
	{"alone", func(s *stage) {}},
	{"before the peer's hello", func(s *stage) {
		s.Link(s.victim, s.honest, virtual.Shape{Delay: time.Second})
		s.run(500 * time.Millisecond)
	}},
	{"asking for headers", func(s *stage) { s.meet(); s.run(25 * time.Millisecond) }},
	{"asking for bodies", func(s *stage) { s.meet(); s.run(45 * time.Millisecond) }},
	{"with some bodies", func(s *stage) {
		s.meet()
		for s.victim.Tip().Height == 0 {
			s.run(time.Millisecond)
		}
	}},
	{"synced", func(s *stage) { s.meet(); s.sync() }},
	{"cut off", func(s *stage) { s.meet(); s.sync(); s.Partition(s.victim) }},
	{"cut off and ahead", func(s *stage) {
		s.meet()
		s.sync()
		s.Partition(s.victim)
		for range 5 {
			s.find(s.victim)
		}
	}},
	{"healed", func(s *stage) {
		s.meet()
		s.sync()
		s.Partition(s.victim)
		s.find(s.victim)
		s.find(s.honest)
		s.find(s.honest)
		s.Heal()
		s.run(30 * time.Millisecond)
	}},
	{"reorganising", func(s *stage) {
		s.meet()
		s.sync()
		s.Partition(s.victim)
		s.find(s.victim)
		s.find(s.victim)
		var branch []*consensus.Block
		for range 3 {
			branch = append(branch, s.find(s.honest))
		}
		for _, block := range branch {
			_, err := s.victim.SubmitBlock(s.victim.Now(), block)
			s.ok(err)
		}
		job, err := s.victim.Gather()
		s.ok(err)
		job.Verify(consensus.Verifier{Workers: 1})
		s.ok(s.victim.Commit(s.victim.Now(), job))
		if s.busy = s.victim.Reorganising(); !s.busy {
			s.t.Error("it does not reorganise")
		}
	}},
}

func newStage(t *testing.T, seed uint64) *stage {
	s := &stage{world: newWorld(t, seed, 0, coinsAMake)}
	s.honest = s.add(mempool.Config{})
	for range 20 {
		s.find(s.honest)
	}
	for range 3 {
		s.pay(s.honest, s.payment("alice"))
	}
	var err error
	s.victim, err = s.Add(node.Config{}) // with genesis alone
	s.ok(err)
	s.Start(s.victim)
	return s
}

func (s *stage) meet() { s.Link(s.victim, s.honest, virtual.Shape{Delay: 10 * time.Millisecond}) }

func (s *stage) sync() {
	s.until(time.Minute, "the same mempools", func() bool { return s.Agree() && len(s.victim.Mempool()) == 3 })
}

const mallory p2p.PeerID = "mallory"

// enter connects the peer that replays.
func (s *stage) enter(greets bool) {
	s.victim.Connected(s.victim.Now(), p2p.Peer{ID: mallory, Inbound: s.Rand.IntN(2) == 0})
	if greets {
		s.say(&p2p.Hello{Version: p2p.Version, Genesis: s.Params.GenesisHash(), Nonce: s.Rand.Uint64() | 1, Agent: "/mallory/"}, false)
	}
}

// say delivers a message of the peer that replays, and returns what that cost it in
// points. A fault of the victim, which a message must never be, ends the test.
func (s *stage) say(m p2p.Msg, gossip bool) int {
	before, _ := s.score()
	_, err := s.victim.Receive(s.victim.Now(), mallory, m, gossip)
	s.ok(err)
	if !s.busy {
		s.Settle(s.victim)
	}
	s.ok(s.Err())
	after, there := s.score()
	if !there { // it was dropped
		return 100 - before
	}
	return after - before
}

func (s *stage) score() (points int, there bool) {
	for _, p := range s.victim.Peers() {
		if p.ID == mallory {
			return p.Score, true
		}
	}
	return 0, false
}

// replay says all messages, each twice by stream and twice by gossip, and holds what
// each costs against what docs/network.md says (N19): nothing for blocks, payments and
// announcements, whoever repeats them and how often; one point for what nobody asked
// for and for each request too many; ten for a second hello. It returns how often the peer had to come back.
func (s *stage) replay(msgs []p2p.Msg, greets bool) (dropped int) {
	s.enter(greets)
	for i, m := range msgs {
		most := 1
		switch m := m.(type) {
		case *p2p.Tx, *p2p.Announce, *p2p.Block:
			most = 0
		case *p2p.Hello:
			most = 10
		case *p2p.GetBlocks:
			most = len(m.Hashes) // each of which may find no room among those that wait
		}
		for _, gossip := range []bool{false, false, true, true} {
			if cost := s.say(m, gossip); cost > most {
				s.t.Errorf("message %d, %s, costs %d points", i, strings.TrimPrefix(fmt.Sprintf("%T", m), "*p2p."), cost)
			}
			if points, there := s.score(); !there || points >= 80 { // before one too many
				dropped++
				s.victim.Disconnected(s.victim.Now(), mallory)
				s.enter(greets)
			}
		}
		if s.victim.Changes(); i%8 == 0 && !s.busy {
			s.run(time.Millisecond)
		}
		s.victim.Accepted()
	}
	return dropped
}

// TestReplay says every message of varied runs twice, by stream and by gossip, to a
// node in every state that it goes through, before and after the sender's hello.
// Passed where nothing costs more than it should, no honest peer loses a point, and
// the node is on its honest peer's tip within a minute.
func TestReplay(t *testing.T) {
	var msgs []p2p.Msg
	for seed := range uint64(3) {
		msgs = append(msgs, record(t, seed)...)
	}
	kinds := make(map[p2p.Type][]p2p.Msg)
	for _, m := range msgs {
		kinds[m.Type()] = append(kinds[m.Type()], m)
	}
	for kind := p2p.TypeHello; kind <= p2p.TypePeers; kind++ {
		if len(kinds[kind]) == 0 {
			t.Fatalf("no message of type %d was recorded", kind)
		}
		t.Logf("%d messages of type %d", len(kinds[kind]), kind)
	}
	for i, state := range states {
		for _, greets := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, greets %v", state.name, greets), func(t *testing.T) {
				s := newStage(t, uint64(i))
				state.reach(s)
				t.Logf("the peer was dropped, or left, %d times", s.replay(msgs, greets))
				s.end()
				// What comes first meets the very state.
				for kind := p2p.TypeHello; kind <= p2p.TypePeers; kind++ {
					s := newStage(t, uint64(i))
					state.reach(s)
					s.replay(kinds[kind][s.Rand.IntN(len(kinds[kind])):][:1], greets)
					s.end()
				}
			})
		}
	}
}

// end is when the peer has said all: the victim must come to its honest peer's tip.
func (s *stage) end() {
	s.t.Helper()
	s.victim.Disconnected(s.victim.Now(), mallory)
	s.busy = false
	s.Settle(s.victim)
	s.Heal()
	if s.Shape(s.victim, s.honest) == nil {
		s.meet()
	}
	s.run(10 * time.Second)
	s.find(s.honest) // of two branches with the same work neither wins
	for mine := s.victim.Tip().Height; s.honest.Tip().Height <= mine; {
		s.find(s.honest)
	}
	s.until(time.Minute, "the honest peer's tip", s.agree)
	s.peaceful()
}

// TestReplayTakesNoMemory: the same messages again and again take no more memory than
// the first time, whether the peer that says them stays or comes back.
func TestReplayTakesNoMemory(t *testing.T) {
	msgs := record(t, 7)
	s := newStage(t, 7)
	s.meet()
	s.sync()
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	for i := range 4 {
		s.replay(msgs, i%4 != 0)
	}
	s.victim.Dropped = nil
	before := heap()
	const rounds = 20
	for i := range rounds {
		s.replay(msgs, i%4 != 0)
	}
	s.victim.Dropped = nil
	grown := heap() - before
	runtime.KeepAlive(s)
	runtime.KeepAlive(msgs)
	t.Logf("%d rounds of %d messages, each four times: the heap grew by %d bytes to %d", rounds, len(msgs), grown, before+grown)
	if grown > 64<<10 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}
