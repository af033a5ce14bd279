package peers

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// eclipse is attack 11 as far as it is about choices: a new node whose book has been
// filled by strangers. Their nodes accept whoever comes and say nothing, or do not
// answer at all. Twelve honest nodes in twelve net groups are known through a few
// sources.
type eclipse struct {
	rng     *rand.Rand
	book    *Book
	dialer  Dialer
	honest  map[netip.AddrPort]bool
	mute    map[netip.AddrPort]bool
	links   []Link
	since   map[netip.AddrPort]time.Time
	dialing map[netip.AddrPort]time.Time // when the answer comes
}

const (
	honestNodes    = 12
	sybilsPerNode  = 100
	answersAfter   = 200 * time.Millisecond
	givenUpAfter   = 5 * time.Second
	alarmAfter     = time.Minute
	eclipseStep    = 500 * time.Millisecond
	honestGroups   = 100 // the first of them
	strangerGroups = 300
)

func newEclipse(seed uint64, sources, strangers int) *eclipse {
	e := &eclipse{
		rng: testRand(seed), book: NewBook(false), honest: make(map[netip.AddrPort]bool), mute: make(map[netip.AddrPort]bool),
		since: make(map[netip.AddrPort]time.Time), dialing: make(map[netip.AddrPort]time.Time),
	}
	var told []struct {
		source netip.Prefix
		addr   netip.AddrPort
	}
	tell := func(source netip.Prefix, addr netip.AddrPort) {
		told = append(told, struct {
			source netip.Prefix
			addr   netip.AddrPort
		}{source, addr})
	}
	for i := range honestNodes {
		addr := v4(honestGroups+i, 1)
		e.honest[addr] = true
		for s := range sources {
			tell(group(honestGroups+s), addr)
		}
	}
	for i := range honestNodes * sybilsPerNode {
		addr := v4(strangerGroups+i%strangers, 1+i/strangers)
		e.mute[addr] = true
		tell(group(strangerGroups+e.rng.IntN(strangers)), addr)
	}
	for range 6000 { // addresses in groups all over the world, which nobody has
		addr := v4(1000+e.rng.IntN(5000), e.rng.IntN(200))
		tell(group(strangerGroups+e.rng.IntN(strangers)), addr)
	}
	e.rng.Shuffle(len(told), func(i, j int) { told[i], told[j] = told[j], told[i] })
	for _, t := range told {
		e.book.Add(start, e.rng, t.source, t.addr)
	}
	return e
}

// escape lets time pass until there is a link to an honest node.
func (e *eclipse) escape(limit time.Duration) (time.Duration, bool) {
	for now := start; now.Sub(start) < limit; now = now.Add(eclipseStep) {
		for i := len(e.links) - 1; i >= 0; i-- {
			l := e.links[i]
			at, waiting := e.dialing[l.Addr]
			if !waiting || now.Before(at) {
				continue
			}
			delete(e.dialing, l.Addr)
			answers := e.honest[l.Addr] || e.mute[l.Addr]
			if answers {
				e.book.Succeeded(now, e.rng, l.Addr)
				e.since[l.Addr] = now
			} else {
				e.book.Failed(now, l.Addr, len(e.since) > 0)
			}
			if !answers || l.Kind == Feeler {
				delete(e.since, l.Addr)
				e.links = slices.Delete(e.links, i, i+1)
			} else if e.honest[l.Addr] {
				return now.Sub(start), true
			}
		}
		var full []Candidate
		for _, l := range e.links {
			if at, stands := e.since[l.Addr]; stands && l.Kind == Full {
				full = append(full, Candidate{ID: l.Addr.String(), Since: at})
			}
		}
		if id, ok := Surplus(now, full); ok {
			e.links = slices.DeleteFunc(e.links, func(l Link) bool { return l.Addr.String() == id })
			delete(e.since, netip.MustParseAddrPort(id))
		}
		if l, ok := e.dialer.Next(now, e.rng, e.book, e.links, now.Sub(start) >= alarmAfter); ok {
			e.links = append(e.links, l)
			e.dialing[l.Addr] = now.Add(givenUpAfter)
			if e.honest[l.Addr] || e.mute[l.Addr] {
				e.dialing[l.Addr] = now.Add(answersAfter)
			}
		}
	}
	return limit, false
}

// TestPoisonedBook: a new node with a poisoned book finds an honest node within five
// minutes: always where strangers have four times as many net groups as honest
// sources, and mostly where they have forty times as many.
func TestPoisonedBook(t *testing.T) {
	const runs = 20
	for _, c := range []struct {
		sources, strangers int // net groups that told of honest nodes, that strangers have
		atLeast            int // runs that end within five minutes
	}{{12, 12, runs}, {3, 12, runs}, {1, 40, runs * 3 / 4}} {
		t.Run(fmt.Sprintf("%d honest sources, %d groups of strangers", c.sources, c.strangers), func(t *testing.T) {
			var took []time.Duration
			in := 0
			for seed := range uint64(runs) {
				d, ok := newEclipse(seed, c.sources, c.strangers).escape(5 * time.Minute)
				if took = append(took, d); ok {
					in++
				}
			}
			slices.Sort(took)
			t.Logf("%d of %d within five minutes, half of them within %s, nine tenths within %s", in, runs, took[runs/2], took[runs*9/10])
			if in < c.atLeast {
				t.Errorf("%d of %d found an honest node within five minutes, expected %d", in, runs, c.atLeast)
			}
		})
	}
}
