package main

import (
	"errors"
	"os"
	"syscall"
)

// processRuns reports whether there is a process of that number, whoever's it is. The
// number may have gone to another program meanwhile, and says nothing of processes on
// another machine or in another container.
func processRuns(pid int) bool {
	if pid <= 0 {
		return false // to a system call these are groups of processes
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return false // which Windows says here, and others below
	}
	defer p.Release()
	return !errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone)
}
