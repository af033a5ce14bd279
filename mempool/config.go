package mempool

import (
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// Limits that are the same for every pool: peers with other ones would not
// relay each other's transactions.
const (
	// MaxTxWeight bounds one transaction, in weight units (M3). One that takes
	// a tenth of a block should ask a miner.
	MaxTxWeight = 400_000

	// MinTxSize is the least stripped size in bytes (M4): shorter ones look
	// like a node of the merkle tree (CVE-2017-12842).
	MinTxSize = 65

	// DustLimit is the least value of a P2TR output in units (M5): what
	// spending it costs, 110 vB with the output itself, at 3 units/vB.
	DustLimit = 330

	// MaxClusterTxs and MaxClusterWeight (weight units, 101 kvB) bound the
	// transactions that hang together through unconfirmed outputs (M11).
	MaxClusterTxs    = 64
	MaxClusterWeight = 404_000
)

// Config holds a pool's limits. A zero field takes its value from
// DefaultConfig.
type Config struct {
	MaxBytes    int64         // memory of all entries, in bytes by the estimate of Entry
	MinRelayFee int64         // lowest fee rate, and the step above an evicted one; units/kvB
	Expiry      time.Duration // how long an entry may wait

	MaxOrphans       int           // transactions without a parent, in all
	MaxOrphanBytes   int64         // their serialized size, in all
	MaxPeerOrphans   int           // those of one peer
	MaxPeerOrphBytes int64         // their serialized size
	OrphanExpiry     time.Duration // how long an orphan may wait
}

// DefaultConfig returns the limits of DESIGN: Bitcoin Core's, where it has one.
func DefaultConfig() Config {
	return Config{
		MaxBytes:         300_000_000,
		MinRelayFee:      1000,
		Expiry:           336 * time.Hour,
		MaxOrphans:       1000,
		MaxOrphanBytes:   10_000_000,
		MaxPeerOrphans:   100,
		MaxPeerOrphBytes: 1_000_000,
		OrphanExpiry:     20 * time.Minute,
	}
}

// withDefaults fills in the zero fields.
func (c Config) withDefaults() Config {
	d := DefaultConfig()
	orElse(&c.MaxBytes, d.MaxBytes)
	orElse(&c.MinRelayFee, d.MinRelayFee)
	orElse(&c.Expiry, d.Expiry)
	orElse(&c.MaxOrphans, d.MaxOrphans)
	orElse(&c.MaxOrphanBytes, d.MaxOrphanBytes)
	orElse(&c.MaxPeerOrphans, d.MaxPeerOrphans)
	orElse(&c.MaxPeerOrphBytes, d.MaxPeerOrphBytes)
	orElse(&c.OrphanExpiry, d.OrphanExpiry)
	return c
}

func orElse[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Coins returns those of the outpoints that are coins of the chain's tip. An
// error is ours, not the sender's, and passed on.
type Coins func([]consensus.OutPoint) (map[consensus.OutPoint]consensus.Coin, error)

// Chain is what a transaction is judged against: the next block after Tip.
type Chain struct {
	Params *consensus.Params
	Tip    *consensus.BlockIndex
	Coins  Coins // at Tip
}
