//go:build linux && (amd64 || arm64)

package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/internal/trap"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/rpc"
)

// killsEnv is how many kills hit each phase; the default is a short slice.
//
//	KAPOK_KILLS=200 go test ./cmd/kapok -run KillSuite -v -timeout 3h
const killsEnv = "KAPOK_KILLS"

// killNetwork has blocks that take two hashes, and coins that may be spent soon.
const killNetwork = `
name = "kills"
spacing = 1
difficulty = "fixed"
start_bits = "207fffff"
pow_limit = "207fffff"
future_limit = 7200
coinbase_maturity = 5
genesis_time = 1767225600
genesis_text = "kills"
hrp = "kpkx"
`

const (
	roundsPerChain = 5                // of kills on one directory: a flush adds 20,000 coins
	restartLimit   = 10 * time.Second // to be back at the tip after a kill
	workLimit      = 200              // blocks within which a kill must come
)

// killPhases are aimed at in turn; calls is about how many calls a phase traps.
var killPhases = []struct {
	phase phase
	calls int
}{{starting, 20}, {connecting, 12}, {reorg, 8}, {flushing, 5}, {stopping, 16}}

// TestKillSuite kills a node of its own process with -9 while it starts, connects,
// reorganises, flushes and stops, mostly inside a system call that syncs. Started
// again it must be back by itself, with all blocks that it acknowledged, and with the
// coins of a twin that was never killed.
//
// A kill leaves what the process had written, synced or not. So the same is done with
// power cuts, after which the directory is what was synced, or that and a random part
// of the rest.
func TestKillSuite(t *testing.T) {
	rounds := 2
	if text := os.Getenv(killsEnv); text != "" {
		if _, err := fmt.Sscan(text, &rounds); err != nil {
			t.Fatal(err)
		}
	}
	chance := func() *rand.Rand { return rand.New(rand.NewPCG(uint64(os.Getpid()), 0)) }
	t.Run("killed", func(t *testing.T) { newKillings(t, chance(), nil).run(rounds) })
	t.Run("power cut, nothing unsynced kept", func(t *testing.T) {
		newKillings(t, chance(), func(d *trap.Disk) error { return d.Cut(nil) }).run(rounds)
	})
	t.Run("power cut, some pages kept", func(t *testing.T) {
		coin := chance()
		newKillings(t, coin, func(d *trap.Disk) error { return d.Cut(func() bool { return coin.IntN(2) == 0 }) }).run(rounds)
	})
}

// killings are many kills, and what became of them.
type killings struct {
	t       *testing.T
	chance  *rand.Rand
	cut     func(*trap.Disk) error // nil: no power cut
	failing bool                   // the disk fails: the node may say that it stops
	network string
	params  *consensus.Params
	nth     int // chain

	*ordeal

	hits, commits map[phase]int
	ready, back   time.Duration // the slowest
	blocks        int           // that were acknowledged
}

func newKillings(t *testing.T, chance *rand.Rand, cut func(*trap.Disk) error) *killings {
	k := &killings{t: t, chance: chance, cut: cut, network: filepath.Join(t.TempDir(), "kills.toml"),
		hits: make(map[phase]int), commits: make(map[phase]int)}
	if err := os.WriteFile(k.network, []byte(killNetwork), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if k.params, err = node.Network(k.network); err != nil {
		t.Fatal(err)
	}
	return k
}

// run kills until each phase was hit so often.
func (k *killings) run(rounds int) {
	for done := false; !done; {
		k.begin()
		for round := 0; round < roundsPerChain && !done; round++ {
			done = true
			for _, p := range killPhases {
				if k.hits[p.phase] >= rounds {
					continue
				}
				done = false
				k.kill(p.phase, p.calls)
				k.restart()
			}
		}
		k.end()
	}
	all, commits := 0, 0
	for _, p := range killPhases {
		k.t.Logf("%-8s %3d kills, %3d of them inside a commit", p.phase, k.hits[p.phase], k.commits[p.phase])
		all, commits = all+k.hits[p.phase], commits+k.commits[p.phase]
	}
	k.t.Logf("%d kills on %d chains, %d%% inside a commit; %d blocks acknowledged, none lost; slowest restart: RPC after %v, at the tip after %v",
		all, k.nth, 100*commits/all, k.blocks, k.ready.Round(time.Millisecond), k.back.Round(time.Millisecond))
	if rounds >= 10 && 5*commits < all {
		k.t.Errorf("%d of %d kills were inside a commit: fewer than 20 %%", commits, all)
	}
}

// ordeal is a chain, a node that is killed over it, and a twin that is not.
type ordeal struct {
	chain  *chaintest.Chain
	tip    string // what the victim must stand at
	next   string // the block that it had no time to answer for, or ""
	acked  []string
	n      int // names given
	dir    string
	disk   *trap.Disk
	victim *victim
	twin   *process
	told   int // how many of acked the twin knows
}

// begin starts a new chain with a few coins to spend.
func (k *killings) begin() {
	k.nth++
	dir := filepath.Join(k.t.TempDir(), fmt.Sprint(k.nth))
	if err := os.MkdirAll(filepath.Join(dir, "victim"), 0o700); err != nil {
		k.t.Fatal(err)
	}
	k.ordeal = &ordeal{chain: chaintest.New(k.t, k.params), tip: chaintest.Genesis, dir: filepath.Join(dir, "victim")}
	if k.cut != nil {
		var err error
		if k.disk, err = trap.NewDisk(k.dir); err != nil {
			k.t.Fatal(err)
		}
	}
	k.twin = startProcess(k.t, k.network, filepath.Join(dir, "twin"))
	k.victim = k.start(nil)
	if !k.wait(k.victim.ready) {
		k.t.Fatalf("a new node does not start: %v\n%s", k.victim.status, k.victim.said.String())
	}
	for range int(k.params.Maturity) + 3 {
		k.work(connecting)
	}
}

func (k *killings) end() {
	k.victim.kill()
	k.twin.kill()
	os.RemoveAll(filepath.Dir(k.dir))
}

func (k *killings) start(a *aim) *victim { return startVictim(k.t, k.network, k.dir, k.disk, a) }

// wait reports whether something comes to pass before the victim dies, and in time.
func (k *killings) wait(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-k.victim.dead:
	case <-time.After(restartLimit):
	}
	return false
}

