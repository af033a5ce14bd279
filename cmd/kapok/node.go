package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/p2p/host"
)

func nodeCommand() *cli.Command {
	return &cli.Command{
		Name:  "node",
		Usage: "run a full node",
		Description: "Runs a full node until Ctrl-C. Settings may also stand in kapok.toml in the\n" +
			"data directory, under the names of the flags; flags win.\n\n" +
			"Examples:\n" +
			"   kapok node                                    a node of network local\n" +
			"   kapok node --network dev --peer 192.0.2.7:29420\n" +
			"   kapok node --http 127.0.0.1:8080              with the explorer\n" +
			"   kapok node --mine kpkl1…                      that mines to an address",
		Flags: append([]cli.Flag{networkFlag, dataDirFlag, jsonFlag, logFlag}, serviceFlags()...),
		Action: func(c *cli.Context) error {
			if err := exactArgs(c, 0); err != nil {
				return err
			}
			cfg, err := serviceConfigOf(c)
			if err != nil {
				return err
			}
			if os.Getenv("GOGC") == "" {
				debug.SetGCPercent(heapGrowth)
			}
			return runNode(c.Context, c.App.Writer, cfg, c.Bool(jsonFlag.Name))
		},
	}
}

// heapGrowth is how much a node's heap grows before it is collected, in percent of what
// is in use. With Go's 100 a first sync of full blocks peaks at 370 to 540 MB, with this
// at 330 to 370, at the same speed (kapok bench sync).
const heapGrowth = 50

// runNode runs one node until the context ends and says what happens: a line a
// block for people, JSON lines for programs.
func runNode(ctx context.Context, w io.Writer, cfg node.ServiceConfig, asJSON bool) error {
	service, err := node.Open(cfg)
	if err != nil {
		return err
	}
	watch, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	events := watchService(watch, service)
	printed := make(chan struct{})
	go func() {
		defer close(printed)
		printEvents(w, events, asJSON, service)
	}()
	err = service.Run(ctx)
	stopWatching()
	<-printed
	return err
}

// nodeEvent is what a node says of itself: one JSON line of `kapok node --json`.
// Event names the kind and so which of the other fields are set.
type nodeEvent struct {
	Event      string `json:"event"` // ready, block, tip, tx, mining
	TimeUnixUs int64  `json:"time_unix_us"`

	Ready  *readyEvent  `json:"ready,omitempty"`
	Block  *blockEvent  `json:"block,omitempty"`
	Tip    *tipEvent    `json:"tip,omitempty"`
	Tx     *txEvent     `json:"tx,omitempty"`
	Mining *miningEvent `json:"mining,omitempty"`
}

// Time is when it happened.
func (e *nodeEvent) Time() time.Time { return time.UnixMicro(e.TimeUnixUs) }

type readyEvent struct {
	Network   string   `json:"network"`
	ID        string   `json:"id"`
	Addresses []string `json:"addresses"`
	RPC       string   `json:"rpc,omitempty"`
	Cookie    string   `json:"cookie,omitempty"`
	Pages     string   `json:"pages,omitempty"`
}

// blockEvent is a block that came, before it is connected and whatever becomes of it.
type blockEvent struct {
	Height    uint32 `json:"height"`
	Hash      string `json:"hash"`
	Parent    string `json:"parent"`
	From      string `json:"from,omitempty"`    // the peer's id; none: this node's miner, or RPC
	BlockTime int64  `json:"block_time_unix_s"` // of the header
	Txs       int    `json:"txs"`
	Size      int    `json:"size_bytes"`
	Weight    int    `json:"weight_units"`
}

type tipEvent struct {
	Height     uint32  `json:"height"`
	Hash       string  `json:"hash"`
	Bits       uint32  `json:"bits"`
	BlockTime  int64   `json:"block_time_unix_s"` // of the header
	Txs        uint32  `json:"txs"`
	Detached   int     `json:"detached"` // blocks that a reorganisation took off
	Difficulty float64 `json:"difficulty"`
}

type txEvent struct {
	TxID string `json:"txid"`
}

type miningEvent struct {
	HashesPerS float64 `json:"hashes_per_s"`
	Hashes     uint64  `json:"hashes"` // since the start
	Found      int     `json:"found"`
	Stale      int     `json:"stale"`
	Luck       float64 `json:"luck"` // blocks found over blocks expected for the hashes done
}

// miningPeriod is how often a mining node says how fast it is.
const miningPeriod = 500 * time.Millisecond

