package conformance

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/storage"
)

// What a kill leaves of a reorganisation, and what a database with small
// transactions makes of it: cases 139 and 140.

// crashInAReorg kills a node after each step of a reorganisation of six blocks,
// with the coins written to disk before it, or never. It comes up at the tip of
// either branch, or in the latter case at genesis, with the coins of that tip, and ends on the better one.
// Before the first step the last block, of which nobody was told, is in memory alone:
// then it ends where it was.
func crashInAReorg(s *stage) {
	s.Grow("genesis - r1 - r2 - r3")
	s.busy("r3", "a", 1, 6)
	s.busy("r3", "b", 1, 7)
	if os.Getenv(crashEnv) != "" {
		s.waitToBeKilled()
		return
	}
	const steps = 13 // six blocks off, seven on
	for _, flushed := range []bool{false, true} {
		for step := range steps + 1 {
			n := newSeat(s, fmt.Sprintf("in memory, killed after step %d, coins flushed %v", step, flushed), submitBlock)
			n.reorganise(step, flushed)
			if last := n.tipIs("b7")(); last != (step == steps) {
				s.t.Errorf("%s: at the better tip %v", n.door, last)
			}
			n.open(n.store.(*storage.Memory).Crash())
			n.recovered(step, flushed)
			if longRun() || flushed && step%4 == 2 {
				s.killProcess(step, flushed)
			}
		}
	}
}

// reorganise brings a node to a6, stores the better branch, and takes so many
// steps towards it.
func (n *seat) reorganise(steps int, flushed bool) {
	n.s.t.Helper()
	for _, block := range n.s.Path("a6") {
		if rule := n.take(block); rule != nil {
			n.s.t.Fatal(rule)
		}
	}
	if flushed {
		n.s.check(n.store.Flush())
	}
	for _, block := range n.s.Path("b7")[3:] {
		n.s.check(n.store.Sync()) // those before it were answered
		if rule := submitBlock(n, block); rule != nil {
			n.s.t.Fatal(rule)
		}
	}
	if steps > 0 {
		n.s.check(n.store.Sync()) // as a tick does
	}
	for range steps {
		if !n.step() {
			n.s.t.Fatal("the reorganisation has ended before")
		}
	}
}

// recovered checks the tip and the coins of a node that was just started, and
// walks on. Where its coins were never flushed it may start at genesis.
func (n *seat) recovered(step int, flushed bool) {
	n.s.t.Helper()
	end := "b7"
	if step == 0 {
		end = "a6"
	}
	name := n.s.Name(n.Tip().Hash)
	if n.store.Sum() != tally(n.s.Path(name)) {
		n.s.t.Errorf("%s: it starts at %s, with the coins of another block", n.door, name)
	}
	if tip := name == "a6" || name == "b7"; !tip && (flushed || name != chaintest.Genesis) {
		n.s.t.Errorf("%s: it starts at %s, the tip of neither branch", n.door, name)
	}
	n.s.check(n.Advance(n.s.now, verifier))
	if !n.tipIs(end)() || n.store.Sum() != tally(n.s.Path(end)) {
		n.s.t.Errorf("%s: it ends at %s, want %s, coin sum %v", n.door, n.s.Name(n.Tip().Hash), end, n.store.Sum())
	}
}

// crashEnv turns the test binary into the process that is killed. It holds the
// directory, the steps, and whether coins are flushed.
const crashEnv = "KAPOK_CONFORMANCE_CRASH"

// killProcess starts a process that stops in the middle of the reorganisation,
// kills it, and starts a node on the files that it left.
func (s *stage) killProcess(steps int, flushed bool) {
	s.t.Helper()
	dir := s.t.TempDir()
	self, err := os.Executable()
	s.check(err)
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "-test.run=^TestConformance$/^G$/^139")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %v %s", crashEnv, steps, flushed, dir))
	in, err := cmd.StdinPipe()
	s.check(err)
	defer in.Close()
	out, err := cmd.StdoutPipe()
	s.check(err)
	s.check(cmd.Start())
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "waiting" {
		rest, _ := io.ReadAll(out)
		s.t.Fatalf("the process says %q%s", lines.Text(), rest)
	}
	s.check(cmd.Process.Kill())
	if err := cmd.Wait(); err == nil {
		s.t.Fatal("the process ended before it was killed")
	}
	n := newSeat(s, fmt.Sprintf("on Badger, killed after step %d, coins flushed %v", steps, flushed), submitBlock)
	store := s.badger(dir)
	n.open(store)
	n.recovered(steps, flushed)
	s.check(store.Close())
}

// waitToBeKilled is what that process does.
func (s *stage) waitToBeKilled() {
	var steps int
	var flushed bool
	var dir string
	_, err := fmt.Sscan(os.Getenv(crashEnv), &steps, &flushed, &dir)
	s.check(err)
	store, err := storage.Open(s.Params, storage.Options{Dir: dir, Index: true, Lean: true})
	s.check(err)
	n := newSeat(s, "to be killed", submitBlock)
	n.open(store)
	n.reorganise(steps, flushed)
	fmt.Println("waiting")
	_, err = io.Copy(io.Discard, os.Stdin)
	s.t.Fatalf("nobody killed the process: %v", err)
}

// beyondOneTransaction reorganises between branches of which every block makes
// as many coins as its weight allows. A transaction of a lean Badger takes about
// 25,000 writes, so that neither the index entries of one block nor the coins of
// two fit into one.
func beyondOneTransaction(s *stage) {
	const outputs = 23_000
	full := chaintest.Edit(func(b *consensus.Block) {
		outs := b.Txs[0].Outputs
		outs[0].Value -= outputs
		for range outputs {
			outs = append(outs, consensus.TxOut{Value: 1, Script: outs[0].Script})
		}
		b.Txs[0].Outputs = outs
	})
	s.Grow("genesis - a1 \n genesis - b1 - b2", full)
	s.Grow("a1 - a2 - a3")
	dir := s.t.TempDir()
	n := newSeat(s, "submit", submitBlock)
	n.open(s.badger(dir))
	s.nodes = []*seat{n}
	for _, tip := range []string{"a1", "b2", "a3"} {
		s.accept(tip)
		s.check(n.store.Flush())
		n.recounted(tip)
		s.check(n.store.Close())
		n.open(s.badger(dir))
		n.recounted(tip)
	}
}

// recounted compares the coins in the store, one by one, with their sum.
func (n *seat) recounted(tip string) {
	n.s.t.Helper()
	found, kept, err := n.store.Recount(n.s.t.Context())
	n.s.check(err)
	if found != kept || !n.tipIs(tip)() {
		n.s.t.Errorf("at %s, which should be %s, the coins are %v, and should be %v", n.s.Name(n.Tip().Hash), tip, found, kept)
	}
}
