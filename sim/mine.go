package sim

import (
	"errors"
	"math"
	"math/big"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	mining "github.com/kapok-chain/kapok/miner"
)

// miner is a node's, idle while its rate is 0.
type miner struct {
	rate   float64 // hashes a second of virtual time
	payout []byte
	draw   uint64 // counts the searches: a find of one that was given up is none
}

// maxWait bounds what is drawn for one find, so that it fits a Duration.
const maxWait = 365 * 24 * time.Hour

// Mine lets a node search for blocks that pay to an output script, at a rate in
// hashes per second of virtual time, or no more where that is 0. When it finds one
// is drawn; the nonce is searched at that moment, and the work is real.
func (n *Node) Mine(rate float64, payout []byte) {
	n.miner.rate, n.miner.payout = rate, payout
	n.search()
}

// search draws when the next block is found. Having searched before is worth
// nothing, so that a new tip, which may be harder to follow, is a new draw.
func (n *Node) search() {
	n.miner.draw++
	if n.miner.rate <= 0 {
		return
	}
	work, _ := new(big.Float).SetInt(consensus.WorkOf(consensus.NextBits(n.Params(), n.Tip())).Big()).Float64()
	seconds := n.world.Rand.ExpFloat64() * work / n.miner.rate
	draw := n.miner.draw
	n.world.After(time.Duration(min(seconds, maxWait.Seconds())*float64(time.Second)), func() {
		if n.miner.draw != draw {
			return
		}
		_, err := n.Find(n.miner.payout)
		var early *mining.TooEarly
		if err != nil && !errors.As(err, &early) { // by this clock no block would be accepted now
			n.world.Fail(err)
		}
		if n.miner.draw == draw {
			n.search()
		}
	})
}

// Find makes the block that the node's miner works on, searches its nonce, and
// submits it. A *miner.TooEarly says that the clock allows none.
func (n *Node) Find(payout []byte) (*consensus.Block, error) {
	template, err := n.Template(n.Now())
	if err != nil {
		return nil, err
	}
	block := template.Block(payout, n.world.Rand.Uint64(), string(n.ID))
	h := &block.Header
	for ; !consensus.HashMeetsTarget(h.Hash(), template.Target); h.Nonce++ {
		if h.Nonce == math.MaxUint32 {
			return nil, errors.New("sim: no nonce solves the block: the target is too hard for a simulation")
		}
	}
	return block, n.world.Submit(n, block)
}
