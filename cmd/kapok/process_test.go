package main

import (
	"os"
	"os/exec"
	"testing"
)

// endedProcess is the number of a process that has ended.
func endedProcess(t *testing.T) int {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

func TestProcessRuns(t *testing.T) {
	for pid, want := range map[int]bool{os.Getpid(): true, os.Getppid(): true, endedProcess(t): false, 0: false, -1: false} {
		if processRuns(pid) != want {
			t.Errorf("process %d runs: %v, want %v", pid, !want, want)
		}
	}
}
