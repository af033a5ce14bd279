package wallet

import (
	"context"
	"fmt"
	"slices"

	"github.com/kapok-chain/kapok/consensus"
)

// GapLimit is how many addresses in a row may be unused before the wallet takes
// the rest of a branch for unused too (BIP44).
const GapLimit = 20

// maxDiscover bounds the addresses of a branch that a wallet looks at, so that a
// lying node cannot lead it on forever.
const maxDiscover = 1 << 20

// syncAttempts bounds how often a look at the chain is taken again because a
// block came in between.
const syncAttempts = 5

// View is one look at the chain: the coins of a wallet at a tip.
type View struct {
	Tip       Tip
	Coins     []OwnCoin  // in a stable order: by height, the mempool last, then by outpoint
	Movements []Movement // of all addresses
	Maturity  uint32     // blocks, of the network
	keys      map[string]key
}

// OwnCoin is a coin with the key that spends it.
type OwnCoin struct {
	Coin
	Branch Branch
	Index  uint32
	output [consensus.KeySize]byte
}

// Balance sums a wallet's coins, in units. A coin that a waiting transaction
// spends counts nowhere; what that transaction pays back to us is Pending.
type Balance struct {
	Confirmed int64 // in a block, and old enough to be spent
	Pending   int64 // in the mempool
	Immature  int64 // mining rewards that are too young
}

// Total is the sum of the three.
func (b Balance) Total() int64 { return b.Confirmed + b.Pending + b.Immature }

// Sync looks for everything the wallet owns: on both branches, until GapLimit
// addresses in a row have never been used. It moves the counters behind the
// last address that was used, but writes no file.
func (w *Wallet) Sync(ctx context.Context, c Chain) (*View, error) {
	for attempt := 1; ; attempt++ {
		before, err := c.Tip(ctx)
		if err != nil {
			return nil, fmt.Errorf("asking for the tip: %w", err)
		}
		v := &View{Tip: before, Maturity: w.params.Maturity, keys: map[string]key{}}
		for _, b := range []Branch{Receive, Change} {
			if err := w.discover(ctx, c, v, b); err != nil {
				return nil, err
			}
		}
		if err := v.fetchCoins(ctx, c); err != nil {
			return nil, err
		}
		after, err := c.Tip(ctx)
		if err != nil {
			return nil, fmt.Errorf("asking for the tip: %w", err)
		}
		if after.Hash == before.Hash {
			return v, nil
		}
		if attempt == syncAttempts {
			return nil, fmt.Errorf("the chain's tip moved %d times while the wallet was looking: try again when blocks come more slowly", attempt)
		}
	}
}

// discover adds the keys of a branch, and what happened to them, to the view.
func (w *Wallet) discover(ctx context.Context, c Chain, v *View, b Branch) error {
	end := w.next[b] + GapLimit // one behind the last index to be looked at
	for from := uint32(0); from < end; {
		if end > maxDiscover {
			return fmt.Errorf("the node claims that %d addresses of one wallet are used, more than %d", end-GapLimit, maxDiscover)
		}
		to := min(end, from+MaxAddresses)
		batch := make([]string, 0, to-from)
		for i := from; i < to; i++ {
			k, err := w.key(b, i)
			if err != nil {
				return err
			}
			v.keys[k.address] = *k
			batch = append(batch, k.address)
		}
		moved, err := c.History(ctx, batch)
		if err != nil {
			return fmt.Errorf("asking for the history of %d addresses: %w", len(batch), err)
		}
		for _, m := range moved {
			k, ok := v.keys[m.Address]
			if !ok {
				return fmt.Errorf("the node told the history of address %s, which it was not asked for", clip(m.Address))
			}
			if k.branch == b && k.index >= w.next[b] {
				w.next[b] = k.index + 1
			}
		}
		v.Movements = append(v.Movements, moved...)
		from, end = to, w.next[b]+GapLimit
	}
	return nil
}

// fetchCoins asks for the coins of all addresses that were ever used.
func (v *View) fetchCoins(ctx context.Context, c Chain) error {
	used := map[string]bool{}
	var addresses []string
	for _, m := range v.Movements {
		if !used[m.Address] {
			used[m.Address] = true
			addresses = append(addresses, m.Address)
		}
	}
	slices.Sort(addresses)
	seen := map[consensus.OutPoint]bool{}
	for batch := range slices.Chunk(addresses, MaxAddresses) {
		coins, err := c.Coins(ctx, batch)
		if err != nil {
			return fmt.Errorf("asking for the coins of %d addresses: %w", len(batch), err)
		}
		for _, coin := range coins {
			k, ok := v.keys[coin.Address]
			if !ok || seen[coin.OutPoint] || coin.Value < 0 || coin.Value > consensus.MaxMoney {
				return fmt.Errorf("the node told of coin %s of address %s, which cannot be", coin.OutPoint, clip(coin.Address))
			}
			seen[coin.OutPoint] = true
			v.Coins = append(v.Coins, OwnCoin{coin, k.branch, k.index, k.output})
		}
	}
	slices.SortFunc(v.Coins, compareCoins)
	return nil
}

func compareCoins(a, b OwnCoin) int {
	// The mempool's height 0, less 1, is the highest number there is.
	if x, y := a.Height-1, b.Height-1; x != y {
		if x < y {
			return -1
		}
		return 1
	}
	if n := slices.Compare(a.OutPoint.TxID[:], b.OutPoint.TxID[:]); n != 0 {
		return n
	}
	return int(int64(a.OutPoint.Index) - int64(b.OutPoint.Index))
}

// Immature reports whether the next block could not yet spend the coin.
func (v *View) Immature(c *OwnCoin) bool {
	return c.Coinbase && c.Height > 0 && uint64(v.Tip.Height)+1 < uint64(c.Height)+uint64(v.Maturity)
}

// Balance sums the view's coins.
func (v *View) Balance() Balance {
	var b Balance
	for i := range v.Coins {
		switch c := &v.Coins[i]; {
		case c.Spending:
		case c.Height == 0:
			b.Pending += c.Value
		case v.Immature(c):
			b.Immature += c.Value
		default:
			b.Confirmed += c.Value
		}
	}
	return b
}

// Owns reports whether an address is one of those that the view looked at.
func (v *View) Owns(address string) bool {
	_, ok := v.keys[address]
	return ok
}

// Confirmations of a height: 0 in the mempool, 1 at the tip.
func (v *View) Confirmations(height uint32) uint32 {
	if height == 0 || height > v.Tip.Height {
		return 0
	}
	return v.Tip.Height - height + 1
}
