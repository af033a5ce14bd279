package consensus

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func drawCoin(r *rapid.T) Coin {
	return Coin{
		Value:    rapid.Int64Range(0, MaxMoney).Draw(r, "value"),
		Key:      [KeySize]byte(rapid.SliceOfN(rapid.Byte(), KeySize, KeySize).Draw(r, "key")),
		Height:   rapid.Uint32().Draw(r, "height"),
		Coinbase: rapid.Bool().Draw(r, "coinbase"),
	}
}

func TestUndoRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		u := Undo{Spent: rapid.SliceOfN(rapid.Custom(drawCoin), 0, 20).Draw(r, "coins")}
		raw := u.Append(nil)
		if u.Size() != len(raw) {
			r.Fatalf("Size is %d, the encoding has %d bytes", u.Size(), len(raw))
		}
		got, err := DecodeUndo(raw)
		if err != nil || len(got.Spent) != len(u.Spent) {
			r.Fatalf("%d coins, %v", len(got.Spent), err)
		}
		for i := range u.Spent {
			if got.Spent[i] != u.Spent[i] {
				r.Fatalf("coin %d: %v, want %v", i, got.Spent[i], u.Spent[i])
			}
		}
		n := rapid.IntRange(0, len(raw)-1).Draw(r, "cut")
		if _, err := DecodeUndo(raw[:n]); err == nil || AsRuleError(err) != nil {
			r.Fatalf("cut at %d: %v, want an error of our own", n, err)
		}
	})
}

func TestUndoDamaged(t *testing.T) {
	key := make([]byte, KeySize)
	for name, raw := range map[string][]byte{
		"value above all money": bytes.Join([][]byte{{1}, AppendCompactSize(nil, MaxMoney+1), {2}, key}, nil),
		"height above 2^32":     bytes.Join([][]byte{{1}, {5}, AppendCompactSize(nil, 1<<33), key}, nil),
		"trailing byte":         bytes.Join([][]byte{{1}, {5}, {2}, key, {0}}, nil),
		"count":                 {0xfe, 0, 0, 0, 1},
		"count before a coin":   bytes.Join([][]byte{{0xff, 0, 0, 0, 0, 0, 0, 0, 0x10}, {5}, {2}, key}, nil),
	} {
		if _, err := DecodeUndo(raw); err == nil || AsRuleError(err) != nil {
			t.Errorf("%s: %v, want an error of our own", name, err)
		}
	}
}

// coinSet is a coin set with its sum, as storage keeps it.
type coinSet struct {
	coins map[OutPoint]Coin
	sum   CoinSum
}

func (s *coinSet) follow(t *rapid.T, d *Delta) {
	for _, e := range d.Spent {
		if s.coins[e.OutPoint] != e.Coin {
			t.Fatalf("%s leaves as %v, the set has %v", e.OutPoint, e.Coin, s.coins[e.OutPoint])
		}
		delete(s.coins, e.OutPoint)
		s.sum.Remove(e.OutPoint, &e.Coin)
	}
	for _, e := range d.Created {
		if _, there := s.coins[e.OutPoint]; there {
			t.Fatalf("%s enters twice", e.OutPoint)
		}
		s.coins[e.OutPoint] = e.Coin
		s.sum.Add(e.OutPoint, &e.Coin)
	}
}

// apply puts a block on the set and returns its undo data.
func (s *coinSet) apply(t *rapid.T, p *Params, parent *BlockIndex, b *Block) []byte {
	d, err := ApplyBlock(p, parent, b, pick(s.coins, Prevouts(b)))
	if err != nil {
		t.Fatal(err)
	}
	s.follow(t, d)
	return d.Undo.Append(nil)
}

// revert takes a block off.
func (s *coinSet) revert(t *rapid.T, b *Block, height uint32, undo []byte) {
	u, err := DecodeUndo(undo)
	if err != nil {
		t.Fatal(err)
	}
	d, err := RevertBlock(b, height, u)
	if err != nil {
		t.Fatal(err)
	}
	s.follow(t, d)
}

func (s *coinSet) want(t *rapid.T, coins map[OutPoint]Coin, format string, args ...any) {
	if !maps.Equal(s.coins, coins) || s.sum != s.recount() {
		t.Fatalf(format+": %d coins, want %d; sum %v, recounted %v", append(args, len(s.coins), len(coins), s.sum, s.recount())...)
	}
}

