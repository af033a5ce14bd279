package energy

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// ticksPerSecond is USER_HZ, in which Linux shows CPU times to programs.
const ticksPerSecond = 100

// cpuClock reads CPU times from /proc: ours, and the whole machine's. A process
// that has ended keeps its last figure.
type cpuClock struct {
	fsys fs.FS
	pids []string
	last map[string]float64
}

// newCPUClock watches processes by their number, or this one where there are none.
func newCPUClock(fsys fs.FS, pids []int) *cpuClock {
	c := &cpuClock{fsys: fsys, last: map[string]float64{}}
	for _, pid := range pids {
		c.watch(pid)
	}
	if len(pids) == 0 {
		c.pids = []string{"self"}
	}
	return c
}

func (c *cpuClock) watch(pid int) { c.pids = append(c.pids, strconv.Itoa(pid)) }

// ours is the CPU time of the watched processes in core-seconds; false where
// not one of them can be read, as on other systems than Linux.
func (c *cpuClock) ours() (float64, bool) {
	var sum float64
	for _, pid := range c.pids {
		if b, err := fs.ReadFile(c.fsys, "proc/"+pid+"/stat"); err == nil {
			if t, err := processTime(string(b)); err == nil {
				c.last[pid] = t
			}
		}
		sum += c.last[pid]
	}
	return sum, len(c.last) > 0
}

// busy is the CPU time of everything that ran on the machine, in core-seconds.
func (c *cpuClock) busy() (float64, bool) {
	b, err := fs.ReadFile(c.fsys, "proc/stat")
	if err != nil {
		return 0, false
	}
	first, _, _ := strings.Cut(string(b), "\n")
	// cpu user nice system idle iowait irq softirq steal (proc_stat(5)); what a
	// hypervisor stole was not used here.
	fields := strings.Fields(first)
	if len(fields) < 8 || fields[0] != "cpu" {
		return 0, false
	}
	var ticks uint64
	for _, i := range []int{1, 2, 3, 6, 7} {
		n, err := strconv.ParseUint(fields[i], 10, 64)
		if err != nil {
			return 0, false
		}
		ticks += n
	}
	return float64(ticks) / ticksPerSecond, true
}

// processTime reads utime and stime, the 14th and 15th field of proc_pid_stat(5).
// The second is the program's name in parentheses, which may hold anything.
func processTime(stat string) (float64, error) {
	end := strings.LastIndexByte(stat, ')')
	fields := strings.Fields(stat[end+1:])
	if end < 0 || len(fields) < 13 {
		return 0, errors.New("no CPU time in it")
	}
	user, err := strconv.ParseUint(fields[11], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("user time: %w", err)
	}
	system, err := strconv.ParseUint(fields[12], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("system time: %w", err)
	}
	return float64(user+system) / ticksPerSecond, nil
}
