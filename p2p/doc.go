// Package p2p answers one question: what do we say to whom? It holds the
// messages, their encoding, and the Engine, a machine that keeps the books of
// all peers and answers through an outbox.
package p2p
