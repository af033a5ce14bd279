package node

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/kapok-chain/kapok/consensus"
)

type (
	coinSet = map[consensus.OutPoint]consensus.Coin
	// readCoins returns those of the outpoints that are coins.
	readCoins func([]consensus.OutPoint) (map[consensus.OutPoint]consensus.Coin, error)
)

// coinView is a coin set in memory, over another one that is only read.
//
// Memory: without a base about 200 bytes a coin; with one, as much for each coin
// that differs.
type coinView struct {
	base readCoins // nil: no coins
	live coinSet
	gone map[consensus.OutPoint]struct{} // of base
}

func newCoinView(base readCoins) *coinView {
	return &coinView{base, make(coinSet), make(map[consensus.OutPoint]struct{})}
}

// coins returns those of the outpoints that are coins here.
func (v *coinView) coins(outpoints []consensus.OutPoint) (coinSet, error) {
	found := make(coinSet, len(outpoints))
	var ask []consensus.OutPoint
	for _, op := range outpoints {
		if coin, ok := v.live[op]; ok {
			found[op] = coin
		} else if _, gone := v.gone[op]; !gone {
			ask = append(ask, op)
		}
	}
	if v.base == nil || len(ask) == 0 {
		return found, nil
	}
	below, err := v.base(ask)
	maps.Copy(found, below)
	return found, err
}

// move makes the set that of after a block was put on or taken off.
func (v *coinView) move(d *consensus.Delta) {
	for i := range d.Spent {
		op := d.Spent[i].OutPoint
		if _, here := v.live[op]; here {
			delete(v.live, op)
		} else if v.base != nil {
			v.gone[op] = struct{}{}
		}
	}
	for i := range d.Created {
		v.live[d.Created[i].OutPoint] = d.Created[i].Coin
	}
}

// takeOffCoins takes a block's coins off, and finds those that it made and that
// are not there, and those that it spent and that are.
func (v *Verification) takeOffCoins(b *consensus.BlockIndex, d *consensus.Delta) error {
	touched := make([]consensus.OutPoint, 0, len(d.Spent)+len(d.Created))
	for _, entries := range [][]consensus.CoinEntry{d.Spent, d.Created} {
		for i := range entries {
			touched = append(touched, entries[i].OutPoint)
		}
	}
	have, ok, err := v.coins(b, touched)
	if !ok {
		return err
	}
	for i := range d.Spent {
		e := &d.Spent[i]
		if coin, ok := have[e.OutPoint]; !ok {
			v.found.add(b, DamagedCoin, fmt.Sprintf("the coin %s is missing", e.OutPoint), coinText(&e.Coin), "none")
		} else if coin != e.Coin {
			v.found.add(b, DamagedCoin, fmt.Sprintf("the coin %s is another one", e.OutPoint), coinText(&e.Coin), coinText(&coin))
		}
	}
	for i := range d.Created {
		if coin, ok := have[d.Created[i].OutPoint]; ok {
			v.found.add(b, DamagedCoin, fmt.Sprintf("the coin %s is there although the block spends it", d.Created[i].OutPoint), "none", coinText(&coin))
		}
	}
	v.view.move(d)
	return nil
}

// compareCoins holds what a store keeps against what its blocks lead to. It uses
// the view up.
func (v *Verification) compareCoins(ctx context.Context, kept consensus.CoinSum, each func(func(consensus.OutPoint, consensus.Coin) error) error) error {
	tip := v.tip
	at := func(c *consensus.Coin) *consensus.BlockIndex {
		if maker := tip.Ancestor(c.Height); maker != nil {
			return maker
		}
		return tip
	}
	if kept != v.sum {
		v.found.add(tip, DamagedSum, "the store keeps count of other coins", sumText(v.sum), sumText(kept))
	}
	err := each(func(op consensus.OutPoint, stored consensus.Coin) error {
		coin, ok := v.view.live[op]
		switch {
		case !ok:
			v.found.add(at(&stored), DamagedCoin, fmt.Sprintf("the coin %s is stored, and no block leaves it", op), "none", coinText(&stored))
		case coin != stored:
			v.found.add(at(&coin), DamagedCoin, fmt.Sprintf("the coin %s is another one", op), coinText(&coin), coinText(&stored))
		}
		delete(v.view.live, op)
		return ctx.Err()
	})
	if isDamage(err) { // nobody knows what would have come after it
		v.found.add(tip, DamagedCoin, "the coins cannot be read to the end: "+err.Error(), "", "")
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the coins: %w", err)
	}
	missing := slices.SortedFunc(maps.Keys(v.view.live), func(a, b consensus.OutPoint) int {
		return cmp.Or(bytes.Compare(a.TxID[:], b.TxID[:]), cmp.Compare(a.Index, b.Index))
	})
	for _, op := range missing {
		coin := v.view.live[op]
		v.found.add(at(&coin), DamagedCoin, fmt.Sprintf("the coin %s is missing", op), coinText(&coin), "none")
	}
	return nil
}
