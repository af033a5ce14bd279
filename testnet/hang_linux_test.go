package testnet

import (
	"context"
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/testnet/spec"
)

// hangs stops a node's process until the function that it returns is called, or the test
// ends.
func hangs(t *testing.T, s *seat) (goOn func()) {
	t.Helper()
	m, _ := s.current()
	freeze(t, m.where().PID)
	goOn = sync.OnceFunc(func() {
		if err := syscall.Kill(m.where().PID, syscall.SIGCONT); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(goOn)
	return goOn
}

// freeze stops a process that is a child of this one, and returns when all of its threads
// have stopped: until then one may still answer.
func freeze(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(pid, &status, syscall.WUNTRACED, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || !status.Stopped() {
			t.Fatalf("process %d did not stop: %v, %v", pid, status, err)
		}
		return
	}
}

// A process that hangs, so that nobody reads what is written to it, keeps nobody waiting
// past their patience; and it is the old one when it goes on.
func TestProcessThatHangs(t *testing.T) {
	t.Parallel()
	s := smallSpec(t, 3)
	s.Nodes[2].Process = true
	quiet(s)
	r := smallRun(t, smallOptions(t, s))
	hung := r.net.seats[2]
	goOn := hangs(t, hung)
	const calls = 20 // of 10 kB, more than a pipe takes
	answers := make(chan error, calls)
	for range calls {
		go func() {
			_, err := hung.get(context.Background(), &command{Op: opForget, Addr: strings.Repeat("x", 10_000)}, 200*time.Millisecond)
			answers <- err
		}()
	}
	late := time.After(commandTime)
	for range calls {
		select {
		case err := <-answers:
			if !errors.Is(err, errSilent) {
				t.Errorf("a node that hangs answers %v", err)
			}
		case <-late:
			goOn()
			t.Fatal("a caller waits longer than its patience")
		}
	}
	if _, up := r.net.seats[0].probe(t.Context()); !up {
		t.Error("the others do not answer either")
	}
	goOn()
	if _, up := hung.probe(t.Context()); !up || r.net.failed.Err() != nil {
		t.Error("it does not answer when it goes on")
	}
	if err := r.act(t.Context(), t.Context(), &spec.Event{Kind: spec.Stop, Nodes: []int{2}}); err != nil {
		t.Error(err)
	}
}

// Of a node that hangs nobody learns what is in the blocks; the next one is asked then.
func TestLearnsPastANodeThatHangs(t *testing.T) {
	t.Parallel()
	s := smallSpec(t, 2)
	s.Nodes[0].Process = true
	r := smallRun(t, smallOptions(t, s))
	eventually(t, r, "a block at both nodes", func() bool { return lowest(r.recorder.tips) > s.Prelude })
	if err := r.mine(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if err := r.agree(t.Context()); err != nil {
		t.Fatal(err)
	}
	hangs(t, r.net.seats[0])
	ctx, cancel := context.WithTimeout(t.Context(), commandTime)
	defer cancel()
	if err := r.learn(ctx, r.net.client, 500*time.Millisecond); err != nil || r.ledger.best.IsZero() {
		t.Errorf("learn returned %v", err)
	}
}

// One node that hangs keeps none of the others from saying what the run ended with.
func TestConcludesBesideANodeThatHangs(t *testing.T) {
	t.Parallel()
	s := smallSpec(t, 3)
	s.Nodes[1].Process, s.Nodes[2].Process = true, true
	r := smallRun(t, smallOptions(t, s))
	eventually(t, r, "a block", func() bool { return lowest(r.recorder.tips) > s.Prelude })
	r.from = r.mark(t.Context(), commandTime)
	hangs(t, r.net.seats[2])
	const patience = 2 * time.Second
	began := time.Now()
	r.conclude(t.Context(), patience)
	if took := time.Since(began); took > 4*patience { // it is waited for twice
		t.Errorf("it took %v", took)
	}
	end := r.manifest.End
	if end == nil || len(end.Nodes) != 2 || end.Nodes[0].Node != 1 || end.Nodes[1].Node != 2 {
		t.Errorf("the end is %+v", end)
	}
	if why := r.manifest.PaymentsUnknown; !strings.Contains(why, "node 3") || strings.Contains(why, "block") || r.ledger.best.IsZero() {
		t.Errorf("payments are unknown, since %q; the best block is %s", why, r.ledger.best)
	}
}

// A process that hangs is killed like any other, and soon.
func TestKillsANodeThatHangs(t *testing.T) {
	t.Parallel()
	s := smallSpec(t, 2)
	s.Nodes[1].Process = true
	quiet(s)
	r := smallRun(t, smallOptions(t, s))
	m, _ := r.net.seats[1].current()
	freeze(t, m.where().PID)
	began := time.Now()
	if err := r.act(t.Context(), t.Context(), &spec.Event{Kind: spec.Kill, Nodes: []int{1}}); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 10*lastWordTime {
		t.Errorf("it took %v to kill it", took)
	}
	if up := r.net.running(); len(up) != 1 || r.net.failed.Err() != nil {
		t.Errorf("nodes %v run: %v", up, context.Cause(r.net.failed))
	}
}
