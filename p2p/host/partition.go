package host

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
)

// Uplinks limits what leaves each node: so many bytes a second on all its connections
// together; 0 is no limit. It holds for connections that are made from then on, beside the
// bandwidth of each link. Each host limits what it sends itself, so this is true where
// every process has a matrix of its own, too.
func (m *Matrix) Uplinks(bytesPerS []int64) error {
	if len(bytesPerS) != len(m.links) {
		return fmt.Errorf("uplinks of %d nodes, expected one for each of %d", len(bytesPerS), len(m.links))
	}
	uplinks := make([]*uplink, len(bytesPerS))
	for node, rate := range bytesPerS {
		if rate < 0 {
			return fmt.Errorf("the uplink of node %d: %d bytes/s: expected none below 0", node, rate)
		}
		if rate > 0 {
			uplinks[node] = &uplink{rate: rate}
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.uplinks = uplinks
	return nil
}

// Partition cuts the links between groups of nodes, until Heal or the next Partition.
// Nodes that are in none form one group together.
//
// Across the cut nothing arrives: what is on its way, and what is written meanwhile within
// what a connection holds, is sent again when it heals, and takes the link's delay from
// then. Dials across it fail as where nobody answers, unless it heals before. Who closes a
// connection may do so at any time; the end that did not dial hears of it at once, the
// other one when it heals.
func (m *Matrix) Partition(groups [][]int) error {
	sides := make([]int, len(m.links))
	for i, group := range groups {
		for _, node := range group {
			if node < 0 || node >= len(sides) {
				return fmt.Errorf("group %d has a node %d, which is not in the matrix of %d", i, node, len(sides))
			}
			if sides[node] != 0 {
				return fmt.Errorf("node %d is in group %d and in group %d, expected it in one", node, sides[node]-1, i)
			}
			sides[node] = i + 1
		}
	}
	m.part(sides)
	return nil
}

// Heal ends a partition.
func (m *Matrix) Heal() { m.part(nil) }

// part puts each node on a side; nil: all are on the same one.
func (m *Matrix) part(sides []int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sides = sides
	for _, l := range m.lanes {
		l.hold(m.isCut(l.from, l.to))
	}
	close(m.parted)
	m.parted = make(chan struct{})
}

// isCut reports whether nothing gets from one node to another; m.mu is held.
func (m *Matrix) isCut(from, to int) bool {
	return m.sides != nil && m.sides[from] != m.sides[to]
}

// reach waits until one node can be dialed from another: not at all, or until a
// partition between them ends, or ctx.
func (m *Matrix) reach(ctx context.Context, from, to int) error {
	for {
		m.mu.Lock()
		cut, parted := m.isCut(from, to), m.parted
		m.mu.Unlock()
		if !cut {
			return nil
		}
		select {
		case <-parted:
		case <-ctx.Done():
			return fmt.Errorf("the link from node %d to node %d is cut: %w", from, to, os.ErrDeadlineExceeded)
		}
	}
}

// open returns the lanes of a connection that one node has dialed to another; seed and
// number are what jitter and loss are drawn from. The other node's uplink is its own
// business: accept.
func (m *Matrix) open(from, to int, seed, number uint64) (out, in *lane) {
	m.mu.Lock()
	defer m.mu.Unlock()
	there, back := m.links[from][to], m.links[to][from]
	roundTrip := there.Delay + back.Delay
	out = newLane(there, roundTrip, rand.New(rand.NewPCG(seed, 2*number)), m.uplink(from))
	in = newLane(back, roundTrip, rand.New(rand.NewPCG(seed, 2*number+1)), nil)
	out.from, out.to, in.from, in.to = from, to, to, from
	out.held, in.held = m.isCut(from, to), m.isCut(to, from)
	m.lanes = append(m.lanes, out, in)
	return out, in
}

// accept returns the lanes of a connection that a node has accepted, which have its uplink
// and nothing else; nil where that has no limit.
func (m *Matrix) accept(node int) (out, in *lane) {
	m.mu.Lock()
	defer m.mu.Unlock()
	up := m.uplink(node)
	if up == nil {
		return nil, nil
	}
	return newLane(Link{}, 0, nil, up), newLane(Link{}, 0, nil, nil)
}

// uplink is a node's, nil where that has no limit; m.mu is held.
func (m *Matrix) uplink(node int) *uplink {
	if m.uplinks == nil {
		return nil
	}
	return m.uplinks[node]
}

// close forgets lanes that are closed.
func (m *Matrix) close(lanes ...*lane) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lanes = slices.DeleteFunc(m.lanes, func(l *lane) bool { return slices.Contains(lanes, l) })
}
