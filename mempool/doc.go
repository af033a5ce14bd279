// Package mempool answers one question: which transactions wait, in what order,
// and who leaves first? It is policy, never consensus: a block may hold what the
// pool refuses. docs/mempool.md numbers its rules M1 and on.
//
// A transaction is validated once, with the coins it spends, when it comes in
// (Add). From then on the pool only follows the chain (Follow): at any time
// every entry may go into the next block, together with its ancestors, and no
// two entries spend the same coin. What cannot be judged for want of a parent
// waits, bounded, among the orphans.
//
// Transactions that spend each other's outputs form a cluster, bounded in count
// and size; it is what keeps every question about ancestors and descendants
// cheap.
//
// A Pool is pure: it has no lock, no clock, no log, and the order of its answers
// never depends on a map's. Its callers take turns. The sender's fault is a
// *consensus.RuleError; any other error came from the chain's Coins or block
// bodies, is ours, and leaves a pool that must not be used again.
package mempool