// watchService turns what a service does into events, in order, until the
// context ends. The channel is closed then.
func watchService(ctx context.Context, s *node.Service) <-chan nodeEvent {
	out := make(chan nodeEvent, 64)
	source := s.Runner.Events(ctx)
	go func() {
		defer close(out)
		send := func(at time.Time, e nodeEvent) {
			e.TimeUnixUs = at.UnixMicro()
			select {
			case out <- e:
			case <-ctx.Done():
			}
		}
		send(time.Now(), nodeEvent{Event: "ready", Ready: readyOf(s)})
		ticker := time.NewTicker(miningPeriod)
		defer ticker.Stop()
		for {
			select {
			case e, open := <-source:
				switch {
				case !open:
					return
				case e.Change != nil:
					to := e.Change.To
					send(e.Time, nodeEvent{Event: "tip", Tip: &tipEvent{
						Height: to.Height, Hash: to.Hash.String(), Bits: to.Header.Bits, BlockTime: int64(to.Header.Time),
						Txs: to.TxCount, Detached: len(e.Change.Detached), Difficulty: expectedHashes(to.Header.Bits),
					}})
				case e.Block != nil:
					b := e.Block
					send(e.Time, nodeEvent{Event: "block", Block: &blockEvent{
						Height: b.Height, Hash: b.Hash.String(), Parent: b.Header.Prev.String(), From: string(b.From),
						BlockTime: int64(b.Header.Time), Txs: b.Txs, Size: b.Size, Weight: b.Weight,
					}})
				case e.Tx != nil:
					send(e.Time, nodeEvent{Event: "tx", Tx: &txEvent{TxID: e.Tx.TxID.String()}})
				}
			case now := <-ticker.C:
				if s.Miner != nil {
					send(now, nodeEvent{Event: "mining", Mining: miningOf(s)})
				}
			}
		}
	}()
	return out
}

func readyOf(s *node.Service) *readyEvent {
	return &readyEvent{
		Network: s.Params().Name, ID: string(s.Host.ID()), Addresses: s.Host.Addrs(),
		RPC: s.RPCAddr(), Cookie: s.CookieFile(), Pages: s.PagesAddr(),
	}
}

func miningOf(s *node.Service) *miningEvent {
	stats := s.Miner.Stats()
	return &miningEvent{HashesPerS: stats.Rate, Hashes: stats.Hashes, Found: stats.Found, Stale: stats.Stale, Luck: stats.Luck}
}

// expectedHashes is how many hashes a block with these bits takes on average.
func expectedHashes(bits uint32) float64 {
	work, _ := consensus.WorkOf(bits).Big().Float64()
	return work
}

// printEvents writes events until the channel is closed.
func printEvents(w io.Writer, events <-chan nodeEvent, asJSON bool, s *node.Service) {
	enc := json.NewEncoder(w)
	for e := range events {
		if asJSON {
			enc.Encode(e) // a reader that went away is no reason to stop the node
			continue
		}
		switch e.Event {
		case "ready":
			fmt.Fprintf(w, "kapok %s, network %s\n", version, e.Ready.Network)
			for _, addr := range e.Ready.Addresses {
				fmt.Fprintf(w, "  peers    %s\n", addr)
			}
			if e.Ready.RPC != "" {
				fmt.Fprintf(w, "  rpc      http://%s (cookie %s)\n", e.Ready.RPC, e.Ready.Cookie)
			}
			if e.Ready.Pages != "" {
				fmt.Fprintf(w, "  explorer http://%s\n", e.Ready.Pages)
			}
		case "tip":
			fmt.Fprintf(w, "block %d  %s  %d tx  difficulty %s\n", e.Tip.Height, e.Tip.Hash, e.Tip.Txs, formatCount(e.Tip.Difficulty))
		}
	}
}

func noIndexFlag() cli.Flag {
	return &cli.BoolFlag{Name: "no-index", Usage: "keep no index of transactions and addresses (wallets and the explorer need it)"}
}

