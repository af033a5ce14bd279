package consensus

import (
	"fmt"
	"slices"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
)

// twinChain is one chain twice: a scene of ours, and a whole btcd that is given
// the same blocks. What can only be asked about a place in a chain is asked at
// its tip.
type twinChain struct {
	*scene
	o    *oracle
	btcd *blockchain.BlockChain
	made []OutPoint // coins in the order of their creation, spent ones too
}

func newTwinChain(o *oracle) *twinChain {
	p := Regtest()
	// A short chain meets maturity and halvings; BIP16 is older than the chain.
	p.Name, p.Maturity, p.HalvingInterval = "twin", 3, 20
	p.GenesisTime = sceneStart
	if err := p.Init(); err != nil {
		o.Fatal(err)
	}
	genesis := toWireBlock(p.Genesis())
	hash := genesis.BlockHash()
	params := chaincfg.RegressionNetParams // all of today's rules from block 1 on
	params.GenesisBlock, params.GenesisHash = genesis, &hash
	params.CoinbaseMaturity, params.SubsidyReductionInterval = uint16(p.Maturity), int32(p.HalvingInterval)
	chain, err := blockchain.New(&blockchain.Config{
		DB: newMemoryDB(), ChainParams: &params, TimeSource: afterAll, UtxoCacheMaxSize: 1 << 20,
	})
	if err != nil {
		o.Fatal(err)
	}
	header := p.Genesis().Header
	return &twinChain{scene: sceneAt(o, p, newIndex(nil, &header, header.Hash())), o: o, btcd: chain}
}

// drawTime gives a block a time that is allowed, and often before its parent's.
// Most are whole units of relative locks, so that these run out to the second.
func (c *twinChain) drawTime(b *Block) *Block {
	time := c.parent.MTP() + 1 + c.o.rng.Int64N(3_000)
	if c.o.rng.IntN(4) > 0 {
		time = (time>>sequenceUnit + 1) << sequenceUnit
	}
	b.Header.Time = uint32(time)
	return b
}

// connect puts a good block on both chains.
func (c *twinChain) connect(b *Block) {
	solve(&b.Header)
	d, err := c.apply(b)
	if err != nil {
		c.o.Fatal(err)
	}
	onMain, orphan, err := c.btcd.ProcessBlock(btcutil.NewBlock(toWireBlock(b)), blockchain.BFNone)
	if err != nil || !onMain || orphan {
		c.o.Fatalf("btcd does not take %s: %v\nagain: %s", shown(b), err, c.o.repeat)
	}
	for _, e := range d.Spent {
		delete(c.coins, e.OutPoint)
	}
	for _, e := range d.Created {
		c.coins[e.OutPoint], c.known[e.OutPoint] = e.Coin, e.Coin
		c.made = append(c.made, e.OutPoint)
	}
	c.parent = newIndex(c.parent, &b.Header, b.Hash())
}

// placesOnPurpose are the pairs of verdicts, ours and btcd's, that this block at
// the tip allows, where the two find the same fault by another rule.
func placesOnPurpose(b *Block) map[verdict]string {
	pairs := map[verdict]string{}
	if _, found := WitnessCommitment(b); len(b.Txs) > 1 && !found {
		pairs[verdict{ErrUnexpectedWitness, ErrSig}] = "B8: without commitment and witnesses; btcd misses the signatures"
	}
	switch {
	case len(b.Txs) == 0:
	case ambiguous(b):
		pairs[verdict{ErrDuplicateTxs, ErrCoinbaseMultiple}] = "B2: the repeated transaction is the coinbase"
	case repeats(b):
		pairs[verdict{ErrInputsMissingOrSpent, ErrDuplicateTxs}] = "B13: the second of two equal transactions finds its coins spent; btcd compares txids"
	}
	return pairs
}

// repeats reports whether two transactions of a block have one txid.
func repeats(b *Block) bool {
	seen := map[Hash]bool{}
	for _, tx := range b.Txs {
		seen[tx.TxID()] = true
	}
	return len(seen) < len(b.Txs)
}

