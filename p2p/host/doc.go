// Package host answers one question: how do the p2p engine's messages cross a
// real network? It is the edge between package p2p, which is pure, and libp2p,
// which only this package imports.
//
// # Contract
//
// New binds the listening ports and creates or reads the node's identity; Run
// serves until its context ends and joins every goroutine it started. A Handler
// hears, for each peer, Connected, then any number of Receive, then
// Disconnected, one call at a time; calls for different peers come concurrently.
// A Handler may call Send, Disconnect and Deny from within: they never wait for
// the network or for another Handler call.
//
// # On the wire
//
// A connection is TCP, Noise and yamux, or QUIC. On it lives one bidirectional
// stream of the protocol /kapok/<16 hex digits of the genesis hash>/1, opened by
// the side that dialed. The other side answers with one byte (accepted, or why
// not), and from then on both send frames: a length of four bytes, big-endian,
// and that many bytes of p2p.Encode. Where two peers dial each other at the same
// moment, the stream opened by the peer with the smaller id survives; both ends
// can tell without asking.
//
// Transactions and block announcements travel by GossipSub under the topics
// kapok/<16 hex digits>/tx and kapok/<16 hex digits>/block. They are unsigned,
// their id is the SHA-256 of their bytes, and the Handler's verdict decides
// whether they are forwarded. A gossip message is the word of the peer that
// forwarded it; nobody knows who wrote it.
//
// # Limits
//
// limits.go holds every limit with its unit and its reason.
package host
