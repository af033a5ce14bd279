package wallet

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kapok-chain/kapok/address"
	"github.com/kapok-chain/kapok/consensus"
)

const (
	testWords  = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
	otherWords = "legal winner thank year wave sausage worth useful legal winner thank yellow"
)

func testParams(name string) *consensus.Params {
	p, ok := consensus.Preset(name)
	if !ok {
		panic("no network " + name)
	}
	return p
}

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// fakeRandom is a deterministic io.Reader.
func fakeRandom(seed uint64) *rand.ChaCha8 {
	var b [32]byte
	binary.LittleEndian.PutUint64(b[:], seed)
	return rand.NewChaCha8(b)
}

// fakeChain is a node in memory: transactions with heights, judged by the rules
// of consensus that need no block.
type fakeChain struct {
	params *consensus.Params
	tip    uint32
	txs    []fakeTx
	rate   FeeRate
	calls  int                       // of History
	onTip  func(c *fakeChain, n int) // before the n-th answer of Tip
	tips   int
}

type fakeTx struct {
	tx     *consensus.Tx
	height uint32 // 0: mempool
}

func newFakeChain(p *consensus.Params) *fakeChain {
	return &fakeChain{params: p, rate: PerVB(2), tip: 1000}
}

func (c *fakeChain) script(addr string) []byte {
	k, err := address.Decode(c.params.HRP, addr)
	if err != nil {
		panic(err)
	}
	return consensus.PayToKey(k)
}

// reward puts a coinbase into the chain that pays an address.
func (c *fakeChain) reward(addr string, value int64, height uint32) {
	c.txs = append(c.txs, fakeTx{&consensus.Tx{Version: 2,
		Inputs:  []consensus.TxIn{{PrevOut: consensus.OutPoint{Index: 0xffffffff}, ScriptSig: binary.LittleEndian.AppendUint32(nil, uint32(len(c.txs)))}},
		Outputs: []consensus.TxOut{{Value: value, Script: c.script(addr)}}}, height})
}

// gift puts a payment from nowhere into the chain.
func (c *fakeChain) gift(addr string, value int64, height uint32) {
	var from consensus.Hash
	binary.LittleEndian.PutUint32(from[:], uint32(len(c.txs))+1)
	c.txs = append(c.txs, fakeTx{&consensus.Tx{Version: 2,
		Inputs:  []consensus.TxIn{{PrevOut: consensus.OutPoint{TxID: from}, Witness: [][]byte{make([]byte, 64)}}},
		Outputs: []consensus.TxOut{{Value: value, Script: c.script(addr)}}}, height})
}

// confirm moves the mempool into a new block.
func (c *fakeChain) confirm() {
	c.tip++
	for i := range c.txs {
		if c.txs[i].height == 0 {
			c.txs[i].height = c.tip
		}
	}
}

// reorganise takes the chain back to a height: rewards above it are lost, and
// with them what hangs on them; all else waits again.
func (c *fakeChain) reorganise(height uint32) {
	c.tip = height
	lost := map[consensus.Hash]bool{}
	c.txs = slices.DeleteFunc(c.txs, func(t fakeTx) bool {
		gone := t.tx.IsCoinbase() && t.height > height
		for _, in := range t.tx.Inputs {
			gone = gone || lost[in.PrevOut.TxID]
		}
		lost[t.tx.TxID()] = gone
		return gone
	})
	for i := range c.txs {
		if c.txs[i].height > height {
			c.txs[i].height = 0
		}
	}
}

func (c *fakeChain) find(op consensus.OutPoint) (out *consensus.TxOut, from *fakeTx, spender *fakeTx) {
	for i := range c.txs {
		if t := &c.txs[i]; t.tx.TxID() == op.TxID && int(op.Index) < len(t.tx.Outputs) {
			out, from = &t.tx.Outputs[op.Index], t
		}
		for k := range c.txs[i].tx.Inputs {
			if c.txs[i].tx.Inputs[k].PrevOut == op {
				spender = &c.txs[i]
			}
		}
	}
	return out, from, spender
}

func (c *fakeChain) Tip(context.Context) (Tip, error) {
	c.tips++
	if c.onTip != nil {
		c.onTip(c, c.tips)
	}
	t := Tip{Height: c.tip}
	binary.LittleEndian.PutUint32(t.Hash[:], c.tip)
	return t, nil
}

func (c *fakeChain) address(script []byte) string {
	k, ok := consensus.OutputKey(script)
	if !ok {
		return ""
	}
	return address.Encode(c.params.HRP, k)
}