// foundLater are the refusals for which btcd needs the chain, the witnesses or
// the coins. Our own rules on transactions come before.
var foundLater = []Code{
	"", ErrNonFinal, ErrCoinbaseHeight, ErrUnexpectedWitness, ErrWitnessNonceSize, ErrWitnessMerkle, ErrBlockWeight,
	ErrInputsMissingOrSpent, ErrPrematureSpend, ErrInBelowOut, ErrCoinbaseAmount, ErrSig,
}

// Blocks at the tip of a chain, with one fault or none.
func oracleBlocksInPlace(o *oracle) {
	farAhead := time.Unix(1<<32, 0)
	for o.more() {
		c := newTwinChain(o)
		for c.parent.Height < twinLength && o.more() {
			b := c.draw()
			err := CheckHeaderInPlace(c.p, c.parent, &b.Header, farAhead)
			if err == nil {
				err = c.judge(b)
			}
			w := toWireBlock(b)
			theirErr := c.btcd.CheckConnectBlockTemplate(btcutil.NewBlock(w))
			theirs := o.btcdCode(theirErr)
			if own := ownBlockCode(w); own != "" && slices.Contains(foundLater, theirs) {
				theirs = own
			}
			about := func() string {
				return fmt.Sprintf("%s at height %d\nwe say: %v\nbtcd says: %v", shown(b), c.parent.Height+1, err, theirErr)
			}
			if o.judged(c.blockCode(err), theirs, placesOnPurpose(b), about) {
				c.connect(b)
			}
		}
	}
	o.both(1_000, "", refused)
	o.both(30, ErrSig, ErrInputsMissingOrSpent, ErrNonFinal, ErrCoinbaseAmount, ErrCoinbaseHeight, ErrBadDiffBits, ErrBadVersion, ErrTimeTooOld)
	o.both(5, ErrBlockWeight, ErrPrematureSpend, ErrInBelowOut, ErrMerkleRoot, ErrUnexpectedWitness, ErrWitnessMerkle, ErrWitnessNonceSize)
}

// blockCode is our code under the name that btcd has for it: one for all that
// its interpreter refuses.
func (c *twinChain) blockCode(err error) Code {
	switch code := c.o.ourCode(err); code {
	case ErrSigSize, ErrSigHashType, ErrSigSingle, ErrWitnessItems:
		return ErrSig
	default:
		return amountCode(code)
	}
}

// draw makes a block of up to three payments for the tip, with one fault in a
// payment or in what holds the payments, or none. The payments use one coin
// each or two, and the fault may be one that comes close and is none.
func (c *twinChain) draw() *Block {
	rng := c.o.rng
	faulty := rng.IntN(6) // the payment with the fault, if there are so many
	free := c.spendable()
	var txs []*Tx
	for i := range rng.IntN(4) {
		n := min(1+rng.IntN(2), len(free))
		if n == 0 {
			break
		}
		tx := c.payment(free[:n])
		free = free[n:]
		switch unsigned := rng.IntN(4) > 0; {
		case i != faulty:
			c.sign(tx)
		case unsigned:
			c.spoilPayment(tx, txs)
			c.sign(tx)
		default:
			c.sign(tx)
			c.spoilSignature(tx)
		}
		txs = append(txs, tx)
	}
	b := c.drawTime(c.block(txs...))
	if faulty >= len(txs) {
		c.spoil(b)
	}
	return b
}

// spendable are the coins that the block to come may spend, shuffled.
func (c *twinChain) spendable() []OutPoint {
	var free []OutPoint
	for _, op := range c.made {
		if coin, ok := c.coins[op]; ok && (!coin.Coinbase || c.parent.Height+1 >= coin.Height+c.p.Maturity) {
			free = append(free, op)
		}
	}
	c.o.rng.Shuffle(len(free), func(i, j int) { free[i], free[j] = free[j], free[i] })
	return free
}

// payment is unsigned and obeys all rules.
func (c *twinChain) payment(ins []OutPoint) *Tx {
	rng := c.o.rng
	tx := c.unsigned(ins)
	tx.Version, tx.LockTime = 1+rng.Uint32N(2), rng.Uint32()
	sum := int64(0)
	for _, op := range ins {
		sum += c.known[op].Value
	}
	fee := rng.Int64N(sum/4 + 1)
	change := rng.Int64N(sum - fee + 1)
	tx.Outputs = []TxOut{pay(sum-fee-change, rng.IntN(8)), pay(change, rng.IntN(8))}
	if rng.IntN(4) == 0 {
		tx.Outputs = append(tx.Outputs, data("note"))
	}
	return tx
}

