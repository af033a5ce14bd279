package storage

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

const (
	childEnv  = "KAPOK_STORAGE_CHILD" // directory that a child of TestKilled works in
	roundsEnv = "KAPOK_STORAGE_KILLS" // kills of TestKilled; the default is a short slice
	childSeed = 77                    // of the blocks, the same in parent and child
	childMost = 5000                  // blocks that a child makes before it ends by itself
	childSize = 30 * cachedCoinSize   // coin cache: flushes every few blocks
)

// asChild turns the test binary into the process that is killed: it connects
// blocks, with a reorganisation now and then, and prints each one acknowledged.
func asChild() bool {
	dir := os.Getenv(childEnv)
	if dir == "" {
		return false
	}
	w := newWorld(childSeed)
	s, err := Open(w.params, Options{Dir: dir, Index: true, Lean: true, CoinCacheBytes: childSize})
	if err != nil {
		fmt.Println("error", err)
		return true
	}
	script := newScript(w)
	at := w.root
	resumed := s.Tip() == at.hash
	for range childMost {
		to := script.next()
		if !resumed { // walk the script up to where the last child was killed
			resumed = to.hash == s.Tip()
			at = to
			continue
		}
		if err := walk(lazy{s}, at, to); err != nil { // one sync for all that is acknowledged
			fmt.Println("error", err)
			return true
		}
		if err := s.Sync(); err != nil {
			fmt.Println("error", err)
			return true
		}
		at = to
		fmt.Println("ack", to.hash)
	}
	return true
}

// script is a fixed sequence of tips: mostly the next block, every seventh time
// a fork that is one block longer.
type script struct {
	w   *world
	tip *node
	n   int
}

func newScript(w *world) *script { return &script{w: w, tip: w.root} }

func (s *script) next() *node {
	s.n++
	if s.n%7 == 0 {
		fork := s.tip.parent
		s.tip = s.w.grow(s.w.grow(fork, 2), 2)
	} else {
		s.tip = s.w.grow(s.tip, 3)
	}
	return s.tip
}

// TestKilled kills a process that writes, at moments that nobody chose, and
// looks at what it left: all that it acknowledged must be there. The rounds are
// a short slice; KAPOK_STORAGE_KILLS=500 makes them a long one.
func TestKilled(t *testing.T) {
	rounds := 4
	if text := os.Getenv(roundsEnv); text != "" {
		_, err := fmt.Sscan(text, &rounds)
		must(t, err)
	}
	dir := t.TempDir()
	w := newWorld(childSeed)
	script := newScript(w)
	chance := rand.New(rand.NewPCG(uint64(os.Getpid()), 0))
	acked, ahead := w.root, script.next() // the child may have done one step that it could not tell
	nodes := []*node{w.root, ahead.parent, ahead}
	for round := range rounds {
		for _, hash := range runAndKill(t, dir, 3+chance.IntN(25)) {
			if hash != ahead.hash.String() {
				t.Fatalf("round %d: acknowledged %s, expected %v", round, hash, ahead.hash)
			}
			acked, ahead = ahead, script.next()
			nodes = append(nodes, ahead.parent, ahead)
		}
		if runtime.GOOS != "windows" {
			refused(t, w.params, Options{Dir: dir, Lean: true, ReadOnly: true}, ErrUnclean, dir)
		}
		s, err := Open(w.params, Options{Dir: dir, Index: true, Lean: true})
		must(t, err)
		t.Cleanup(func() { kill(s) })
		for n := acked; n.parent != nil; n = n.parent {
			_, err := s.Block(n.hash)
			if err == nil {
				_, err = s.Undo(n.hash)
			}
			if err != nil {
				t.Fatalf("round %d: acknowledged block at height %d: %v", round, n.height, err)
			}
		}
		at := find(t, nodes, s.Tip())
		must(t, agree(s, at, true))
		must(t, walk(s, at, acked))
		must(t, agree(s, acked, true))
		t.Logf("round %d: killed at height %d, coins flushed at height %d", round, acked.height, at.height)
		must(t, s.Close())
	}
}

// runAndKill runs a child until it acknowledged some tips, kills it, and returns
// all the tips that it acknowledged.
func runAndKill(t *testing.T, dir string, after int) (acked []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		hash, ok := strings.CutPrefix(lines.Text(), "ack ")
		if !ok {
			t.Fatalf("the child says %q", lines.Text())
		}
		if acked = append(acked, hash); len(acked) == after {
			must(t, cmd.Process.Kill())
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the child ended before it was killed")
	}
	return acked
}
