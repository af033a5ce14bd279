package energy

import (
	"fmt"
	"strings"
)

// Model is what a kind of hardware needs for its work. A CPU model knows the
// watts of a busy core, and computes from CPU time; an ASIC model, and a CPU one
// where no CPU time is known, computes from the number of hashes.
type Model struct {
	Name          string
	JoulesPerHash float64
	WattsPerCore  float64 // of one busy core; 0: hashes only
	Source        string  // where the figures come from
}

// teraHash is the number of hashes in a TH, by which miners quote efficiency.
const teraHash = 1e12

// portableRate is what one core does with the portable kernel, in hashes per
// second. It only turns watts into joules per hash where CPU time is unknown.
const portableRate = 5.6e6

func cpuModel(name string, watts, cores float64, source string) Model {
	perCore := watts / cores
	return Model{
		Name: name, WattsPerCore: perCore, JoulesPerHash: perCore / portableRate,
		Source: fmt.Sprintf("%s; %.3g W over %.0f cores, all busy, uncore included; CPU time times watts per core", source, watts, cores),
	}
}

// ServerCPU is a server processor of 2021, as clouds rent out by the core.
func ServerCPU() Model {
	return cpuModel("server CPU (AMD EPYC 7763 class)", 280, 64, "AMD's data sheet: 280 W default TDP, 64 cores")
}

// DesktopCPU is a desktop processor of 2020.
func DesktopCPU() Model {
	return cpuModel("desktop CPU (AMD Ryzen 9 5950X class)", 105, 16, "AMD's data sheet: 105 W TDP, 16 cores")
}

// LaptopCPU is a laptop processor of 2020.
func LaptopCPU() Model {
	return cpuModel("laptop CPU (Intel Core i7-1165G7 class)", 28, 4, "Intel's data sheet: 28 W configurable TDP-up, 4 cores")
}

// ASICFleet is the mean of Bitcoin's mining hardware in 2024.
func ASICFleet() Model {
	return Model{Name: "ASIC fleet of 2024", JoulesPerHash: 28.2 / teraHash,
		Source: "28.2 J/TH: Cambridge Centre for Alternative Finance, Digital Mining Industry Report, April 2025"}
}

// ASIC is one efficient machine of 2024.
func ASIC() Model {
	return Model{Name: "ASIC of 2024 (Antminer S21 class)", JoulesPerHash: 17.5 / teraHash,
		Source: "17.5 J/TH: Bitmain's data sheet of the Antminer S21, 200 TH/s at 3,500 W"}
}

// Models are all there are, CPUs first.
func Models() []Model {
	return []Model{ServerCPU(), DesktopCPU(), LaptopCPU(), ASICFleet(), ASIC()}
}

// ByHashes is the energy of so many hashes, in joules.
func (m Model) ByHashes(n float64) float64 { return m.JoulesPerHash * n }

// ByCPU is the energy of CPU time in core-seconds, in joules; 0 for an ASIC.
func (m Model) ByCPU(seconds float64) float64 { return m.WattsPerCore * seconds }

// modelOf guesses the class of a processor from /proc/cpuinfo.
func modelOf(cpuinfo string) Model {
	for line := range strings.Lines(cpuinfo) {
		name, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(name) != "model name" {
			continue
		}
		if strings.Contains(value, "Ryzen") || strings.Contains(value, "Core(TM)") {
			return DesktopCPU()
		}
		return ServerCPU()
	}
	return ServerCPU()
}
