// Package sim answers one question: what do many nodes do together? Full nodes
// (node.Node, each with a store and a mempool of its own) live in a world of
// package sim/virtual: virtual time, one seed, no goroutine. Their proof of work is
// real, at targets that are met in a few hashes; only the moment of a find is drawn.
package sim
