// Package node composes a full node from its parts.
//
// Node is a deterministic machine: what it does depends on its store, on the
// calls made to it and on the time and random source handed in. It starts no
// goroutine, takes no lock, reads no clock and logs nothing. Whatever it wants
// to say to peers waits in an outbox (Outbox), whatever observers should know
// of the chain waits in Changes.
//
// An announced block is put together by Rebuild, which whoever calls Receive calls then
// (Advance does, too): the verdict on an announcement does not wait for it.
//
// Connecting a block is a Step of three calls: Gather reads what the block needs,
// Job.Verify checks signatures (a pure function of what was gathered), Commit moves
// the tip if it is still where Gather found it, has it on disk where peers are to hear of
// it, and tells observers.
// Advance makes them in a row; Runner makes the parts of them that do not need Node
// without its lock.
//
// Runner is the same Node with one lock, the wall clock and a network: the only
// lock of the house. Service adds the rest of a running node: directory, peers,
// RPC, pages, miner.
//
// Errors keep the two faults apart. A *consensus.RuleError is somebody else's:
// it becomes a verdict, a score, an answer. Every other error is ours (a disk,
// a bug), and the node must not go on after it.
package node
