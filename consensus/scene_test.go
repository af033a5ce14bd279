package consensus

import (
	"math"
	"testing"
)

// scene is a moment of a chain: a parent, the coins at it, and who can sign for
// them. Its blocks have no proof of work, which only header rules ask for.
type scene struct {
	t      testing.TB
	p      *Params
	parent *BlockIndex
	coins  map[OutPoint]Coin
	known  map[OutPoint]Coin // coins, and outputs that a block under way creates
	keys   map[[KeySize]byte]int
	n      int
}

const (
	sceneHeight  = 300
	sceneStart   = 1_600_000_000 // Unix seconds of block 0
	sceneSpacing = 600           // seconds
)

func newScene(t testing.TB) *scene {
	return sceneAt(t, Regtest(), chainOf(sceneHeight, sceneSpacing))
}

func sceneAt(t testing.TB, p *Params, parent *BlockIndex) *scene {
	s := &scene{t: t, p: p, parent: parent, coins: map[OutPoint]Coin{}, known: map[OutPoint]Coin{}, keys: map[[KeySize]byte]int{}}
	for n := range 8 {
		s.keys[publicKey(n)] = n
	}
	return s
}

// chainOf returns the last of height+1 blocks, spacing seconds apart.
func chainOf(height, spacing int) *BlockIndex {
	var tip *BlockIndex
	for i := range height + 1 {
		h := Header{Version: 0x20000000, Time: sceneStart + uint32(i*spacing), Bits: 0x207fffff}
		if tip != nil {
			h.Prev = tip.Hash
		}
		tip = newIndex(tip, &h, h.Hash())
	}
	return tip
}

// coin puts a coin of this value into the set, owned by key n, of block 1.
func (s *scene) coin(value int64, n int) OutPoint {
	return s.coinOf(Coin{Value: value, Key: publicKey(n), Height: 1})
}

func (s *scene) coinOf(c Coin) OutPoint {
	s.n++
	op := OutPoint{txid(s.n), uint32(s.n % 3)}
	s.coins[op], s.known[op] = c, c
	return op
}

// unsigned spends coins to outputs.
func (s *scene) unsigned(ins []OutPoint, outs ...TxOut) *Tx {
	tx := &Tx{Version: 2, Outputs: outs}
	for _, op := range ins {
		tx.Inputs = append(tx.Inputs, TxIn{PrevOut: op, Sequence: finalSequence})
	}
	return tx
}

// sign signs with the keys of the coins, and remembers the outputs as coins of
// the block to come.
func (s *scene) sign(tx *Tx) *Tx {
	s.t.Helper()
	var coins []Coin
	var keys []int
	for i := range tx.Inputs {
		c := s.known[tx.Inputs[i].PrevOut]
		coins, keys = append(coins, c), append(keys, s.keys[c.Key])
	}
	sign(s.t, tx, coins, keys, SigHashDefault)
	forEachCoin(tx, tx.TxID(), s.parent.Height+1, false, func(e CoinEntry) { s.known[e.OutPoint] = e.Coin })
	return tx
}

func (s *scene) spend(ins []OutPoint, outs ...TxOut) *Tx { return s.sign(s.unsigned(ins, outs...)) }

// block holds the transactions; its coinbase takes what value allows, which is
// the subsidy and all fees.
func (s *scene) block(txs ...*Tx) *Block {
	value := s.p.Subsidy(s.parent.Height + 1)
	for _, tx := range txs {
		for i := range tx.Inputs {
			value += s.known[tx.Inputs[i].PrevOut].Value
		}
		value -= tx.outputSum()
	}
	return s.blockOf(value, txs...)
}

func (s *scene) blockOf(value int64, txs ...*Tx) *Block {
	cb := coinbaseTx(s.parent.Height+1, pay(value, 7))
	header := Header{Version: 0x20000000, Prev: s.parent.Hash, Time: s.parent.Header.Time + 1, Bits: 0x207fffff}
	return seal(&Block{Header: header, Txs: append([]*Tx{cb}, txs...)})
}

// apply asks the coins as a node does: those that Prevouts names.
func (s *scene) apply(b *Block) (*Delta, error) {
	found := map[OutPoint]Coin{}
	for _, op := range Prevouts(b) {
		if c, ok := s.coins[op]; ok {
			found[op] = c
		}
	}
	return ApplyBlock(s.p, s.parent, b, found)
}

// judge is the whole ladder behind the header.
func (s *scene) judge(b *Block) error {
	if err := CheckBlock(s.p, b); err != nil {
		return err
	}
	if err := CheckBlockContext(s.p, s.parent, b); err != nil {
		return err
	}
	d, err := s.apply(b)
	if err != nil {
		return err
	}
	return Verifier{Workers: 2}.Verify(d.Checks)
}

// want judges a block and, as no refusal may leave a trace, asks twice.
func (s *scene) want(b *Block, code Code, kind Kind) {
	s.t.Helper()
	wantRule(s.t, s.judge(b), code, kind)
	wantRule(s.t, s.judge(b), code, kind)
}

func (s *scene) ok(b *Block) {
	s.t.Helper()
	s.want(b, "", 0)
}

// lockedBy gives all inputs a sequence that lets lock times work.
func lockedBy(tx *Tx, lockTime uint32) *Tx {
	tx.LockTime = lockTime
	for i := range tx.Inputs {
		tx.Inputs[i].Sequence = math.MaxUint32 - 1
	}
	return tx
}
