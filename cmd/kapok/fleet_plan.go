package main

import (
	"crypto/rand"
	"log/slog"
	mathrand "math/rand/v2"
	"net"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/wallet"
)

// devWallet is a wallet in memory whose words everybody knows, with its first
// address.
type devWallet struct {
	wallet  *wallet.Wallet
	address string
}

func newDevWallet(params *consensus.Params, words string) (devWallet, error) {
	w, err := wallet.New(params, words)
	if err != nil {
		return devWallet{}, err
	}
	first, err := w.Address(wallet.Receive, 0)
	return devWallet{w, first}, err
}

// newPlan makes what a fleet of network dev needs before any node runs.
func newPlan(nodes int, dir, listen string, hashrate float64, log *slog.Logger) (*plan, error) {
	p := &plan{params: consensus.Dev(), nodes: nodes, dir: dir, listen: listen, hashrate: hashrate, log: log}
	for i, words := range wallet.DevWords() {
		var err error
		if p.wallets[i], err = newDevWallet(p.params, words); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// payChoices are the randomness of a payment, from the system's source, and
// otherwise the wallet's defaults.
func payChoices() wallet.Choices {
	var seed [32]byte
	rand.Read(seed[:]) // never fails (Go 1.24)
	return wallet.Choices{Rand: mathrand.New(mathrand.NewChaCha8(seed)), Aux: rand.Reader}
}

func listenTCP(addr string) (net.Listener, error) { return net.Listen("tcp", addr) }
