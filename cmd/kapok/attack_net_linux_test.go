package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/internal/sha256d"
	"github.com/kapok-chain/kapok/miner"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/rpc"
)

// attackNetwork is a network where a header costs two hashes at the least, and 8,192
// on the chain of the honest nodes: attackers have what work they like, but not more
// than the honest chain.
const attackNetwork = `
name = "attack"
spacing = 10
difficulty = "asert-relative"
half_life = 300
start_bits = "207fffff"
pow_limit = "207fffff"
future_limit = 60
coinbase_maturity = 10
genesis_time = 1767225600
genesis_text = "attack"
hrp = "kpkx"
`

// The chain that all honest nodes begin with. Blocks that come after a second raise the
// difficulty to 8,192 hashes; enough follow that their work, but for the last 144, is
// more than a million headers of least difficulty have.
const (
	honestNodes = 4
	rampBlocks  = 400
	evenBlocks  = 380
	loadCoins   = 3000 // that honest payments spend in turns: a minute of 50 a second
	spamCoins   = 40   // coinbases that attackers own
	fatBlocks   = 4    // of 400 kB each: what slow readers ask for
)

// attackNet is the base set-up: a victim, and honest nodes that are connected with it
// and with each other. The victim dialed half of them.
type attackNet struct {
	t      *testing.T
	params *consensus.Params
	chain  *chaintest.Chain // up to blockName(rampBlocks+evenBlocks)
	fat    []consensus.Hash // its fat blocks
	victim *quarry
	honest []*node.Service
	load   *honestLoad
	ip     func(i int) string // address of honest node i, and of the victim: -1

	spoiled bool // an attack had its way: the next one gets new nodes

	file   string
	dir    string
	life   context.Context
	cancel context.CancelFunc
	lives  sync.WaitGroup
	keys   sync.Mutex // held while the chain is used
	mu     sync.Mutex
	ended  error // why an honest node did
}

func blockName(height int) string {
	if height == 0 {
		return chaintest.Genesis
	}
	return "a" + strconv.Itoa(height)
}

