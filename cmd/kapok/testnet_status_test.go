package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/kapok-chain/kapok/testnet"
)

// upThere is a testnet that is up as a process of that number, and whose node does not
// answer.
func upThere(t *testing.T, pid int) *upState {
	t.Helper()
	dir := t.TempDir()
	up := &upState{Name: "net", PID: pid, Info: testnet.Info{Nodes: []testnet.NodeInfo{{Node: 1, RPC: "http://127.0.0.1:1", Cookie: "none"}}}}
	up.Dir = dir
	if err := os.WriteFile(filepath.Join(dir, upFile), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	return up
}

// TestStopBusy stops a testnet whose nodes have no time to answer, and whose process runs:
// it is asked to end, and is waited for.
func TestStopBusy(t *testing.T) {
	up := upThere(t, os.Getpid())
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		removed := make(chan error, 1)
		go func() {
			watchStop(ctx, filepath.Join(up.Dir, stopFile), cancel)
			removed <- up.remove(up.Dir)
		}()
		var out strings.Builder
		if err := up.stop(t.Context(), &out); err != nil || !strings.Contains(out.String(), "net has stopped; what happened is in ") {
			t.Errorf("%v, %q", err, out.String())
		}
		cancel(nil)
		if err := <-removed; err != nil || !errors.Is(context.Cause(ctx), errStopped) {
			t.Errorf("it was not asked to stop: %v, %v", err, context.Cause(ctx))
		}
	})
}

// TestStopSlow asks a testnet that does not end: what makes it known stays there.
func TestStopSlow(t *testing.T) {
	up := upThere(t, os.Getpid())
	synctest.Test(t, func(t *testing.T) {
		err := up.stop(t.Context(), io.Discard)
		want := "remove " + filepath.Join(up.Dir, upFile) + " and " + filepath.Join(up.Dir, stopFile)
		if err == nil || !strings.Contains(err.Error(), "was asked to stop 2m0s ago and has not") || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		interrupted, cancel := context.WithCancel(t.Context())
		cancel()
		if err := up.stop(interrupted, io.Discard); !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted: %v", err)
		}
	})
	if _, err := os.Stat(filepath.Join(up.Dir, upFile)); err != nil {
		t.Error(err)
	}
}

// TestStopDead takes away what a killed process left.
func TestStopDead(t *testing.T) {
	up := upThere(t, endedProcess(t))
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	if err := up.stop(interrupted, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if _, err := os.Stat(filepath.Join(up.Dir, upFile)); err != nil {
		t.Errorf("taken away before it was known to be dead: %v", err)
	}
	if err := up.stop(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("is not up: none of its nodes answers, and no process %d is here; ", up.PID)) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(up.Dir, upFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what it left is still there: %v", err)
	}
	if err := up.remove(up.Dir); err != nil {
		t.Errorf("a testnet that was not dead ends: %v", err)
	}
}
