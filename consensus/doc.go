// Package consensus answers two questions: is it valid, and which chain is
// best? It holds the types, their encoding, proof of work, difficulty, the
// rules, the block tree and what a block does to the coins.
//
// It is pure: no clock, no I/O, no global randomness, no log, no lock, and no
// goroutine but those that a Verifier starts and joins before it returns. What
// an answer depends on comes in as an argument, so that the same call gives the
// same answer on every machine.
//
// Whatever breaks a rule is answered with a *RuleError, which carries a Code
// (docs/protocol.md lists them all) and a Kind: what the break means for the
// sender and for the hash.
package consensus
