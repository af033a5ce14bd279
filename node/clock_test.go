package node_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/rpc"
)

// TestClockWarning: where three peers' clocks differ from ours by more than the network
// lets blocks be dated ahead, which on dev is half a minute, that is said over RPC, and
// no more once they do not.
func TestClockWarning(t *testing.T) {
	params := consensus.Dev()
	h := openHouse(t, params, t.TempDir())
	defer h.close(t)
	client := rpc.NewClient(rpc.Dial{URL: "http://" + h.RPCAddr(), CookieFile: h.CookieFile()})
	defer client.Close()
	now := time.Now()
	say := func(m func(i int) p2p.Msg) {
		h.Runner.SetMockTime(now)
		for i := range 3 {
			h.Runner.Receive(p2p.PeerID(fmt.Sprint("peer", i)), m(i), false)
		}
		now = now.Add(11 * time.Second)
		h.Runner.SetMockTime(now)
		h.Runner.Tick()
	}
	warned := func(offset int64, words ...string) {
		t.Helper()
		var chain, network struct {
			Warnings   []string
			TimeOffset int64
		}
		for method, result := range map[string]any{"getblockchaininfo": &chain, "getnetworkinfo": &network} {
			if err := client.Call(t.Context(), method, result); err != nil {
				t.Fatal(err)
			}
		}
		if network.TimeOffset != offset {
			t.Errorf("the peers' clocks are %d s ahead, expected %d", network.TimeOffset, offset)
		}
		for _, list := range [][]string{chain.Warnings, network.Warnings} {
			if len(list) != min(len(words), 1) || len(list) > 0 && !strings.Contains(list[0], words[0]) {
				t.Errorf("warnings %q, expected %q", list, words)
			}
		}
	}
	for i := range 3 {
		h.Runner.Connected(p2p.Peer{ID: p2p.PeerID(fmt.Sprint("peer", i))})
	}
	say(func(i int) p2p.Msg {
		return &p2p.Hello{Version: p2p.Version, Genesis: params.GenesisHash(), Nonce: uint64(i), Time: now.Unix() + 60}
	})
	warned(60, "this machine's clock is 1m0s behind its peers' clocks")
	ping := func(offset int64) func(int) p2p.Msg {
		return func(int) p2p.Msg { return &p2p.Ping{Nonce: uint64(now.Unix()+offset) << 32} }
	}
	say(ping(29))
	warned(29)
	say(ping(-31))
	warned(-31, "this machine's clock is 31s ahead of its peers' clocks")
	say(ping(0))
	warned(0)
}
