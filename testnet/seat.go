package testnet

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/rpc"
)

// Patience with one node.
const (
	// startTime bounds a node's start, until its first blocks are connected: fifty nodes
	// take twenty seconds all together on two cores, and a store that was killed is looked
	// through at its next start. One that takes so much longer hangs.
	startTime = 2 * time.Minute
	// commandTime bounds what takes no time of its own: a node that is not done then
	// hangs, or the machine has far too little for it.
	commandTime = 30 * time.Second
	// connectTime is how long a node may take until it has all its connections: a dial
	// and a session take up to 15 s each, and the first ones may collide.
	connectTime = 60 * time.Second
	// lastWordTime is how long a node that is killed has to say how many hashes it has done:
	// its end is not to wait for that.
	lastWordTime = time.Second
	// hungTime is how long a node may leave each probe unanswered before it fails the run:
	// three of them, one after the other, for the machine may be busy for once.
	hungTime = 3 * commandTime
)

// seat is the place of one node in the network. The node may be stopped, killed and
// started again.
type seat struct {
	net     *network
	node    int // from 0
	process bool

	turn    sync.Mutex // one start or stop at a time
	keeping sync.Mutex // held while a connection is forgotten and kept anew

	mu     sync.Mutex
	member member      // nil while the node is down
	client *rpc.Client // of it
	mining bool        // it is to mine while it is up
	offset time.Duration
	hashes float64   // of the members before this one
	due    float64   // likewise
	last   probe     // of this member
	silent time.Time // since when it has answered no probe; zero: it answers
	// private is an attacker's second node, which mines in the place of this one.
	private *local
}

// current is the node, and its client, if it is up.
func (s *seat) current() (member, *rpc.Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.member, s.client
}

// dir is the node's data directory.
func (n *network) dir(node int) string {
	return filepath.Join(n.data, "node"+strconv.Itoa(node+1))
}

// starting bounds the start of a node.
func (n *network) starting(ctx context.Context) (context.Context, context.CancelFunc) {
	why := fmt.Errorf("its first blocks were not connected within %v: it hangs, or the machine has far too little for it", n.patience)
	return context.WithTimeoutCause(ctx, n.patience, why)
}

// start starts the node, which nobody is connected with yet.
func (s *seat) start(ctx context.Context) error {
	n := s.net
	starting, cancel := n.starting(ctx)
	defer cancel()
	setup := n.setup(s.node)
	watch := n.recorder.watch(s.node, false)
	var m member
	var err error
	if s.process {
		m, err = startRemote(starting, n.options.Command, setup, n.recorder.began, watch)
	} else {
		m, err = startLocal(starting, n.life, setup, n.spec.Network, n.matrix, watch, n.log.With("node", s.node+1))
	}
	if err != nil {
		return fmt.Errorf("node %d does not start: %w", s.node+1, err)
	}
	at := m.where()
	client := rpc.NewClient(rpc.Dial{URL: "http://" + at.RPC, CookieFile: at.Cookie})
	s.mu.Lock()
	s.member, s.client, s.last, s.silent = m, client, probe{}, time.Time{}
	offset := s.offset
	s.mu.Unlock()
	n.usage.watch(at.PID)
	n.recorder.turned(s.node, true, time.Now())
	n.lives.Go(func() {
		<-m.done()
		client.Close()
		if s.vacate(m) && n.life.Err() == nil {
			n.recorder.turned(s.node, false, time.Now())
			n.endedByItself(s, m.fault())
		}
	})
	if offset != 0 {
		return s.ask(ctx, &command{Op: opClock, Offset: offset})
	}
	return nil
}

// ask has the node do something that takes no time.
func (s *seat) ask(ctx context.Context, c *command) error {
	_, err := s.get(ctx, c, commandTime)
	return err
}

var (
	errDown   = errors.New("the node is down")
	errSilent = errors.New("it did not answer in time")
)

// isDown reports whether a node did not answer since it is down, or has ended just now.
func isDown(err error) bool { return errors.Is(err, errDown) || errors.Is(err, errEnded) }

// get has the node answer something within a time.
func (s *seat) get(ctx context.Context, c *command, patience time.Duration) (answer, error) {
	m, _ := s.current()
	return answerOf(ctx, m, c, patience)
}

// answerOf has a member, nil where the node is down, answer something within a time.
func answerOf(ctx context.Context, m member, c *command, patience time.Duration) (answer, error) {
	if m == nil {
		return answer{}, errDown
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errSilent)
	defer cancel()
	return m.do(ctx, c)
}

// dial has the node keep connections with its neighbours, and them with it, as the edges
// say, as far as they are up.
func (s *seat) dial(ctx context.Context) error {
	for _, e := range s.net.spec.Edges {
		if e.From != s.node && e.To != s.node {
			continue
		}
		if err := s.net.seats[e.From].keep(ctx, s.net.seats[e.To]); err != nil && !isDown(err) {
			return err
		}
	}
	return nil
}

// connected waits until the node has sessions with all neighbours that are up.
func (s *seat) connected(ctx context.Context) error {
	var peers []p2p.PeerID
	for _, e := range s.net.spec.Edges {
		other := e.To
		if e.To == s.node {
			other = e.From
		} else if e.From != s.node {
			continue
		}
		if m, _ := s.net.seats[other].current(); m != nil && s.net.linked(s.node, other) {
			peers = append(peers, m.where().ID)
		}
	}
	_, err := s.get(ctx, &command{Op: opConnected, Peers: peers}, connectTime)
	return err
}

