/*
Package peers answers one question: whom do we know, whom do we dial, and who has
to leave? It is about a stranger who holds many addresses and wants to be all that
a node sees of the network. Everything here depends on its arguments alone, time
and randomness among them; package host does the dialing.

# What a stranger cannot make up

A connection comes from an address that its owner controls, and addresses are had
by the block. So all caps count net groups: the /16 of an IPv4 address, the /32 of
an IPv6 one. A stranger may state any number of addresses, in any groups; but what
he states is filed under the group that he spoke from.

# The book

Fresh addresses, which nobody tried, are filed by the group of who told of them;
tried ones, which a session was had with, by their own group. Both tables work the
same way: a group has a cap, and who adds to a full group, or to the largest one of
a full table, pushes out one of his own, at random. So no group can take what is
another one's fair share, whatever it sends: see table.go.

Bitcoin Core's addrman does the same with buckets that a secret chooses, which
takes constant time for a hundred thousand addresses. With a few thousand, counts
say it straight, and the guarantee is exact instead of probable.

A choice is made among the groups first and inside a group then: the word of a
crowd in one net group weighs as much as that of one honest node in another.
*/
package peers
