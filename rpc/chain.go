package rpc

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"math"
	"slices"

	"github.com/kapok-chain/kapok/consensus"
)

func chainMethods() []method {
	const group = "Blockchain"
	blockhash := need("blockhash", kindHash, "the block's hash")
	return []method{
		{"getblockchaininfo", group, nil, "State of the chain.",
			`An object: chain ("main", or "regtest" for every other network, for the sake of Core's tools), kapok_network (the network's own name), blocks, headers, bestblockhash, bits, target, difficulty, time, mediantime, verificationprogress, initialblockdownload, chainwork, size_on_disk, pruned, pruneheight (of the lowest block whose body is here beside genesis; where pruned), warnings.`, getBlockchainInfo},
		{"getbestblockhash", group, nil, "Hash of the tip.", "The hash.",
			func(c *call) (any, error) { return c.b.Chain().Tip.Hash, nil }},
		{"getblockcount", group, nil, "Height of the tip; genesis is 0.", "The height.",
			func(c *call) (any, error) { return c.b.Chain().Tip.Height, nil }},
		{"getblockhash", group, []param{need("height", kindInt, "the height in the active chain")}, "Hash of a block of the active chain.", "The hash.", getBlockHash},
		{"getblockheader", group, []param{blockhash, option("verbose", kindBool, true, "false for the 80 bytes in hex")},
			"Header of a block.", "An object (hash, confirmations, height, version, versionHex, merkleroot, time, mediantime, nonce, bits, target, difficulty, chainwork, nTx, previousblockhash, nextblockhash), or hex.", getBlockHeader},
		{"getblock", group, []param{blockhash, option("verbosity|verbose", kindLevel, int64(1), "0: hex, 1: txids, 2: transactions with fees, 3: with the coins that they spend as well")},
			"A block.", "Hex, or the header's object with strippedsize, size, weight and tx.", getBlock},
		{"getdifficulty", group, nil, "Difficulty of the tip, relative to compact target 1d00ffff.", "A number.",
			func(c *call) (any, error) { return consensus.Difficulty(c.b.Chain().Tip.Header.Bits), nil }},
		{"getchaintips", group, nil, "Ends of all branches.", `An array of {height, hash, branchlen, status}, the highest first. The status is "active" for the tip; "invalid" where the end or an ancestor is; "headers-only" where bodies are missing; "valid-fork" where it was fully validated; "valid-headers" where it was not yet.`, getChainTips},
		{"getdeploymentinfo", group, []param{option("blockhash", kindHash, nil, "the block to look from; the tip by default")},
			"Rule changes by height. All rules of this chain hold from genesis on.", "An object with hash, height and deployments.", getDeploymentInfo},
		{"invalidateblock", group, []param{blockhash}, "Marks a block, and with it its descendants, as invalid for good, as if it broke a rule. The tip moves to the best of the other blocks; payments go back to the mempool. Genesis is refused.", "null",
			func(c *call) (any, error) { return nil, c.onBlock(c.invalidate) }},
		{"reconsiderblock", group, []param{blockhash}, "Takes the mark of invalidity from a block, its ancestors and its descendants, and judges them anew where they lead to a better tip.", "null",
			func(c *call) (any, error) { return nil, c.onBlock(c.b.ReconsiderBlock) }},
		{"preciousblock", group, []param{blockhash}, "Treats a block as if it had been received before others of equal work; nothing happens where it has less work than the tip. A later call overrides an earlier one. Forgotten at a restart.", "null",
			func(c *call) (any, error) { return nil, c.onBlock(c.b.PreciousBlock) }},
		{"verifychain", group, []param{
			option("checklevel", kindInt, int64(defaultCheckLevel), "0: bodies can be read; 1: and are valid by themselves; 2: undo data can be read and fits; 3: taken off in memory, the blocks leave the coins that they must; 4: put on again, they are valid by all rules"),
			option("nblocks", kindInt, int64(defaultCheckBlocks), "how many, from the tip down; 0 for all"),
		}, "Judges the last blocks of the chain once more, while the node goes on; one call at a time. Memory, from level 3 on: about 200 bytes for each coin that these blocks make or spend. `kapok chain verify` does it for the whole of a stopped node's directory, with coins made anew.",
			"true, or false where something is wrong; the node's log says what.", verifyChain},
	}
}

// networkName is the name by which Core's tools know the network. They refuse
// any but their own.
func networkName(p *consensus.Params) string {
	if p.Name == "main" {
		return "main"
	}
	return "regtest"
}

func targetOf(bits uint32) consensus.Uint256 {
	target, _, _ := consensus.CompactToTarget(bits)
	return target
}

func bitsHex(bits uint32) string { return fmt.Sprintf("%08x", bits) }