// spoilPayment changes an unsigned payment; earlier are those before it in the
// block.
func (c *twinChain) spoilPayment(tx *Tx, earlier []*Tx) {
	rng := c.o.rng
	in := &tx.Inputs[rng.IntN(len(tx.Inputs))]
	switch rng.IntN(10) {
	case 0, 1:
		in.Sequence--
		tx.LockTime = c.parent.Height + rng.Uint32N(3)
		if rng.IntN(2) == 0 {
			tx.LockTime = uint32(c.parent.MTP()) - 1 + rng.Uint32N(3)
		}
	case 2, 3:
		tx.Version, tx.LockTime = 2, 0
		in.Sequence = c.drawSequence(c.known[in.PrevOut].Height)
	case 4: // often not mature yet, or spent
		in.PrevOut = c.made[max(0, len(c.made)-1-rng.IntN(6))]
		tx.Inputs = []TxIn{*in}
		tx.Outputs = []TxOut{pay(c.known[in.PrevOut].Value, 1)}
	case 5:
		in.PrevOut.Index += 7
	case 6:
		tx.Inputs = []TxIn{*in}
		tx.Outputs = []TxOut{pay(c.known[in.PrevOut].Value+rng.Int64N(3)-1, 1)}
	case 7:
		spoilTx(rng, tx)
	case 8:
		if len(earlier) > 0 {
			in.PrevOut = earlier[0].Inputs[0].PrevOut
		}
	case 9: // in the block itself
		if len(earlier) > 0 {
			in.PrevOut = OutPoint{earlier[0].TxID(), rng.Uint32N(3)}
			in.Sequence = rng.Uint32N(2)
		}
	}
}

func (c *twinChain) spoilSignature(tx *Tx) {
	s := &spend{tx: tx}
	for i := range tx.Inputs {
		coin := c.known[tx.Inputs[i].PrevOut]
		s.coins, s.keys = append(s.coins, coin), append(s.keys, c.keys[coin.Key])
	}
	s.spoil(c.o.rng)
}

// spoil changes what holds the payments, and lets the header and the commitment
// know, unless that is the fault.
func (c *twinChain) spoil(b *Block) {
	rng := c.o.rng
	cb := b.Txs[0]
	switch rng.IntN(12) {
	case 0:
		cb.Outputs[0].Value += rng.Int64N(3) - 1
	case 1:
		cb.Inputs[0].ScriptSig = append(CoinbaseHeightScript(c.parent.Height+rng.Uint32N(3)), 0)
	case 2:
		lockedBy(cb, c.parent.Height+rng.Uint32N(3))
	case 3:
		spoilWitness(rng, b)
	case 4:
		spoilBlock(rng, b)
		return
	case 5:
		b.Header.Bits += rng.Uint32N(3) - 1
	case 6:
		b.Header.Time = uint32(c.parent.MTP()) + rng.Uint32N(2)
	case 7:
		b.Header.Version = int32(rng.Uint32())
	case 8:
		c.fill(b)
	case 9: // children before their parents, too
		rng.Shuffle(len(b.Txs)-1, func(i, j int) { b.Txs[1+i], b.Txs[1+j] = b.Txs[1+j], b.Txs[1+i] })
		recommit(b)
	}
	reroot(b)
}

// fill brings a block to the limit of the weight, beside it or above, now and
// then: it takes long. The witness that does it is no signature.
func (c *twinChain) fill(b *Block) {
	if len(b.Txs) < 2 || c.o.rng.IntN(5) > 0 {
		return
	}
	witness := b.Txs[1].Inputs[0].Witness
	witness[0] = make([]byte, 3_000_000)
	missing := c.p.MaxWeight - b.Weight()
	witness[0] = make([]byte, len(witness[0])+missing-1+c.o.rng.IntN(3))
	recommit(b)
}
