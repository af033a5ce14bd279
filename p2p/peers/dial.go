package peers

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// Outbound connections that a node opens by itself, as in Bitcoin Core.
const (
	TargetFull      = 8 // for blocks, payments and addresses
	TargetBlockOnly = 2 // for blocks alone: who watches payments does not learn of them
	// feelerEvery is how often, on average, a fresh address is tried by a
	// connection that is closed at once, so that the tried ones do not run dry.
	feelerEvery = 2 * time.Minute
	// surplusAge is how long a peer has to show the headers that it has before it may
	// be taken for the one too many: so while no block comes, ever new peers are asked.
	surplusAge = 20 * time.Second
)

// Kind is what a connection is for.
type Kind int

// Kinds of connections. All but Inbound were opened by us.
const (
	Inbound   Kind = iota
	Manual         // asked for by an operator
	Full           // chosen by us
	BlockOnly      // chosen by us; carries no payments and no addresses
	Feeler         // closed as soon as it stands
	Local          // found in the local network
)

// String returns the lower-case name.
func (k Kind) String() string {
	return [...]string{"inbound", "manual", "outbound", "block-only", "feeler", "local"}[k]
}

// Link is a connection that we opened, or are about to.
type Link struct {
	Kind Kind
	Addr netip.AddrPort
}

// Dialer decides whom to dial. Its zero value is ready for use.
type Dialer struct {
	Anchors  []netip.AddrPort // dialed first, for blocks alone; each is used up by one attempt
	feelerAt time.Time        // when the next feeler is due
}

// Next returns what is to be dialed now, given the links that there are; false:
// nothing. extra asks for one connection more than usual. No two links lead to one
// net group, unless its addresses are private.
func (d *Dialer) Next(now time.Time, rng *rand.Rand, b *Book, links []Link, extra bool) (Link, bool) {
	count := make(map[Kind]int)
	used := make(map[netip.Prefix]bool)
	busy := make(map[netip.AddrPort]bool)
	for _, l := range links {
		count[l.Kind]++
		addr := clean(l.Addr)
		busy[addr] = true
		if l.Kind != Feeler && b.grouped(addr.Addr()) {
			used[GroupOf(addr.Addr())] = true
		}
	}
	apart := func(addr netip.AddrPort) bool {
		return !busy[addr] && !(b.grouped(addr.Addr()) && used[GroupOf(addr.Addr())])
	}
	for count[BlockOnly] < TargetBlockOnly && len(d.Anchors) > 0 {
		anchor := clean(d.Anchors[0])
		d.Anchors = d.Anchors[1:]
		if b.Holds(anchor) && apart(anchor) {
			return Link{BlockOnly, anchor}, true
		}
	}
	full := TargetFull
	if extra {
		full++
	}
	kind := Full
	switch {
	case count[Full] < full:
	case count[BlockOnly] < TargetBlockOnly:
		kind = BlockOnly
	case d.feelerAt.IsZero() || d.feelerAt.Sub(now) > 10*feelerEvery: // the clock was set back
		d.nextFeeler(now, rng)
		return Link{}, false
	case count[Feeler] == 0 && !now.Before(d.feelerAt):
		d.nextFeeler(now, rng)
		addr, ok := b.Choose(now, rng, true, apart)
		return Link{Feeler, addr}, ok
	default:
		return Link{}, false
	}
	// Who keeps blocks from us may be all of whom we tried.
	if extra && kind == Full {
		if addr, ok := b.Choose(now, rng, true, apart); ok {
			return Link{kind, addr}, true
		}
	}
	addr, ok := b.Choose(now, rng, false, apart)
	return Link{kind, addr}, ok
}

// nextFeeler waits for a time that nobody can foresee.
func (d *Dialer) nextFeeler(now time.Time, rng *rand.Rand) {
	wait := time.Duration(rng.ExpFloat64() * float64(feelerEvery))
	d.feelerAt = now.Add(min(wait, 10*feelerEvery))
}

// grouped reports whether the rule of one link for each net group applies.
func (b *Book) grouped(ip netip.Addr) bool { return b.private || Public(ip) }

// Surplus returns which of more than TargetFull connections is to be closed: the
// one from which a block has not come for the longest time, the youngest among
// equals. One younger than surplusAge stays, and until it is that old, so do all from
// which a block ever came: else each of them would make room for another newcomer.
func Surplus(now time.Time, full []Candidate) (id string, ok bool) {
	old := slices.DeleteFunc(slices.Clone(full), func(c Candidate) bool { return now.Sub(c.Since) < surplusAge })
	if len(full) <= TargetFull || len(old) == 0 {
		return "", false
	}
	worst := slices.MinFunc(old, func(a, b Candidate) int {
		if c := a.LastBlock.Compare(b.LastBlock); c != 0 {
			return c
		}
		return b.Since.Compare(a.Since)
	})
	return worst.ID, len(old) == len(full) || worst.LastBlock.IsZero()
}
