package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/p2p/host"
)

type logger = *slog.Logger

// outboundPeers is how many others a node dials, where there are so many.
const outboundPeers = 8

// propagateNet is the nodes of a measurement, and what they have seen.
type propagateNet struct {
	nodes []*node.Service
	edges [][2]int // who dials whom
	dir   string
	lives sync.WaitGroup

	mu     sync.Mutex
	seen   map[consensus.Hash][]time.Time // txid or block hash -> when each node had it
	news   chan struct{}                  // closed and replaced when any of them was seen
	faults []error
}

// startPropagateNet starts the nodes and connects them, gives them the chain up to the
// blocks that pay, and waits for the meshes. end is called where a node ends by itself.
func startPropagateNet(ctx context.Context, end func(), b *propagateBench) (_ *propagateNet, err error) {
	n := &propagateNet{seen: make(map[consensus.Hash][]time.Time), news: make(chan struct{})}
	defer func() {
		if err != nil {
			end()
			err = errors.Join(err, n.close())
		}
	}()
	if n.dir, err = os.MkdirTemp("", "kapok-bench-"); err != nil {
		return nil, err
	}
	matrix, err := host.UniformMatrix(b.nodes, host.Link{Delay: b.latency})
	if err != nil {
		return nil, err
	}
	// Stored, and not handed in: gossip would tell every peer of all of them.
	if err := storeChain(ctx, consensus.Regtest(), filepath.Join(n.dir, "0"), b.chain[:b.known], b.progress); err != nil {
		return nil, err
	}
	for i := range b.nodes {
		b.progress.show("  starting node %d of %d", i+1, b.nodes)
		cfg := node.ServiceConfig{
			Params: consensus.Regtest(), DataDir: filepath.Join(n.dir, strconv.Itoa(i)), Agent: agent, Version: version,
			Listen: []string{"127.0.0.1:0"}, Lean: true, DisableQUIC: true, Logger: b.log.With("node", i),
		}
		if b.latency > 0 {
			cfg.Shape = &host.Shape{Matrix: matrix, Node: i, Seed: b.seed}
		}
		service, err := node.Open(cfg)
		if err != nil {
			return nil, fmt.Errorf("node %d: %w", i, err)
		}
		n.nodes = append(n.nodes, service)
		addr, err := netip.ParseAddrPort(service.Host.ShortAddrs()[0])
		if err == nil {
			err = matrix.Place(i, addr)
		}
		if err != nil {
			return nil, fmt.Errorf("node %d: %w", i, errors.Join(err, service.Close()))
		}
		n.lives.Go(func() {
			if err := service.Run(ctx); err != nil || ctx.Err() == nil {
				n.mu.Lock()
				n.faults = append(n.faults, fmt.Errorf("node %d: %w", i, errors.Join(err, errNodeEnded)))
				n.mu.Unlock()
				end()
			}
		})
		n.lives.Go(func() { n.watch(ctx, i) })
	}
	b.progress.show("  connecting %d nodes", b.nodes)
	return n, n.connect(ctx, b)
}

// connect brings the network to where it can be measured.
func (n *propagateNet) connect(ctx context.Context, b *propagateBench) error {
	tip := b.chain[b.known-1].Hash()
	n.follow(tip)
	defer n.forget(tip)
	n.edges = dials(b.nodes, b.random)
	for _, e := range n.edges {
		if err := n.nodes[e[0]].Host.Keep(n.nodes[e[1]].Host.Addrs()[0]); err != nil {
			return err
		}
	}
	for i, s := range n.nodes {
		err := s.Runner.Do(func(at *node.Node, _ time.Time) error { // it may have been there before anybody watched
			if at.Tip().Hash == tip {
				n.note(i, tip)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	patience, cancel := context.WithTimeout(ctx, blockTime)
	defer cancel()
	if _, err := n.everywhere(patience, tip); err != nil {
		return fmt.Errorf("waiting for the chain on all nodes: %w", err)
	}
	for _, e := range n.edges {
		for n.nodes[e[0]].Host.Conn(n.nodes[e[1]].Host.ID()).Number == 0 {
			select {
			case <-time.After(20 * time.Millisecond):
			case <-patience.Done():
				return fmt.Errorf("node %d is not connected with node %d: %w", e[0], e[1], patience.Err())
			}
		}
	}
	select {
	case <-time.After(meshTime):
	case <-ctx.Done():
	}
	return ctx.Err()
}

// dials draws whom each node dials: outboundPeers others, or all of them where there
// are no more; two nodes that draw each other are connected once.
func dials(nodes int, r *rand.Rand) (edges [][2]int) {
	for i := range nodes {
		others := r.Perm(nodes)
		others = slices.DeleteFunc(others, func(j int) bool { return j == i })
		for _, j := range others[:min(outboundPeers, len(others))] {
			if !slices.Contains(edges, [2]int{j, i}) {
				edges = append(edges, [2]int{i, j})
			}
		}
	}
	return edges
}

// watch writes down when a node has what.
func (n *propagateNet) watch(ctx context.Context, i int) {
	for e := range n.nodes[i].Runner.Events(ctx) {
		switch {
		case e.Change != nil:
			n.note(i, e.Change.To.Hash)
		case e.Tx != nil:
			n.note(i, e.Tx.TxID)
		}
	}
}

// follow begins to write down when each node has a payment or a block.
func (n *propagateNet) follow(id consensus.Hash) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen[id] = make([]time.Time, len(n.nodes))
}

// forget ends that, and returns the times; zero: not seen.
func (n *propagateNet) forget(id consensus.Hash) []time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	at := n.seen[id]
	delete(n.seen, id)
	return at
}

func (n *propagateNet) note(i int, id consensus.Hash) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if at := n.seen[id]; at != nil && at[i].IsZero() {
		at[i] = time.Now()
		close(n.news)
		n.news = make(chan struct{})
	}
}

// everywhere waits until each node has what is followed. It returns when each had it.
func (n *propagateNet) everywhere(ctx context.Context, id consensus.Hash) ([]time.Time, error) {
	for {
		n.mu.Lock()
		at, news := slices.Clone(n.seen[id]), n.news
		n.mu.Unlock()
		if !slices.ContainsFunc(at, time.Time.IsZero) {
			return at, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return at, ctx.Err()
		}
	}
}

// close waits until all nodes have ended, after their context, and removes what they
// stored.
func (n *propagateNet) close() error {
	n.lives.Wait()
	if n.dir == "" {
		return nil
	}
	return os.RemoveAll(n.dir)
}

// fault says which nodes ended by themselves, and why.
func (n *propagateNet) fault() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return errors.Join(n.faults...)
}

// sent is what the nodes have sent, and how bodies came to them, until now.
type sent struct {
	all      uint64 // bytes
	messages host.Messages
	blocks   p2p.BlockRelay
}

func (n *propagateNet) sent() ([]sent, error) {
	list := make([]sent, len(n.nodes))
	for i, s := range n.nodes {
		_, list[i].all = s.Host.Totals()
		list[i].messages = s.Host.Messages()
		err := s.Runner.Do(func(at *node.Node, _ time.Time) error { list[i].blocks = at.BlockRelay(); return nil })
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}
