package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/explorer"
	"github.com/kapok-chain/kapok/mempool"
	"github.com/kapok-chain/kapok/miner"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/p2p/host"
	"github.com/kapok-chain/kapok/rpc"
	"github.com/kapok-chain/kapok/storage"
)

// ServiceConfig says how a full node runs. The zero value of most fields is a
// sensible node; Params and DataDir are required.
type ServiceConfig struct {
	Params  *consensus.Params
	DataDir string // made if it is not there
	Agent   string // what peers are told, as "/kapok:0.1.0/"
	Version string // what RPC clients are told, as "0.1.0"

	Listen    []string // "ip:port" or multiaddrs, TCP, with QUIC on the same port; none: dial only
	Peers     []string // dialed, and dialed again when lost
	Bootstrap []string // dialed while there are too few others
	OnlyPeers bool     // dial none but Peers
	MDNS      bool     // find nodes in the local network, and be found there
	DHT       bool     // find nodes by a distributed hash table, and be found there
	PortMap   bool     // ask the router to let others dial us
	PSK       []byte   // 32 bytes that all nodes of a private network share; nil: a public one

	RPCListen   string // host:port of the RPC server; "": none
	RPCUser     string // with RPCPassword, beside the cookie
	RPCPassword string
	PagesListen string // host:port of the explorer; "": none

	Miner *miner.Config // mines with this, unless nil

	NoIndex      bool  // keep no index of transactions and keys
	Lean         bool  // small buffers, for many nodes on one machine
	CoinCache    int   // bytes; 0: storage.DefaultCoinCache
	MempoolBytes int64 // 0: mempool's default
	MinRelayFee  int64 // units per 1000 vB; 0: mempool's default
	Logger       *slog.Logger
	DisableQUIC  bool
	StrictPeers  bool // end with an error where one of Peers is of another network

	ClockOffset time.Duration // of the node's clock, ahead of the system's, as Runner.SetClockOffset
	Shape       *host.Shape   // connections of a wide network, for testnets; nil: as they are
}

// dataFiles stand in a data directory beside the chain.
const (
	keyFile    = "peer.key"
	bookFile   = "peers.json"
	banFile    = "bans.json"
	cookieFile = ".cookie"
	configFile = "kapok.toml"
	walletFile = "wallet.kapok" // and its .bak and .lock
)

func besideChain() []string {
	return []string{keyFile, bookFile, banFile, cookieFile, configFile, walletFile, walletFile + ".bak", walletFile + ".lock"}
}

// OpenStored opens what a stopped node has stored, to be read only. Whoever asks
// closes it.
func OpenStored(p *consensus.Params, dataDir string) (*storage.Badger, error) {
	return storage.Open(p, storage.Options{Dir: dataDir, Beside: besideChain(), ReadOnly: true})
}

// StoppedOptions say how OpenStopped opens a store.
type StoppedOptions struct {
	NoIndex          bool
	Reindex, Restart bool // as in storage.Options
}

// OpenStopped opens the store of a node that does not run, to be written. Whoever asks
// closes it.
func OpenStopped(p *consensus.Params, dataDir string, o StoppedOptions) (*storage.Badger, error) {
	return storage.Open(p, storage.Options{Dir: dataDir, Beside: besideChain(), Index: !o.NoIndex, Reindex: o.Reindex, Restart: o.Restart})
}

// PruneStopped is storage.Prune for the directory of a node that does not run.
func PruneStopped(ctx context.Context, p *consensus.Params, dataDir string, keep uint32, progress func(done, total int64)) (storage.Pruned, error) {
	return storage.Prune(ctx, p, storage.Options{Dir: dataDir, Beside: besideChain()}, keep, progress)
}

// Service is a full node at work: a Runner with its store, its host, its RPC
// server, its pages and its miner. Open binds every port and opens every file,
// so that what is wrong with them is said at once; Run does the work.
type Service struct {
	Runner *Runner
	Host   *host.Host
	Miner  *miner.Miner // nil where the node does not mine

	params  *consensus.Params
	store   *storage.Badger
	book    *host.Book
	clean   bool // the last stop was a clean one
	index   bool
	log     *slog.Logger
	started time.Time
	payout  []byte
	dataDir string

	recounting atomic.Bool // the coins are, after an unclean stop

	verifying sync.Mutex    // held by the one VerifyChain at work
	mining    chan struct{} // room for one: the call of RPC that mines a block

	rpc           *rpc.Server
	rpcListener   net.Listener
	pages         http.Handler
	pagesListener net.Listener

	life context.Context // of the service: RPC calls wait no longer than this
	stop context.CancelFunc
}

