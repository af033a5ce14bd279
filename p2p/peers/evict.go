package peers

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"
	"time"
)

// Candidate is a connection that may have to give way to a new one.
type Candidate struct {
	ID        string
	IP        netip.Addr
	Since     time.Time
	MinPing   time.Duration // zero: not measured yet
	LastBlock time.Time     // that it sent, and we did not have; zero: never
	LastTx    time.Time
	BlockOnly bool // it asked for blocks alone
}

// How many connections are out of reach for each reason, as in Bitcoin Core. To get
// rid of an honest peer, a stranger has to beat it in all of them.
const (
	byGroup     = 4 // net groups that nobody can foresee
	byPing      = 8 // the nearest
	byTx        = 4 // who sent payments last
	byBlockOnly = 8 // who sent blocks last, of those that relay nothing else
	byBlock     = 4 // who sent blocks last
)

// Evict returns which of the inbound connections gives way to a new one; false
// where all are protected. After the reasons above, the half that has been here
// longest is protected too. Of the rest, the youngest of the net group with most
// connections leaves: a crowd in one group fights for its own places. secret is
// what makes the protected groups unforeseeable.
func Evict(candidates []Candidate, secret uint64) (id string, ok bool) {
	rest := make([]*ranked, len(candidates))
	for i, c := range candidates {
		group := GroupOf(c.IP)
		rest[i] = &ranked{c, group, keyed(secret, group)}
	}
	slices.SortFunc(rest, func(a, b *ranked) int { return cmp.Compare(a.ID, b.ID) })
	protect := func(n int, better func(a, b *ranked) int, who func(*ranked) bool) {
		slices.SortStableFunc(rest, better)
		kept := rest[:0]
		for _, c := range rest {
			if n > 0 && who(c) {
				n--
				continue
			}
			kept = append(kept, c)
		}
		rest = kept
	}
	all := func(*ranked) bool { return true }
	protect(byGroup, func(a, b *ranked) int { return cmp.Compare(a.key, b.key) }, all)
	protect(byPing, func(a, b *ranked) int { return cmp.Compare(a.MinPing, b.MinPing) },
		func(c *ranked) bool { return c.MinPing > 0 })
	protect(byTx, func(a, b *ranked) int { return b.LastTx.Compare(a.LastTx) },
		func(c *ranked) bool { return !c.LastTx.IsZero() })
	lastBlock := func(a, b *ranked) int { return b.LastBlock.Compare(a.LastBlock) }
	protect(byBlockOnly, lastBlock, func(c *ranked) bool { return c.BlockOnly && !c.LastBlock.IsZero() })
	protect(byBlock, lastBlock, func(c *ranked) bool { return !c.LastBlock.IsZero() })
	protect(len(rest)/2, func(a, b *ranked) int { return a.Since.Compare(b.Since) }, all)
	if len(rest) == 0 {
		return "", false
	}
	crowd := make(map[netip.Prefix]int)
	for _, c := range rest {
		crowd[c.group]++
	}
	return slices.MaxFunc(rest, func(a, b *ranked) int {
		return cmp.Or(cmp.Compare(crowd[a.group], crowd[b.group]), a.Since.Compare(b.Since))
	}).ID, true
}

// ranked is a candidate with its net group and the group's number.
type ranked struct {
	Candidate
	group netip.Prefix
	key   uint64
}

// keyed is a number for a net group that depends on the secret.
func keyed(secret uint64, group netip.Prefix) uint64 {
	text, _ := group.MarshalBinary() // never fails
	sum := sha256.Sum256(binary.LittleEndian.AppendUint64(text, secret))
	return binary.LittleEndian.Uint64(sum[:])
}
