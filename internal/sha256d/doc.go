// Package sha256d answers one question: which nonces of this header may solve
// the block?
//
// A Work is a header prepared for searching; a Kernel tries nonces on it in
// batches. What a kernel returns are candidates: their hash's most significant
// 32 bits do not exceed those of the target. The caller hashes the header of
// each candidate anew and compares all 256 bits.
//
// A Work may hold several versions of the same header (BIP320 leaves 16 bits of
// the version to the miner). The versions differ in the first 64-byte chunk
// only, so that all of them share the message schedule of the second one: a
// kernel tries a nonce on every version before it goes on to the next.
//
// Kernels in assembly are written by the command gen; docs/kernels.md has the data
// flow. The same instructions make the nodes of Merkle trees: HashLevel.
//
// But for Best, which looks at the clock once, the package is pure. A Work does not change after New, and the kernels have
// no state: both may be shared among threads.
package sha256d

//go:generate go run ./gen
