package storage

import (
	"slices"

	"github.com/kapok-chain/kapok/consensus"
)

// A snapshot copies nothing when it is taken: a copy of a full cache would hold
// up everybody for half a second. Instead each move of the tip tells the open
// snapshots what it is about to change, and they remember how it was.

// pinned is a snapshot. The lock of its store guards it.
type pinned struct {
	store pinner
	past  map[consensus.OutPoint]pastCoin // what has changed since
	reset bool                            // everything has
}

// pinner is a store, in what its snapshots need of it.
type pinner interface {
	coinsAt(*pinned, []consensus.OutPoint) (coinSet, error)
	unpin(*pinned)
}

type coinSet = map[consensus.OutPoint]consensus.Coin

// pastCoin is what an outpoint was at the moment of the snapshot.
type pastCoin struct {
	coin consensus.Coin
	live bool
}

func newPinned(store pinner) *pinned {
	return &pinned{store: store, past: make(map[consensus.OutPoint]pastCoin)}
}

func (v *pinned) Coins(outpoints []consensus.OutPoint) (map[consensus.OutPoint]consensus.Coin, error) {
	return v.store.coinsAt(v, outpoints)
}

func (v *pinned) Close() { v.store.unpin(v) }

// look answers from what has changed, and asks the store for the rest.
func (v *pinned) look(outpoints []consensus.OutPoint, now func([]consensus.OutPoint) (coinSet, error)) (coinSet, error) {
	if v.reset {
		return nil, ErrReset
	}
	same := slices.DeleteFunc(slices.Clone(outpoints), func(op consensus.OutPoint) bool {
		_, changed := v.past[op]
		return changed
	})
	found, err := now(same)
	if err != nil {
		return nil, err
	}
	for _, op := range outpoints {
		if past := v.past[op]; past.live {
			found[op] = past.coin
		}
	}
	return found, nil
}

// snapshots are the open ones of a store.
type snapshots map[*pinned]struct{}

// moved is told of every change of the coins.
func (s snapshots) moved(d *consensus.Delta) {
	for v := range s {
		for i := range d.Spent {
			v.remember(d.Spent[i].OutPoint, pastCoin{d.Spent[i].Coin, true})
		}
		for i := range d.Created {
			v.remember(d.Created[i].OutPoint, pastCoin{})
		}
	}
}

// remember keeps the first of all answers.
func (v *pinned) remember(op consensus.OutPoint, was pastCoin) {
	if _, known := v.past[op]; !known {
		v.past[op] = was
	}
}

// reset is told that all coins are gone.
func (s snapshots) reset() {
	for v := range s {
		v.reset = true
	}
}
