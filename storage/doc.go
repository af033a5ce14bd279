// Package storage answers one question: how is a chain kept?
//
// A Store holds what a node must find again after a restart: headers with what
// was learned about them, block bodies, undo data, the coins of the active
// chain with their sum, and (when asked for) an index by transaction and by
// key. Badger keeps it on disk, Memory in maps; one conformance suite runs over
// both, and a test drives them side by side.
//
// The contract:
//
//   - Acknowledged means on disk. What PutHeaders, PutBlock, Connect and Disconnect took
//     is there for every reader, and on disk, in this order, when the next Flush,
//     ResetCoins, Close or Sync returns: whoever acknowledges it calls one first.
//   - The coins are the exception: they live in a write-back cache, and Flush
//     moves them to disk as a whole. After a kill, State.Tip is the tip of the
//     last Flush, and the node walks forward from there by its ordinary road,
//     over bodies that are all on disk.
//   - A read that fails is an error of ours, wrapped with what was read. It is
//     never answered as "there is no such thing". ErrNotFound and a coin left
//     out of an answer mean that the thing was never written, or was removed.
//   - No error of this package is a *consensus.RuleError, so that no failing
//     disk can mark a block as invalid.
//   - A write that fails breaks the store: every later write returns that
//     error, and what is on disk is what the next Open recovers.
//   - Methods may be called from several goroutines. Connect and Disconnect
//     come from one writer, in the order of the chain.
//
// Nothing here judges a block. docs/storage.md describes the key layout, what
// is synced when, and each case of a crash.
package storage
