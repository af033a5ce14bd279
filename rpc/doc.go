// Package rpc answers one question: how does another program ask this node
// something, or hand it something?
//
// A Server speaks JSON-RPC 1.0 and 2.0 over HTTP POST with Bitcoin Core's
// method names, fields and error codes, so that its tools work unchanged. What
// it knows it asks of a Backend, an interface that node implements. A Client
// has the same methods from the other side.
//
// The contract:
//
//   - Nothing from outside is trusted: bodies, nesting, batches and headers are
//     bounded, a browser's page cannot reach the server (Host and Origin are
//     checked), and a wrong password costs the guesser a quarter of a second.
//   - Whatever is wrong with a request is answered with Core's code for it. A
//     fault of our own, such as a failing disk, is answered with -32603, logged,
//     and never looks like "not found".
//   - Amounts are exact: decimal numbers with eight digits, never floats.
//   - The server holds no keys. Wallet methods are answered by the wallet's own
//     server.
package rpc
