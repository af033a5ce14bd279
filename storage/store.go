package storage

import (
	"context"
	"errors"
	"log/slog"

	"github.com/kapok-chain/kapok/consensus"
)

// Errors to be tested for with errors.Is. The errors returned carry the
// details: which directory, which block, what was expected.
var (
	// ErrNotFound says that the store was never given the thing.
	ErrNotFound = errors.New("not found")
	// ErrDamaged says that the disk returned something else than was written.
	ErrDamaged = errors.New("damaged")
	// ErrLocked says that another process (or another store of this one) uses
	// the directory.
	ErrLocked = errors.New("data directory is in use")
	// ErrForeign says that the directory belongs to another network, or is not
	// a data directory of kapok at all.
	ErrForeign = errors.New("foreign data directory")
	// ErrNewerSchema says that a newer version of kapok wrote the directory.
	ErrNewerSchema = errors.New("data directory of a newer version")
	// ErrNoIndex says that the store was opened without Options.Index.
	ErrNoIndex = errors.New("the transaction and key index is off")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("the store is closed")
	// ErrReset says that the coins of a Snapshot were thrown away by ResetCoins.
	ErrReset = errors.New("the coins are being made anew")
	// ErrNoSpace says that the disk is too full to go on.
	ErrNoSpace = errors.New("no space left")
	// ErrUnclean says that a kill left the directory with work to be done, which
	// a read-only store cannot do.
	ErrUnclean = errors.New("data directory was not closed in order")
	// ErrPruned says that it would take bodies or undo data that were pruned.
	ErrPruned = errors.New("it needs blocks that were pruned")
	// ErrReadOnly says that the store was opened with Options.ReadOnly.
	ErrReadOnly = errors.New("the store is read-only")
)

const (
	// DefaultCoinCache is the write-back cache in bytes where Options ask for
	// none: about 400,000 coins, more than most networks have.
	DefaultCoinCache = 64 << 20
	// maxUnflushed bounds the blocks that a restart after a kill has to
	// connect again: about two seconds of work.
	maxUnflushed = 500
	// maxWaiting bounds what waits in memory to be written, in bytes: two of the
	// largest blocks. When there is more it is written.
	maxWaiting = 8 << 20
	// MaxHistory bounds one answer of History, in entries (about 1.5 MB).
	MaxHistory = 10_000
)

// Options say where and how Open keeps a chain.
type Options struct {
	// Dir is the data directory. The chain goes to its folder "chain", and a
	// small text file beside it names the network.
	Dir string
	// Beside names files and folders (cookie, config, …) that may stand in a
	// directory that is not marked yet. Anything else makes it foreign.
	Beside []string
	// CoinCacheBytes is the budget of the write-back coin cache; 0 means
	// DefaultCoinCache. When it is used up, Connect flushes.
	CoinCacheBytes int
	// Index keeps TxLocation and History. Turned on later, the first Open
	// builds the index from the blocks.
	Index bool
	// Lean takes small buffers, for many nodes on one machine: 170 MB of apparent disk
	// for a new chain instead of 270.
	Lean bool
	// ReadOnly reads a directory that its last user closed, and writes nothing
	// there: ErrNotFound where it holds no chain yet, ErrUnclean after a kill.
	// Index is not looked at. Not on Windows, where Badger cannot do it.
	ReadOnly bool
	// Reindex makes all anew that follows from the bodies: what the records say of
	// them, and then coins and index, which begin at genesis. The caller walks on
	// from there, and calls EndReindex; what a kill cut short, the next Open with
	// Reindex goes on with, unless it is to Restart. ErrPruned, before anything is
	// written, where bodies are missing on purpose.
	Reindex, Restart bool
	existing         bool // ErrNotFound where there is no chain yet
	// Logger takes what Badger has to say; nil discards it.
	Logger *slog.Logger
}

// State is what a store knows when it is opened.
type State struct {
	Records []consensus.Record // every header but genesis, parents before children
	Tip     consensus.Hash     // of the coins
	Height  uint32             // of Tip
	Sum     consensus.CoinSum  // of the coins
	Pruned  uint32             // bodies and undo data below this height are gone, but genesis; 0: none are
	Clean   bool               // the last user closed the store; else the coins want a Recount
	Suspect bool               // something is damaged: bodies, undo data and coins want to be looked at
}