// serviceFlags are the flags of a node; kapok.toml knows the same names.
func serviceFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "listen", Usage: "listen for peers on `HOST:PORT` or a multiaddr (default: all addresses, the network's port; \"none\": not at all); QUIC has the same port"},
		&cli.StringSliceFlag{Name: "peer", Usage: "keep a connection to the peer at `ADDRESS` (host:port or multiaddr)"},
		&cli.StringSliceFlag{Name: "bootstrap", Usage: "begin with the peer at `ADDRESS` while there are fewer than eight others"},
		&cli.BoolFlag{Name: "only-peers", Usage: "connect to nobody but those of --peer; not beside --bootstrap, --mdns or --dht"},
		&cli.BoolFlag{Name: "mdns", Usage: "find nodes in the local network, and be found there"},
		&cli.BoolFlag{Name: "dht", Usage: "find nodes by a distributed hash table of the network's own, and be found there"},
		&cli.BoolFlag{Name: "port-map", Usage: "ask the router to let others dial this node (UPnP, NAT-PMP)"},
		&cli.StringFlag{Name: "psk", Usage: "private network: `FILE` of the key that all its nodes share (TCP only)"},
		&cli.StringFlag{Name: "rpc", Usage: "RPC server on `HOST:PORT` (default: 127.0.0.1 and the network's port; \"none\": no server)"},
		&cli.StringFlag{Name: "rpc-user", Usage: "RPC `USER`, beside the cookie"},
		&cli.StringFlag{Name: "rpc-password", Usage: "RPC `PASSWORD`"},
		&cli.StringFlag{Name: "http", Usage: "serve the explorer on `HOST:PORT`"},
		&cli.StringFlag{Name: "mine", Usage: "mine to this `ADDRESS`"},
		&cli.IntFlag{Name: "threads", Usage: "mine with `N` threads", DefaultText: "all cores"},
		&cli.StringFlag{Name: "kernel", Usage: "mine with the kernel of this `NAME` (\"kapok bench hash\" lists them)", DefaultText: "the fastest here"},
		&cli.StringFlag{Name: "max-hashrate", Value: "0", Usage: "mine no faster than `RATE` (hashes per second: 500k, 2M; 0: no limit)"},
		noIndexFlag(),
		&cli.BoolFlag{Name: "no-quic", Usage: "TCP only"},
		&cli.BoolFlag{Name: "lean", Usage: "small buffers, for many nodes on one machine"},
		&cli.IntFlag{Name: "coin-cache-mb", Usage: "memory of the coin cache in `MB`"},
		&cli.IntFlag{Name: "mempool-mb", Usage: "memory of the mempool in `MB`", Value: 300},
	}
}

// serviceConfigOf puts together flags and kapok.toml.
func serviceConfigOf(c *cli.Context) (cfg node.ServiceConfig, err error) {
	params, err := paramsOf(c)
	if err != nil {
		return cfg, err
	}
	dir, err := dataDirOf(c, params)
	if err != nil {
		return cfg, err
	}
	if err := applyConfigFile(c, filepath.Join(dir, configName)); err != nil {
		return cfg, err
	}
	cfg = node.ServiceConfig{
		Params: params, DataDir: dir, Agent: agent, Version: version, Peers: c.StringSlice("peer"), StrictPeers: true,
		Bootstrap: c.StringSlice("bootstrap"), OnlyPeers: c.Bool("only-peers"), MDNS: c.Bool("mdns"), DHT: c.Bool("dht"), PortMap: c.Bool("port-map"),
		RPCListen: c.String("rpc"), RPCUser: c.String("rpc-user"), RPCPassword: c.String("rpc-password"),
		PagesListen: c.String("http"), NoIndex: c.Bool("no-index"), Lean: c.Bool("lean"), DisableQUIC: c.Bool("no-quic"),
		CoinCache: c.Int("coin-cache-mb") << 20, MempoolBytes: int64(c.Int("mempool-mb")) << 20,
	}
	if cfg.OnlyPeers && (len(cfg.Bootstrap) > 0 || cfg.MDNS || cfg.DHT) {
		return cfg, usageError("--only-peers leaves it at --peer: choose it, or --bootstrap, --mdns and --dht")
	}
	if cfg.PortMap && slices.Contains(c.StringSlice("listen"), "none") {
		return cfg, usageError("--port-map has no port to map with --listen none")
	}
	if cfg.Logger, err = loggerOf(c); err != nil {
		return cfg, err
	}
	if path := c.String("psk"); path != "" {
		if cfg.PSK, err = host.LoadPSK(path); err != nil {
			return cfg, err
		}
	}
	switch cfg.RPCListen {
	case "":
		cfg.RPCListen = net.JoinHostPort("127.0.0.1", strconv.Itoa(params.RPCPort))
	case "none":
		cfg.RPCListen = ""
	}
	cfg.Listen = listenAddrs(c.StringSlice("listen"), params.P2PPort)
	if to := c.String("mine"); to != "" {
		cfg.Miner, err = minerConfigOf(c, params, to)
	}
	return cfg, err
}
