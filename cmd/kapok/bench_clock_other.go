//go:build !linux

package main

import (
	"os"
	"runtime"
	"time"
)

// clockMethod says what workClock reads.
const clockMethod = "wall time: this system tells no thread CPU time, so other programs' work slows the figures"

// workClock is the time since the process began.
func workClock() time.Duration { return time.Since(started) }

// processCPU is not known.
func processCPU() time.Duration { return 0 }

// cpuOf is not known.
func cpuOf(int) time.Duration { return 0 }

// peakRSS is not known.
func peakRSS(*os.ProcessState) int64 { return 0 }

// lockThread keeps the calling goroutine on one thread.
func lockThread(int) (unlock func()) {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}