// Store keeps one chain. The package comment states the contract.
type Store interface {
	// Load returns everything that the block tree is built from.
	Load() (*State, error)
	// PutHeaders takes new or changed records. As what PutBlock, Connect and Disconnect
	// take, they are there for every reader at once, and on disk after the next Flush,
	// ResetCoins, Close or Sync.
	PutHeaders([]consensus.Record) error
	// PutBlock takes a body and its record.
	PutBlock(consensus.Record, *consensus.Block) error
	// Forget removes a body that cannot be read, so that it is ErrNotFound until it is put
	// again. Its record stays.
	Forget(consensus.Hash) error
	// Sync writes what was taken.
	Sync() error
	// SyncIndex brings the index to Tip, as every read of it does, and holds up nobody
	// else. After a kill Open does it.
	SyncIndex() error

	// Block returns a body, checked against its own hash and merkle root:
	// ErrNotFound, ErrDamaged.
	Block(consensus.Hash) (*consensus.Block, error)
	// RawBlock returns the same as serialized bytes, checked alike.
	RawBlock(consensus.Hash) ([]byte, error)
	// Undo returns the coins that a connected block spent: ErrNotFound,
	// ErrDamaged. It stays when the block is disconnected.
	Undo(consensus.Hash) (*consensus.Undo, error)

	// Coins returns those of the outpoints that are unspent at Tip.
	Coins([]consensus.OutPoint) (map[consensus.OutPoint]consensus.Coin, error)
	// Snapshot returns the coins of this moment. Whoever asks closes it.
	Snapshot() (Snapshot, error)
	// Connect moves Tip to a child of it: b at the given height, whose record
	// is rec and whose effect on the coins is d (consensus.ApplyBlock). It
	// keeps record and undo data.
	Connect(rec consensus.Record, height uint32, b *consensus.Block, d *consensus.Delta) error
	// Disconnect moves Tip back from b, which stands at the given height, to
	// its parent, whose record is rec; d comes from consensus.RevertBlock.
	Disconnect(rec consensus.Record, height uint32, b *consensus.Block, d *consensus.Delta) error
	// Tip is the block that the coins belong to.
	Tip() consensus.Hash
	// Sum is the coin sum at Tip.
	Sum() consensus.CoinSum
	// ForEachCoin calls f with every coin of one moment, in no particular
	// order, without holding up Connect. An error of f ends it.
	ForEachCoin(f func(consensus.OutPoint, consensus.Coin) error) error
	// Recount counts the coins of one moment anew and returns the sum found
	// and the sum that was kept: they differ when the disk lost something.
	Recount(ctx context.Context) (found, kept consensus.CoinSum, err error)
	// Vouch says that whoever looked at all that is stored found nothing wrong: the next
	// Load after Close is Clean, and not Suspect.
	Vouch()
	// ResetCoins takes the coins (and the index) back to genesis. The node
	// then walks forward from there over the stored bodies: ErrPruned where they
	// are not all there.
	ResetCoins() error

	// TxLocation returns where a transaction of the active chain stands:
	// ErrNotFound, ErrNoIndex.
	TxLocation(txid consensus.Hash) (block consensus.Hash, pos int, err error)
	// History returns what happened to the coins of a key on the active chain
	// after a cursor, oldest first, at most limit entries (and MaxHistory).
	History(key [consensus.KeySize]byte, after Cursor, limit int) ([]HistoryEntry, error)

	// Flush moves the coins to disk.
	Flush() error
	// FlushWhenDue does so when many were changed, and holds up nobody else.
	FlushWhenDue() error
	// Close flushes and gives the directory free.
	Close() error
}

// Snapshot is the coins of one moment, however the tip moves on. It is not safe
// for concurrent use, and it does not keep the store from being closed.
type Snapshot interface {
	// Coins returns those of the outpoints that were unspent: ErrReset, ErrClosed.
	Coins([]consensus.OutPoint) (map[consensus.OutPoint]consensus.Coin, error)
	Close()
}

// Cursor is a place in a key's history. The zero Cursor stands before
// everything. The order is that of the chain; in a transaction inputs come
// before outputs.
type Cursor struct {
	Height uint32 // of the block
	TxPos  uint32 // in the block, 0 is the coinbase
	Output bool   // false: an input
	N      uint32 // of the input or output
}

// HistoryEntry is a coin that a transaction created or spent.
type HistoryEntry struct {
	Height   uint32
	TxPos    uint32
	N        uint32         // input number of a spend, else output number
	TxID     consensus.Hash // of the transaction that did it
	Spend    bool
	OutPoint consensus.OutPoint // the coin
	Value    int64              // of the coin, in units
	Coinbase bool               // the coin came from a coinbase
}

// Cursor is the entry's place, to ask for what comes after it.
func (e *HistoryEntry) Cursor() Cursor {
	return Cursor{Height: e.Height, TxPos: e.TxPos, Output: !e.Spend, N: e.N}
}

// before orders cursors.
func (c Cursor) before(d Cursor) bool {
	switch {
	case c.Height != d.Height:
		return c.Height < d.Height
	case c.TxPos != d.TxPos:
		return c.TxPos < d.TxPos
	case c.Output != d.Output:
		return d.Output
	}
	return c.N < d.N
}

// point is a block with its height.
type point struct {
	Hash   consensus.Hash
	Height uint32
}

// head is a tip with the sum of its coins.
type head struct {
	point
	Sum consensus.CoinSum
}

// move returns the head after d's coins came and went.
func (h head) move(to point, d *consensus.Delta) head {
	return head{to, h.Sum.Plus(d.Sum())}
}