// keep has the node keep a connection with another. Two nodes that restart at a time may
// both ask for it: one after the other.
func (s *seat) keep(ctx context.Context, to *seat) error {
	s.keeping.Lock()
	defer s.keeping.Unlock()
	m, _ := to.current()
	if m == nil {
		return errDown
	}
	addr := m.where().Addr
	if err := s.ask(ctx, &command{Op: opForget, Addr: addr}); err != nil {
		return err
	}
	return s.ask(ctx, &command{Op: opKeep, Addr: addr})
}

// leave takes the node off its seat: nobody asks it for anything any more. Whoever calls
// it has the turn, ends the node, and calls left then: until that the node is at work.
//
// Its hashes are those that it says within a time, or has said last.
func (s *seat) leave(ctx context.Context, patience time.Duration) (member, error) {
	m, _ := s.current()
	if m == nil {
		return nil, errDown
	}
	probing, cancel := context.WithTimeout(ctx, patience)
	s.probe(probing)
	cancel()
	if !s.vacate(m) {
		return nil, errDown
	}
	s.net.recorder.leaves(s.node)
	return m, nil
}

// vacate takes a node off the seat; false where it is not there any more.
func (s *seat) vacate(m member) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.member != m {
		return false
	}
	s.member, s.client = nil, nil
	s.hashes, s.due, s.last = s.hashes+s.last.Hashes, s.due+s.last.HashesDue, probe{}
	return true
}

// left notes that the node has ended, and its mempool with it.
func (s *seat) left() { s.net.recorder.turned(s.node, false, time.Now()) }

// forgotten has the node's neighbours dial it no longer at where it was.
func (s *seat) forgotten(ctx context.Context, m member) {
	for _, e := range s.net.spec.Edges {
		if e.To == s.node {
			// One that is down, or ends just now, dials nobody.
			_ = s.net.seats[e.From].ask(ctx, &command{Op: opForget, Addr: m.where().Addr})
		}
	}
}

// stop ends the node in order.
func (s *seat) stop(ctx context.Context) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	// It finds no block on its way out. One that does not hear is stopped all the same.
	_ = s.ask(ctx, &command{Op: opRest})
	m, err := s.leave(ctx, commandTime)
	if err != nil {
		return err
	}
	s.forgotten(ctx, m)
	m.stop()
	s.left()
	return nil
}

// kill ends the node's process at once.
func (s *seat) kill(ctx context.Context) error {
	if !s.process {
		return errInProcess
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	m, err := s.leave(ctx, lastWordTime)
	if err != nil {
		return err
	}
	err = m.kill()
	s.left()
	s.forgotten(ctx, m)
	return err
}

var errUp = errors.New("the node is up")

// restart starts the node again, where it was.
func (s *seat) restart(ctx context.Context) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	if m, _ := s.current(); m != nil {
		return errUp
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	if err := s.net.placed(ctx, s); err != nil {
		return err
	}
	if err := s.dial(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	mining := s.mining
	s.mu.Unlock()
	if mining {
		return s.ask(ctx, &command{Op: opMine})
	}
	return nil
}

// mine has the node mine from now on, or rest, whenever it is up.
func (s *seat) mine(ctx context.Context, on bool) error {
	s.mu.Lock()
	s.mining = on
	s.mu.Unlock()
	c := command{Op: opRest}
	if on {
		c.Op = opMine
	}
	if err := s.ask(ctx, &c); err != nil && !isDown(err) {
		return err
	}
	return nil
}

// setClock has the node's clock be wrong from now on.
func (s *seat) setClock(ctx context.Context, offset time.Duration) error {
	s.mu.Lock()
	s.offset = offset
	s.mu.Unlock()
	if err := s.ask(ctx, &command{Op: opClock, Offset: offset}); err != nil && !isDown(err) {
		return err
	}
	return nil
}

// probe looks at the node, and counts its hashes from the run's start on, whatever
// happened to it; false where it is down. A node that answers none of them fails the
// network in time.
func (s *seat) probe(ctx context.Context) (probe, bool) {
	m, _ := s.current()
	asked := time.Now()
	got, err := answerOf(ctx, m, &command{Op: opProbe}, commandTime)
	s.mu.Lock()
	defer s.mu.Unlock()
	// What was on its way when the member left is counted with those before this one.
	up := m != nil && err == nil && got.Probe != nil && s.member == m
	switch {
	case up:
		s.last, s.silent = *got.Probe, time.Time{}
	case m != nil && s.member == m && errors.Is(err, errSilent):
		if s.silent.IsZero() {
			s.silent = asked
		}
		if time.Since(s.silent) >= hungTime {
			s.net.fail(fmt.Errorf("node %d hangs: it has answered nothing for %v", s.node+1, hungTime))
		}
	}
	p := s.last
	p.Hashes += s.hashes
	p.HashesDue += s.due
	if s.private != nil {
		hashes, due := s.private.mined()
		p.Hashes += hashes
		p.HashesDue += due
	}
	return p, up
}
