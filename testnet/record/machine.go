package record

import (
	"os"
	"runtime"
	"strings"

	"github.com/kapok-chain/kapok/internal/sha256d"
)

// ThisMachine describes the machine and the program that run now.
func ThisMachine() Machine {
	return Machine{
		CPU: cpuName(), Cores: runtime.GOMAXPROCS(0), OS: runtime.GOOS, Arch: runtime.GOARCH,
		Go: runtime.Version(), Kernel: sha256d.Best().Name(),
	}
}

// cpuName is the processor's name for people, where Linux's /proc/cpuinfo tells it.
func cpuName() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		text = nil
	}
	for line := range strings.Lines(string(text)) {
		key, value, found := strings.Cut(line, ":")
		switch strings.TrimSpace(key) {
		case "model name", "Model": // x86; some ARM boards
			if value = strings.TrimSpace(value); found && value != "" {
				return value
			}
		}
	}
	return "unknown " + runtime.GOARCH + " processor"
}
