package record

import (
	"os"
	"runtime"
	"strings"

	"github.com/kapok-chain/kapok/internal/sha256d"
)

// ThisMachine describes the machine and the program that run now.
func ThisMachine() Machine {
	cpuinfo, err := os.ReadFile("/proc/cpuinfo") // Linux's
	if err != nil {
		cpuinfo = nil
	}
	return Machine{
		CPU: CPUName(string(cpuinfo)), Cores: runtime.GOMAXPROCS(0), OS: runtime.GOOS, Arch: runtime.GOARCH,
		Go: runtime.Version(), Kernel: sha256d.Best().Name(),
	}
}

// UnknownCPU begins the name of a processor that the system does not tell.
const UnknownCPU = "unknown "

// CPUName reads the processor's name for people out of Linux's /proc/cpuinfo.
func CPUName(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		key, value, found := strings.Cut(line, ":")
		switch strings.TrimSpace(key) {
		case "model name", "Model": // x86; some ARM boards
			if value = strings.TrimSpace(value); found && value != "" {
				return value
			}
		}
	}
	return UnknownCPU + runtime.GOARCH + " processor"
}
