// Package energy answers one question: what did it cost, in joules?
//
// A Meter gives the energy since it was made. Where the machine has RAPL
// counters that may be read, it measures: all processor packages, less what
// they draw idle, and of the rest the share that is ours by CPU time. Elsewhere
// it computes from a Model of named hardware, and says so: a Reading always
// tells which of the two it is, and how it came about. docs/energy.md gives the
// boundary and the sources.
//
// The contract: New takes its files and its clock as arguments and reads
// nothing else; NewMeter hands in those of this machine. Nothing here fails: a
// counter that cannot be read, or no longer, makes a model of the rest, and the
// Reading says why. A Meter is used by one goroutine at a time and starts none;
// read it at least every few minutes, before a counter has wrapped twice.
package energy
