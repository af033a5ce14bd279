// Mutants takes the rules of docs/protocol.md out of the program, one at a time,
// and looks whether the conformance suite notices.
//
//	go run ./internal/mutants                 # all of them: about 40 minutes on two idle cores
//	go run ./internal/mutants -rules H2,C3    # those of some rules
//	go run ./internal/mutants -list           # what would be done
//
// A mutant is one small edit of the product code, written down in rules.txt: a
// condition left out, a limit moved by one, a hash over something less. It is
// compiled from an overlay, so that no file of the tree changes, and killed when
// a case of the suite fails; where none does, the other tests of consensus,
// address, mempool, p2p and node are asked, which must all pass without a mutant.
// What they do not notice either is a survivor, and makes the exit status 1; so does
// a mutant under which tests never end, of which nothing is known.
//
// At the end the question is turned round: each case of the suite names the rules
// that it shows, and must fail under a mutant of each of them.
//
// The tests of this package keep rules.txt true: each edit still fits, and each
// rule of docs/protocol.md has a mutant, or a reason why it can have none.
package main
