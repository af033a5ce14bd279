package node

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/storage"
)

// Finding is one thing that a Verification found wrong, and the block that it
// belongs to. What breaks a rule has the rule's code; the rest is damage of the
// disk, or a bug.
type Finding struct {
	Height   uint32
	Hash     consensus.Hash
	Code     consensus.Code // of a rule, or one of those below
	Detail   string         // for people
	Expected string         // "" where Detail says it
	Found    string         // likewise
}

// Codes of what is wrong with the store rather than with a block.
const (
	// DamagedRecord: a header, or what is kept with it, is not the block's.
	DamagedRecord consensus.Code = "damaged-record"
	// DamagedBody: the block cannot be read, or is another one.
	DamagedBody consensus.Code = "damaged-body"
	// DamagedUndo: the undo data cannot be read, or is another block's.
	DamagedUndo consensus.Code = "damaged-undo"
	// DamagedCoin: a coin is missing, or changed, or should not be there.
	DamagedCoin consensus.Code = "damaged-coin"
	// DamagedSum: the coins that are kept count of are not those of the blocks.
	DamagedSum consensus.Code = "damaged-coin-sum"
)

// InCoins reports whether it concerns only what follows from the blocks and can
// be made anew from them: coins and undo data.
func (f *Finding) InCoins() bool {
	return f.Code == DamagedUndo || f.Code == DamagedCoin || f.Code == DamagedSum
}

// String is the finding in one line.
func (f *Finding) String() string {
	text := fmt.Sprintf("block %d (%s): %s: %s", f.Height, f.Hash, f.Code, f.Detail)
	if f.Expected != "" || f.Found != "" {
		text += fmt.Sprintf(": expected %s, found %s", f.Expected, f.Found)
	}
	return text
}

// maxFindings bounds what is told one by one; a disk that lost a file would fill
// the memory otherwise.
const maxFindings = 100

// findings keeps the first ones and counts the rest.
type findings struct {
	list    []Finding
	more    int
	outside bool // one of them, listed or not, is not InCoins
}

func (f *findings) add(b *consensus.BlockIndex, code consensus.Code, detail, expected, found string) {
	finding := Finding{b.Height, b.Hash, code, detail, expected, found}
	f.outside = f.outside || !finding.InCoins()
	if len(f.list) == maxFindings {
		f.more++
		return
	}
	f.list = append(f.list, finding)
}

// isDamage tells damage of what is stored from a store that fails: the one is
// found, the other ends the search.
func isDamage(err error) bool {
	return errors.Is(err, storage.ErrDamaged) || errors.Is(err, storage.ErrNotFound)
}

func coinText(c *consensus.Coin) string {
	origin := "a payment"
	if c.Coinbase {
		origin = "a coinbase"
	}
	return fmt.Sprintf("%d units to key %x from %s at height %d", c.Value, c.Key, origin, c.Height)
}

func flagsText(f consensus.RecordFlags) string {
	var words []string
	for _, flag := range []struct {
		bit  consensus.RecordFlags
		name string
	}{{consensus.RecordHasBody, "body"}, {consensus.RecordConnected, "connected"}, {consensus.RecordFailed, "failed"}} {
		if f&flag.bit != 0 {
			words = append(words, flag.name)
		}
	}
	return cmp.Or(strings.Join(words, "+"), "none")
}

func sumText(s consensus.CoinSum) string {
	return fmt.Sprintf("%d coins of %d units with sum %x", s.Count, s.Value, s.Hash())
}