// startAttackNet starts the nodes and returns when they are on one tip and gossip has
// its meshes. They end with the suite, or before it by end.
func startAttackNet(suite, t *testing.T, ip func(i int) string) *attackNet {
	n := &attackNet{t: t, dir: suite.TempDir(), ip: ip}
	n.file = filepath.Join(n.dir, "attack.toml")
	if err := os.WriteFile(n.file, []byte(attackNetwork), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if n.params, err = node.Network(n.file); err != nil {
		t.Fatal(err)
	}
	n.makeChain(suite)
	tip := n.chain.Hash(blockName(rampBlocks + evenBlocks))
	n.life, n.cancel = context.WithCancel(context.Background())
	suite.Cleanup(n.end)
	n.load = newLoad(n)
	n.load.follow(tip)
	if err := storeChain(n.life, n.params, filepath.Join(n.dir, "0"), n.chain.Path(blockName(rampBlocks+evenBlocks)), newProgress(os.Stderr)); err != nil {
		t.Fatal(err)
	}
	for i := range honestNodes {
		s := n.start(i)
		for _, other := range n.honest {
			n.ok(s.Host.Keep(other.Host.Addrs()[0]))
		}
		n.honest = append(n.honest, s)
		n.load.watch(n.life, i, s)
	}
	args := []string{"--network", n.file, "--listen", n.ip(-1) + ":0"}
	for _, s := range n.honest[:honestNodes/2] {
		args = append(args, "--peer", s.Host.Addrs()[0])
	}
	n.victim = startQuarry(n.t, n.dir, n.load.seen, args...)
	for _, s := range n.honest[honestNodes/2:] {
		n.ok(s.Host.Keep(n.victim.ready.Addresses[0]))
	}
	n.load.note(0, tip, time.Now()) // it had it before anybody watched
	n.await(30*time.Second, "the chain on all nodes", func() error { return n.load.everywhere(tip) })
	n.await(30*time.Second, "the victim's honest peers", func() error {
		_, err := n.honestPeers()
		return err
	})
	time.Sleep(1500 * time.Millisecond) // a heartbeat of gossip, which makes its meshes
	return n
}

func (n *attackNet) ok(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

// await waits until a question has no error for an answer.
func (n *attackNet) await(limit time.Duration, what string, question func() error) {
	n.t.Helper()
	if err := n.eventually(limit, question); err != nil {
		n.t.Fatalf("%s: not within %v: %v", what, limit, err)
	}
}

func (n *attackNet) eventually(limit time.Duration, question func() error) error {
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		err := question()
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// end stops all nodes.
func (n *attackNet) end() {
	n.cancel()
	if n.victim != nil {
		n.victim.kill()
	}
	n.lives.Wait()
}

// start runs one more honest node.
func (n *attackNet) start(i int) *node.Service {
	n.t.Helper()
	s, err := node.Open(node.ServiceConfig{
		Params: n.params, DataDir: filepath.Join(n.dir, strconv.Itoa(i)), Agent: agent, Version: version,
		Listen: []string{n.ip(i) + ":0"}, OnlyPeers: true, RPCListen: "127.0.0.1:0", Lean: true, DisableQUIC: true,
		Logger: slog.New(slog.DiscardHandler),
	})
	n.ok(err)
	n.lives.Go(func() {
		err := s.Run(n.life)
		if n.life.Err() == nil {
			n.mu.Lock()
			n.ended = errors.Join(n.ended, fmt.Errorf("honest node %d has ended: %w", i, errors.Join(err, errNodeEnded)))
			n.mu.Unlock()
		}
	})
	return s
}

// makeChain mines what all begin with: it ends now.
func (n *attackNet) makeChain(suite *testing.T) {
	c := chaintest.New(suite, n.params)
	n.chain = c
	at := time.Now().Unix() - rampBlocks - evenBlocks*n.params.Spacing - 30
	for i := 1; i <= rampBlocks+evenBlocks; i++ {
		if at++; i > rampBlocks {
			at += n.params.Spacing - 1
		}
		options := []chaintest.Option{chaintest.At(uint32(at)), chaintest.PayTo("load")}
		if i <= spamCoins {
			options = append(options, chaintest.PayTo("mallory"))
		}
		switch k := i - rampBlocks; {
		case k > 0 && k <= loadCoins/500: // coins for payments
			coin := c.Coinbase(blockName(rampBlocks/2 + k))
			outs := make([]chaintest.Output, 500)
			for j := range outs {
				outs[j] = chaintest.To("load", coin.Value/500)
			}
			options = append(options, chaintest.Txs(c.Pay(chaintest.From(coin), outs...)))
		case k > 20 && k <= 20+fatBlocks:
			options = append(options, chaintest.Txs(c.Pay(chaintest.From(c.Coinbase(blockName(rampBlocks/2+k))), bulk(4600)...)))
		}
		block := c.Mine(blockName(i-1), blockName(i), options...)
		if k := i - rampBlocks; k > 20 && k <= 20+fatBlocks {
			n.fat = append(n.fat, block.Hash())
		}
	}
}

// bulk is so many outputs that carry bytes.
func bulk(n int) []chaintest.Output {
	outs := make([]chaintest.Output, n)
	for i := range outs {
		outs[i] = chaintest.Data(make([]byte, 75))
	}
	return outs
}

// coins asks a node for its tip and its coin sum.
func (n *attackNet) coins() (all []coinsAt, err error) {
	clients := []*rpc.Client{n.victim.client}
	for _, s := range n.honest {
		clients = append(clients, rpc.NewClient(rpc.Dial{URL: "http://" + s.RPCAddr(), CookieFile: s.CookieFile()}))
	}
	for _, c := range clients {
		at, failed := coinsOf(n.life, c)
		all, err = append(all, at), errors.Join(err, failed)
		c.Close()
	}
	return all, err
}

// agree returns an error unless all honest nodes have one tip and the same coins.
func (n *attackNet) agree() error {
	all, err := n.coins()
	if err != nil {
		return err
	}
	for i := range all {
		if all[i] != all[0] {
			return fmt.Errorf("honest node %d has %+v, the victim %+v", i-1, all[i], all[0])
		}
	}
	return nil
}

// honestPeers are the victim's connections with the honest nodes, whose numbers stay
// the same as long as they last; an error says which is missing.
func (n *attackNet) honestPeers() ([]peerState, error) {
	all, err := n.victim.peers(n.life)
	if err != nil {
		return nil, err
	}
	var honest []peerState
	for i, s := range n.honest {
		p, ok := all[string(s.Host.ID())]
		if !ok {
			return nil, fmt.Errorf("the victim is not connected with honest node %d", i)
		}
		honest = append(honest, p)
	}
	return honest, nil
}

// victimID is the victim's name as a peer.
func (n *attackNet) victimID() p2p.PeerID { return p2p.PeerID(n.victim.ready.ID) }

// fault says whether a node has ended.
func (n *attackNet) fault() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return errors.Join(n.ended, n.victim.alive())
}

// mine makes the next block of an honest node, which is not told of it, with some
// payments that no mempool has.
func (n *attackNet) mine(s *node.Service, more []*consensus.Tx) (*consensus.Block, error) {
	var template *miner.Template
	err := s.Runner.DoSettled(n.life, func(at *node.Node, now time.Time) (err error) {
		if template, err = at.Template(now); err != nil || len(more) == 0 {
			return err
		}
		txs, fees := slices.Concat(template.Txs, more), slices.Clone(template.TxFees)
		for range more {
			fees = append(fees, loadFee)
		}
		template, err = miner.NewTemplate(n.params, at.Tip(), now, txs, fees)
		return err
	})
	if err != nil {
		return nil, err
	}
	block := template.Block(consensus.PayToKey(n.chain.Key("load")), 0, "")
	if !miner.Solve(block, sha256d.Best()) {
		return nil, errors.New("no nonce solves a block")
	}
	return block, nil
}

// pay signs a payment. The chain that knows the keys is one goroutine's at a time.
func (n *attackNet) pay(from chaintest.Coin, to ...chaintest.Output) *consensus.Tx {
	n.keys.Lock()
	defer n.keys.Unlock()
	return n.chain.Pay(chaintest.From(from), to...)
}
