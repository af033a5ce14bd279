package spec

import (
	"fmt"
	"slices"
	"time"
)

// maxAway is the part of the nodes that churn may keep away on average: with more, the
// rest is no network.
const maxAway = 0.5

// timeline goes through the events in order, and knows what runs.
type timeline struct {
	spec        *Spec
	down        []bool
	killed      *eventTable // the last event that took the last miner away
	partitioned bool
	attackers   map[int]int // the line of their attack
	churn       *Event      // the last one
	attack      *Event      // the last one
}

// endOf is when something ends that begins at e; with For 0, or in a run of so many
// blocks, as late as can be.
func (tl *timeline) endOf(e *Event) time.Duration {
	if e == nil {
		return -1
	}
	if e.For > 0 {
		return e.At + e.For
	}
	if tl.spec.Duration > 0 {
		return tl.spec.Duration
	}
	return maxDuration + 1
}

// step judges one event.
func (tl *timeline) step(e *eventTable) {
	ev := &e.event
	if d := tl.spec.Duration; d > 0 && ev.At >= d {
		e.t.wrong("at", short(ev.At), "a time before the run ends, which is at %s", short(d))
		return
	} else if d > 0 && ev.At+ev.For > d {
		e.t.wrong("for", short(ev.For), "an end before the run's, which is %s later; leave it out to go on until then", short(d-ev.At))
		return
	}
	switch ev.Kind {
	case Partition:
		tl.partitioned = true
	case Heal:
		if !tl.partitioned {
			e.fail("a partition before it that it can heal")
		}
		tl.partitioned = false
	case Kill, Stop:
		tl.stop(e)
	case Restart:
		tl.restart(e)
	case Churn:
		tl.startChurn(e)
	case Clock:
		for _, n := range ev.Nodes {
			tl.honest(e, n)
		}
	case Selfish, DoubleSpend:
		tl.startAttack(e)
	}
}

// fail says that an event cannot happen.
func (e *eventTable) fail(expected string, args ...any) {
	e.t.doc.fail(e.t.line("do"), "[[event]] %s at %s: expected %s", e.event.Kind, short(e.event.At), fmt.Sprintf(expected, args...))
}

// honest says that a node must not be an attacker: those are two nodes each that the
// attack steers.
func (tl *timeline) honest(e *eventTable, node int) bool {
	line, attacker := tl.attackers[node]
	if attacker {
		e.fail("nodes that are left to themselves, and node %d is the attacker of line %d", node+1, line)
	}
	return !attacker
}

// steady says that nobody else may be starting and stopping a node.
func (tl *timeline) steady(e *eventTable, node int) bool {
	churned := e.event.At < tl.endOf(tl.churn) && slices.Contains(tl.churn.Nodes, node)
	if churned {
		e.fail("nodes that churn leaves alone, and the one of line %d stops and starts node %d until %s", tl.churn.Line, node+1, short(tl.endOf(tl.churn)))
	}
	return !churned
}

func (tl *timeline) stop(e *eventTable) {
	for _, n := range e.event.Nodes {
		if !tl.honest(e, n) || !tl.steady(e, n) {
			return
		}
		if tl.down[n] {
			e.fail("nodes that run, and node %d does not", n+1)
			return
		}
		tl.down[n] = true
		if e.event.Kind == Kill {
			tl.spec.Nodes[n].Process = true
		}
	}
	if !tl.mines() && tl.killed == nil {
		tl.killed = e
	}
}

func (tl *timeline) restart(e *eventTable) {
	for _, n := range e.event.Nodes {
		if !tl.steady(e, n) {
			return
		}
		if !tl.down[n] {
			e.fail("nodes that were stopped or killed, and node %d runs", n+1)
			return
		}
		tl.down[n] = false
	}
	if tl.mines() {
		tl.killed = nil
	}
}

// mines reports whether any miner runs.
func (tl *timeline) mines() bool {
	for i, n := range tl.spec.Nodes {
		if n.HashesPerS > 0 && !tl.down[i] {
			return true
		}
	}
	return false
}

func (tl *timeline) startChurn(e *eventTable) {
	ev := &e.event
	if ev.At < tl.endOf(tl.churn) {
		e.fail("that the churn of line %d has ended", tl.churn.Line)
		return
	}
	if ev.Nodes == nil {
		for n := range tl.spec.Nodes {
			if _, attacker := tl.attackers[n]; !attacker && !tl.down[n] {
				ev.Nodes = append(ev.Nodes, n)
			}
		}
	}
	for _, n := range ev.Nodes {
		if !tl.honest(e, n) {
			return
		}
		if tl.down[n] {
			e.fail("nodes that run, and node %d does not", n+1)
			return
		}
	}
	// Little's law: so many are away on average.
	if away := ev.Rate * ev.Down.Minutes(); away > maxAway*float64(len(ev.Nodes)) {
		e.fail("no more than half of its %d nodes to be away on average, and with rate %g and down %q it would be %.3g; lower one of them", len(ev.Nodes), ev.Rate, short(ev.Down), away)
		return
	}
	tl.churn = ev
}

func (tl *timeline) startAttack(e *eventTable) {
	ev := &e.event
	n := ev.Nodes[0]
	node := &tl.spec.Nodes[n]
	whole := 0.0
	for _, other := range tl.spec.Nodes {
		whole += other.HashesPerS
	}
	switch {
	case ev.At < tl.endOf(tl.attack):
		e.fail("that the attack of line %d has ended: the theory of either is about one attacker", tl.attack.Line)
	case tl.down[n]:
		e.fail("an attacker that runs, and node %d does not", n+1)
	case tl.attack != nil && tl.attack.Nodes[0] == n && tl.attack.Kind != ev.Kind:
		e.fail("an attacker of one kind, and node %d is that of line %d", n+1, tl.attack.Line)
	case node.HashesPerS == 0:
		e.fail("an attacker that mines, and node %d does not: raise [nodes] miners, or give it a share", n+1)
	case node.HashesPerS >= whole/2:
		e.fail("an attacker with less than half of the hash rate, and node %d has %.4g of it: with half, it wins whatever it does", n+1, node.HashesPerS/whole)
	}
	tl.attack = ev
}

// end judges what the events leave behind.
func (tl *timeline) end() {
	if tl.killed != nil {
		tl.killed.fail("that a miner runs, or that one is started again later: from here on, nobody finds blocks")
	}
}