func getBlockchainInfo(c *call) (any, error) {
	chain := c.b.Chain()
	tip := chain.Tip
	progress := 1.0
	if chain.BestHeader.Height > tip.Height {
		progress = float64(tip.Height) / float64(chain.BestHeader.Height)
	}
	return struct {
		Chain         string            `json:"chain"`
		Network       string            `json:"kapok_network"`
		Blocks        uint32            `json:"blocks"`
		Headers       uint32            `json:"headers"`
		Best          consensus.Hash    `json:"bestblockhash"`
		Bits          string            `json:"bits"`
		Target        consensus.Uint256 `json:"target"`
		Difficulty    float64           `json:"difficulty"`
		Time          uint32            `json:"time"`
		MedianTime    int64             `json:"mediantime"`
		Progress      float64           `json:"verificationprogress"`
		Syncing       bool              `json:"initialblockdownload"`
		ChainWork     consensus.Uint256 `json:"chainwork"`
		SizeOnDisk    int64             `json:"size_on_disk"`
		Pruned        bool              `json:"pruned"`
		PruneHeight   uint32            `json:"pruneheight,omitempty"`
		GenesisHash   consensus.Hash    `json:"kapok_genesis"`
		AddressPrefix string            `json:"kapok_hrp"`
		Warnings      []string          `json:"warnings"`
	}{
		networkName(c.b.Params()), c.b.Params().Name, tip.Height, chain.BestHeader.Height, tip.Hash,
		bitsHex(tip.Header.Bits), targetOf(tip.Header.Bits), consensus.Difficulty(tip.Header.Bits),
		tip.Header.Time, tip.MedianTime, progress, chain.Syncing, tip.Work, chain.SizeOnDisk, chain.Pruned > 0, chain.Pruned,
		c.b.Params().GenesisHash(), c.b.Params().HRP, orEmpty(chain.Warnings),
	}, nil
}

// orEmpty turns a nil slice into one that is written as [].
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// atHeight looks a height up in the active chain.
func (c *call) atHeight(height int64) (BlockInfo, error) {
	if height >= 0 && height <= math.MaxUint32 {
		if block, ok := c.b.BlockAt(uint32(height)); ok {
			return block, nil
		}
	}
	return BlockInfo{}, fail(CodeInvalidParameter, "Block height out of range")
}

// block looks a hash up in the tree.
func (c *call) block(hash consensus.Hash) (BlockInfo, error) {
	block, ok := c.b.BlockByHash(hash)
	if !ok {
		return block, fail(CodeAddressOrKey, "Block not found")
	}
	return block, nil
}

// onBlock does something to the block that parameter 0 names.
func (c *call) onBlock(do func(consensus.Hash) error) error {
	if _, err := c.block(c.hash(0)); err != nil {
		return err
	}
	return do(c.hash(0))
}

// invalidate says no where Core silently does nothing.
func (c *call) invalidate(hash consensus.Hash) error {
	if hash == c.b.Params().GenesisHash() {
		return fail(CodeInvalidParameter, "The genesis block cannot be invalidated")
	}
	return c.b.InvalidateBlock(hash)
}

func getBlockHash(c *call) (any, error) {
	block, err := c.atHeight(c.num(0))
	if err != nil {
		return nil, err
	}
	return block.Hash, nil
}

// confirmations counts the blocks from a block to the tip; -1 off the chain.
func (c *call) confirmations(block *BlockInfo) int64 {
	if !block.Active {
		return -1
	}
	return max(1, int64(c.b.Chain().Tip.Height)-int64(block.Height)+1)
}

type headerJSON struct {
	Hash          consensus.Hash    `json:"hash"`
	Confirmations int64             `json:"confirmations"`
	Height        uint32            `json:"height"`
	Version       int32             `json:"version"`
	VersionHex    string            `json:"versionHex"`
	MerkleRoot    consensus.Hash    `json:"merkleroot"`
	Time          uint32            `json:"time"`
	MedianTime    int64             `json:"mediantime"`
	Nonce         uint32            `json:"nonce"`
	Bits          string            `json:"bits"`
	Target        consensus.Uint256 `json:"target"`
	Difficulty    float64           `json:"difficulty"`
	ChainWork     consensus.Uint256 `json:"chainwork"`
	TxCount       uint32            `json:"nTx"`
	Prev          *consensus.Hash   `json:"previousblockhash,omitempty"`
	Next          *consensus.Hash   `json:"nextblockhash,omitempty"`
}

func (c *call) header(b *BlockInfo) headerJSON {
	h := headerJSON{
		Hash: b.Hash, Confirmations: c.confirmations(b), Height: b.Height,
		Version: b.Header.Version, VersionHex: bitsHex(uint32(b.Header.Version)),
		MerkleRoot: b.Header.MerkleRoot, Time: b.Header.Time, MedianTime: b.MedianTime,
		Nonce: b.Header.Nonce, Bits: bitsHex(b.Header.Bits), Target: targetOf(b.Header.Bits),
		Difficulty: consensus.Difficulty(b.Header.Bits), ChainWork: b.Work, TxCount: b.TxCount,
	}
	if b.Height > 0 {
		h.Prev = &b.Header.Prev
	}
	if !b.Next.IsZero() {
		h.Next = &b.Next
	}
	return h
}