// kill aims at a phase and makes the victim come to it, until it dies.
func (k *killings) kill(p phase, calls int) {
	a := newAim(k.chance, p, calls)
	switch p {
	case starting, stopping:
		k.victim.aimAt(a)
		k.victim.stop()
		if err := k.victim.ended(restartLimit); err != nil {
			k.t.Fatalf("asked to stop: %v", err)
		}
		for p == starting && !k.victim.killed() { // a new start, until one is killed
			k.victim = k.start(a)
			if k.wait(k.victim.ready); !k.died() {
				k.victim.stop()
				if err := k.victim.ended(restartLimit); err != nil {
					k.t.Fatalf("asked to stop: %v", err)
				}
				a = newAim(k.chance, p, calls)
			}
		}
	default:
		k.victim.aimAt(a)
		for i := 0; k.work(p); i++ {
			if i == workLimit {
				k.t.Fatalf("no kill in phase %s within %d blocks; calls by phase: %v", p, workLimit, k.victim.calls)
			}
		}
	}
	if !k.victim.killed() {
		if p == stopping {
			return // it was faster than the kill
		}
		k.t.Fatalf("aimed at phase %s, and the node ended by itself: %v\n%s", p, k.victim.status, k.victim.said.String())
	}
	at, commit := k.victim.hit()
	k.hits[at]++
	where := "between calls"
	if k.victim.held != nil {
		where = k.victim.held.Name + " " + filepath.Base(k.victim.held.Path)
	}
	if commit {
		k.commits[at]++
	}
	k.t.Logf("killed in phase %s (%s), at height %d", at, where, k.chain.Index(k.tip).Height)
	if err := errors.Join(k.victim.errors...); err != nil {
		k.t.Fatalf("the disk: %v", err)
	}
	if k.cut != nil {
		if err := k.cut(k.disk); err != nil {
			k.t.Fatalf("power cut: %v", err)
		}
	}
}

// died waits a moment for a kill that is on its way.
func (k *killings) died() bool {
	select {
	case <-k.victim.dead:
		return true
	case <-time.After(20 * time.Millisecond):
		return false
	}
}

// restart starts the victim again, and looks what is left.
func (k *killings) restart() {
	k.victim = k.start(nil)
	v := k.victim
	if !k.wait(v.ready) {
		v.kill()
		k.t.Fatalf("it does not start again by itself: %v\n%s", v.status, v.said.String())
	}
	k.ready = max(k.ready, time.Since(v.begun))
	possible := []consensus.Hash{k.chain.Hash(k.tip)}
	if k.next != "" {
		possible = append(possible, k.chain.Hash(k.next))
	}
	var tip consensus.Hash
	k.until("back at the tip", func() (bool, error) {
		err := v.client.Call(k.t.Context(), "getbestblockhash", &tip)
		return slices.Contains(possible, tip), err
	})
	k.back = max(k.back, time.Since(v.begun))
	k.until("the coins recounted", func() (bool, error) {
		return v.logged("recounted the coins after an unclean stop") || v.logged(`msg="the node is at work" clean=true`), nil
	})
	if v.logged("damaged") {
		k.t.Fatalf("after the kill something is damaged:\n%s", v.said.String())
	}
	for _, name := range k.acked[max(0, len(k.acked)-50):] {
		var raw string
		err := v.client.Call(k.t.Context(), "getblock", &raw, k.chain.Hash(name).String(), 0)
		if want := hex.EncodeToString(k.chain.Block(name).Bytes()); err != nil || raw != want {
			k.t.Fatalf("block %s was acknowledged before the kill, and is lost: %v", name, err)
		}
	}
	blameless(k.t, v.client)
	if k.next != "" {
		k.submit(k.next)
	}
	k.compare()
}

