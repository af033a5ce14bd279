//go:build linux && (amd64 || arm64)

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/internal/trap"
	"github.com/kapok-chain/kapok/rpc"
)

// phase is what a node is doing, as its own log says.
type phase string

const (
	starting   phase = "start"
	idle       phase = "idle"
	connecting phase = "connect"
	reorg      phase = "reorg"
	flushing   phase = "flush"
	stopping   phase = "shutdown"
	closing    phase = "shutdown, closing" // no commit any more
)

// victim is a node whose calls on its data directory are trapped.
type victim struct {
	t      *testing.T
	dir    string
	cmd    *exec.Cmd
	begun  time.Time
	client *rpc.Client
	ready  chan struct{} // closed when it answers RPC
	dead   chan struct{} // closed when the process has ended and all of it was read
	status error         // of the process, once it is dead

	log  *os.File // its stderr
	disk *trap.Disk
	aim  *aim

	mu     sync.Mutex
	at     phase
	within phase // what a flush is part of
	read   int64 // bytes of the log
	rest   []byte
	said   strings.Builder
	calls  map[phase]int // trapped so far
	held   *trap.Call    // that the process died in
	errors []error
}

// aim is the call to kill a victim at: so many in a phase after this moment, at the
// call itself or somewhat later. With an error number the call fails instead, and so
// do all after it where that lasts.
type aim struct {
	phase   phase
	calls   int
	later   time.Duration
	errno   syscall.Errno
	lasting bool
}

// newAim chooses any of the first so many calls.
func newAim(chance *rand.Rand, p phase, calls int) *aim {
	a := &aim{phase: p, calls: 1 + chance.IntN(calls)}
	if chance.IntN(3) == 0 {
		a.later = time.Duration(chance.IntN(3000)) * time.Microsecond
	}
	return a
}

// startVictim runs `kapok node` on a directory. A disk, if there is one, is told of
// its syncs.
func startVictim(t *testing.T, network, dir string, disk *trap.Disk, a *aim, args ...string) *victim {
	t.Helper()
	v := &victim{t: t, dir: dir, disk: disk, aim: a, at: starting, begun: time.Now(),
		ready: make(chan struct{}), dead: make(chan struct{}), calls: make(map[phase]int)}
	var err error
	if v.log, err = os.OpenFile(filepath.Join(filepath.Dir(dir), filepath.Base(dir)+".log"), os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600); err != nil {
		t.Fatal(err)
	}
	v.cmd = exec.Command("kapok", append([]string{"node", "--json", "--network", network, "--datadir", dir,
		"--rpc", "127.0.0.1:0", "--listen", "none", "--no-quic", "--lean", "--coin-cache-mb", "1", "--log", "debug"}, args...)...)
	v.cmd.Stderr = v.log
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	calls := append(trap.Syncs(), "ftruncate", "unlinkat")
	if a != nil && a.errno != 0 {
		calls = slices.Compact(slices.Sorted(slices.Values(append(trap.Syncs(), trap.Changes()...))))
	}
	joined, err := trap.Start(v.cmd, dir, calls, v.answer)
	if err != nil {
		t.Skipf("calls cannot be trapped here: %v", err)
	}
	go func() {
		lines := bufio.NewReader(out)
		if first, err := readEvent(lines); err == nil && first.Ready != nil {
			v.client = rpc.NewClient(rpc.Dial{URL: "http://" + first.Ready.RPC, CookieFile: first.Ready.Cookie})
			close(v.ready)
		}
		io.Copy(io.Discard, lines)
		v.status = v.cmd.Wait()
		joined()
		close(v.dead)
	}()
	t.Cleanup(func() {
		v.kill()
		v.log.Close()
	})
	return v
}

