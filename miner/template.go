package miner

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/sha256d"
)

// Version is that of templates: BIP9's top bits, and none of those that
// consensus.VersionRollMask leaves to the miner.
const Version = 0x20000000

// ReservedWeight is what a template leaves of a block for the header, the
// transaction count and the coinbase, in weight units: about 1,400 for the
// coinbase of Block, the rest for outside miners' outputs.
const ReservedWeight = 4000

// Room is how many weight units of transactions fit into a template.
func Room(p *consensus.Params) int { return max(0, p.MaxWeight-ReservedWeight) }

// A Template is a block without its coinbase and nonce. It is not changed once
// it is made.
type Template struct {
	Height        uint32
	Parent        consensus.Hash
	Version       int32
	Bits          uint32
	Target        consensus.Uint256 // that Bits stand for
	Time          uint32            // Unix seconds, when it was made
	MinTime       uint32            // the earliest time that the block may carry
	CoinbaseValue int64             // subsidy and fees, in units
	Fees          int64             // units
	Txs           []*consensus.Tx   // behind the coinbase, in block order
	TxIDs         []consensus.Hash  // by transaction
	WTxIDs        []consensus.Hash  // by transaction
	TxFees        []int64           // units, by transaction
	Commitment    []byte            // output script of the witness commitment, for a reserved value of zeros

	branch []consensus.Hash // Merkle branch of the coinbase
}

// TooEarly is the error of a template whose parent's times leave only times
// that the network does not accept yet. It passes by waiting.
type TooEarly struct {
	Parent consensus.Hash
	Time   int64         // the earliest that the block may carry, Unix seconds
	Limit  int64         // the latest that the clock allows, Unix seconds
	Wait   time.Duration // until Limit reaches Time
}

func (e *TooEarly) Error() string {
	return fmt.Sprintf("miner: the next block must be dated %s or later, and the clock allows %s at most: waiting for %v",
		time.Unix(e.Time, 0).UTC().Format(time.DateTime), time.Unix(e.Limit, 0).UTC().Format(time.DateTime), e.Wait)
}

// NewTemplate builds upon parent with transactions that are valid there in this
// order, within Room, and what each pays. The time is now's, or the earliest
// that the rules allow, if that is later; where even that is above the future
// limit the error is a *TooEarly. Any other error means that transactions and
// fees are not what they should be.
func NewTemplate(p *consensus.Params, parent *consensus.BlockIndex, now time.Time, txs []*consensus.Tx, fees []int64) (*Template, error) {
	if len(txs) != len(fees) {
		return nil, fmt.Errorf("miner: %d transactions with %d fees", len(txs), len(fees))
	}
	least := consensus.MinTime(p, parent)
	at := max(now.Unix(), least)
	if limit := now.Unix() + p.FutureLimit; at > limit {
		return nil, &TooEarly{Parent: parent.Hash, Time: at, Limit: limit, Wait: time.Unix(at-p.FutureLimit, 0).Sub(now)}
	}
	if at < 0 || at > math.MaxUint32 {
		return nil, fmt.Errorf("miner: the time %v does not fit a header", now)
	}
	t := &Template{
		Height:  parent.Height + 1,
		Parent:  parent.Hash,
		Version: Version,
		Bits:    consensus.NextBits(p, parent),
		Time:    uint32(at),
		MinTime: uint32(least),
		Txs:     txs,
		TxFees:  fees,
	}
	t.Target, _, _ = consensus.CompactToTarget(t.Bits)
	if err := t.addFees(p); err != nil {
		return nil, err
	}
	t.commit()
	return t, nil
}

// Complete fills in what follows from the fields of a template that another node
// gave out (getblocktemplate): target, commitment and Merkle branch. What the
// node says is believed, since it is the one to judge the block.
func (t Template) Complete() *Template {
	t.Target, _, _ = consensus.CompactToTarget(t.Bits)
	t.commit()
	return &t
}

