package testnet

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kapok-chain/kapok/energy"
)

// usage is what the processes of a run take: this one, and those of its nodes.
type usage struct {
	mu    sync.Mutex
	meter *energy.Meter
	pids  []int
	peak  float64 // bytes, of all that ran at one time
}

func newUsage() *usage {
	self := os.Getpid()
	meter := energy.New(energy.Config{FS: os.DirFS("/"), Clock: time.Now, PIDs: []int{self}})
	return &usage{meter: meter, pids: []int{self}}
}

// restTime is how long the machine is watched at rest, where there are counters of its
// energy to ask: what it draws then is none of the run's.
const restTime = time.Second

// rest measures that, before anything runs.
func (u *usage) rest(ctx context.Context) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.meter.Measures() {
		return nil
	}
	if err := wait(ctx, restTime); err != nil {
		return err
	}
	u.meter.Idle()
	return nil
}

// watch counts a process from now on, which has begun since the run did.
func (u *usage) watch(pid int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if slices.Contains(u.pids, pid) {
		return
	}
	u.pids = append(u.pids, pid)
	u.meter.Watch(pid)
}

// energy says what was used since the run began.
func (u *usage) energy(hashes float64) energy.Reading {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.meter.Read(hashes)
}

// look notes how much memory the processes have had. Those that have ended count no more.
func (u *usage) look() {
	u.mu.Lock()
	defer u.mu.Unlock()
	sum := 0.0
	for _, pid := range u.pids {
		sum += peakRSS(pid)
	}
	u.peak = max(u.peak, sum)
}

// peakBytes is the most memory that the processes have had at one look, each at its own
// most; 0 where the system does not say.
func (u *usage) peakBytes() float64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.peak
}

// peakRSS is the most memory that a process has had, in bytes: VmHWM of Linux's
// /proc/pid/status (proc_pid_status(5)); 0 where there is none.
func peakRSS(pid int) float64 {
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 3 && fields[0] == "VmHWM:" && fields[2] == "kB" {
			kb, err := strconv.ParseFloat(fields[1], 64)
			if err != nil {
				return 0
			}
			return kb * 1024
		}
	}
	return 0
}