// answer decides on a call. The log is a file, so it says where the process is that
// waits meanwhile.
func (v *victim) answer(c trap.Call) trap.Answer {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.follow()
	v.calls[v.at]++
	if v.disk != nil {
		if err := v.disk.Note(c); err != nil {
			v.errors = append(v.errors, err)
		}
	}
	a := v.aim
	if a == nil || a.phase != v.at && !(a.phase == stopping && v.at == closing) && !(v.held != nil && a.lasting) {
		return trap.Pass()
	}
	if v.held != nil && a.errno != 0 {
		if a.lasting && !badgers(c.Path) {
			return trap.Fail(int32(a.errno))
		}
		return trap.Pass()
	}
	if a.errno != 0 && badgers(c.Path) {
		return trap.Pass()
	}
	if a.calls--; a.calls != 0 {
		return trap.Pass()
	}
	if a.errno != 0 {
		v.held = &c
		return trap.Fail(int32(a.errno))
	}
	if a.later > 0 {
		time.AfterFunc(a.later, func() { v.cmd.Process.Kill() })
		return trap.Pass()
	}
	v.held = &c
	return trap.Kill()
}

// badgers reports whether a file is one of those where Badger 4.9.6 itself does the
// wrong thing with an error: a compaction goes on without a table that could not be
// made, and drops what was to be in it; a table that the manifest could not be synced
// for is removed, though the manifest names it.
func badgers(path string) bool {
	return filepath.Ext(path) == ".sst" || strings.HasPrefix(filepath.Base(path), "MANIFEST")
}

// aimAt is a new aim for a victim at work.
func (v *victim) aimAt(a *aim) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.aim = a
}

// steps are lines of the log, by what they begin with, and the phase that they begin.
var steps = []struct {
	line string
	to   phase
}{
	{`msg="the node is at work"`, idle},
	{`msg="taking a step"`, connecting},
	{`msg="new tip"`, idle},
	{`msg="flushing the coins"`, flushing},
	{`msg="flushed the coins"`, ""}, // back to where it was
	{`msg="the node stops"`, stopping},
	{`msg="closing the database"`, closing},
}

// follow reads what the process has logged since.
func (v *victim) follow() {
	buffer := make([]byte, 64<<10)
	for {
		n, err := v.log.ReadAt(buffer, v.read) // its offset is the child's
		v.read += int64(n)
		v.rest = append(v.rest, buffer[:n]...)
		if n == 0 || err != nil {
			break
		}
	}
	for {
		line, rest, complete := bytes.Cut(v.rest, []byte("\n"))
		if !complete {
			return
		}
		v.rest = rest
		v.step(string(line))
	}
}

func (v *victim) step(line string) {
	v.said.WriteString(line + "\n")
	for _, s := range steps {
		if !strings.Contains(line, s.line) {
			continue
		}
		switch {
		case v.at == stopping && s.to != closing || v.at == closing:
		case s.to == flushing:
			v.at, v.within = flushing, v.at
		case s.to == "":
			v.at = v.within
		case s.to == connecting && (v.at == reorg || strings.Contains(line, "detach=true")):
			v.at = reorg
		default:
			v.at = s.to
		}
	}
}

// kill ends the process, if it is alive, and reads what it had logged.
func (v *victim) kill() {
	_ = v.cmd.Process.Kill()
	<-v.dead
	v.mu.Lock()
	defer v.mu.Unlock()
	v.follow()
}

// stop asks the process to end.
func (v *victim) stop() { _ = v.cmd.Process.Signal(syscall.SIGTERM) }

// ended waits for the process, and for what it had logged.
func (v *victim) ended(limit time.Duration) error {
	select {
	case <-v.dead:
		v.kill()
		return nil
	case <-time.After(limit):
		return fmt.Errorf("it still runs after %v", limit)
	}
}

// killed reports whether the process died by SIGKILL.
func (v *victim) killed() bool {
	status, ok := v.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// hit says what the process did when it died, and whether that was a commit of the
// database: it waited in the sync of a log.
func (v *victim) hit() (p phase, commit bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	p = v.at
	if v.held != nil && v.held.Name == "msync" && p != closing {
		ext := filepath.Ext(v.held.Path)
		commit = ext == ".mem" || ext == ".vlog"
	}
	if p == closing {
		p = stopping
	}
	return p, commit
}

// struck reports whether the call that was aimed at failed.
func (v *victim) struck() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.held != nil
}

// logged reports whether the process has logged a text.
func (v *victim) logged(text string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.follow()
	return strings.Contains(v.said.String(), text)
}