// addFees sums up, and checks that the transactions fit.
func (t *Template) addFees(p *consensus.Params) error {
	weight := 0
	for i, tx := range t.Txs {
		fee := t.TxFees[i]
		if fee < 0 || fee > consensus.MaxMoney-t.Fees {
			return fmt.Errorf("miner: transaction %d pays %d units", i, fee)
		}
		t.Fees += fee
		weight += tx.Weight()
	}
	if room := Room(p); weight > room {
		return fmt.Errorf("miner: the transactions weigh %d, there is room for %d", weight, room)
	}
	t.CoinbaseValue = p.Subsidy(t.Height) + t.Fees
	return nil
}

// commit computes what the coinbase does not change: the commitment to the
// witnesses, in whose tree it counts as zero, and its own Merkle branch.
func (t *Template) commit() {
	wtxids := make([]consensus.Hash, 1+len(t.Txs)) // the coinbase's is zero
	t.TxIDs, t.WTxIDs = make([]consensus.Hash, len(t.Txs)), wtxids[1:]
	for i, tx := range t.Txs {
		t.TxIDs[i], t.WTxIDs[i] = tx.TxID(), tx.WTxID()
	}
	root, _ := consensus.MerkleRoot(wtxids)
	t.Commitment = consensus.CommitmentScript(root, [consensus.ReservedSize]byte{})
	t.branch = merkleBranch(t.TxIDs)
}

// merkleBranch returns what the first leaf of a Merkle tree is hashed with on
// its way to the root, given all the other leaves.
func merkleBranch(rest []consensus.Hash) (branch []consensus.Hash) {
	for len(rest) > 0 {
		branch = append(branch, rest[0])
		rest = rest[1:]
		if len(rest)%2 == 1 {
			rest = append(rest[:len(rest):len(rest)], rest[len(rest)-1])
		}
		rest = sha256d.HashLevel(slices.Clone(rest))
	}
	return branch
}

func merkleNode(left, right consensus.Hash) consensus.Hash {
	return consensus.DoubleSHA256(append(left[:], right[:]...))
}

// Limits of a coinbase's script: 100 bytes in all, of which the height takes up
// to six and the extranonce nine.
const (
	extranonceSize = 8
	// MaxText is how many bytes of text fit behind them.
	MaxText = 100 - 6 - (1 + extranonceSize)
)

// Block returns the block that pays to an output script and carries a text in
// its coinbase, cut off at MaxText bytes. Its nonce is 0. Blocks of different
// extranonces have different Merkle roots, so that no two searches overlap.
func (t *Template) Block(payout []byte, extranonce uint64, text string) *consensus.Block {
	script := append(consensus.CoinbaseHeightScript(t.Height), extranonceSize)
	script = binary.LittleEndian.AppendUint64(script, extranonce)
	script = append(script, text[:min(len(text), MaxText)]...)
	coinbase := &consensus.Tx{
		Version: 2,
		Inputs: []consensus.TxIn{{
			PrevOut:   consensus.OutPoint{Index: math.MaxUint32},
			ScriptSig: script,
			Sequence:  math.MaxUint32,
			Witness:   [][]byte{make([]byte, consensus.ReservedSize)},
		}},
		Outputs: []consensus.TxOut{
			{Value: t.CoinbaseValue, Script: payout},
			{Value: 0, Script: t.Commitment},
		},
	}
	txids := append([]consensus.Hash{coinbase.TxID()}, t.TxIDs...)
	wtxids := append([]consensus.Hash{coinbase.WTxID()}, t.WTxIDs...)
	root := txids[0]
	for _, sibling := range t.branch {
		root = merkleNode(root, sibling)
	}
	header := consensus.Header{
		Version:    t.Version,
		Prev:       t.Parent,
		MerkleRoot: root,
		Time:       t.Time,
		Bits:       t.Bits,
	}
	return consensus.IdentifiedBlock(header, append([]*consensus.Tx{coinbase}, t.Txs...), txids, wtxids)
}
