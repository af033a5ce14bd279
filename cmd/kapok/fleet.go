package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"

	"github.com/kapok-chain/kapok/address"
	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/miner"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/rpc"
)

// plan is which nodes a fleet has and what they do. Node 1 mines to wallet A.
type plan struct {
	params   *consensus.Params
	nodes    int
	dir      string // one data directory a node below it
	listen   string // of node 1, IP:PORT
	serve    bool   // node 1 has the explorer, and its servers the usual ports where they are free
	text     string // in the coinbases
	hashrate float64
	wallets  [2]devWallet // A pays B
	log      *slog.Logger

	dials     int // of the nodes that run already, how many each one dials; 0: all
	coinCache int // bytes of each node's cache of coins; 0: the usual
}

// dirOf is the data directory of node i, counted from 1.
func (p *plan) dirOf(i int) string { return filepath.Join(p.dir, "node"+strconv.Itoa(i)) }

// fleet is the running nodes. Everything they do arrives in seen, in the order
// of each node.
type fleet struct {
	nodes []*member // node 1 first
	seen  chan sighting
	pids  []int        // of the processes that the nodes run in; none: this one
	wait  func() error // until all nodes have ended, after the context has
}

// member is one node, as another program sees it.
type member struct {
	ready  readyEvent
	client *rpc.Client
}

// sighting is an event of one node, counted from 1. A node that ended by itself
// has a nil event and the reason.
type sighting struct {
	node  int
	event *nodeEvent
	err   error
}

// sightingBuffer is how many events may wait for whoever watches.
const sightingBuffer = 1024

// report passes a sighting on, unless nobody waits for it any more.
func (f *fleet) report(ctx context.Context, s sighting) {
	select {
	case f.seen <- s:
	case <-ctx.Done():
	}
}

// fallbackPort tries the network's usual port, so that the lines to copy are the
// same each time, and leaves the choice to the system where it is taken.
func fallbackPort(port int) string {
	l, err := listenTCP("127.0.0.1:" + strconv.Itoa(port))
	if err != nil {
		return "127.0.0.1:0"
	}
	l.Close()
	return "127.0.0.1:" + strconv.Itoa(port)
}

// memberConfig is the configuration of node i, counted from 1; peers are the
// addresses of those that run already.
func (p *plan) memberConfig(i int, peers []string) (node.ServiceConfig, error) {
	cfg := node.ServiceConfig{
		Params: p.params, DataDir: p.dirOf(i), Agent: agent, Version: version, Peers: p.dialed(i, peers), Lean: true, DisableQUIC: true,
		RPCListen: "127.0.0.1:0", Logger: p.log.With("node", i), CoinCache: p.coinCache,
	}
	listen := "127.0.0.1:0"
	if i == 1 {
		listen = p.listen
		if p.serve {
			cfg.RPCListen = fallbackPort(p.params.RPCPort)
			cfg.PagesListen = fallbackPort(p.params.RPCPort + 1)
		}
		key, err := address.Decode(p.params.HRP, p.wallets[0].address)
		if err != nil {
			return cfg, err
		}
		cfg.Miner = &miner.Config{
			Threads: runtime.GOMAXPROCS(0), MaxHashrate: p.hashrate, Payout: consensus.PayToKey(key), Text: p.text,
		}
	}
	cfg.Listen = []string{listen}
	return cfg, nil
}

// dialed draws which of those that run node i dials: the same ones each time.
func (p *plan) dialed(i int, running []string) []string {
	if p.dials == 0 || len(running) <= p.dials {
		return running
	}
	drawn := make([]string, p.dials)
	for k, j := range mathrand.New(mathrand.NewPCG(uint64(i), 0)).Perm(len(running))[:p.dials] {
		drawn[k] = running[j]
	}
	return drawn
}

// startInProcess runs the nodes in this process. They share nothing but it.
func startInProcess(ctx context.Context, p *plan) (*fleet, error) {
	f := &fleet{seen: make(chan sighting, sightingBuffer)}
	var lives sync.WaitGroup
	var mu sync.Mutex
	var faults []error
	f.wait = func() error {
		lives.Wait()
		return errors.Join(faults...)
	}
	var peers []string
	for i := 1; i <= p.nodes; i++ {
		cfg, err := p.memberConfig(i, peers)
		if err != nil {
			return nil, err
		}
		service, err := node.Open(cfg)
		if err != nil {
			return nil, fmt.Errorf("node %d: %w", i, err)
		}
		ready := readyOf(service)
		peers = append(peers, ready.Addresses[0])
		f.nodes = append(f.nodes, &member{ready: *ready, client: rpc.NewClient(rpc.Dial{URL: "http://" + ready.RPC, CookieFile: ready.Cookie})})
		lives.Go(func() {
			for e := range watchService(ctx, service) {
				f.report(ctx, sighting{node: i, event: &e})
			}
		})
		lives.Go(func() {
			err := service.Run(ctx)
			if err != nil {
				mu.Lock()
				faults = append(faults, fmt.Errorf("node %d: %w", i, err))
				mu.Unlock()
			}
			f.report(ctx, sighting{node: i, err: errors.Join(err, errNodeEnded)})
		})
	}
	return f, nil
}

var errNodeEnded = errors.New("the node has ended")

// startProcesses runs each node as `kapok node --json` in a process of its own.
func startProcesses(ctx context.Context, p *plan) (*fleet, error) {
	f := &fleet{seen: make(chan sighting, sightingBuffer)}
	var lives sync.WaitGroup
	f.wait = func() error { lives.Wait(); return nil }
	var peers []string
	for i := 1; i <= p.nodes; i++ {
		cfg, err := p.memberConfig(i, peers)
		if err != nil {
			return nil, err
		}
		ready, err := f.spawn(ctx, &lives, i, nodeArgs(p, i, &cfg))
		if err != nil {
			return nil, fmt.Errorf("node %d: %w", i, err)
		}
		peers = append(peers, ready.Addresses[0])
		f.nodes = append(f.nodes, &member{ready: *ready, client: rpc.NewClient(rpc.Dial{URL: "http://" + ready.RPC, CookieFile: ready.Cookie})})
	}
	return f, nil
}

// nodeArgs is the command line that gives a process the configuration of a member.
func nodeArgs(p *plan, i int, cfg *node.ServiceConfig) []string {
	args := []string{"--lean", "--no-quic", "--network", p.params.Name, "--datadir", cfg.DataDir, "--rpc", cfg.RPCListen}
	for _, addr := range cfg.Listen {
		args = append(args, "--listen", addr)
	}
	for _, peer := range cfg.Peers {
		args = append(args, "--peer", peer)
	}
	if cfg.PagesListen != "" {
		args = append(args, "--http", cfg.PagesListen)
	}
	if cfg.Miner != nil {
		args = append(args, "--mine", p.wallets[0].address, "--max-hashrate", strconv.FormatFloat(cfg.Miner.MaxHashrate, 'f', -1, 64))
	}
	return args
}

// spawn starts a child and returns what it says when it is ready.
func (f *fleet) spawn(ctx context.Context, lives *sync.WaitGroup, i int, args []string) (*readyEvent, error) {
	c, err := startChild(ctx, args...)
	if err != nil {
		return nil, err
	}
	f.pids = append(f.pids, c.pid())
	lives.Go(func() {
		for {
			e, err := c.next()
			if err != nil {
				break
			}
			f.report(ctx, sighting{node: i, event: e})
		}
		f.report(ctx, sighting{node: i, err: errors.Join(c.wait(), errNodeEnded)})
	})
	return c.ready.Ready, nil
}