// Open starts a node up to the point where nothing but work remains. The caller
// must call Run, or Close where it does not come to that.
func Open(cfg ServiceConfig) (_ *Service, err error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{params: cfg.Params, index: !cfg.NoIndex, log: cfg.Logger, started: time.Now(), dataDir: cfg.DataDir, mining: make(chan struct{}, 1)}
	s.life, s.stop = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	s.store, err = storage.Open(cfg.Params, storage.Options{
		Dir: cfg.DataDir, Beside: besideChain(),
		CoinCacheBytes: cfg.CoinCache, Index: s.index, Lean: cfg.Lean, Logger: cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	state, err := s.store.Load()
	if err != nil {
		return nil, err
	}
	s.clean = state.Clean
	var lost []consensus.Hash
	if state.Suspect {
		if lost, err = s.repair(); err != nil {
			return nil, err
		}
		if state, err = s.store.Load(); err != nil { // which the repair may have changed
			return nil, err
		}
	}
	seed, secret := randomness()
	pool := mempool.DefaultConfig()
	if cfg.MempoolBytes > 0 {
		pool.MaxBytes = cfg.MempoolBytes
	}
	if cfg.MinRelayFee > 0 {
		pool.MinRelayFee = cfg.MinRelayFee
	}
	s.book = host.OpenBook(filepath.Join(cfg.DataDir, bookFile), cfg.Params.GenesisHash(), false, cfg.Logger)
	if s.Host, err = host.New(s.hostConfig(cfg)); err != nil {
		return nil, err
	}
	n, err := New(Config{
		Params: cfg.Params, Store: s.store, State: state, Mempool: pool,
		P2P:  p2p.Config{Agent: cfg.Agent, Params: cfg.Params, Addr: s.Host.Advertised, Addresses: s.book},
		Rand: mathrand.New(mathrand.NewChaCha8(seed)),
		Lost: lost,
	})
	if err != nil {
		return nil, err
	}
	verifier := consensus.Verifier{Secret: secret, Workers: runtime.GOMAXPROCS(0)}
	s.Runner = NewRunner(n, s.Host, verifier, cfg.Logger)
	s.Runner.SetClockOffset(cfg.ClockOffset)
	if cfg.Miner != nil {
		mining := *cfg.Miner
		mining.Now = s.Runner.Now
		s.payout = mining.Payout
		s.Miner = miner.New(mining, s.Source())
	}
	if err := s.listen(cfg); err != nil {
		return nil, err
	}
	return s, nil
}

// hostConfig is what the network side is told.
func (s *Service) hostConfig(cfg ServiceConfig) host.Config {
	c := host.Config{
		GenesisHash: cfg.Params.GenesisHash(), Listen: cfg.Listen, Peers: cfg.Peers, StrictPeers: cfg.StrictPeers,
		KeyFile: filepath.Join(cfg.DataDir, keyFile), BanFile: filepath.Join(cfg.DataDir, banFile), Agent: cfg.Agent, Logger: cfg.Logger,
		DisableQUIC: cfg.DisableQUIC, PSK: cfg.PSK, PortMap: cfg.PortMap, Shape: cfg.Shape,
	}
	if !cfg.OnlyPeers {
		c.Bootstrap, c.Book, c.MDNS, c.DHT = cfg.Bootstrap, s.book, cfg.MDNS, cfg.DHT
	}
	return c
}

// Params are the rules of the node's network.
func (s *Service) Params() *consensus.Params { return s.params }

// Source is the chain to mine for, for one miner, while the service runs.
func (s *Service) Source() miner.Source { return &minerSource{Runner: s.Runner, life: s.life} }

// Block reads a stored block, of the best chain or not; that it arrived is enough. Where
// there is none the error is rpc.ErrNotFound, or ErrNoBody or ErrPruned for its header alone.
func (s *Service) Block(hash consensus.Hash) (*consensus.Block, error) {
	return rpcBackend{s}.Body(hash)
}

// listen binds the ports of the RPC server and of the pages.
func (s *Service) listen(cfg ServiceConfig) (err error) {
	if cfg.RPCListen != "" {
		if s.rpcListener, err = net.Listen("tcp", cfg.RPCListen); err != nil {
			return fmt.Errorf("the RPC server cannot listen on %s (another node may be running; choose a free port with --rpc): %w", cfg.RPCListen, err)
		}
		s.rpc, err = rpc.NewServer(rpc.Config{
			CookieFile: s.CookieFile(), User: cfg.RPCUser, Password: cfg.RPCPassword, Logger: cfg.Logger,
		}, rpc.NewAPI(rpcBackend{s}, cfg.Version))
		if err != nil {
			return err
		}
	}
	if cfg.PagesListen != "" {
		if s.pagesListener, err = net.Listen("tcp", cfg.PagesListen); err != nil {
			return fmt.Errorf("the explorer cannot listen on %s (choose a free port with --http): %w", cfg.PagesListen, err)
		}
		if s.pages, err = explorer.New(pages{s}, cfg.Version, cfg.Logger); err != nil {
			return err
		}
	}
	return nil
}

// randomness draws what must differ between nodes and be known to none else.
func randomness() (seed, secret [32]byte) {
	rand.Read(seed[:]) // never fails (Go 1.24)
	rand.Read(secret[:])
	return seed, secret
}

// RPCAddr is the host:port of the RPC server, or "".
func (s *Service) RPCAddr() string { return listenAddr(s.rpcListener) }

// PagesAddr is the host:port of the explorer, or "".
func (s *Service) PagesAddr() string { return listenAddr(s.pagesListener) }

func listenAddr(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}

// CookieFile is where local RPC clients find their credentials.
func (s *Service) CookieFile() string { return filepath.Join(s.dataDir, cookieFile) }

// Run works until the context ends, the stop method is called over RPC, or a
// fault of our own, which it returns. Everything is closed when it returns.
func (s *Service) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	context.AfterFunc(s.life, func() { cancel(nil) })
	var lives sync.WaitGroup
	start := func(what string, run func(context.Context) error) {
		lives.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("%s: %w", what, err))
			}
		})
	}
	start("node", s.Runner.Run)
	if !s.clean {
		s.recounting.Store(true)
		start("recount", s.recount)
	}
	start("network", func(ctx context.Context) error { return s.Host.Run(ctx, s.Runner) })
	if s.Miner != nil {
		start("miner", s.Miner.Run)
	}
	if s.rpc != nil {
		start("rpc", func(ctx context.Context) error { return s.rpc.Run(ctx, s.rpcListener) })
	}
	if s.pagesListener != nil {
		start("explorer", func(ctx context.Context) error { return serve(ctx, s.pagesListener, s.pages) })
	}
	s.log.Debug("the node is at work", "clean", s.clean)
	<-ctx.Done()
	s.log.Debug("the node stops")
	s.stop()
	lives.Wait()
	err := s.Close()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	return err
}

