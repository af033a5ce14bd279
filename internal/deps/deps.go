// Package deps pins the dependency set while the house is being built.
package deps

import (
	_ "github.com/BurntSushi/toml"
	_ "github.com/btcsuite/btcd/address/v2/bech32"
	_ "github.com/btcsuite/btcd/btcec/v2"
	_ "github.com/btcsuite/btcd/btcec/v2/schnorr"
	_ "github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	_ "github.com/btcsuite/btcd/chaincfg/v2"
	_ "github.com/btcsuite/btcd/psbt/v2"
	_ "github.com/dgraph-io/badger/v4"
	_ "github.com/klauspost/cpuid/v2"
	_ "github.com/libp2p/go-libp2p"
	_ "github.com/libp2p/go-libp2p-pubsub"
	_ "github.com/schollz/progressbar/v3"
	_ "github.com/tyler-smith/go-bip39"
	_ "github.com/urfave/cli/v2"
	_ "golang.org/x/crypto/argon2"
	_ "golang.org/x/crypto/chacha20poly1305"
	_ "golang.org/x/term"
)