// recount is the naive twin of the sum that is kept along.
func (s *coinSet) recount() CoinSum {
	var sum CoinSum
	for op, c := range s.coins {
		sum.Add(op, &c)
	}
	return sum
}

// Applying blocks and taking them off again is the identity on coins and sum, and
// so is taking them off and applying them again; after every block the money is
// the subsidies less what was burnt, and undo data survives its encoding.
func TestApplyRevertIdentity(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p := Regtest()
		p.Maturity = 2
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 1))
		set := &coinSet{coins: map[OutPoint]Coin{}}
		parent := chainOf(0, 1)
		type step struct {
			block         *Block
			parent        *BlockIndex
			undo          []byte
			before, after map[OutPoint]Coin
		}
		var steps []step
		var money int64
		for range rapid.IntRange(1, 12).Draw(r, "blocks") {
			b, burnt := randomBlock(p, rng, parent, set.coins)
			before := maps.Clone(set.coins)
			undo := set.apply(r, p, parent, b)
			money += p.Subsidy(parent.Height+1) - burnt
			if set.sum != set.recount() || set.sum.Value != money {
				r.Fatalf("sum %v, recounted %v, money %d", set.sum, set.recount(), money)
			}
			steps = append(steps, step{b, parent, undo, before, maps.Clone(set.coins)})
			parent = parent.Child(&b.Header)
		}
		for i, s := range slices.Backward(steps) {
			set.revert(r, s.block, s.parent.Height+1, s.undo)
			set.want(r, s.before, "block %d taken off", i)
			if again := set.apply(r, p, s.parent, s.block); !bytes.Equal(again, s.undo) {
				r.Fatalf("block %d applied again has other undo data", i)
			}
			set.want(r, s.after, "block %d applied again", i)
			set.revert(r, s.block, s.parent.Height+1, s.undo)
		}
		if len(set.coins) != 0 || set.sum != (CoinSum{}) {
			r.Fatalf("%d coins left", len(set.coins))
		}
	})
}

func pick(coins map[OutPoint]Coin, ops []OutPoint) map[OutPoint]Coin {
	found := map[OutPoint]Coin{}
	for _, op := range ops {
		if c, ok := coins[op]; ok {
			found[op] = c
		}
	}
	return found
}

// randomBlock spends coins of the set and of itself, unsigned, with data outputs
// and sometimes a coinbase that takes less than it may; burnt says how much
// less.
func randomBlock(p *Params, rng *rand.Rand, parent *BlockIndex, set map[OutPoint]Coin) (b *Block, burnt int64) {
	height := parent.Height + 1
	var free []CoinEntry
	for op, c := range set {
		if !c.Coinbase || c.Height+p.Maturity <= height {
			free = append(free, CoinEntry{op, c})
		}
	}
	slices.SortFunc(free, func(a, b CoinEntry) int { // so that the seed alone decides
		return bytes.Compare(a.OutPoint.append(nil), b.OutPoint.append(nil))
	})
	fees := int64(0)
	var txs []*Tx
	for n := rng.IntN(6); n > 0 && len(free) > 0; n-- {
		tx, in := &Tx{Version: 1}, int64(0)
		for k := 1 + rng.IntN(3); k > 0 && len(free) > 0; k-- {
			i := rng.IntN(len(free))
			in += free[i].Coin.Value
			tx.Inputs = append(tx.Inputs, TxIn{PrevOut: free[i].OutPoint})
			free[i] = free[len(free)-1]
			free = free[:len(free)-1]
		}
		out := int64(0)
		for range 1 + rng.IntN(3) {
			v := rng.Int64N(in - out + 1)
			tx.Outputs = append(tx.Outputs, pay(v, rng.IntN(4)))
			out += v
		}
		if rng.IntN(3) == 0 {
			tx.Outputs = append(tx.Outputs, data("memo"))
		}
		fees += in - out
		txs = append(txs, tx)
		forEachCoin(tx, tx.TxID(), height, false, func(e CoinEntry) { free = append(free, e) })
	}
	most := p.Subsidy(height) + fees
	if rng.IntN(3) == 0 {
		burnt = rng.Int64N(most + 1)
	}
	cb := coinbaseTx(height, pay(most-burnt, 5), data("burn"))
	b = &Block{Header: Header{Prev: parent.Hash, Bits: 0x207fffff}, Txs: append([]*Tx{cb}, txs...)}
	return reroot(b), burnt
}