// blameless makes sure that a node holds no block for invalid.
func blameless(t *testing.T, client *rpc.Client) {
	t.Helper()
	var tips []struct {
		Status string `json:"status"`
		Hash   string `json:"hash"`
	}
	if err := client.Call(t.Context(), "getchaintips", &tips); err != nil {
		t.Fatal(err)
	}
	for _, tip := range tips {
		if tip.Status == "invalid" {
			t.Fatalf("block %s is held for invalid", tip.Hash)
		}
	}
}

// compare brings the twin to the victim's blocks. Then they must have the same coins.
func (k *killings) compare() {
	for ; k.told < len(k.acked); k.told++ {
		if _, err := k.twin.client.SubmitBlock(k.t.Context(), k.chain.Block(k.acked[k.told])); err != nil {
			k.t.Fatalf("the twin: %v", err)
		}
	}
	if same, err := sameCoins(k.t.Context(), 0, k.twin, &process{client: k.victim.client}); !same {
		k.t.Fatalf("not the coins of a node that was never killed: %v", err)
	}
}

func (k *killings) until(what string, done func() (bool, error)) {
	k.t.Helper()
	again := time.NewTicker(2 * time.Millisecond) // another process tells of nothing by itself
	defer again.Stop()
	for ; ; <-again.C {
		ok, err := done()
		if ok {
			return
		}
		if time.Since(k.victim.begun) > restartLimit {
			k.victim.kill()
			k.t.Fatalf("not %s within %v: %v\n%s", what, restartLimit, err, k.victim.said.String())
		}
	}
}

// work gives the victim something that brings it to a phase. It reports whether the
// victim lives.
func (k *killings) work(p phase) bool {
	switch p {
	case reorg:
		depth := min(1+k.chance.IntN(4), int(k.chain.Index(k.tip).Height))
		from := k.tip
		for range depth {
			from = k.chain.Name(k.chain.Block(from).Header.Prev)
		}
		for range depth + 1 {
			from = k.mine(from)
			if !k.submit(from) {
				return false
			}
		}
		return true
	case flushing: // more coins than the cache holds, and now and then more than one transaction does
		return k.submit(k.mine(k.tip, k.fan(8_000+k.chance.IntN(2)*14_000)))
	default:
		options := []chaintest.Option{}
		if k.chance.IntN(2) == 0 && len(k.acked) > int(k.params.Maturity) {
			options = append(options, k.fan(1+k.chance.IntN(60)))
		}
		return k.submit(k.mine(k.tip, options...))
	}
}

// mine makes a block.
func (k *killings) mine(parent string, options ...chaintest.Option) string {
	k.n++
	name := fmt.Sprintf("b%d", k.n)
	k.chain.Mine(parent, name, options...)
	return name
}

// fan spends the youngest coinbase that may be spent, into many coins.
func (k *killings) fan(outputs int) chaintest.Option {
	name := k.tip
	for range int(k.params.Maturity) - 1 {
		name = k.chain.Name(k.chain.Block(name).Header.Prev)
	}
	coin := k.chain.Coinbase(name)
	var to []chaintest.Output
	for range outputs {
		to = append(to, chaintest.To("many", 1000))
	}
	return chaintest.Txs(k.chain.Pay(chaintest.From(coin), to...))
}

// submit hands a block to the victim. It reports whether the victim lives, and has
// acknowledged the block then.
func (k *killings) submit(name string) bool {
	k.t.Helper()
	k.next = name
	reason, err := k.victim.client.SubmitBlock(k.t.Context(), k.chain.Block(name))
	var refused *rpc.Error
	switch {
	case k.failing && errors.As(err, &refused):
		return false
	case errors.As(err, &refused) || err == nil && reason != "" && reason != "inconclusive" && !strings.HasPrefix(reason, "duplicate"):
		k.victim.kill()
		k.t.Fatalf("block %s at height %d on %s is refused: %q %v\n%s", name, k.chain.Index(name).Height,
			k.chain.Name(k.chain.Block(name).Header.Prev), reason, err, k.victim.said.String())
	case err != nil:
		if late := k.victim.ended(restartLimit); late != nil {
			k.t.Fatalf("no answer for block %s (%v), and %v", name, err, late)
		}
		return false
	}
	k.next = ""
	k.acked = append(k.acked, name)
	k.blocks++
	if k.chain.Index(name).Height > k.chain.Index(k.tip).Height {
		k.tip = name
	}
	return true
}
