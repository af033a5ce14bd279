// Package spec reads the file that describes a testnet. Read checks everything that
// can be checked before a node runs, fills in the blanks, and draws what is drawn (the
// topology, the regions) from the file's seed: a Spec is exactly what will run. An
// unknown key or an impossible value is an error with its line and what was expected.
//
// docs/testnet.md has every key; testdata/testnets has commented examples.
package spec
