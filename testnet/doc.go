// Package testnet runs a network of real nodes on one machine: real proof of work at
// the rates of the file, libp2p over links with the file's delays, payments by real
// wallets, and faults at their times; and writes down what happened, in a run
// directory. Package spec is the file, package record the directory, package report
// what it means.
//
// Run is the whole of it. Nodes share nothing but the process, and not even that where
// the file kills them or the caller asks for processes.
//
//	Run       run             stages of a run (play.go), its events (events.go), its end (conclude.go)
//	          network, seat   the places of the nodes: connections, partitions, starts and stops
//	          member          a node that runs: a station in this process (local) or in another (remote)
//	          recorder        blocks and tips as the nodes saw them; ledger: the payments
//	          load, attacker  who pays, and who cheats
//	Child     station         one node in a process of its own
//
// A node tells what it sees as sightings, and does what commands ask; both are plain
// structs, which are lines of JSON where they cross the border of a process. Whatever is
// seen is stamped where it was seen, by the clock of the one machine.
//
// Nodes outlast the context of a run by as long as it takes to ask what they ended with.
// Processes of nodes end with their standard input, so that none is left where the run
// is killed.
package testnet
