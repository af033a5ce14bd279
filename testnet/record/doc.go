// Package record is the run directory of a testnet: what one run leaves behind, as
// files that other programs read without asking Kapok.
//
//	manifest.json   what ran: version, seed, file, machine, network, nodes, links
//	testnet.toml    the file that was run, byte for byte
//	blocks.csv      a row for each block, with its arrival at every node
//	payments.csv    a row for each payment, from when it was due to its sixth confirmation
//	samples.csv     a row for each node and moment: mempool, hashes, peers
//	events.jsonl    a line for each thing that happened to the network: faults, attacks, ends
//	summary.json    what report.Summarize made of it
//	report.html     what report.HTML made of it
//
// Times are seconds since the manifest's started_at, to the microsecond; a time that
// has not come is an empty field, and NaN here. Nodes count from 1. docs/outputs.md has
// every column with its unit.
//
// Create writes a directory while the run goes on, so that whatever ends it, what was
// written is readable and is marked as incomplete. Open reads one.
package record
