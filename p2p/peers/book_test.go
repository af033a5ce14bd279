package peers

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Unix(1_800_000_000, 0)

func group(g int) netip.Prefix { return GroupOf(v4(g, 0).Addr()) }

func everyone(netip.AddrPort) bool { return true }

func TestGroups(t *testing.T) {
	for _, c := range []struct {
		ip, group string
		public    bool
	}{
		{"11.2.3.4", "11.2.0.0/16", true},
		{"::ffff:11.2.3.4", "11.2.0.0/16", true},
		{"2600:1234:5678::1", "2600:1234::/32", true},
		{"127.0.0.1", "127.0.0.0/16", false},
		{"10.1.2.3", "10.1.0.0/16", false},
		{"100.64.0.1", "100.64.0.0/16", false},
		{"192.168.7.7", "192.168.0.0/16", false},
		{"fd00::1", "fd00::/32", false},
		{"fe80::1%eth0", "fe80::/32", false},
		{"224.0.0.1", "224.0.0.0/16", false},
		{"0.0.0.0", "0.0.0.0/16", false},
		{"203.0.113.9", "203.0.0.0/16", false},
		{"255.255.255.255", "255.255.0.0/16", false},
		{"::", "::/32", false},
	} {
		ip := netip.MustParseAddr(c.ip)
		if g := GroupOf(ip.WithZone("")); g.String() != c.group || Public(ip) != c.public {
			t.Errorf("%s: group %s, public %v; expected %s, %v", c.ip, g, Public(ip), c.group, c.public)
		}
	}
	if Public(netip.Addr{}) || GroupOf(netip.Addr{}).IsValid() {
		t.Error("no address has a group")
	}
}

// check compares the two tables with the entries.
func (b *Book) check(t interface{ Fatalf(string, ...any) }) {
	checkTable(t, &b.fresh)
	checkTable(t, &b.tried)
	records := 0
	for addr, e := range b.known {
		records += len(e.sources)
		if e.tried != b.tried.has(GroupOf(addr.Addr()), addr) || e.tried == (len(e.sources) > 0) {
			t.Fatalf("%s: tried %v, %d sources", addr, e.tried, len(e.sources))
		}
		for _, source := range e.sources {
			if !b.fresh.has(source, addr) {
				t.Fatalf("%s is not filed under %s", addr, source)
			}
		}
	}
	if records != b.fresh.size || len(b.All()) != b.Size() {
		t.Fatalf("%d records, %d filed; %d listed of %d", records, b.fresh.size, len(b.All()), b.Size())
	}
}

// TestBookKeepsItsBooks: after any history the tables and entries agree, and a
// file brings the same book back.
func TestBookKeepsItsBooks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := NewBook(false)
		b.fresh.max, b.fresh.perGroup, b.tried.max, b.tried.perGroup = 12, 5, 6, 3
		rng := testRand(rapid.Uint64().Draw(t, "seed"))
		now := start
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			addr := v4(rapid.IntRange(0, 4).Draw(t, "group"), rapid.IntRange(0, 6).Draw(t, "host"))
			now = now.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "s")) * time.Second)
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0, 1, 2:
				b.Add(now, rng, group(rapid.IntRange(0, 5).Draw(t, "source")), addr)
			case 3:
				b.Succeeded(now, rng, addr)
			case 4:
				b.Failed(now, addr, rapid.Bool().Draw(t, "counts"))
			case 5:
				b.Remove(addr)
			}
			b.check(t)
			if addr, ok := b.Choose(now, rng, false, everyone); ok && !b.known[addr].due(now) {
				t.Fatalf("%s is not due", addr)
			}
		}
		text, err := b.Snapshot("net", []netip.AddrPort{v4(1, 1), v4(2, 2), v4(3, 3)}).Encode()
		if err != nil {
			t.Fatal(err)
		}
		again := NewBook(false)
		anchors, err := again.Decode(rng, "net", text)
		if err != nil {
			t.Fatal(err)
		}
		again.check(t)
		if !slices.Equal(anchors, []netip.AddrPort{v4(1, 1), v4(2, 2)}) {
			t.Fatalf("anchors %v", anchors)
		}
		if had, has := sorted(b.All()), sorted(again.All()); !reflect.DeepEqual(had, has) {
			t.Fatalf("had %v, has %v", had, has)
		}
	})
}

func sorted(all []Known) []Known {
	slices.SortFunc(all, func(a, b Known) int { return a.Addr.Compare(b.Addr) })
	return all
}

func TestBadFiles(t *testing.T) {
	good, err := NewBook(false).Snapshot("net", nil).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewBook(false).Decode(testRand(1), "net", good); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ text, say string }{
		"empty":            {"", "unexpected end"},
		"cut off":          {string(good[:len(good)/2]), "unexpected end"},
		"other network":    {strings.Replace(string(good), `"net"`, `"other"`, 1), "of network"},
		"later version":    {strings.Replace(string(good), `"version": 1`, `"version": 2`, 1), "version 2, expected 1"},
		"no address":       {`{"version":1,"network":"net","fresh":[{"addr":"","source":"11.0.0.0/16"}]}`, "none"},
		"nonsense":         {`{"version":1,"network":"net","tried":[{"addr":"x:y"}]}`, "invalid port"},
		"no source":        {`{"version":1,"network":"net","fresh":[{"addr":"11.0.0.1:1","source":""}]}`, "none"},
		"too long":         {string(good) + strings.Repeat(" ", MaxFile), "longer than"},
		"too many anchors": {`{"version":1,"network":"net","anchors":["11.0.0.1:1","11.0.0.2:1","11.0.0.3:1"]}`, "3 anchors"},
	} {
		if _, err := NewBook(false).Decode(testRand(1), "net", []byte(c.text)); err == nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: error %v, expected it to say %q", name, err, c.say)
		}
	}
}

