package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
)

// patience is how long a test waits for something that must happen.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// event is one call of the handler.
type event struct {
	at      time.Time
	what    string // "connected", "disconnected", "message", "gossip"
	from    p2p.PeerID
	inbound bool
	msg     p2p.Msg
}

// recorder is a Handler that writes down what it hears and checks the order.
type recorder struct {
	judge func(p2p.Msg) p2p.Verdict // nil accepts everything

	mu     sync.Mutex
	live   map[p2p.PeerID]bool
	faults []string
	infos  []p2p.PeerInfo // what Peers returns
	quiet  bool
	ticks  int
	news   chan struct{} // closed and replaced at each event
	events []event
}

func newRecorder() *recorder {
	return &recorder{live: map[p2p.PeerID]bool{}, news: make(chan struct{})}
}

func (r *recorder) add(e event) {
	e.at = time.Now()
	r.events = append(r.events, e)
	close(r.news)
	r.news = make(chan struct{})
}

func (r *recorder) Connected(p p2p.Peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.live[p.ID] {
		r.faults = append(r.faults, fmt.Sprintf("%s connected twice", p.ID))
	}
	r.live[p.ID] = true
	r.add(event{what: "connected", from: p.ID, inbound: p.Inbound})
}

func (r *recorder) Disconnected(id p2p.PeerID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.live[id] {
		r.faults = append(r.faults, fmt.Sprintf("%s disconnected without being there", id))
	}
	delete(r.live, id)
	r.add(event{what: "disconnected", from: id})
}

func (r *recorder) Receive(from p2p.PeerID, m p2p.Msg, gossip bool) p2p.Verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.live[from] {
		r.faults = append(r.faults, fmt.Sprintf("message of %s, which is not connected", from))
	}
	what := "message"
	if gossip {
		what = "gossip"
	}
	r.add(event{what: what, from: from, msg: m})
	if r.judge == nil {
		return p2p.Accept
	}
	return r.judge(m)
}

func (r *recorder) Tick() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ticks++
	close(r.news)
	r.news = make(chan struct{})
}

func (r *recorder) Peers() []p2p.PeerInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.infos
}

func (r *recorder) Quiet() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.quiet
}

// setQuiet says what Quiet and Peers return from now on.
func (r *recorder) setQuiet(quiet bool, infos []p2p.PeerInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.quiet, r.infos = quiet, infos
}

// seen is the events so far.
func (r *recorder) seen() []event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// wait blocks until ok holds for the events so far.
func (r *recorder) wait(t *testing.T, what string, ok func([]event) bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		r.mu.Lock()
		done, news, seen := ok(r.events), r.news, len(r.events)
		r.mu.Unlock()
		if done {
			return
		}
		select {
		case <-news:
		case <-deadline:
			t.Fatalf("waited in vain for %s; %d events so far", what, seen)
		}
	}
}

// has counts the events of a kind from a peer ("" is any).
func has(events []event, what string, from p2p.PeerID) int {
	n := 0
	for _, e := range events {
		if e.what == what && (from == "" || from == e.from) {
			n++
		}
	}
	return n
}

func (r *recorder) waitFor(t *testing.T, what string, from p2p.PeerID, n int) {
	t.Helper()
	r.wait(t, fmt.Sprintf("%d × %s from %q", n, what, from), func(events []event) bool {
		return has(events, what, from) >= n
	})
}

// last is when the latest event of a kind came from a peer ("" is any).
func (r *recorder) last(what string, from p2p.PeerID) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range slices.Backward(r.events) {
		if e.what == what && (from == "" || from == e.from) {
			return e.at
		}
	}
	return time.Time{}
}

// messages returns the messages and gossip of a peer in the order heard.
func (r *recorder) messages(what string, from p2p.PeerID) []p2p.Msg {
	r.mu.Lock()
	defer r.mu.Unlock()
	var msgs []p2p.Msg
	for _, e := range r.events {
		if e.what == what && e.from == from {
			msgs = append(msgs, e.msg)
		}
	}
	return msgs
}

