//go:build linux && (amd64 || arm64)

package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// faultsEnv is how many calls fail in each phase; the default is a short slice.
//
//	KAPOK_FAULTS=100 go test ./cmd/kapok -run FaultSuite -v -timeout 3h
const faultsEnv = "KAPOK_FAULTS"

// TestFaultSuite lets system calls on the data directory fail, of all those that
// change or sync a file: one, or that one and all after it. The node must end by
// itself with the disk's own words, or do without the call. It blames no block,
// and started again on a disk that works it has all that it acknowledged.
func TestFaultSuite(t *testing.T) {
	rounds := 2
	if text := os.Getenv(faultsEnv); text != "" {
		if _, err := fmt.Sscan(text, &rounds); err != nil {
			t.Fatal(err)
		}
	}
	k := newKillings(t, rand.New(rand.NewPCG(uint64(os.Getpid()), 1)), nil)
	f := &faults{killings: k, struck: make(map[string]int), borne: make(map[string]int)}
	for round := 0; round < rounds; round += roundsPerChain {
		k.begin()
		for range min(roundsPerChain, rounds-round) {
			for _, p := range killPhases {
				f.strike(p.phase, p.calls+p.calls/2)
			}
		}
		k.end()
	}
	for _, call := range slices.Sorted(maps.Keys(f.struck)) {
		t.Logf("%-20s failed %3d times, was done without %3d times", call, f.struck[call], f.borne[call])
	}
	t.Logf("%d blocks acknowledged, none lost", k.blocks)
}

// faults are many calls that failed, and what became of them.
type faults struct {
	*killings
	struck, borne map[string]int // by name of the call and kind of file
}

// strike stops the victim, starts it on a disk that will fail in a phase, and brings it
// there.
func (f *faults) strike(p phase, calls int) {
	f.victim.stop()
	if err := f.victim.ended(restartLimit); err != nil {
		f.t.Fatalf("asked to stop: %v", err)
	}
	a := &aim{phase: p, calls: 1 + f.chance.IntN(calls), lasting: f.chance.IntN(2) == 0,
		errno: []syscall.Errno{syscall.EIO, syscall.ENOSPC}[f.chance.IntN(2)]}
	f.victim, f.failing = f.start(a), true
	v := f.victim
	if f.wait(v.ready) {
		for i := 0; p != starting && p != stopping && f.work(p); i++ {
			if i == workLimit {
				f.t.Fatalf("no call failed in phase %s within %d blocks", p, workLimit)
			}
			if v.struck() && i > 3 {
				break
			}
		}
		v.stop()
	}
	if err := v.ended(restartLimit); err != nil {
		f.t.Fatalf("after a fault in phase %s: %v: %+v\n%s", p, err, v.held, v.said.String())
	}
	f.failing = false
	if v.held != nil {
		f.judge(v, p, a)
	}
	f.restart()
}

// judge looks how the victim ended.
func (f *faults) judge(v *victim, p phase, a *aim) {
	call := v.held.Name + " " + kindOf(v.held.Path)
	f.struck[call]++
	said := v.said.String() + string(v.rest)
	switch code := v.cmd.ProcessState.ExitCode(); {
	case code == 0:
		f.borne[call]++
	case code != exitFailed:
		f.t.Fatalf("%v at %s %s in phase %s: %v\n%s", a.errno, v.held.Name, v.held.Path, p, v.status, said)
	case !strings.Contains(said, a.errno.Error()):
		f.t.Fatalf("%v at %s %s in phase %s: it does not say why it ended\n%s", a.errno, v.held.Name, v.held.Path, p, said)
	}
	f.t.Logf("phase %-8s %s of %s (lasting: %v) at %s: ended with status %d", p, a.errno, filepath.Base(v.held.Path), a.lasting, v.held.Name, v.cmd.ProcessState.ExitCode())
}

// kindOf is what is the same in the names of files that Badger numbers.
func kindOf(path string) string {
	if ext := filepath.Ext(path); ext == ".mem" || ext == ".vlog" || ext == ".sst" {
		return "*" + ext
	}
	return filepath.Base(path)
}
