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

// A process that hangs, so that nobody reads what is written to it, keeps nobody waiting
// past their patience; and it is the old one when it goes on.
func TestProcessThatHangs(t *testing.T) {
	t.Parallel()
	s := smallSpec(t, 3)
	s.Nodes[2].Process = true
	quiet(s)
	r := smallRun(t, smallOptions(t, s))
	hung := r.net.seats[2]
	m, _ := hung.current()
	if err := syscall.Kill(m.where().PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	goOn := sync.OnceFunc(func() {
		if err := syscall.Kill(m.where().PID, syscall.SIGCONT); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(goOn)
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
