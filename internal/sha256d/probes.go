package sha256d

// RoundsPerHash is how many SHA256RNDS2, of two rounds each, a search cannot do
// without: 30 of the second chunk and 31 of the second hash.
const RoundsPerHash = 61

// A Probe runs instructions of known cost: it goes through so many rounds and says
// how many instructions that were.
type Probe func(rounds uint64) (instructions uint64)

// ProbeRounds take about half a millisecond.
const ProbeRounds = 25_000

// ClockProbe adds numbers, each to the sum of those before, which takes a cycle an
// addition: instructions per second are the CPU's clock. Nil where there is none.
func ClockProbe() Probe { return clockProbe }

// UnitProbe runs SHA256RNDS2 that do not wait for each other: instructions per
// second are what limits SHA-NI kernels. Nil where the CPU has none.
func UnitProbe() Probe { return unitProbe }
