// Package wallet answers two questions: which coins are mine, and how are they
// signed away?
//
// A Wallet is twelve or twenty-four words, the key tree that grows from them
// (BIP39, BIP32, BIP86), and two counters that say which addresses were handed
// out. It remembers nothing else: whatever it shows it asks of a node, through
// Chain, by address. The words alone therefore bring everything back.
//
// A payment walks one road: Pay → Select → Sign → Send. Select chooses coins and
// writes a PSBT, Sign fills it in and needs no network, Send hands the finished
// transaction to the node. Pay does all of it in one call.
//
// The contract:
//
//   - Keys never leave the wallet: a Chain sees addresses and signed
//     transactions only.
//   - A Wallet has no clock, goroutine, lock or log, and no randomness of its
//     own: that is handed in. One goroutine at a time uses it. What it does on
//     disk is one file, written whole or not at all, and never deleted
//     (docs/wallet.md gives each byte).
//   - What the user did wrong is answered with a *Fault: a code to test with
//     errors.Is, and one sentence that says what to do next. Any other error is
//     a fault of ours, of the disk, or of the node.
//   - Amounts are whole units, 10^8 to the coin. No float touches money.
package wallet
