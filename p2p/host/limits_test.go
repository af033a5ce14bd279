package host

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
)

// TestLimitPrivate: the cap of connections from one address holds for public ones;
// for those of a testnet only where that is asked for.
func TestLimitPrivate(t *testing.T) {
	for _, c := range []struct {
		addr    string
		private bool
		capped  bool
	}{
		{"/ip4/11.0.0.1/tcp/1", false, true}, {"/ip6/2600::1/tcp/1", false, true},
		{"/ip4/127.0.0.1/tcp/1", false, false}, {"/ip4/192.168.0.1/tcp/1", false, false}, {"/ip6/::1/tcp/1", false, false},
		{"/ip4/127.0.0.1/tcp/1", true, true}, {"/ip4/192.168.0.1/tcp/1", true, true}, {"/ip6/::1/tcp/1", true, true},
	} {
		manager, err := newResourceManager(&Config{MaxIn: defaultMaxIn, MaxOut: defaultMaxOut, LimitPrivate: c.private})
		if err != nil {
			t.Fatal(err)
		}
		admitted := 0
		for range 30 {
			if _, err := manager.OpenConnection(network.DirInbound, true, ma.StringCast(c.addr)); err == nil {
				admitted++
			}
		}
		if want := map[bool]int{true: 8, false: 30}[c.capped]; admitted != want {
			t.Errorf("%s, private ones limited %v: %d connections got in, expected %d", c.addr, c.private, admitted, want)
		}
		if err := manager.Close(); err != nil {
			t.Error(err)
		}
	}
}
