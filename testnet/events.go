package testnet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kapok-chain/kapok/testnet/spec"
)

// events plays the file's events, whose times count from a moment, until all are over or
// ctx ends. What is to be put right after that, such as nodes that churn has stopped, is
// done while life lasts. The error is ours: an event that finds nothing to do, such as a
// stop of a node that is down, is none.
func (r *run) events(ctx, life context.Context, from time.Time) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var acts sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for i := range r.Spec.Events {
		e := &r.Spec.Events[i]
		if wait(ctx, time.Until(from.Add(e.At))) != nil {
			break
		}
		acts.Go(func() {
			if err := r.act(ctx, life, e); err != nil && life.Err() == nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("the event of line %d (%s): %w", e.Line, e.Kind, err))
				cancel(nil)
			}
		})
	}
	acts.Wait()
	return errors.Join(errs...)
}

// act does what an event says, to its end.
func (r *run) act(ctx, life context.Context, e *spec.Event) error {
	at := time.Now()
	switch e.Kind {
	case spec.Partition:
		if err := r.net.partition(life, e.Groups); err != nil {
			return err
		}
		return r.sayAt(at, "partition", slices.Concat(e.Groups...), fmt.Sprintf("The network is cut: %s hear nothing of each other.", r.groups(e.Groups)), nil)
	case spec.Heal:
		if err := r.net.heal(life); err != nil {
			return err
		}
		return r.say("heal", nil, "The network is whole again.", nil)
	case spec.Kill:
		return r.eachOf(e.Nodes, &action{kind: "kill", done: " is killed, as by a loss of power", needless: " was down already", begins: true,
			do: func(s *seat) error { return s.kill(life) }})
	case spec.Stop:
		return r.eachOf(e.Nodes, &action{kind: "stop", done: " is stopped", needless: " was down already", begins: true,
			do: func(s *seat) error { return s.stop(life) }})
	case spec.Restart:
		return r.eachOf(e.Nodes, r.restarts(life))
	case spec.Clock:
		text := fmt.Sprintf("'s clock is wrong by %v from now on", e.Offset)
		if e.Offset == 0 {
			text = "'s clock is right again"
		}
		return r.eachOf(e.Nodes, &action{kind: "clock", done: text, begins: e.Offset != 0, values: map[string]any{"offset_s": e.Offset.Seconds()},
			do: func(s *seat) error { return s.setClock(life, e.Offset) }})
	case spec.Churn:
		return r.churn(ctx, life, e)
	case spec.Selfish, spec.DoubleSpend:
		return r.attack(ctx, life, e)
	}
	return fmt.Errorf("an event of kind %q, which is none", e.Kind)
}

// action is something that is done to a node.
type action struct {
	kind     string
	done     string // the rest of a sentence that begins with the node
	needless string // likewise, where there was nothing to do
	begins   bool   // what it does to the network begins with it, and does not end with it
	values   map[string]any
	do       func(*seat) error
}

// restarts starts nodes again.
func (r *run) restarts(life context.Context) *action {
	return &action{kind: "restart", done: " runs again", needless: " was up already", do: func(s *seat) error { return s.restart(life) }}
}

// eachOf acts on nodes, all at the same time, and says so of each.
func (r *run) eachOf(nodes []int, a *action) error {
	var calls sync.WaitGroup
	errs := make([]error, len(nodes))
	for i, node := range nodes {
		calls.Go(func() { errs[i] = r.one(node, a) })
	}
	calls.Wait()
	return errors.Join(errs...)
}

// one acts on one node, and says so.
func (r *run) one(node int, a *action) error {
	at := time.Now()
	err := a.do(r.net.seats[node])
	if !a.begins {
		at = time.Now()
	}
	text := a.done
	switch {
	case errors.Is(err, errDown) || errors.Is(err, errUp):
		text = a.needless
	case err != nil:
		return fmt.Errorf("node %d: %w", node+1, err)
	}
	return r.sayAt(at, a.kind, []int{node}, fmt.Sprintf("Node %d%s.", node+1, text), a.values)
}

// groups names the sides of a partition.
func (r *run) groups(groups [][]int) string {
	var names []string
	rest := len(r.Spec.Nodes)
	for _, g := range groups {
		numbers := make([]string, len(g))
		for i, node := range g {
			numbers[i] = fmt.Sprint(node + 1)
		}
		names = append(names, "nodes "+strings.Join(numbers, ", "))
		rest -= len(g)
	}
	if rest > 0 {
		names = append(names, fmt.Sprintf("the other %d", rest))
	}
	return strings.Join(names, " and ")
}

// churn stops nodes at random, and starts each again after a time that is random, too:
// both processes are Poisson's. A node that is stopped when it is over starts then.
func (r *run) churn(ctx, life context.Context, e *spec.Event) error {
	if e.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, e.For)
		defer cancel()
	}
	if err := r.say("churn", e.Nodes, fmt.Sprintf("Nodes begin to stop and start at random: %.3g stops a minute, each for %v on average.", e.Rate, e.Down), nil); err != nil {
		return err
	}
	nodes := e.Nodes
	if len(nodes) == 0 {
		for node := range r.net.seats {
			nodes = append(nodes, node)
		}
	}
	random := rand.New(rand.NewPCG(r.Spec.Seed, uint64(e.Line)))
	var absences sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for {
		pause := time.Duration(random.ExpFloat64() * float64(time.Minute) / e.Rate)
		if wait(ctx, pause) != nil {
			break
		}
		node, down := nodes[random.IntN(len(nodes))], time.Duration(random.ExpFloat64()*float64(e.Down))
		absences.Go(func() {
			if err := r.absence(ctx, life, node, down); err != nil && life.Err() == nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	absences.Wait()
	if life.Err() != nil {
		return nil
	}
	return errors.Join(append(errs, r.say("churn", e.Nodes, "Nodes no longer stop at random.", nil))...)
}

// absence stops a node and starts it again after a time, or when ctx ends. A node that is
// down already has no second absence.
func (r *run) absence(ctx, life context.Context, node int, down time.Duration) error {
	s := r.net.seats[node]
	at := time.Now()
	if err := s.stop(life); errors.Is(err, errDown) {
		return nil
	} else if err != nil {
		return fmt.Errorf("node %d: %w", node+1, err)
	}
	if err := r.sayAt(at, "stop", []int{node}, fmt.Sprintf("Node %d is stopped, by churn.", node+1), nil); err != nil {
		return err
	}
	_ = wait(ctx, down)
	return r.one(node, r.restarts(life))
}