func (c *fakeChain) Coins(_ context.Context, addrs []string) ([]Coin, error) {
	var coins []Coin
	for i := range c.txs {
		t := &c.txs[i]
		for n := range t.tx.Outputs {
			a, op := c.address(t.tx.Outputs[n].Script), consensus.OutPoint{TxID: t.tx.TxID(), Index: uint32(n)}
			_, _, spender := c.find(op)
			if !slices.Contains(addrs, a) || spender != nil && spender.height > 0 {
				continue
			}
			coins = append(coins, Coin{op, a, t.tx.Outputs[n].Value, t.height, t.tx.IsCoinbase(), spender != nil})
		}
	}
	return coins, nil
}

func (c *fakeChain) History(_ context.Context, addrs []string) ([]Movement, error) {
	c.calls++
	var moved []Movement
	for i := range c.txs {
		t := &c.txs[i]
		m := Movement{TxID: t.tx.TxID(), Height: t.height, Position: uint32(i), Coinbase: t.tx.IsCoinbase()}
		for n := range t.tx.Outputs {
			if m.Address, m.Value = c.address(t.tx.Outputs[n].Script), t.tx.Outputs[n].Value; slices.Contains(addrs, m.Address) {
				moved = append(moved, m)
			}
		}
		for n := range t.tx.Inputs {
			if out, _, _ := c.find(t.tx.Inputs[n].PrevOut); out != nil {
				if m.Address, m.Value = c.address(out.Script), -out.Value; slices.Contains(addrs, m.Address) {
					moved = append(moved, m)
				}
			}
		}
	}
	return moved, nil
}

func (c *fakeChain) Details(_ context.Context, ids []consensus.Hash) ([]Details, error) {
	all := make([]Details, len(ids))
	for i, id := range ids {
		for k := range c.txs {
			if t := &c.txs[k]; t.tx.TxID() == id {
				all[i] = c.details(t)
			}
		}
	}
	return all, nil
}

func (c *fakeChain) details(t *fakeTx) Details {
	d := Details{TxID: t.tx.TxID(), Time: 1_700_000_000 + int64(t.height), Fee: -1}
	var in, out int64
	for n := range t.tx.Inputs {
		if prev, _, _ := c.find(t.tx.Inputs[n].PrevOut); prev != nil {
			d.Inputs = append(d.Inputs, End{c.address(prev.Script), prev.Value})
			in += prev.Value
		}
	}
	for n := range t.tx.Outputs {
		d.Outputs = append(d.Outputs, End{c.address(t.tx.Outputs[n].Script), t.tx.Outputs[n].Value})
		out += t.tx.Outputs[n].Value
	}
	if len(d.Inputs) == len(t.tx.Inputs) {
		d.Fee = in - out
	}
	return d
}

func (c *fakeChain) FeeRate(context.Context) (FeeRate, error) { return c.rate, nil }

// Send judges as a node would: rules, signatures, coins, maturity, lock time,
// fee.
func (c *fakeChain) Send(_ context.Context, tx *consensus.Tx) error {
	if err := consensus.CheckTx(c.params, tx); err != nil {
		return err
	}
	if !consensus.CheckFinal(tx, c.tip+1, 0) {
		return fmt.Errorf("not final at %d: %d", c.tip+1, tx.LockTime)
	}
	coins := make([]consensus.Coin, len(tx.Inputs))
	var fee int64
	for i := range tx.Inputs {
		out, from, spender := c.find(tx.Inputs[i].PrevOut)
		if out == nil || spender != nil {
			return fmt.Errorf("input %d is missing or spent", i)
		}
		if from.tx.IsCoinbase() && c.tip+1 < from.height+c.params.Maturity {
			return fmt.Errorf("input %d is immature", i)
		}
		k, _ := consensus.OutputKey(out.Script)
		coins[i] = consensus.Coin{Value: out.Value, Key: k, Height: from.height, Coinbase: from.tx.IsCoinbase()}
		fee += out.Value
	}
	for i := range tx.Outputs {
		if fee -= tx.Outputs[i].Value; tx.Outputs[i].Value < Dust {
			return fmt.Errorf("output %d is dust", i)
		}
	}
	if fee < MinFeeRate.Fee(tx.VSize()) {
		return fmt.Errorf("fee %d for %d vB", fee, tx.VSize())
	}
	if err := consensus.CheckSignatures(tx, coins); err != nil {
		return err
	}
	c.txs = append(c.txs, fakeTx{tx, 0})
	return nil
}

func mustNew(t testing.TB, p *consensus.Params, words string) *Wallet {
	t.Helper()
	w, err := New(p, words)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func mustSync(t testing.TB, w *Wallet, c Chain) *View {
	t.Helper()
	v, err := w.Sync(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func mustAddress(t testing.TB, w *Wallet, b Branch, i uint32) string {
	t.Helper()
	a, err := w.Address(b, i)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