func getBlockHeader(c *call) (any, error) {
	block, err := c.block(c.hash(0))
	if err != nil {
		return nil, err
	}
	if !c.flag(1) {
		raw := block.Header.Bytes()
		return hex.EncodeToString(raw[:]), nil
	}
	return c.header(&block), nil
}

func getBlock(c *call) (any, error) {
	info, err := c.block(c.hash(0))
	if err != nil {
		return nil, err
	}
	block, err := c.b.Body(info.Hash)
	if err != nil {
		return nil, err
	}
	level := c.num(1)
	if level <= 0 {
		return hex.EncodeToString(block.Bytes()), nil
	}
	result := struct {
		headerJSON
		StrippedSize int   `json:"strippedsize"`
		Size         int   `json:"size"`
		Weight       int   `json:"weight"`
		Txs          []any `json:"tx"`
	}{c.header(&info), block.StrippedSize(), block.Size(), block.Weight(), make([]any, len(block.Txs))}
	if level == 1 {
		for i, tx := range block.Txs {
			result.Txs[i] = tx.TxID()
		}
		return result, nil
	}
	spent, err := c.spent(info.Hash, block)
	if err != nil {
		return nil, err
	}
	for i, tx := range block.Txs {
		view := txView{params: c.b.Params(), tx: tx, coins: spent[i], prevouts: level >= 3, hex: true}
		result.Txs[i] = view.render()
	}
	return result, nil
}

// spent returns the coins that each transaction of a block spent. All are nil
// for a block that was never connected.
func (c *call) spent(hash consensus.Hash, block *consensus.Block) ([][]consensus.Coin, error) {
	split := make([][]consensus.Coin, len(block.Txs))
	coins, err := c.b.Spent(hash)
	if isNotFound(err) {
		return split, nil
	}
	if err != nil {
		return nil, err
	}
	for i, tx := range block.Txs {
		if i == 0 {
			continue
		}
		n := len(tx.Inputs)
		if n > len(coins) {
			return nil, fmt.Errorf("block %s: fewer spent coins are stored than it has inputs", hash)
		}
		split[i], coins = coins[:n], coins[n:]
	}
	return split, nil
}

func getChainTips(c *call) (any, error) {
	type tip struct {
		Height uint32         `json:"height"`
		Hash   consensus.Hash `json:"hash"`
		Length uint32         `json:"branchlen"`
		Status string         `json:"status"`
	}
	leaves := c.b.Leaves()
	slices.SortFunc(leaves, func(a, b Leaf) int {
		return cmp.Or(cmp.Compare(b.Block.Height, a.Block.Height), bytes.Compare(a.Block.Hash[:], b.Block.Hash[:]))
	})
	tips := make([]tip, len(leaves))
	for i, leaf := range leaves {
		tips[i] = tip{leaf.Block.Height, leaf.Block.Hash, leaf.Length, branchStatus(&leaf.Block)}
	}
	return tips, nil
}

// branchStatus is Core's word for what is known of the branch that ends in a
// block.
func branchStatus(b *BlockInfo) string {
	switch {
	case b.Active:
		return "active"
	case b.Failed:
		return "invalid"
	case !b.Complete:
		return "headers-only"
	case b.Connected:
		return "valid-fork"
	}
	return "valid-headers"
}

// Defaults of verifychain, as in Core.
const (
	maxCheckLevel      = 4
	defaultCheckLevel  = 3
	defaultCheckBlocks = 6
)

// verifyChain takes levels below and above for the lowest and the highest, and
// more blocks than there are for all of them, as Core does.
func verifyChain(c *call) (any, error) {
	level, blocks := min(max(c.num(0), 0), maxCheckLevel), min(max(c.num(1), 0), math.MaxUint32)
	return c.b.VerifyChain(c.ctx, int(level), uint32(blocks))
}

func getDeploymentInfo(c *call) (any, error) {
	block := c.b.Chain().Tip
	if c.has(0) {
		var err error
		if block, err = c.block(c.hash(0)); err != nil {
			return nil, err
		}
	}
	type deployment struct {
		Type   string `json:"type"`
		Active bool   `json:"active"`
		Height uint32 `json:"height"`
	}
	buried := make(map[string]deployment)
	for _, name := range []string{"bip34", "bip65", "bip66", "csv", "segwit", "taproot"} {
		buried[name] = deployment{Type: "buried", Active: true}
	}
	return struct {
		Hash        consensus.Hash        `json:"hash"`
		Height      uint32                `json:"height"`
		Deployments map[string]deployment `json:"deployments"`
	}{block.Hash, block.Height, buried}, nil
}
