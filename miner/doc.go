// Package miner answers two questions: what block do we work on, and which
// nonce solves it?
//
// A Template is the first answer: made of a parent, the time and transactions,
// pure, and good for any number of threads, each with an extranonce of its own.
// A Miner is the second: threads that search with a kernel of internal/sha256d
// until the tip changes, a block is found or the template is too old. What a
// kernel calls a candidate is hashed again with crypto/sha256, and all 256 bits
// are compared, before a block is submitted.
//
// The miner is an edge of the house: it reads the wall clock and starts
// goroutines, all of which Run joins. A rate limit slows the search; it never
// draws the time of a find. docs/mining.md shows how the data flows.
package miner
