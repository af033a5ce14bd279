package consensus

import (
	"crypto/sha256"
	"fmt"
	"math"
	"strings"

	"github.com/kapok-chain/kapok/internal/sha256d"
)

const (
	genesisVersion = 0x20000000
	maxDirectPush  = 75

	// maxGenesisSearch bounds what Init searches, in expected hashes: about a
	// quarter of an hour. Harder networks state their nonce.
	maxGenesisSearch = 1 << 33
)

// CanonicalList is the consensus-relevant keys of the network file, sorted, one
// key=value a line (rule G3). Its SHA-256 stands in the genesis block (G4), so that
// networks with different rules have different genesis hashes. What the block
// itself carries (genesis_text, genesis_time, genesis_nonce) is not repeated.
func (p *Params) CanonicalList() string {
	return strings.Join([]string{
		fmt.Sprintf("coinbase_maturity=%d", p.Maturity),
		fmt.Sprintf("difficulty=%s", p.Rule),
		fmt.Sprintf("future_limit=%d", p.FutureLimit),
		fmt.Sprintf("half_life=%d", p.HalfLife),
		fmt.Sprintf("halving_interval=%d", p.HalvingInterval),
		fmt.Sprintf("max_weight=%d", p.MaxWeight),
		fmt.Sprintf("name=%s", p.Name),
		fmt.Sprintf("pow_limit=%08x", p.PowLimitBits),
		fmt.Sprintf("spacing=%d", p.Spacing),
		fmt.Sprintf("start_bits=%08x", p.StartBits),
	}, "\n") + "\n"
}

// Genesis returns the genesis block. It is shared and not to be changed.
func (p *Params) Genesis() *Block { return p.genesis }

// GenesisHash is the hash of the genesis block, which stands for the network.
func (p *Params) GenesisHash() Hash { return p.genesisHash }

// initGenesis builds the genesis block (rules G1 to G5), and searches for its
// nonce where that takes no more work than search.
func (p *Params) initGenesis(search uint64) error {
	coinbase := p.genesisCoinbase()
	header := Header{
		Version:    genesisVersion,
		MerkleRoot: coinbase.TxID(), // of one leaf
		Time:       p.GenesisTime,
		Bits:       p.StartBits,
		Nonce:      p.GenesisNonce,
	}
	target, _, _ := CompactToTarget(p.StartBits)
	if !HashMeetsTarget(header.Hash(), target) {
		if work := WorkOf(p.StartBits); work.Cmp(Uint256{search}) > 0 {
			return fmt.Errorf("genesis_nonce %d does not solve the genesis block, and start_bits %08x is too hard to search for one that does", p.GenesisNonce, p.StartBits)
		}
		if !searchGenesis(&header, target) {
			return fmt.Errorf("no genesis_time from %d on has a nonce that solves the genesis block", p.GenesisTime)
		}
		p.GenesisTime, p.GenesisNonce = header.Time, header.Nonce
	}
	p.genesis = &Block{Header: header, Txs: []*Tx{coinbase}}
	p.genesisHash = header.Hash()
	return nil
}

// searchGenesis finds the first nonce from 0 that solves h; where there is none,
// h's time goes up by one. It returns false where the time runs out.
func searchGenesis(h *Header, target Uint256) bool {
	for {
		if searchNonces(h, target) {
			return true
		}
		if h.Time == math.MaxUint32 {
			return false
		}
		h.Time++
	}
}

// searchNonces is searchGenesis at one time, with a kernel as miners have: it lists the
// nonces whose hash has no more than the target's top word, which are then judged whole.
func searchNonces(h *Header, target Uint256) bool {
	kernel := sha256d.Kernels()[0]
	work := sha256d.New(h.Bytes(), uint32(target[3]>>32))
	var hits [16]sha256d.Hit
	for start := uint64(0); start <= math.MaxUint32; {
		n := min(uint64(kernel.Batch()), math.MaxUint32+1-start)
		found, tried := kernel.Search(work, uint32(start), uint32(n), hits[:])
		for _, hit := range hits[:found] {
			if h.Nonce = hit.Nonce; HashMeetsTarget(h.Hash(), target) {
				return true
			}
		}
		start += uint64(tried)
	}
	return false
}

// genesisCoinbase creates nothing: its one output carries the hash of the
// parameters.
func (p *Params) genesisCoinbase() *Tx {
	script := []byte{op0} // BIP34: height 0
	if n := len(p.GenesisText); n > maxDirectPush {
		script = append(script, opPushData1, byte(n))
	} else {
		script = append(script, byte(n))
	}
	script = append(script, p.GenesisText...)
	list := sha256.Sum256([]byte(p.CanonicalList()))
	return &Tx{
		Version: 1,
		Inputs: []TxIn{{
			PrevOut:   OutPoint{Index: nullIndex},
			ScriptSig: script,
			Sequence:  math.MaxUint32,
		}},
		Outputs: []TxOut{{Script: append([]byte{opReturn, push32}, list[:]...)}},
	}
}
