package testnet

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/kapok-chain/kapok/address"
	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p/host"
	"github.com/kapok-chain/kapok/rpc"
	"github.com/kapok-chain/kapok/storage"
	"github.com/kapok-chain/kapok/testnet/spec"
	"github.com/kapok-chain/kapok/wallet"
)

// network is the nodes of a run and the links between them.
type network struct {
	options  *Options
	spec     *spec.Spec
	log      *slog.Logger
	data     string // a directory for each node below it
	prelude  string // the block file that chains begin with; "": none
	links    [][]host.Link
	uplinks  []int64
	matrix   *host.Matrix // of the nodes in this process
	payouts  [][]byte     // by node
	recorder *recorder
	usage    *usage
	say      func(kind string, nodes []int, text string, values map[string]any) error
	seats    []*seat
	patience time.Duration // with the start of a node

	// cutting is held while sides change and the nodes' processes are told, so that none is
	// told last of what came first.
	cutting sync.Mutex

	mu    sync.Mutex
	sides [][]int // of the partition; nil: there is none

	failed context.Context // ends with the first node that ends by itself: its cause says which, and why
	fail   context.CancelCauseFunc
	life   context.Context // of the nodes: it ends in stop, so that they can be asked what they ended with
	end    context.CancelFunc
	lives  sync.WaitGroup
}

// newNetwork prepares the nodes of a file. Nothing runs yet.
func newNetwork(o *Options, data string, rec *recorder) (*network, error) {
	n := &network{options: o, spec: o.Spec, log: o.Log, data: data, recorder: rec, usage: newUsage(), patience: startTime}
	for _, row := range n.spec.Links {
		links := make([]host.Link, len(row))
		for to, l := range row {
			links[to] = host.Link{Delay: l.Delay, Jitter: l.Jitter, Loss: l.Loss}
		}
		n.links = append(n.links, links)
	}
	for i := range n.spec.Nodes {
		n.uplinks = append(n.uplinks, n.spec.Nodes[i].Uplink)
		payout, err := payoutOf(n.spec, i)
		if err != nil {
			return nil, err
		}
		n.payouts = append(n.payouts, payout)
		n.seats = append(n.seats, &seat{net: n, node: i, process: o.ownProcess(i)})
	}
	var err error
	if n.matrix, err = newMatrix(n.links, n.uplinks); err != nil {
		return nil, err
	}
	n.failed, n.fail = context.WithCancelCause(context.Background())
	n.life, n.end = context.WithCancel(context.Background())
	return n, nil
}

// ownProcess reports whether a node has a process of its own.
func (o *Options) ownProcess(node int) bool {
	return o.Processes && !isAttacker(o.Spec, node) || o.Spec.Nodes[node].Process
}

// payoutOf is the script of a wallet of the node's own, which its miner pays to.
func payoutOf(s *spec.Spec, node int) ([]byte, error) {
	seed := sha256.Sum256(binary.LittleEndian.AppendUint64([]byte(fmt.Sprintf("kapok testnet miner %d ", node)), s.Seed))
	words, err := wallet.NewWords(rand.NewChaCha8(seed), 12)
	if err != nil {
		return nil, err
	}
	w, err := wallet.New(s.Network, words)
	if err != nil {
		return nil, err
	}
	text, err := w.Address(wallet.Receive, 0)
	if err != nil {
		return nil, err
	}
	key, err := address.Decode(s.Network.HRP, text)
	if err != nil {
		return nil, err
	}
	return consensus.PayToKey(key), nil
}

// setup is what a node is told when it starts.
func (n *network) setup(node int) *setup {
	s := &setup{
		Node: node, Params: *n.spec.Network, DataDir: n.dir(node), Version: n.options.Version,
		HashesPerS: n.spec.Nodes[node].HashesPerS, Payout: n.payouts[node], Index: n.options.Interactive,
		Seed: linkSeed(n.spec.Seed, node), Links: n.links, Uplinks: n.uplinks, Prelude: n.prelude, LogLevel: int(slog.LevelError),
	}
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn} {
		if n.log.Enabled(context.Background(), level) {
			s.LogLevel = int(level)
			break
		}
	}
	return s
}

// linkSeed is the seed of the jitter and loss on a node's links: another for each node of
// each run, so that a run with the next seed repeats none of them.
func linkSeed(seed uint64, node int) uint64 {
	return rand.New(rand.NewPCG(seed, uint64(node))).Uint64()
}

// writePrelude puts the blocks that all chains begin with into a file.
func (n *network) writePrelude(blocks []*consensus.Block) error {
	if len(blocks) == 0 {
		return nil
	}
	path := filepath.Join(n.data, "prelude.blocks")
	w, err := storage.CreateBlockFile(n.spec.Network, path)
	if err != nil {
		return err
	}
	for _, b := range blocks {
		if err := w.Write(b.Bytes()); err != nil {
			_ = w.Abort()
			return err
		}
	}
	n.prelude = path
	return w.Commit()
}

// startsAtOnce is how many nodes are started at the same time, for each processor: while
// one waits for its disk others compute.
const startsAtOnce = 2

