package main

import (
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// clockMethod says what workClock reads.
const clockMethod = "thread CPU time (CLOCK_THREAD_CPUTIME_ID)"

// workClock is the CPU time of the calling thread, which the goroutine must be
// locked to. getrusage(RUSAGE_THREAD) tells the same, but is up to a scheduler
// tick (4 ms) behind; this clock is exact to a microsecond.
func workClock() time.Duration { return cpuTime(unix.CLOCK_THREAD_CPUTIME_ID) }

// processCPU is the CPU time of all threads.
func processCPU() time.Duration { return cpuTime(unix.CLOCK_PROCESS_CPUTIME_ID) }

// cpuOf is the CPU time of all threads of another process, 0 where it has ended.
func cpuOf(pid int) time.Duration {
	var now unix.Timespec
	if unix.ClockGettime(int32(^pid<<3|cpuclockSched), &now) != nil { // as clock_getcpuclockid(3) names it
		return 0
	}
	return time.Duration(now.Nano())
}

// cpuclockSched is Linux's CPUCLOCK_SCHED (posix-timers.h).
const cpuclockSched = 2

func cpuTime(clock int32) time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(clock, &now); err != nil {
		panic("bench: this Linux has no CPU clocks: " + err.Error()) // there since 2.6.12
	}
	return time.Duration(now.Nano())
}

// peakRSS is the most memory that an ended process had, in bytes.
func peakRSS(s *os.ProcessState) int64 {
	if usage, ok := s.SysUsage().(*syscall.Rusage); ok {
		return usage.Maxrss << 10 // kilobytes on Linux
	}
	return 0
}

// lockThread keeps the calling goroutine, and so its clock, on one thread, and that
// on one core: the number-th of those that the process may use, counted round.
func lockThread(number int) (unlock func()) {
	runtime.LockOSThread()
	var all, one unix.CPUSet
	if unix.SchedGetaffinity(0, &all) != nil || all.Count() == 0 {
		return runtime.UnlockOSThread
	}
	number %= all.Count()
	for cpu := 0; ; cpu++ {
		if !all.IsSet(cpu) {
			continue
		}
		if number == 0 {
			one.Set(cpu)
			break
		}
		number--
	}
	if unix.SchedSetaffinity(0, &one) != nil { // not ours to say, perhaps
		return runtime.UnlockOSThread
	}
	return func() {
		_ = unix.SchedSetaffinity(0, &all)
		runtime.UnlockOSThread()
	}
}
