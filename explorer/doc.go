// Package explorer answers one question: what does a person see who looks at
// this chain with a browser?
//
// New returns an http.Handler that renders read-only pages on the server: the
// latest blocks, a block, a transaction, an address, the mempool, the peers.
// They work without JavaScript, load nothing from elsewhere, escape everything,
// and list a bounded number of things per page. What they show comes from a
// Backend, which node implements.
package explorer