// start starts all nodes and connects them as the edges say. It returns when every node
// has all its connections.
func (n *network) start(ctx context.Context, progress func(string)) error {
	var mu sync.Mutex
	done := 0
	starting, give := context.WithCancelCause(ctx)
	defer give(nil)
	err := n.each(startsAtOnce*runtime.GOMAXPROCS(0), func(s *seat) error {
		if starting.Err() != nil {
			return context.Cause(starting)
		}
		if err := s.start(ctx); err != nil {
			give(err)
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		done++
		progress(fmt.Sprintf("started %d of %d nodes", done, len(n.seats)))
		return nil
	})
	if err != nil {
		return err
	}
	progress(fmt.Sprintf("connecting %d nodes over %d links", len(n.seats), len(n.spec.Edges)))
	for _, s := range n.seats {
		if err := n.placed(ctx, s); err != nil {
			return err
		}
	}
	for _, e := range n.spec.Edges {
		if err := n.seats[e.From].keep(ctx, n.seats[e.To]); err != nil {
			return err
		}
	}
	return n.each(len(n.seats), func(s *seat) error { return s.connected(ctx) })
}

// each calls f for every seat, for so many at once, and returns an error of them.
func (n *network) each(atOnce int, f func(*seat) error) error {
	var calls sync.WaitGroup
	room := make(chan struct{}, atOnce)
	errs := make([]error, len(n.seats))
	for i, s := range n.seats {
		room <- struct{}{}
		calls.Go(func() {
			defer func() { <-room }()
			errs[i] = f(s)
		})
	}
	calls.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// placed tells the links of all processes where a node listens, and those of the node's
// own process where all others do, and what is cut.
func (n *network) placed(ctx context.Context, s *seat) error {
	m, _ := s.current()
	if m == nil {
		return errDown
	}
	at := m.where().Listen
	if err := place(n.matrix, s.node, at); err != nil {
		return err
	}
	if err := n.tellProcesses(ctx, &command{Op: opPlace, Node: s.node, Addr: at}); err != nil || !s.process {
		return err
	}
	for _, other := range n.seats {
		if m, _ := other.current(); m != nil {
			if err := s.ask(ctx, &command{Op: opPlace, Node: other.node, Addr: m.where().Listen}); err != nil {
				return err
			}
		}
	}
	n.cutting.Lock()
	defer n.cutting.Unlock()
	n.mu.Lock()
	groups := n.sides
	n.mu.Unlock()
	if groups == nil {
		return nil
	}
	return s.ask(ctx, &command{Op: opPartition, Groups: groups})
}

// partition cuts the links between groups of nodes; nodes that are in none of them are
// one together.
func (n *network) partition(ctx context.Context, groups [][]int) error {
	n.cutting.Lock()
	defer n.cutting.Unlock()
	n.mu.Lock()
	n.sides = groups
	n.mu.Unlock()
	if err := n.matrix.Partition(groups); err != nil {
		return err
	}
	return n.tellProcesses(ctx, &command{Op: opPartition, Groups: groups})
}

// heal ends a partition. Connections that were lost meanwhile are dialed at once, and not
// when whoever keeps them has waited long enough.
func (n *network) heal(ctx context.Context) error {
	n.cutting.Lock()
	defer n.cutting.Unlock()
	n.mu.Lock()
	groups := n.sides
	n.sides = nil
	n.mu.Unlock()
	n.matrix.Heal()
	if err := n.tellProcesses(ctx, &command{Op: opHeal}); err != nil {
		return err
	}
	for _, e := range n.spec.Edges {
		if side(groups, e.From) == side(groups, e.To) {
			continue
		}
		if err := n.seats[e.From].keep(ctx, n.seats[e.To]); err != nil && !isDown(err) {
			return err
		}
	}
	return nil
}

// tellProcesses has the nodes that run in processes of their own do something.
func (n *network) tellProcesses(ctx context.Context, c *command) error {
	return n.each(len(n.seats), func(s *seat) error {
		if !s.process {
			return nil
		}
		if err := s.ask(ctx, c); err != nil && !isDown(err) {
			return err
		}
		return nil
	})
}

// linked reports whether no partition is between two nodes.
func (n *network) linked(a, b int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return side(n.sides, a) == side(n.sides, b)
}

// parted reports whether there is a partition.
func (n *network) parted() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sides != nil
}

// side is the group that a node is in; -1: in none.
func side(groups [][]int, node int) int {
	return slices.IndexFunc(groups, func(g []int) bool { return slices.Contains(g, node) })
}

// endedByItself fails the network, whose other nodes go on until they are stopped. In one
// for people a node may be stopped over RPC.
func (n *network) endedByItself(s *seat, fault error) {
	if fault != nil || !n.options.Interactive {
		n.fail(fmt.Errorf("node %d has ended by itself: %w", s.node+1, cmp.Or(fault, errEnded)))
		return
	}
	if err := n.say("stop", []int{s.node}, fmt.Sprintf("Node %d was stopped over RPC.", s.node+1), nil); err != nil {
		n.fail(err)
	}
}

// client is the RPC client of a node, nil while it is down.
func (n *network) client(node int) *rpc.Client {
	_, client := n.seats[node].current()
	return client
}

// stop ends all nodes and waits until they have. It is no part of the record, which ends
// before it.
func (n *network) stop() {
	_ = n.each(len(n.seats), func(s *seat) error {
		s.turn.Lock()
		defer s.turn.Unlock()
		if m, _ := s.current(); m != nil && s.vacate(m) {
			m.stop()
		}
		return nil
	})
	n.end()
	n.fail(nil)
	n.lives.Wait()
}