// recount runs behind an unclean stop: it counts the coins that are on disk, and
// where they are not those that were kept count of, has them made anew from the
// blocks. Payments wait meanwhile.
func (s *Service) recount(ctx context.Context) error {
	defer s.recounting.Store(false)
	found, kept, err := s.store.Recount(ctx)
	if err != nil && !errors.Is(err, storage.ErrDamaged) {
		return err
	}
	if err == nil && found == kept {
		s.log.Info("recounted the coins after an unclean stop", "coins", found.Count)
		return nil
	}
	s.log.Error("the coins on disk are damaged: making them anew from the blocks", "found", found, "kept", kept, "err", err)
	return s.Runner.Do(func(n *Node, _ time.Time) error { return s.remedied(n.RebuildCoins()) })
}

// remedied adds what is left to do where only blocks that were pruned could help.
func (s *Service) remedied(err error) error {
	if !errors.Is(err, storage.ErrPruned) {
		return err
	}
	return fmt.Errorf("%w; delete %s and start again: the blocks come from peers, and neither wallet nor keys are in it", err, filepath.Join(s.dataDir, "chain"))
}

// repair makes good what was found damaged, before anything else is done.
func (s *Service) repair() ([]consensus.Hash, error) {
	s.log.Warn("damage was met: looking through all that is stored")
	r, err := Repair(s.life, s.params, s.store)
	if err != nil {
		return nil, fmt.Errorf("repair the chain in %s: %w", s.dataDir, s.remedied(err))
	}
	s.clean = true // recounted
	level := slog.LevelWarn
	if len(r.Lost)+r.Aside > 0 || r.Rebuild {
		level = slog.LevelError
	}
	s.log.Log(s.life, level, "looked through all that is stored", "bodies_lost", len(r.Lost)+r.Aside,
		"rebuild_coins", r.Rebuild)
	return r.Lost, nil
}

// failed passes an error of the store on. It ends the node, unless the store is
// closed because the node ends.
func (s *Service) failed(err error) error {
	if err == nil || errors.Is(err, storage.ErrClosed) {
		return err
	}
	return s.Runner.Do(func(*Node, time.Time) error { return err })
}

// Close gives back what Open took. Run does it itself.
func (s *Service) Close() error {
	s.stop()
	var errs []error
	if s.rpcListener != nil {
		s.rpcListener.Close()
	}
	if s.pagesListener != nil {
		s.pagesListener.Close()
	}
	if s.Host != nil {
		errs = append(errs, s.Host.Close())
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}

// Limits of the pages' HTTP server.
const (
	pagesHeaderTimeout = 10 * time.Second
	pagesIdleTimeout   = 60 * time.Second
	pagesHeaderBytes   = 8 << 10
	pagesCloseTimeout  = 2 * time.Second
)

// serve runs an HTTP server until the context ends.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: pagesHeaderTimeout,
		IdleTimeout:       pagesIdleTimeout,
		MaxHeaderBytes:    pagesHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), pagesCloseTimeout)
	defer cancel()
	if server.Shutdown(closing) != nil {
		server.Close() // a page that streams until its reader leaves
	}
	<-done
	return nil
}
