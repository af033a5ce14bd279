package testnet

import (
	"context"
	"strings"
	"testing"
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

// A node that does not come up fails its start, and is not waited for.
func TestStartHasLimit(t *testing.T) {
	s := smallSpec(t, 2)
	s.Nodes[1].Process = true
	o := smallOptions(t, s)
	o.Command[1] = silentArgument
	r, err := newRun(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.net.stop()
		if err := r.writer.Close(); err != nil {
			t.Error(err)
		}
	})
	r.net.patience = 100 * time.Millisecond
	if err := r.net.seats[1].restart(t.Context()); err == nil || !strings.Contains(err.Error(), "node 2 does not start: its first blocks were not connected within 100ms") {
		t.Errorf("restart returned %v", err)
	}
}
