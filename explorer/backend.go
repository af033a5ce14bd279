package explorer

import (
	"context"
	"errors"
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// Reasons for having no answer. Any other error of a Backend is a fault of our own.
var (
	// ErrNotFound says that the thing asked for does not exist here.
	ErrNotFound = errors.New("not found")
	// ErrPruned says that the block was here, and only its header was kept.
	ErrPruned = errors.New("the block was pruned")
	// ErrNoIndex says that the node keeps no index of transactions and keys.
	ErrNoIndex = errors.New("this node keeps no index")
)

// Backend is what the pages ask of a node. Its methods are safe for concurrent
// use and return snapshots that nobody changes afterwards.
type Backend interface {
	Params() *consensus.Params
	Now() time.Time // of the clock by which times in Peer and MempoolTx are
	Tip() Block
	BlockAt(height uint32) (Block, bool) // on the active chain
	BlockByHash(consensus.Hash) (Block, bool)
	// Body reads a stored block, or says ErrNotFound or ErrPruned.
	Body(consensus.Hash) (*consensus.Block, error)
	// Spent reads the coins that a block spent, one for every input but the
	// coinbase's, in block order; ErrNotFound for a block that never connected.
	Spent(consensus.Hash) ([]consensus.Coin, error)
	// TxLocation says where a confirmed transaction is.
	TxLocation(txid consensus.Hash) (block consensus.Hash, pos int, err error)
	// History lists at most limit events of a key in chain order, beginning
	// after the cursor (the zero Cursor stands before the first).
	History(key [consensus.KeySize]byte, after Cursor, limit int) ([]HistoryEntry, error)
	// Unspent reports whether a confirmed coin exists.
	Unspent(consensus.OutPoint) (bool, error)
	Mempool() Mempool
	MempoolTxs() []MempoolTx // at most the pool, in a stable order
	MempoolTx(txid consensus.Hash) (MempoolTx, bool)
	// MempoolSpender names the waiting transaction that spends a coin.
	MempoolSpender(consensus.OutPoint) (txid consensus.Hash, ok bool)
	Peers() []Peer
	// WaitTip returns when the tip is no longer known, or the context is over.
	WaitTip(ctx context.Context, known consensus.Hash) error
}

// Block is what the tree knows about a block, copied.
type Block struct {
	Hash    consensus.Hash
	Header  consensus.Header
	Height  uint32
	Work    consensus.Uint256 // cumulative
	TxCount uint32            // 0 where there is no body
	Next    consensus.Hash    // successor on the active chain, or zero
	Active  bool              // on the active chain
}

// Mempool is the state of the pool.
type Mempool struct {
	Txs        int
	VSize      int64 // virtual bytes
	Fees       int64 // units
	MinFeeRate int64 // units per 1000 virtual bytes that get in now
}

// MempoolTx is a waiting transaction with the coins that it spends.
type MempoolTx struct {
	Tx    *consensus.Tx
	TxID  consensus.Hash
	Coins []consensus.Coin // one per input
	Fee   int64            // units
	VSize int
	Time  time.Time // of entry
}

// Cursor is a place in a key's history. The zero Cursor stands before
// everything; in a transaction inputs come before outputs.
type Cursor struct {
	Height uint32
	TxPos  uint32 // in the block, 0 is the coinbase
	Output bool   // false: an input
	N      uint32 // of the input or output
}

// HistoryEntry is a coin that came to a key, or left it.
type HistoryEntry struct {
	Height   uint32
	TxPos    uint32
	N        uint32         // input number of a spend, else output number
	TxID     consensus.Hash // that created or spent the coin
	Spend    bool
	OutPoint consensus.OutPoint // of the coin
	Value    int64              // units
	Coinbase bool               // the coin is a miner's reward
}

// Peer is one connection.
type Peer struct {
	ID, Addr, Agent string
	Transport       string // "tcp" or "quic"
	Inbound         bool
	Since           time.Time
	Ping            time.Duration // zero: not measured yet
	Height          uint32        // of the best block that it is known to have
}
