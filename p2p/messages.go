package p2p

import (
	"fmt"

	"github.com/kapok-chain/kapok/consensus"
)

// Version is the protocol that this package speaks. MinVersion is the oldest
// one that it still answers. Since version 2 a Ping tells the time.
const (
	Version    = 2
	MinVersion = 1
)

// Sizes of messages, in bytes with the type byte.
const (
	// MaxMessage bounds one message on a stream: a block of Bitcoin's weight
	// limit, in which a byte weighs at least one unit, and 64 kB for framing.
	MaxMessage = 4_000_000 + 64<<10
	// MaxGossip bounds one gossip message; what is larger goes by stream.
	MaxGossip = 512_000
)

// Counts that a message may hold. Decode refuses more.
const (
	MaxLocator      = 101    // hashes; Bitcoin Core's MAX_LOCATOR_SZ
	MaxHeaders      = 2000   // headers in one answer; as in Bitcoin Core
	MaxGetBlocks    = 16     // bodies asked for at once, and in flight from one peer
	MaxShortIDs     = 65_535 // BIP152 indexes are 16 bits; no 4 MB block holds as many transactions
	MaxMempoolIDs   = 16_384 // short ids in one reconciliation, 128 kB
	MaxOffer        = 1_024  // wtxids in one offer
	MaxGetTxs       = 64     // transactions asked for at once
	MaxPeers        = 64     // addresses in one Peers
	MaxAddr         = 256    // bytes of an address (a multiaddr)
	MaxAgent        = 128    // bytes of an agent's name
	MaxHelloExtra   = 1_024  // bytes that a later version may append to Hello
	maxPrefilledTxs = 1      // the coinbase, and nothing else
)

// PeerID names a peer: libp2p's textual peer id, or any name in a simulation.
type PeerID string

// Everyone, as a destination, is the gossip topic of the message.
const Everyone PeerID = ""

// Peer is a connection that the host opened or accepted.
type Peer struct {
	ID        PeerID
	Addr      string // as dialled or as seen
	Inbound   bool   // they dialled us
	BlockOnly bool   // we dialled them for blocks alone
}

// Outgoing is one message on its way: by stream to a peer, in order, or by
// gossip to Everyone. Messages are shared and never changed once they are here.
type Outgoing struct {
	To  PeerID
	Msg Msg
}

// Verdict is what a gossip validator answers.
type Verdict int

const (
	// Accept: valid as far as it was judged; gossip forwards it.
	Accept Verdict = iota
	// Ignore: of no use to us now; not forwarded, and nobody's fault.
	Ignore
	// Reject: invalid for everybody, forever; not forwarded, and scored.
	Reject
)

// String returns the verdict's lower-case name.
func (v Verdict) String() string {
	switch v {
	case Accept:
		return "accept"
	case Ignore:
		return "ignore"
	case Reject:
		return "reject"
	}
	return "unknown"
}

// Msg is a pointer to one of the message structs of this file.
type Msg interface {
	// Type is the first byte of the encoding.
	Type() Type
}

// Type tells messages apart; docs/network.md has their layouts.
type Type byte

// Message types. A number is never used again for something else.
const (
	TypeHello       Type = 1
	TypePing        Type = 2
	TypePong        Type = 3
	TypeGetHeaders  Type = 4
	TypeHeaders     Type = 5
	TypeGetBlocks   Type = 6
	TypeBlock       Type = 7
	TypeNotFound    Type = 8
	TypeTx          Type = 9
	TypeAnnounce    Type = 10
	TypeGetBlockTxs Type = 11
	TypeBlockTxs    Type = 12
	TypeMempoolIDs  Type = 13
	TypeOffer       Type = 14
	TypeGetTxs      Type = 15
	TypeTxsDone     Type = 16
	TypePeers       Type = 17
)

// Hello is the first message of both sides.
type Hello struct {
	Version uint32
	Genesis consensus.Hash
	Nonce   uint64 // random for each start of a node: our own comes back from ourselves only
	Tip     consensus.Hash
	Height  uint32
	Work    consensus.Uint256 // of the chain that ends in Tip; a claim
	Time    int64             // Unix seconds
	Agent   string
	Addr    string // where the sender may be dialled, or ""
	// Extra are fields that came later. The first byte are flags; whatever is beyond
	// it, this version does not read.
	Extra []byte
}

// flagBlockOnly in a Hello asks for blocks alone.
const flagBlockOnly = 1

// BlockOnly reports whether the sender wants to be sent neither payments nor
// addresses.
func (m *Hello) BlockOnly() bool { return len(m.Extra) > 0 && m.Extra[0]&flagBlockOnly != 0 }

