// Package batch answers one question: are all of these BIP340 signatures good?
//
// Verify checks the equation of "Batch Verification" in BIP340: the sum over all
// signatures of a·(s·G − R − e·P) is zero, each with a coefficient a of its own that
// nobody can foresee. One sum of many multiples costs a fraction of as many sums of
// two. It says yes or no for all of them; who wants to know which one is bad verifies
// them one by one.
//
// A yes is wrong with a probability of 2^-127 at most: the coefficients have 128 bits and
// come from a hash of all signatures, keys and messages and of a secret of this
// process, so that signatures cannot be made to fit them. A no is never wrong.
//
// The contract: the package is pure, starts no goroutine, and keeps nothing. It sees
// public data only, so that no operation takes constant time. How the sum is done:
// docs/batch.md.
package batch
