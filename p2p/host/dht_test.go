package host

import (
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

// TestDHTAddresses: of the addresses that strangers state, the table keeps those that
// everybody can dial.
func TestDHTAddresses(t *testing.T) {
	for private, want := range map[bool]int{false: 0, true: 1} {
		c := inGroup(1)
		c.LimitPrivate = private
		c.Book = OpenBook("", testGenesis, private, nil)
		a := start(t, c)
		table, err := a.newDHT()
		if err != nil {
			t.Fatal(err)
		}
		if got := table.FilteredAddrs(); len(got) != want {
			t.Errorf("private addresses %v: of its own the table would keep %v, expected %d", private, got, want)
		}
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	}
	b := OpenBook("", testGenesis, false, nil)
	var addrs []ma.Multiaddr
	for _, text := range []string{
		"/ip4/192.168.0.1/tcp/22", "/ip4/11.0.0.1/tcp/9420", "/ip4/127.0.0.1/tcp/80", "/ip4/11.0.0.1/udp/9420/quic-v1",
		"/dns4/example.com/tcp/9420", "/ip6/2600::1/tcp/9420", "/ip6/fe80::1/tcp/9420", "/ip4/169.254.169.254/tcp/80",
	} {
		addrs = append(addrs, ma.StringCast(text))
	}
	if got := b.fit(addrs); len(got) != 3 || !got[0].Equal(addrs[1]) || !got[1].Equal(addrs[3]) || !got[2].Equal(addrs[5]) {
		t.Errorf("addresses that fit: %v", got)
	}
	if len(addrs) != 8 || !addrs[0].Equal(ma.StringCast("/ip4/192.168.0.1/tcp/22")) {
		t.Errorf("the addresses were changed: %v", addrs)
	}
}
