package rpc

import (
	"context"
	"errors"
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// Backend is what the server asks of a node. Its methods are safe for
// concurrent use, return snapshots that nobody changes afterwards, and hold no
// lock when they return.
//
// Three kinds of errors come back. *consensus.RuleError is the caller's fault.
// ErrNotFound, ErrNoIndex, ErrNoBody, ErrPruned, ErrBanned and ErrVerifying say why
// there is no answer. Any other error is a fault of our own.
type Backend interface {
	ChainBackend
	CoinBackend
	MempoolBackend
	NetworkBackend
	MiningBackend
	IndexBackend
	ControlBackend
}

// Reasons for having no answer.
var (
	// ErrNotFound says that the thing asked for does not exist here.
	ErrNotFound = errors.New("not found")
	// ErrNoIndex says that the node runs without the index of transactions and keys.
	ErrNoIndex = errors.New("this node keeps no index (start it with --index)")
	// ErrNoBody says that only the header of a block is here, not its body.
	ErrNoBody = errors.New("block not available (only its header is here)")
	// ErrPruned says that the body of a block was here and was removed.
	ErrPruned = errors.New("block not available (pruned data)")
	// ErrBanned says that there is such a ban already.
	ErrBanned = errors.New("banned already")
	// ErrVerifying says that VerifyChain is at work for somebody else.
	ErrVerifying = errors.New("a verification is at work already; try again when it is done")
)

// ChainBackend is the block tree and the stored blocks.
type ChainBackend interface {
	Params() *consensus.Params
	// Chain is one consistent look at the chain's state.
	Chain() ChainState
	// BlockByHash looks in the whole tree; false where the hash is unknown.
	BlockByHash(consensus.Hash) (BlockInfo, bool)
	// BlockAt looks in the active chain; false above the tip.
	BlockAt(height uint32) (BlockInfo, bool)
	// Leaves are the ends of all branches, and the tip even where invalid blocks
	// or mere headers follow it.
	Leaves() []Leaf
	// Body reads a stored block: ErrNotFound, ErrNoBody for a mere header, ErrPruned.
	Body(consensus.Hash) (*consensus.Block, error)
	// Spent reads the coins that a connected block spent, one for every input
	// but the coinbase's, in block order: ErrNotFound where it never connected.
	Spent(consensus.Hash) ([]consensus.Coin, error)
	// NextBits is the compact target that a block on the tip must have.
	NextBits() uint32

	// InvalidateBlock marks a block as failed and leaves its branch.
	InvalidateBlock(consensus.Hash) error
	// ReconsiderBlock takes the mark back, from descendants and ancestors too.
	ReconsiderBlock(consensus.Hash) error
	// PreciousBlock treats a block as if it had been received before others of equal work.
	PreciousBlock(consensus.Hash) error
	// VerifyChain judges the last blocks of the active chain once more (0: all of
	// them), as thoroughly as a level from 0 to 4 says, and tells whether all is
	// well. What is not stands in the log. One at a time: ErrVerifying.
	VerifyChain(ctx context.Context, level int, depth uint32) (bool, error)
}

// ChainState is the state of the chain at one moment.
type ChainState struct {
	Tip        BlockInfo // of the active chain
	BestHeader BlockInfo // most work, body here or not
	Syncing    bool      // catching up: the tip is old or far behind BestHeader
	SizeOnDisk int64     // bytes
	Pruned     uint32    // there are no bodies below this height, but genesis; 0: all are there
	Warnings   []string  // for people; empty when all is well
}

// BlockInfo is what the tree knows about a block, copied.
type BlockInfo struct {
	Hash       consensus.Hash
	Header     consensus.Header
	Height     uint32
	Work       consensus.Uint256 // cumulative
	MedianTime int64             // MTP of the 11 blocks that end here, Unix seconds
	Next       consensus.Hash    // successor on the active chain, or zero
	TxCount    uint32            // 0 where there is no body
	ChainTxs   uint64            // transactions from genesis to here; 0 = unknown
	Active     bool              // on the active chain
	HasBody    bool
	Complete   bool // the bodies of the block and of all its ancestors are here
	Connected  bool // was fully validated once
	Failed     bool // itself or an ancestor
}

// Leaf is the end of a branch. Length counts the blocks down to the active chain.
type Leaf struct {
	Block  BlockInfo
	Length uint32
}

// CoinBackend is the set of unspent outputs of the tip.
type CoinBackend interface {
	// Coin returns a confirmed coin; false where it does not exist or is spent.
	Coin(consensus.OutPoint) (consensus.Coin, bool, error)
	// CoinSum returns the set's summary and the tip that it belongs to.
	CoinSum() (consensus.CoinSum, BlockInfo)
	// EachCoin visits every coin, in no order, until visit fails.
	EachCoin(visit func(consensus.OutPoint, consensus.Coin) error) error
}

// MempoolBackend is the pool of waiting transactions.
type MempoolBackend interface {
	Mempool() MempoolInfo
	// MempoolTxs lists the pool in a stable order, parents before children.
	MempoolTxs() []MempoolTx
	// MempoolEntry is one transaction with its family.
	MempoolEntry(txid consensus.Hash) (MempoolEntry, bool)
	// MempoolSpender names the waiting transaction that spends a coin.
	MempoolSpender(consensus.OutPoint) (txid consensus.Hash, ok bool)
	// Conflicts lists the last transactions that waited until a block held another one
	// that spends the same coin, oldest first.
	Conflicts() []Conflict
	// SubmitTxs puts transactions into the pool, in order, and announces them. There
	// is an error for each, nil where it was taken; a RuleError has the code
	// ErrFeeTooHigh where nothing else is wrong with it.
	SubmitTxs([]Submission) []error
	// TestTxs judges transactions in order, each as if those before it were in
	// the pool, and leaves the pool as it is. The error is ours.
	TestTxs([]*consensus.Tx) ([]TxVerdict, error)
}

// Submission is a transaction to be put into the pool.
type Submission struct {
	Tx *consensus.Tx
	// MaxFeeRate is what it may pay at most, in units per 1000 virtual bytes; 0 for
	// no limit.
	MaxFeeRate int64
}

// Exceeds reports whether a fee in units is higher than the limit.
func (s *Submission) Exceeds(fee int64, vsize int) bool {
	return tooHighRate(fee, vsize, Amount(s.MaxFeeRate))
}

// ErrFeeTooHigh is the code of a transaction that would be taken, but pays more than its
// sender allows.
const ErrFeeTooHigh consensus.Code = "max-fee-exceeded"

// MempoolInfo is the state of the pool.
type MempoolInfo struct {
	Txs         int
	VSize       int64 // virtual bytes of all transactions
	Usage       int64 // bytes of memory
	MaxUsage    int64 // bytes of memory
	TotalFee    int64 // units
	MinFeeRate  int64 // units per 1000 virtual bytes that get in now
	MinRelayFee int64 // units per 1000 virtual bytes that ever get in
	Sequence    uint64
}

// MempoolTx is a waiting transaction. Coins holds one spent coin per input; that
// of an unconfirmed parent has the height that its parent would be confirmed at.
type MempoolTx struct {
	Tx     *consensus.Tx
	TxID   consensus.Hash
	WTxID  consensus.Hash
	Coins  []consensus.Coin
	Fee    int64 // units
	Weight int
	VSize  int
	Time   time.Time // of entry
	Height uint32    // of the tip at entry
}

// Conflict is a transaction that cannot be confirmed while By is, which contradicts it or an
// ancestor of it.
type Conflict struct {
	MempoolTx
	By consensus.Hash // txid
}

// MempoolEntry adds the family. Ancestors and Descendants count the entry itself.
type MempoolEntry struct {
	MempoolTx
	Parents, Children      []consensus.Hash
	Ancestors, Descendants Family
}

// Family sums up a set of related transactions.
type Family struct {
	Count int
	VSize int64
	Fees  int64 // units
}

// TxVerdict is the judgement on one transaction. Rule is nil where it is accepted.
type TxVerdict struct {
	Fee  int64 // units; 0 where inputs are missing
	Rule *consensus.RuleError
}

// NetworkBackend is the peers.
type NetworkBackend interface {
	Network() NetworkInfo
	Peers() []Peer
	// AddPeer dials an address now; keep also dials again whenever it is lost.
	AddPeer(ctx context.Context, addr string, keep bool) error
	// RemovePeer no longer keeps an address that AddPeer was told to keep.
	RemovePeer(addr string) error
	// AddedPeers lists the addresses that are kept.
	AddedPeers() []string
	// DisconnectPeer takes an id or an address; ErrNotFound for a stranger.
	DisconnectPeer(idOrAddr string) error
	SetNetworkActive(bool)
	// KnownAddresses lists addresses of nodes that may not be connected.
	KnownAddresses() []KnownAddress
	// Ban refuses a peer id, an IP address or a subnet until the time given: ErrBanned.
	Ban(target string, until time.Time) error
	Unban(target string) error
	Bans() []Ban
}

// NetworkInfo is the state of the network side.
type NetworkInfo struct {
	ID                       string   // this node's peer id
	Addresses                []string // multiaddrs at which others reach it
	Active                   bool
	TimeOffset               time.Duration // the median of the peers' clocks less ours; 0 where too few peers are known
	BytesReceived, BytesSent uint64
	Messages                 map[string]MessageCount // by name
	Blocks                   BlockRelay
}

// MessageCount is the messages of one name, with their bytes before framing.
type MessageCount struct {
	Sent          uint64 `json:"sent"`
	BytesSent     uint64 `json:"bytessent"`
	Received      uint64 `json:"received"`
	BytesReceived uint64 `json:"bytesrecv"`
	Duplicates    uint64 `json:"duplicates"` // of the received: gossip that had come before
	Dropped       uint64 `json:"dropped"`    // of the received: gossip that nobody looked at
	Unsent        uint64 `json:"unsent"`     // gossip that found no room in a peer's queue
}

// BlockRelay counts how bodies came from peers.
type BlockRelay struct {
	Rebuilt   uint64 `json:"rebuilt"`   // from an announcement and the mempool alone
	Completed uint64 `json:"completed"` // with transactions that were asked for
	Whole     uint64 `json:"whole"`
}

// Peer is one connection.
type Peer struct {
	ID            string
	Number        int64 // counts connections up from 0, for tools that want an integer
	Addr          string
	Agent         string
	Transport     string // "tcp" or "quic"
	Version       uint32
	Inbound       bool
	Manual        bool // asked for with AddPeer or --peer
	BlockOnly     bool // told of no transactions
	Since         time.Time
	LastReceived  time.Time
	LastSent      time.Time
	LastBlock     time.Time     // zero: never
	LastTx        time.Time     // zero: never
	Ping, MinPing time.Duration // zero: not measured yet
	TimeOffset    time.Duration // its clock less ours
	Height        uint32        // of the best block that it is known to have
	StartHeight   uint32        // that it said in its hello
	PresyncHeight uint32        // of the first look at its headers before they are kept; zero: there is none
	Score         float64       // of misbehaviour; it is dropped at 100
	GossipScore   float64       // GossipSub's: below 0 for what was wrong
	BytesReceived uint64
	BytesSent     uint64
	SentPerMsg    map[string]uint64 // bytes by name, without framing and encryption
	RecvPerMsg    map[string]uint64
	InFlight      []uint32 // heights of the blocks that it was asked for
}

// KnownAddress is an address heard of.
type KnownAddress struct {
	Addr string
	Seen time.Time
}

// Ban is a refusal with an end.
type Ban struct {
	Target         string
	Created, Until time.Time
}

// MiningBackend is work for miners and blocks from them.
type MiningBackend interface {
	Mining() MiningInfo
	// Template is a block to be solved. Where the rules forbid any block now
	// (the chain's time is too far ahead), the error is a RuleError.
	Template() (*Template, error)
	// SubmitBlock judges, stores and announces a solved block. onTip tells
	// whether it is the tip now; false means stored, on a side branch.
	SubmitBlock(*consensus.Block) (onTip bool, err error)
	// ProposeBlock judges an unsolved block on the tip and forgets it.
	ProposeBlock(*consensus.Block) error
	// Mine searches at most tries nonces for a block on the tip that pays to a
	// script, with the transactions given, or with the pool's where txs is nil.
	// A nil block says that the tries are used up. Callers take turns: where they
	// submit, each finds the block of the one before it on the chain.
	Mine(ctx context.Context, payout []byte, txs []*consensus.Tx, tries uint64, submit bool) (*consensus.Block, error)
}

// MiningInfo is the state of this node's own miner.
type MiningInfo struct {
	Threads  int     // 0: not mining
	Hashrate float64 // hashes per second
}

// Template is a block without its solution.
type Template struct {
	Height        uint32
	Parent        consensus.Hash
	Version       int32
	Bits          uint32
	Time, MinTime uint32           // Unix seconds
	CoinbaseValue int64            // units: subsidy and fees
	Txs           []*consensus.Tx  // without the coinbase, parents first
	TxIDs, WTxIDs []consensus.Hash // one per transaction
	Fees          []int64          // units, one per transaction
	Commitment    []byte           // the output script of the witness commitment
	Coinbase      *consensus.Tx    // complete, paying to the node's own payout script; nil where it has none
}

// IndexBackend is the index of transactions and keys. Its methods fail with
// ErrNoIndex on a node that keeps none.
type IndexBackend interface {
	Index() IndexInfo
	// TxLocation says where a confirmed transaction is: ErrNotFound.
	TxLocation(txid consensus.Hash) (block consensus.Hash, pos int, err error)
	// History lists, in chain order, at most limit events of a key after a cursor.
	History(key [consensus.KeySize]byte, after Cursor, limit int) ([]HistoryEntry, error)
}

// IndexInfo is the state of the index.
type IndexInfo struct {
	Enabled bool
	Synced  bool
	Height  uint32 // of the best block in it
}

// Cursor is a place in a key's history. The zero Cursor stands before
// everything; in a transaction inputs come before outputs.
type Cursor struct {
	Height uint32 `json:"height"`
	TxPos  uint32 `json:"tx_pos"` // in the block, 0 is the coinbase
	Output bool   `json:"output"` // false: an input
	N      uint32 `json:"n"`      // of the input or output
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

// Cursor is the entry's place, to ask for what comes after it.
func (e *HistoryEntry) Cursor() Cursor {
	return Cursor{Height: e.Height, TxPos: e.TxPos, Output: !e.Spend, N: e.N}
}

// ControlBackend is the process.
type ControlBackend interface {
	// Now is what the node times things by, mocked or not.
	Now() time.Time
	// SetMockTime stops the clock at t, or starts it again for the zero time.
	SetMockTime(t time.Time)
	Started() time.Time
	// Stop asks the node to end; it returns at once.
	Stop()
	// WaitTip returns when the tip is no longer known, or the context is over.
	WaitTip(ctx context.Context, known consensus.Hash) error
}
