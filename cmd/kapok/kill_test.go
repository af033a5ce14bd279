package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/rpc"
	"github.com/kapok-chain/kapok/wallet"
)

// raceNetwork finds a block about every 4,096 hashes, so that a few miners
// slowed to 20,000 hashes a second race for one several times a second.
const raceNetwork = `
name = "race"
spacing = 1
difficulty = "fixed"
start_bits = "1f0fffff"
pow_limit = "1f0fffff"
future_limit = 7200
coinbase_maturity = 5
genesis_time = 1767225600
genesis_text = "race"
hrp = "kpkx"
`

// process is a node in a process of its own.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	ready  readyEvent
	client *rpc.Client
	read   sync.WaitGroup

	mu   sync.Mutex
	tips []tipEvent // every block that it acknowledged on its output
}

// startProcess runs `kapok node` and waits until it is ready.
func startProcess(t *testing.T, file, dir string, args ...string) *process {
	t.Helper()
	p := &process{t: t}
	p.cmd = exec.Command("kapok", append([]string{"node", "--json", "--network", file, "--datadir", dir,
		"--rpc", "127.0.0.1:0", "--no-quic", "--lean", "--listen", "127.0.0.1:0"}, args...)...)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	lines := bufio.NewReader(out)
	first, err := readEvent(lines)
	if err != nil || first.Ready == nil {
		t.Fatalf("the node said %+v (%v) instead of being ready", first, err)
	}
	p.ready = *first.Ready
	p.client = rpc.NewClient(rpc.Dial{URL: "http://" + p.ready.RPC, CookieFile: p.ready.Cookie})
	p.read.Go(func() {
		for {
			e, err := readEvent(lines)
			if err != nil {
				return
			}
			if e.Tip != nil {
				p.mu.Lock()
				p.tips = append(p.tips, *e.Tip)
				p.mu.Unlock()
			}
		}
	})
	return p
}

// kill ends the process as a power cut would, and reads what it had said.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have been killed before
	p.read.Wait()
	_ = p.cmd.Wait()
}

func (p *process) acknowledged() []tipEvent {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.tips)
}

// eventually polls a condition that several processes must come to.
func eventually(t *testing.T, what string, done func() (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not within a minute: %s (%v)", what, err)
		}
	}
}

// sameCoins reports whether all nodes stand at one tip, at least so high, with
// the same coins.
func sameCoins(ctx context.Context, height uint32, nodes ...*process) (bool, error) {
	var first coinsAt
	for i, p := range nodes {
		at, err := coinsOf(ctx, p.client)
		if err != nil {
			return false, err
		}
		if i == 0 {
			first = at
		}
		if at != first || at.Height < height {
			return false, fmt.Errorf("node %d stands at %+v, node 1 at %+v", i+1, at, first)
		}
	}
	return true, nil
}

// Three processes, two of them mining against each other; a payment from one
// confirms on all; the first is killed with -9 in the middle of mining and
// started again: it comes to the same tip and coins as the others, and has every
// block that it ever acknowledged.
func TestThreeProcessesAndAKill(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "race.toml")
	if err := os.WriteFile(file, []byte(raceNetwork), 0o600); err != nil {
		t.Fatal(err)
	}
	params, err := node.Network(file)
	if err != nil {
		t.Fatal(err)
	}
	payer, err := newDevWallet(params, wallet.DevWordsA)
	if err != nil {
		t.Fatal(err)
	}
	payee, err := newDevWallet(params, wallet.DevWordsB)
	if err != nil {
		t.Fatal(err)
	}
	mining := []string{"--mine", payer.address, "--threads", "1", "--max-hashrate", "20k"}
	n1 := startProcess(t, file, filepath.Join(dir, "n1"), mining...)
	n2 := startProcess(t, file, filepath.Join(dir, "n2"), append(mining, "--peer", n1.ready.Addresses[0])...)
	n3 := startProcess(t, file, filepath.Join(dir, "n3"), "--peer", n1.ready.Addresses[0], "--peer", n2.ready.Addresses[0])
	eventually(t, "20 blocks on all nodes", func() (bool, error) { return sameCoins(t.Context(), 20, n1, n2, n3) })

	out, err := exec.Command("kapok", "wallet", "send", "--network", file, "--dev-wallet", "a", "--json",
		"--rpc", n3.ready.RPC, "--cookie", n3.ready.Cookie, payee.address, "1.5").Output()
	if err != nil {
		t.Fatalf("wallet send: %v", err)
	}
	var sent struct {
		TxID consensus.Hash `json:"txid"`
	}
	if err := json.Unmarshal(out, &sent); err != nil {
		t.Fatalf("wallet send printed %q: %v", out, err)
	}
	eventually(t, "the payment on all nodes", func() (bool, error) {
		for _, p := range []*process{n1, n2, n3} {
			at, err := confirmationOf(t.Context(), p.client, sent.TxID)
			if err != nil || at.height == 0 {
				return false, err
			}
		}
		return true, nil
	})

	n1.kill()
	before := n1.acknowledged()
	if len(before) < 20 {
		t.Fatalf("node 1 acknowledged %d blocks only", len(before))
	}
	behind := before[len(before)-1].Height + 3
	eventually(t, "three blocks without node 1", func() (bool, error) { return sameCoins(t.Context(), behind, n2, n3) })

	again := startProcess(t, file, filepath.Join(dir, "n1"), append(mining, "--peer", n2.ready.Addresses[0])...)
	for _, tip := range before {
		var block struct {
			Hash string `json:"hash"`
		}
		if err := again.client.Call(t.Context(), "getblock", &block, tip.Hash); err != nil || block.Hash != tip.Hash {
			t.Errorf("block %d %s was acknowledged before the kill, and is lost: %v", tip.Height, tip.Hash, err)
		}
	}
	eventually(t, "one tip and one coin sum again", func() (bool, error) { return sameCoins(t.Context(), behind+3, again, n2, n3) })
	t.Logf("%d blocks acknowledged before the kill, none lost", len(before))
}
