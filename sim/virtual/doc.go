// Package virtual answers one question: how does a message get there in virtual
// time? It is to the simulator and the tests what p2p/host is to a running node:
// whatever keeps the contract of package p2p, a full node.Node or less, lives in a
// World of hosts and links.
//
// A World is one heap of events and one random source. It has no clock, goroutine
// or socket, so that one seed is one history: Digest tells whether two are the
// same. Streams keep their order and lose nothing, but what the link lost is sent
// again, later. Gossip goes along the links, which are its mesh, from each host
// whose verdict is Accept; copies are told by the SHA-256 of their bytes, as in
// GossipSub, and what a link loses of them is gone.
package virtual
