// Package testnet runs a network of real nodes on one machine: real proof of work at
// the rates of the file, libp2p over links with the file's delays, payments by real
// wallets, and faults at their times; and writes down what happened, in a run
// directory. Package spec is the file, package record the directory, package report
// what it means.
//
// Run is the whole of it. Nodes share nothing but the process, and not even that where
// the file kills them or the caller asks for processes.
package testnet
