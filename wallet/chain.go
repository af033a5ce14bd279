package wallet

import (
	"context"

	"github.com/kapok-chain/kapok/consensus"
)

// Chain is what a wallet asks of a node. It never sees a key. Its errors are
// passed through as they are.
type Chain interface {
	// Tip is the best block.
	Tip(ctx context.Context) (Tip, error)
	// Coins are the unspent outputs of addresses, those in the mempool too, in
	// any order.
	Coins(ctx context.Context, addresses []string) ([]Coin, error)
	// History lists what ever came to addresses or left them, the mempool
	// included, and what would have, had no block contradicted it, as far as the
	// node knows of that; in any order.
	History(ctx context.Context, addresses []string) ([]Movement, error)
	// Details describes transactions, in the order asked for. One that is gone
	// meanwhile (a reorganisation) has a zero TxID.
	Details(ctx context.Context, txids []consensus.Hash) ([]Details, error)
	// FeeRate is what a payment should offer now.
	FeeRate(ctx context.Context) (FeeRate, error)
	// Send hands a signed transaction to the node's mempool.
	Send(ctx context.Context, tx *consensus.Tx) error
}

// MaxAddresses bounds the addresses that a wallet puts into one question.
const MaxAddresses = 1000

// Tip is a place in the chain.
type Tip struct {
	Height uint32
	Hash   consensus.Hash
}

// Coin is an unspent output of one address.
type Coin struct {
	OutPoint consensus.OutPoint
	Address  string
	Value    int64  // units
	Height   uint32 // 0: in the mempool
	Coinbase bool
	Spending bool // a transaction in the mempool spends it
}

// Movement is a coin that came to an address (Value > 0) or left it (< 0).
type Movement struct {
	Address  string
	TxID     consensus.Hash // that created or spent the coin
	Value    int64          // units
	Height   uint32         // 0: in the mempool
	Position uint32         // of the transaction in its block
	Coinbase bool           // the transaction is a coinbase
	Conflict consensus.Hash // zero, or the transaction in a block that made this one impossible: it did not happen
}

// Details are the ends of a transaction.
type Details struct {
	TxID    consensus.Hash
	Time    int64 // Unix seconds: of its block, or of its arrival
	Fee     int64 // units; -1 where the node does not know it
	Inputs  []End // empty for a coinbase
	Outputs []End // those that pay an address
}

// End is one input or output.
type End struct {
	Address string
	Value   int64 // units
}
