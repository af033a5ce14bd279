/*
Package p2p answers one question: what do we say to whom? It holds the messages,
their encoding, and the Engine, a machine that keeps the books of all peers:
what each one has, what it was asked for and owes, how it behaves. The engine
has no socket, clock, goroutine, lock or log. What happened comes in by calls;
what is to be sent lies in an outbox. It reads the chain and the mempool through
a Source and changes neither: the node judges, the engine keeps the books.

# Contract

The owner (package node) calls, under one lock:

	Connected(now, peer)        once per connection, before its first message
	Disconnected(now, id)       after its last one
	Tick(now)                   every 100 to 500 ms; returns a fault of ours

and after every call, in this order:

	Outbox()                    send each: To a peer by stream, in order; to
	                            Everyone by gossip
	Drops()                     disconnect each; Disconnected follows

A message goes to the node first. These it judges itself; all others go to
Handle, which answers with a verdict, or with a fault of ours:

	Headers    where Presync(from) is not nil, its Next says which may enter the tree
	           and which rule was broken. Else all may, unless their chain has too
	           little work: then a Presync of the node's own looks at them, which
	           KeepPresync hands over where it is not over. Add each to the tree
	           until one is refused;
	           GotHeaders(now, from, last one in the tree or nil, len of the message); Fetch
	Announce   judge the header and add it; where the parent is not known,
	           AskHeaders instead, and the verdict is Ignore.
	           Learn(now, from, index); for the first announcement of a header
	           that is worth it, Forward(now, m, from, gossip), verdict Accept.
	           Where the parent's body is stored, Rebuild, else Fetch. Rebuild is
	           called for every announcement of a block without a body, not only
	           for the first: the first may be garbage.
	BlockTxs   Fill
	Block      asked := Got(now, from, hash); judge and store the body; where it is
	           stored, Took(now, from, Whole); Fetch
	Tx         ignore it unless TakesTxs(from);
	           asked := Got(now, from, wtxid); add it to the mempool; where it
	           is taken, TookTx(now, from), and where it came by stream too,
	           AnnounceTx(now, tx, from); where its parents are not known,
	           AskParents(now, from, txids)

A block that Rebuild or Fill returns is judged and stored like any other, with
two differences. Short ids are not committed to by the header, so where it is
not the block that the header commits to (kind Mutated), FetchBody(now, from,
hash), and neither the peer nor the hash is blamed. And where it is stored,
Got(now, from, hash) follows, and Took.

Whenever a block was connected: Fetch, since bodies are handed on only then, and
peers may wait for this one. Whenever the tip moved for good: WantsAnnounce(hash) and, if so, Announce. A
transaction of our own: AnnounceTx with origin "". Where a peer broke a rule:
Punish; the engine decides by the kind what that costs.

Calls about a peer that is not connected, or is about to be dropped, do nothing,
so that late news of it does no harm. No call panics, whatever a peer sent and
whatever state it is in.

# How blocks come

Headers first, the bulk from the peer whose hello claims the most work, then
from every peer that claims another chain with more work than the tip; every 30 s
each peer is asked for news. Where a chain has too little work so far, its headers are
asked for twice, the first time to see the work only (consensus.Presync).
Bodies come from all peers that have them, up to 16 in flight each, within a
window of 1024 beyond the first one missing. Where a peer does not send for 2 s
what it was asked for first, or the first one missing, its requests are made to a
second and a third one too; after 2 minutes, and one for each body before, it is
dropped.

A new block comes as an announcement: the header, the coinbase, and a short id
of each other transaction. It is put together from the mempool; what is missing
is asked from the announcer (who may wait for it himself, and then answers as
soon as he has it), and where that fails the whole body from anyone.

# How payments come

By gossip, which marks a message as seen before it is judged: whatever was
ignored is never forwarded by gossip again. So mempools are reconciled by
stream, on connecting and every 30 s: each side lists short ids, the other one
pulls what it lacks. And what came by stream, or waited for a parent, is offered
to the other peers at once.

Every table, list and loop here is bounded; limits.go has the bounds, and
docs/network.md the messages byte by byte.
*/
package p2p
