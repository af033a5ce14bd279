package testnet

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/miner"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/p2p/host"
	"github.com/kapok-chain/kapok/storage"
)

// Memory of one node: fifty of them share a machine.
const (
	// coinCache is what a node's coins may take before they go to disk, in bytes.
	coinCache = 4 << 20
	// mempoolBytes bounds each mempool, in bytes: some 40,000 payments of one input and
	// two outputs, two hours of five a second that no block takes.
	mempoolBytes = 64 << 20
)

// connectedEvery is how often a station looks whether its peers are connected.
const connectedEvery = 20 * time.Millisecond

// station is one node at work in this process, with its miner.
type station struct {
	*node.Service
	setup  *setup
	params *consensus.Params
	matrix *host.Matrix
	watch  func(sighting)
	log    *slog.Logger
	at     endpoint

	mu      sync.Mutex
	mining  func() // stops the miner that is at work and waits for it; nil: none
	miner   *miner.Miner
	hashes  float64 // of the miners before this one
	due     float64 // likewise
	life    context.Context
	ended   bool
	lives   sync.WaitGroup
	failure chan error // room for one: why the miner ended by itself
}

// openStation opens a node, which is idle until run. The matrix is the one that the
// links of the node's process are in; watch is called from one goroutine at a time,
// but for finds.
func openStation(s *setup, params *consensus.Params, matrix *host.Matrix, watch func(sighting), log *slog.Logger) (*station, error) {
	st := &station{setup: s, params: params, matrix: matrix, watch: watch, log: log, failure: make(chan error, 1)}
	cfg := node.ServiceConfig{
		Params: params, DataDir: s.DataDir, Agent: "/kapok:" + s.Version + "/testnet:" + fmt.Sprint(s.Node+1) + "/", Version: s.Version,
		OnlyPeers: true, DisableQUIC: true, Lean: true, NoIndex: !s.Index, CoinCache: coinCache, MempoolBytes: mempoolBytes,
		Logger: log,
	}
	if !s.Alone {
		cfg.RPCListen = "127.0.0.1:0"
		cfg.Listen = []string{"127.0.0.1:0"}
		cfg.Shape = &host.Shape{Matrix: matrix, Node: s.Node, Seed: s.Seed}
	}
	if s.Index {
		cfg.PagesListen, cfg.MetricsListen = "127.0.0.1:0", "127.0.0.1:0"
	}
	var err error
	if st.Service, err = node.Open(cfg); err != nil {
		return nil, err
	}
	st.at = st.endpoint() // now, for it has none when it ends
	if err := st.takePrelude(); err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return st, nil
}

// takePrelude hands the node the blocks that its chain begins with, all at once: they
// are connected when it runs.
func (s *station) takePrelude() error {
	if s.setup.Prelude == "" {
		return nil
	}
	file, err := os.Open(s.setup.Prelude)
	if err != nil {
		return fmt.Errorf("the first blocks: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("the first blocks: %w", err)
	}
	r := storage.NewBlockReader(s.params, s.setup.Prelude, file, info.Size())
	for {
		frame, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		block, err := r.Block(frame)
		if err != nil {
			return err
		}
		err = s.Runner.Do(func(n *node.Node, now time.Time) error {
			_, err := n.SubmitBlock(now, block)
			return err
		})
		if rule := consensus.AsRuleError(err); rule != nil && rule.Code == consensus.ErrDuplicate {
			continue // the node was started before
		}
		if err != nil {
			return fmt.Errorf("the first blocks: %w", err)
		}
	}
}

// endpoint is how the node is reached.
func (s *station) endpoint() endpoint {
	e := endpoint{ID: s.Host.ID(), RPC: s.RPCAddr(), Pages: s.PagesAddr(), Metrics: s.MetricsAddr(), Cookie: s.CookieFile(), PID: os.Getpid()}
	if !s.setup.Alone {
		e.Addr, e.Listen = s.Host.Addrs()[0], s.Host.ShortAddrs()[0]
	}
	return e
}

// run is the node's life. ready is called when its first blocks are connected. It
// returns what ended the node by itself, and everything has ended then.
func (s *station) run(ctx context.Context, ready func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.mu.Lock()
	s.life = ctx
	s.mu.Unlock()
	events := s.Runner.Events(ctx)
	s.lives.Go(func() {
		if err := s.pump(ctx, events); err != nil {
			cancel(err)
		}
	})
	s.lives.Go(func() {
		if s.Runner.Settle(ctx) == nil {
			ready()
		}
	})
	s.lives.Go(func() {
		select {
		case err := <-s.failure:
			cancel(err)
		case <-ctx.Done():
		}
	})
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	s.lives.Go(func() { // the miner ends before the store that it hands its blocks to
		<-ctx.Done()
		s.mu.Lock()
		s.ended = true
		s.mu.Unlock()
		s.rest()
		end()
	})
	err := s.Service.Run(serving)
	cancel(err)
	s.lives.Wait()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

var errBehind = errors.New("the recording of what the node saw fell behind it by some ten thousand events: run fewer nodes, or fewer payments")

// pump passes on what the node sees.
func (s *station) pump(ctx context.Context, events <-chan node.Event) error {
	for e := range events {
		if seen, ok := s.sighting(&e); ok {
			s.watch(seen)
		}
	}
	if ctx.Err() == nil {
		return errBehind
	}
	return nil
}

// do does what is asked of the node.
func (s *station) do(ctx context.Context, c *command) (answer, error) {
	switch c.Op {
	case opKeep:
		return answer{}, s.Host.Keep(c.Addr)
	case opForget:
		s.Host.Forget(c.Addr)
		return answer{}, nil
	case opConnected:
		return answer{}, s.connected(ctx, c)
	case opPlace:
		return answer{}, place(s.matrix, c.Node, c.Addr)
	case opPartition:
		return answer{}, s.matrix.Partition(c.Groups)
	case opHeal:
		s.matrix.Heal()
		return answer{}, nil
	case opMine:
		return answer{}, s.mine()
	case opRest:
		s.rest()
		return answer{}, nil
	case opClock:
		s.Runner.SetClockOffset(c.Offset)
		return answer{}, nil
	case opProbe:
		p := s.probe()
		return answer{Probe: &p}, nil
	case opState:
		st := s.state()
		return answer{State: &st}, nil
	}
	return answer{}, fmt.Errorf("a node was asked for %q, which it does not know", c.Op)
}

// place notes in a matrix where a node listens.
func place(m *host.Matrix, node int, addr string) error {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return fmt.Errorf("node %d: %w", node+1, err)
	}
	return m.Place(node, at)
}

// connected waits until there is a session with each of the peers.
func (s *station) connected(ctx context.Context, c *command) error {
	tick := time.NewTicker(connectedEvery)
	defer tick.Stop()
	for _, id := range c.Peers {
		for s.Host.Conn(id).Number == 0 {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("node %d is not connected with %s: %w", s.setup.Node+1, id, ctx.Err())
			}
		}
	}
	return nil
}

// probe looks at the node.
func (s *station) probe() probe {
	at := s.Runner.Snapshot()
	p := probe{Height: at.Height, Tip: at.Tip, MempoolTxs: at.MempoolTxs, MempoolBytes: at.MempoolVSize, Peers: len(s.Runner.Peers())}
	p.Hashes, p.HashesDue = s.mined()
	return p
}

// state is what nodes are compared by.
func (s *station) state() state {
	at := s.Runner.Snapshot()
	digest := at.Coins.Hash()
	return state{Height: at.Height, Tip: at.Tip, CoinSum: hex.EncodeToString(digest[:])}
}
