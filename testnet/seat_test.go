package testnet

import (
	"context"
	"testing"
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
