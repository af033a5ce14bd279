package consensus

import (
	"fmt"
	"math"
)

// Undo data is stored as the number of coins, and per coin its value and
// 2·height + coinbase, each as a compact size, and the 32 bytes of the key.

// minUndoCoin is the least length of a coin in undo data in bytes.
const minUndoCoin = 1 + 1 + KeySize

// Append appends the encoding to b.
func (u *Undo) Append(b []byte) []byte {
	b = AppendCompactSize(b, uint64(len(u.Spent)))
	for i := range u.Spent {
		c := &u.Spent[i]
		b = AppendCompactSize(b, uint64(c.Value))
		b = AppendCompactSize(b, c.origin())
		b = append(b, c.Key[:]...)
	}
	return b
}

// Size is the length of the encoding in bytes.
func (u *Undo) Size() int {
	size := compactSizeLen(len(u.Spent))
	for i := range u.Spent {
		c := &u.Spent[i]
		size += compactSizeLen(int(c.Value)) + compactSizeLen(int(c.origin())) + KeySize
	}
	return size
}

// origin is 2·height + coinbase.
func (c *Coin) origin() uint64 {
	o := 2 * uint64(c.Height)
	if c.Coinbase {
		o++
	}
	return o
}

// DecodeUndo reads exactly one encoding. Undo data never comes from a peer, so
// its errors are damage of our own and no RuleErrors.
func DecodeUndo(b []byte) (*Undo, error) {
	d := NewDecoder(b)
	u := &Undo{Spent: make([]Coin, d.Count(minUndoCoin))}
	for i := range u.Spent {
		value, origin := d.CompactSize(), d.CompactSize()
		if value > MaxMoney || origin > 2*math.MaxUint32+1 {
			return nil, fmt.Errorf("undo data is damaged: coin %d has value %d and origin %d", i, value, origin)
		}
		c := &u.Spent[i]
		c.Value, c.Height, c.Coinbase = int64(value), uint32(origin/2), origin%2 == 1
		copy(c.Key[:], d.Take(KeySize))
	}
	if err := d.Finish(); err != nil {
		return nil, fmt.Errorf("undo data is damaged: %s", err) // not wrapped: no peer's fault
	}
	return u, nil
}