// Ping asks for a Pong with the same nonce: four random bytes, and above them the
// sender's time in Unix seconds.
type Ping struct{ Nonce uint64 }

// Pong answers a Ping.
type Pong struct{ Nonce uint64 }

// GetHeaders asks for the headers after the first hash of the locator that is
// on the receiver's active chain, up to Stop or MaxHeaders of them.
type GetHeaders struct {
	Locator []consensus.Hash // newest first
	Stop    consensus.Hash   // zero: as many as there are
}

// Headers answers GetHeaders, each header the child of the one before. Fewer
// than MaxHeaders mean that there are no more.
type Headers struct{ Headers []consensus.Header }

// ErrHeadersApart is the code of a Headers message that is no chain.
const ErrHeadersApart consensus.Code = "headers-apart"

// Check returns an error unless each header is the child of the one before. What is
// asked of a chain is asked of where it leaves ours, so the rest has to hang on to it.
func (m *Headers) Check() *consensus.RuleError {
	for i := 1; i < len(m.Headers); i++ {
		if parent := m.Headers[i-1].Hash(); m.Headers[i].Prev != parent {
			return &consensus.RuleError{Code: ErrHeadersApart, Kind: consensus.Invalid,
				Detail: fmt.Sprintf("header %d is no child of the one before it, %s", i, parent)}
		}
	}
	return nil
}

// GetBlocks asks for bodies. Each is answered by a Block or in a NotFound.
type GetBlocks struct{ Hashes []consensus.Hash }

// Block is a body with its header.
type Block struct{ Block *consensus.Block }

// NotFound names bodies that the sender was asked for and does not have.
type NotFound struct{ Hashes []consensus.Hash }

// Tx is one transaction: new, by gossip, or asked for by GetTxs.
type Tx struct{ Tx *consensus.Tx }

// Announce is a new block: its header, the coinbase, and the short ids of the
// other transactions in block order. Encoded, it is BIP152's cmpctblock
// (version 2) with the coinbase as the only prefilled transaction.
type Announce struct {
	Header   consensus.Header
	Nonce    uint64 // salts the short ids
	ShortIDs []ShortID
	Coinbase *consensus.Tx
}

// GetBlockTxs asks the sender of an Announce for the transactions that were
// not in the mempool. Encoded as BIP152's getblocktxn.
type GetBlockTxs struct {
	Block   consensus.Hash
	Indexes []uint32 // into the block's transactions, ascending
}

// BlockTxs answers GetBlockTxs, in the order asked for.
type BlockTxs struct {
	Block consensus.Hash
	Txs   []*consensus.Tx
}

// MempoolIDs lists what the sender's mempool holds, or the next part of it.
// An id is the SipHash-2-4 of the wtxid under a key made from Salt.
type MempoolIDs struct {
	Salt uint64 // the same on one connection, so that ids can be remembered
	IDs  []uint64
}

// Offer names transactions that the sender has and that gossip does not carry.
type Offer struct{ WTxIDs []consensus.Hash }

// GetTxs asks for transactions by the ids of a MempoolIDs, or by txid or wtxid.
type GetTxs struct {
	Salt   uint64 // of the MempoolIDs that IDs come from
	IDs    []uint64
	Hashes []consensus.Hash
}

// TxsDone ends the answer to GetTxs, which is a Tx for each that the sender has.
type TxsDone struct{}

// Peers passes on addresses of nodes.
type Peers struct{ Addrs []string }

// Unknown is a message of a type that this version does not know. It is not an
// error, so that versions can be mixed; its body is not kept.
type Unknown struct{ T Type }

// Type implements Msg.
func (*Hello) Type() Type       { return TypeHello }
func (*Ping) Type() Type        { return TypePing }
func (*Pong) Type() Type        { return TypePong }
func (*GetHeaders) Type() Type  { return TypeGetHeaders }
func (*Headers) Type() Type     { return TypeHeaders }
func (*GetBlocks) Type() Type   { return TypeGetBlocks }
func (*Block) Type() Type       { return TypeBlock }
func (*NotFound) Type() Type    { return TypeNotFound }
func (*Tx) Type() Type          { return TypeTx }
func (*Announce) Type() Type    { return TypeAnnounce }
func (*GetBlockTxs) Type() Type { return TypeGetBlockTxs }
func (*BlockTxs) Type() Type    { return TypeBlockTxs }
func (*MempoolIDs) Type() Type  { return TypeMempoolIDs }
func (*Offer) Type() Type       { return TypeOffer }
func (*GetTxs) Type() Type      { return TypeGetTxs }
func (*TxsDone) Type() Type     { return TypeTxsDone }
func (*Peers) Type() Type       { return TypePeers }
func (m *Unknown) Type() Type   { return m.T }
