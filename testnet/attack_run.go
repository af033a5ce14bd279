package testnet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/spec"
)

// isAttacker reports whether a node attacks at some time: it runs in this process then,
// for the attack moves blocks between it and its private node.
func isAttacker(s *spec.Spec, node int) bool {
	return slices.ContainsFunc(s.Events, func(e spec.Event) bool {
		return (e.Kind == spec.Selfish || e.Kind == spec.DoubleSpend) && slices.Contains(e.Nodes, node)
	})
}

// attack gives the owner of a node a second one that nobody is connected with, has that
// one mine in its place, and attacks with both until the attack is over, its time is, or
// ctx ends. Then the node mines again by itself.
func (r *run) attack(ctx, life context.Context, e *spec.Event) (err error) {
	if e.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, e.For)
		defer cancel()
	}
	s := r.net.seats[e.Nodes[0]]
	m, _ := s.current()
	public, ok := m.(*local)
	if !ok {
		return errDown
	}
	private, err := r.net.startPrivate(life, s.node)
	if err != nil {
		return err
	}
	defer func() {
		s.dismiss(private)
		err = errors.Join(err, private.fault(), s.mine(life, true))
	}()
	act, err := r.attacker(e, public, private)
	if err != nil {
		return err
	}
	if err := s.mine(life, false); err != nil {
		return err
	}
	s.employ(private)
	return act(ctx)
}

// attacker prepares an attack, whose private node is brought to where the public one is,
// and begins to mine there.
func (r *run) attacker(e *spec.Event, public, private *local) (act func(context.Context) error, err error) {
	whole := 0.0
	for _, n := range r.Spec.Nodes {
		whole += n.HashesPerS
	}
	var tells error
	var done func() float64
	cfg := attackConfig{
		Node: e.Nodes[0], Share: r.Spec.Nodes[e.Nodes[0]].HashesPerS / whole,
		Public: public.Runner, Private: private.Runner, Began: r.began, Now: time.Now, Log: r.Log,
		Tell: func(e record.Event) { tells = errors.Join(tells, r.writer.Event(e)) },
		Done: func() float64 { return done() },
	}
	run := func(a *attacker, attack func(context.Context) (record.Attack, error)) func(context.Context) error {
		return func(ctx context.Context) error {
			tip, err := tipOf(ctx, public.Runner)
			if err == nil {
				err = a.feed(ctx, tip)
			}
			if err == nil {
				done = r.shareDone(e.Nodes[0]) // before its first hash
				err = private.mine()
			}
			if err != nil {
				return ended(ctx, err)
			}
			_, err = attack(ctx)
			return errors.Join(err, tells)
		}
	}
	switch e.Kind {
	case spec.Selfish:
		a, err := newSelfish(cfg)
		if err != nil {
			return nil, err
		}
		return run(a.attacker, a.run), nil
	case spec.DoubleSpend:
		a, err := newDoubleSpend(cfg, doubleSpendConfig{
			Confirmations: int(e.Confirmations), Tries: e.Tries, GiveUp: e.GiveUp, Next: r.nextTwice(e),
		})
		if err != nil {
			return nil, err
		}
		return run(a.attacker, a.run), nil
	}
	return nil, fmt.Errorf("%s is no attack", e.Kind)
}

// countTime is how long a node may take to say how many hashes it has done before an
// attack goes on without its answer: whoever wants to end it waits so long, too.
const countTime = 2 * time.Second

// shareDone returns what says which share of the hashes from now on a node has done: 0
// where a node that runs does not answer in time, now or then.
func (r *run) shareDone(node int) func() float64 {
	own, all, known := r.hashes(node)
	return func() float64 {
		nowOwn, nowAll, nowKnown := r.hashes(node)
		if !known || !nowKnown || nowAll <= all {
			return 0
		}
		return (nowOwn - own) / (nowAll - all)
	}
}

// hashes are those that a node has done since the run's start, and all nodes together;
// false where one that runs does not answer in time.
func (r *run) hashes(node int) (own, all float64, known bool) {
	ctx, cancel := context.WithTimeout(r.net.life, countTime)
	defer cancel()
	done := make([]float64, len(r.net.seats))
	err := r.net.each(len(done), func(s *seat) error {
		m, _ := s.current()
		p, up := s.probe(ctx)
		done[s.node] = p.Hashes
		if m != nil && !up {
			return errSilent
		}
		return nil
	})
	for _, hashes := range done {
		all += hashes
	}
	return done[node], all, err == nil
}

// startPrivate starts the second node of an attacker, which listens for nobody and dials
// nobody.
func (n *network) startPrivate(ctx context.Context, node int) (*local, error) {
	ctx, cancel := n.starting(ctx)
	defer cancel()
	setup := n.setup(node)
	setup.DataDir += "-private"
	setup.Alone, setup.Index = true, false
	if err := os.RemoveAll(setup.DataDir); err != nil { // what an attack before it withheld
		return nil, err
	}
	m, err := startLocal(ctx, n.life, setup, n.spec.Network, n.matrix, n.recorder.watch(node, true), n.log.With("node", node+1, "private", true))
	if err != nil {
		return nil, fmt.Errorf("the attacker's second node does not start: %w", err)
	}
	return m, nil
}

// employ counts the hashes of a private node with the seat's, dismiss ends that, and the
// node.
func (s *seat) employ(private *local) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.private = private
}

func (s *seat) dismiss(private *local) {
	private.rest()
	s.mu.Lock()
	hashes, due := private.mined()
	s.private, s.hashes, s.due = nil, s.hashes+hashes, s.due+due
	s.mu.Unlock()
	private.stop()
}
