package testnet

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// probed is a member that can only be probed.
type probed struct {
	member
	hashes float64
	asked  func()
}

func (p *probed) do(context.Context, *command) (answer, error) {
	p.asked()
	return answer{Probe: &probe{Hashes: p.hashes}}, nil
}

// What a node says that was replaced meanwhile is not counted as its successor's.
func TestProbeOfReplacedNode(t *testing.T) {
	second := &probed{hashes: 5, asked: func() {}}
	s := &seat{hashes: 100}
	s.member = &probed{hashes: 100, asked: func() { s.member = second }}
	if p, up := s.probe(t.Context()); up || p.Hashes != 100 {
		t.Errorf("%v hashes, up: %v; expected the 100 of before", p.Hashes, up)
	}
	if p, up := s.probe(t.Context()); !up || p.Hashes != 105 {
		t.Errorf("%v hashes, up: %v; expected 105", p.Hashes, up)
	}
}

// silent is a member that answers nothing, but where it is told to.
type silent struct {
	member
	answers bool
}

func (s *silent) do(ctx context.Context, _ *command) (answer, error) {
	if s.answers {
		return answer{Probe: &probe{}}, nil
	}
	<-ctx.Done()
	return answer{}, context.Cause(ctx)
}

// A node that answers nothing for long fails the network; one that answers now and then
// does not, nor one whose caller has had enough.
func TestSilentNodeFailsTheNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		n.failed, n.fail = context.WithCancelCause(t.Context())
		m := &silent{}
		s := &seat{net: n, node: 2, member: m}
		for range 10 {
			s.probe(t.Context())
			s.probe(t.Context())
			m.answers = true
			s.probe(t.Context())
			m.answers = false
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for range 200 {
			s.probe(short)
		}
		if n.failed.Err() != nil {
			t.Fatal(context.Cause(n.failed))
		}
		began := time.Now()
		for n.failed.Err() == nil && time.Since(began) < time.Hour {
			s.probe(t.Context())
		}
		if took, why := time.Since(began), context.Cause(n.failed); took != hungTime || why == nil || !strings.Contains(why.Error(), "node 3 hangs: it has answered nothing for 1m30s") {
			t.Errorf("after %v: %v", took, why)
		}
	})
}

// A node that does not come up, or says what no node does, fails its start, and is not
// waited for.
func TestStartThatFails(t *testing.T) {
	for _, tc := range []struct {
		argument string
		patience time.Duration
		says     string
	}{
		{silentArgument, 100 * time.Millisecond, "node 2 does not start: its first blocks were not connected within 100ms"},
		{nonsenseArgument, time.Hour, "node 2 does not start: it said what is no line of JSON"},
	} {
		s := smallSpec(t, 2)
		s.Nodes[1].Process = true
		o := smallOptions(t, s)
		o.Command[1] = tc.argument
		r, err := newRun(o)
		if err != nil {
			t.Fatal(err)
		}
		r.net.patience = tc.patience
		if err := r.net.seats[1].restart(t.Context()); err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("restart returned %v, expected %q", err, tc.says)
		}
		r.net.stop()
		if err := r.writer.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A process that says a second time that its node is ready changes nothing by it.
func TestReadyTwice(t *testing.T) {
	s := smallSpec(t, 2)
	s.Nodes[1].Process = true
	o := smallOptions(t, s)
	o.Command[1] = twiceArgument
	r, err := newRun(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.net.seats[1].start(t.Context()); err != nil {
		t.Fatal(err)
	}
	m, _ := r.net.seats[1].current()
	r.net.stop() // all that it said has been read then
	if at := m.where().Addr; at != "first" {
		t.Errorf("the node is at %q", at)
	}
	if err := r.writer.Close(); err != nil {
		t.Error(err)
	}
}