// TestFileKeepsToTheCaps: a file that says more than a book may hold fills no more
// than the caps.
func TestFileKeepsToTheCaps(t *testing.T) {
	b := NewBook(false)
	b.fresh.max, b.fresh.perGroup = 1<<20, 1<<20
	for i := range 2 * MaxPerSource {
		b.Add(start, testRand(1), group(9), v4(i, 0))
	}
	text, err := b.Snapshot("net", nil).Encode()
	if err != nil {
		t.Fatal(err)
	}
	again := NewBook(false)
	if _, err := again.Decode(testRand(1), "net", text); err != nil {
		t.Fatal(err)
	}
	if again.check(t); again.Size() != MaxPerSource {
		t.Errorf("%d addresses of one source, expected %d", again.Size(), MaxPerSource)
	}
}

func TestWhatABookHolds(t *testing.T) {
	rng := testRand(1)
	b, local := NewBook(false), NewBook(true)
	for _, text := range []string{"127.0.0.1:9420", "192.168.1.1:9420", "0.0.0.0:9420", "11.0.0.1:0"} {
		b.Add(start, rng, group(1), netip.MustParseAddrPort(text))
		b.Succeeded(start, rng, netip.MustParseAddrPort(text))
		local.Add(start, rng, group(1), netip.MustParseAddrPort(text))
	}
	if b.Size() != 0 || local.Size() != 2 {
		t.Errorf("%d addresses that are not publicly routable, %d with private ones", b.Size(), local.Size())
	}
	b.Add(start, rng, group(1), netip.MustParseAddrPort("[::ffff:11.0.0.1]:9420"))
	b.Succeeded(start, rng, netip.MustParseAddrPort("11.0.0.1:9420"))
	if b.check(t); b.Size() != 1 {
		t.Errorf("two forms of one address are %d", b.Size())
	}
}

// TestAttempts: an address that does not answer is tried ever more seldom, and is
// gone after a few times; one that did answer stays longer; while nobody can be
// reached nothing is held against anybody.
func TestAttempts(t *testing.T) {
	rng := testRand(1)
	tries := func(b *Book, counts bool) (n int) {
		for now := start; now.Before(start.Add(3 * time.Hour)); now = now.Add(time.Second) {
			if addr, ok := b.Choose(now, rng, false, everyone); ok {
				n++
				b.Failed(now, addr, counts)
			}
		}
		return n
	}
	fresh, tried, offline := NewBook(false), NewBook(false), NewBook(false)
	fresh.Add(start, rng, group(1), v4(1, 1))
	tried.Succeeded(start.Add(-time.Hour), rng, v4(1, 1))
	offline.Add(start, rng, group(1), v4(1, 1))
	if n := tries(fresh, true); n != freshAttempts || fresh.Size() != 0 {
		t.Errorf("a fresh address was tried %d times, %d are left", n, fresh.Size())
	}
	if n := tries(tried, true); n != triedAttempts || tried.Size() != 0 {
		t.Errorf("a tried address was tried %d times, %d are left", n, tried.Size())
	}
	if n := tries(offline, false); n < 100 || offline.Size() != 1 {
		t.Errorf("an address was tried %d times in three hours without a network, %d are left", n, offline.Size())
	}
	if addr, ok := offline.Choose(start.Add(-time.Hour), rng, false, everyone); !ok || addr != v4(1, 1) {
		t.Error("a clock that was set back hides an address")
	}
}

func TestSample(t *testing.T) {
	rng, b := testRand(3), NewBook(false)
	for i := range 40 {
		b.Add(start, rng, group(i%4), v4(i, 1))
	}
	b.Succeeded(start, rng, v4(50, 1))
	b.Add(start, rng, group(1), v4(60, 1))
	b.Failed(start, v4(60, 1), true)
	drawn := make(map[netip.AddrPort]bool)
	for range 50 {
		sample := b.Sample(rng, 8)
		if len(sample) == 0 || len(sample) > 8 {
			t.Fatalf("%d addresses", len(sample))
		}
		for _, addr := range sample {
			drawn[addr] = true
		}
		slices.SortFunc(sample, netip.AddrPort.Compare)
		if len(slices.Compact(sample)) != len(sample) {
			t.Fatal("an address twice")
		}
	}
	if len(drawn) != 41 || drawn[v4(60, 1)] {
		t.Errorf("%d addresses were told, expected the 41 that are not known to be dead", len(drawn))
	}
}

// TestSnapshot: what a snapshot says does not change with the book.
func TestSnapshot(t *testing.T) {
	rng, b := testRand(5), NewBook(false)
	for i := range 50 {
		b.Add(start, rng, group(300+i%7), v4(i, 1))
	}
	anchors := []netip.AddrPort{v4(1, 1), v4(2, 1)}
	s := b.Snapshot("net", anchors)
	before, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		b.Succeeded(start.Add(time.Hour), rng, v4(i, 1))
		b.Add(start.Add(time.Hour), rng, group(300+i%7), v4(i, 2))
	}
	b.Remove(v4(3, 1))
	anchors[0] = v4(9, 9)
	after, err := s.Encode()
	if err != nil || string(before) != string(after) {
		t.Errorf("a snapshot changed (%v)", err)
	}
}
