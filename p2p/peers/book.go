package peers

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// Sizes of a book, in addresses.
const (
	// MaxFresh is how many addresses that were not tried a book holds: a few
	// hundred kB. MaxPerSource of them may have been told by one net group.
	MaxFresh     = 4096
	MaxPerSource = 256
	// MaxTried is how many tried addresses it holds. One net group may have
	// MaxTriedPerGroup, since the book gives at most one of a group to be dialed at a time.
	MaxTried         = 1024
	MaxTriedPerGroup = 16
	// MaxAnchors is how many anchors it keeps: as many as there are connections
	// for blocks alone.
	MaxAnchors = 2
)

// Attempts.
const (
	// retryMin doubles with every attempt that failed, to retryMax.
	retryMin = time.Minute
	retryMax = 10 * time.Minute
	// freshAttempts is how often an address that never answered is tried,
	// triedAttempts one that did.
	freshAttempts = 3
	triedAttempts = 10
)

// Discovery is the source under which addresses are filed that no peer told of:
// those from the distributed hash table, all together.
var Discovery = netip.PrefixFrom(netip.IPv6Unspecified(), 128)

// Book holds addresses of nodes. It is not safe for concurrent use.
type Book struct {
	private bool // private addresses are held too
	known   map[netip.AddrPort]*entry
	fresh   table // by the group of who told of them
	tried   table // by their own group
}

// entry is what is known of an address. It is in fresh under all of sources, or in
// tried.
type entry struct {
	sources  []netip.Prefix
	tried    bool
	seen     time.Time // when it was last told of, or had a session
	success  time.Time // last session; zero: never
	last     time.Time // last attempt
	attempts int       // that failed, since the last success
}

// Known is an address of a book, for people.
type Known struct {
	Addr    netip.AddrPort
	Tried   bool
	Seen    time.Time // when it was last told of, or had a session
	Success time.Time // last session; zero: never
}

// NewBook returns an empty book. private says that it holds addresses that are not
// publicly routable as well: for attack tests on one machine.
func NewBook(private bool) *Book {
	return &Book{
		private: private,
		known:   make(map[netip.AddrPort]*entry),
		fresh:   newTable(MaxFresh, MaxPerSource),
		tried:   newTable(MaxTried, MaxTriedPerGroup),
	}
}

// Holds reports whether the book may hold an address at all.
func (b *Book) Holds(addr netip.AddrPort) bool {
	ip := addr.Addr()
	return addr.Port() != 0 && ip.IsValid() && !ip.IsUnspecified() && (b.private || Public(ip))
}

// Size returns how many addresses the book holds.
func (b *Book) Size() int { return len(b.known) }

// entry returns that of an address, a new one where there was none; nil where the book
// may not hold it.
func (b *Book) entry(addr netip.AddrPort) *entry {
	if !b.Holds(addr) {
		return nil
	}
	e := b.known[addr]
	if e == nil {
		e = &entry{}
		b.known[addr] = e
	}
	return e
}

// Add files an address under the net group of who told of it.
func (b *Book) Add(now time.Time, rng *rand.Rand, source netip.Prefix, addr netip.AddrPort) {
	addr = clean(addr)
	e := b.entry(addr)
	if e == nil {
		return
	}
	e.seen = now
	if e.tried || slices.Contains(e.sources, source) {
		return
	}
	e.sources = append(e.sources, source)
	if out := b.fresh.add(rng, source, addr); out != nil {
		b.lose(out)
	}
}

// lose takes note that a fresh record was pushed out.
func (b *Book) lose(v *victim) {
	e := b.known[v.addr]
	e.sources = slices.DeleteFunc(e.sources, func(s netip.Prefix) bool { return s == v.group })
	if len(e.sources) == 0 {
		delete(b.known, v.addr)
	}
}

// Succeeded takes note of a session that we opened, and moves the address to the
// tried ones.
func (b *Book) Succeeded(now time.Time, rng *rand.Rand, addr netip.AddrPort) {
	addr = clean(addr)
	e := b.entry(addr)
	if e == nil {
		return
	}
	e.seen, e.success, e.last, e.attempts = now, now, now, 0
	if e.tried {
		return
	}
	for _, source := range e.sources {
		b.fresh.remove(source, addr)
	}
	e.sources, e.tried = nil, true
	if out := b.tried.add(rng, GroupOf(addr.Addr()), addr); out != nil {
		delete(b.known, out.addr)
	}
}

// Failed takes note of an attempt that failed. It counts against the address where
// others could be reached at that time; too many that count remove it.
func (b *Book) Failed(now time.Time, addr netip.AddrPort, counts bool) {
	addr = clean(addr)
	e := b.known[addr]
	if e == nil {
		return
	}
	e.last = now
	if !counts {
		return
	}
	e.attempts++
	if e.success.IsZero() && e.attempts >= freshAttempts || e.attempts >= triedAttempts {
		b.Remove(addr)
	}
}

// Remove forgets an address: it is our own, or one of another network.
func (b *Book) Remove(addr netip.AddrPort) {
	addr = clean(addr)
	e := b.known[addr]
	if e == nil {
		return
	}
	if e.tried {
		b.tried.remove(GroupOf(addr.Addr()), addr)
	}
	for _, source := range e.sources {
		b.fresh.remove(source, addr)
	}
	delete(b.known, addr)
}

// due reports whether enough time has passed since the last attempt.
func (e *entry) due(now time.Time) bool {
	wait := min(retryMin<<min(e.attempts, triedAttempts), retryMax)
	since := now.Sub(e.last)
	return since >= wait || since < 0 // the clock was set back
}

// Choose returns an address to dial that is wanted, tried or fresh with equal
// chance; fresh says a fresh one only.
func (b *Book) Choose(now time.Time, rng *rand.Rand, fresh bool, wanted func(netip.AddrPort) bool) (netip.AddrPort, bool) {
	ready := func(addr netip.AddrPort) bool { return b.known[addr].due(now) && wanted(addr) }
	first, second := &b.fresh, &b.tried
	if rng.IntN(2) == 0 && !fresh {
		first, second = second, first
	}
	addr, ok := first.choose(rng, ready)
	if !ok && !fresh {
		addr, ok = second.choose(rng, ready)
	}
	return addr, ok
}

// Sample returns at most n addresses to tell others, drawn as they are for dialing,
// without those that did not answer lately.
func (b *Book) Sample(rng *rand.Rand, n int) []netip.AddrPort {
	var out []netip.AddrPort
	for range n {
		from := &b.fresh
		if rng.IntN(2) == 0 && b.tried.size > 0 {
			from = &b.tried
		}
		addr, ok := from.choose(rng, func(a netip.AddrPort) bool { return b.known[a].attempts == 0 && !slices.Contains(out, a) })
		if ok {
			out = append(out, addr)
		}
	}
	return out
}

// All lists the book, tried addresses first.
func (b *Book) All() []Known {
	var all []Known
	for _, t := range []*table{&b.tried, &b.fresh} {
		for _, group := range t.order {
			for _, addr := range t.groups[group] {
				e := b.known[addr]
				if len(e.sources) > 1 && group != e.sources[0] {
					continue // listed under its first source
				}
				all = append(all, Known{addr, e.tried, e.seen, e.success})
			}
		}
	}
	return all
}

// clean brings the two forms of an IPv4 address to one.
func clean(addr netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(addr.Addr().Unmap().WithZone(""), addr.Port())
}