// testLog writes warnings to the test's log while the test runs.
type testLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *testLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// node is a host that runs.
type node struct {
	*Host
	*recorder
	log  *testLog
	stop func() error // ends Run and returns its error; may be called twice
}

var testGenesis = consensus.Hash{1, 2, 3, 4, 5, 6, 7, 8, 9}

// lean is the Config of most tests: one TCP port of the loopback.
func lean() Config {
	return Config{GenesisHash: testGenesis, Listen: []string{"127.0.0.1:0"}, DisableQUIC: true, Agent: "test"}
}

func start(t *testing.T, c Config) *node { return startWith(t, c, newRecorder()) }

func startWith(t *testing.T, c Config, r *recorder) *node {
	t.Helper()
	return startAs(t, c, r, func(*Host) Handler { return r })
}

// startAs starts a host whose handler tells a recorder.
func startAs(t *testing.T, c Config, r *recorder, handler func(*Host) Handler) *node {
	t.Helper()
	log := new(testLog)
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	}
	h, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx, handler(h)) }()
	<-h.ready
	n := &node{Host: h, recorder: r, log: log, stop: sync.OnceValue(func() error {
		cancel()
		return <-ended
	})}
	t.Cleanup(func() {
		if err := n.stop(); err != nil && !errors.Is(err, ErrOtherNetwork) {
			t.Errorf("Run: %v", err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, fault := range r.faults {
			t.Error(fault)
		}
		if len(r.live) > 0 {
			t.Errorf("%d peers were never disconnected", len(r.live))
		}
		if t.Failed() {
			t.Logf("log of %s:\n%s", h.ID(), log)
		}
	})
	return n
}

func (n *node) connect(t *testing.T, to *node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.Host.Connect(ctx, to.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
}

func TestMessagesInOrderBothWays(t *testing.T) { transports(t, messagesInOrder) }

func messagesInOrder(t *testing.T, c Config, dial func(a, b *node) error) {
	const n = 300
	a, b := start(t, c), start(t, c)
	if err := dial(a, b); err != nil {
		t.Fatal(err)
	}
	b.waitFor(t, "connected", a.ID(), 1)
	for i := range uint64(n) {
		a.Send(p2p.Outgoing{To: b.ID(), Msg: &p2p.Ping{Nonce: i}})
		b.Send(p2p.Outgoing{To: a.ID(), Msg: &p2p.Pong{Nonce: i}})
	}
	a.waitFor(t, "message", b.ID(), n)
	b.waitFor(t, "message", a.ID(), n)
	for i, m := range b.messages("message", a.ID()) {
		if ping, ok := m.(*p2p.Ping); !ok || ping.Nonce != uint64(i) {
			t.Fatalf("message %d is %#v", i, m)
		}
	}
	for i, m := range a.messages("message", b.ID()) {
		if pong, ok := m.(*p2p.Pong); !ok || pong.Nonce != uint64(i) {
			t.Fatalf("answer %d is %#v", i, m)
		}
	}
	conn := a.Conn(b.ID())
	if least := uint64(n * (frameHeader + 9)); conn.In < least || conn.Out < least {
		t.Errorf("traffic %d in, %d out, expected at least %d each", conn.In, conn.Out, least)
	}
	a.wait(t, "a tick", func([]event) bool { return a.recorder.ticks > 0 })
	if dialer, other := a.seen()[0], b.seen()[0]; dialer.inbound || !other.inbound {
		t.Errorf("inbound: %v at the dialer, %v at the other", dialer.inbound, other.inbound)
	}
}

func TestTakenPort(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	c := lean()
	c.Listen = []string{busy.Addr().String()}
	_, err = New(c)
	_, port, _ := net.SplitHostPort(busy.Addr().String())
	if err == nil || !strings.Contains(err.Error(), "TCP port "+port+" is taken") {
		t.Fatalf("error %v, expected one that names port %s", err, port)
	}

	h, err := New(lean()) // two of our own do not share one either
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	c.Listen = []string{h.ShortAddrs()[0]}
	if _, err := New(c); err == nil || !strings.Contains(err.Error(), "is taken") {
		t.Fatalf("error %v, expected a taken port", err)
	}
}
