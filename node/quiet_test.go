package node_test

import (
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/rpc"
	"github.com/kapok-chain/kapok/storage"
)

// TestQuiet: a node takes note when no block comes for three spacings, or a minute
// where blocks are quick, and is content with the next one. A new node without peers
// and a network whose blocks come on request never are in doubt.
func TestQuiet(t *testing.T) {
	slow := consensus.Regtest()
	slow.Name, slow.Rule, slow.HalfLife = "slow", consensus.RuleASERTRelative, 14_400
	quick := *slow
	quick.Name, quick.Spacing = "quick", 5
	for _, params := range []*consensus.Params{slow, &quick} {
		if err := params.Init(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		params *consensus.Params
		after  time.Duration // zero: never
	}{{slow, 30 * time.Minute}, {&quick, time.Minute}, {consensus.Regtest(), 0}} {
		t.Run(c.params.Name, func(t *testing.T) {
			w := newWorld(t, c.params, 1, 0)
			n := w.reside(storage.OpenMemory(c.params, true))
			look := func(d time.Duration) time.Duration {
				w.Now = w.Now.Add(d)
				w.check(n.Tick(w.Now))
				n.Outbox()
				return n.Quiet(w.Now)
			}
			look(0)
			if q := look(10 * time.Hour); q != 0 {
				t.Fatalf("a new node without peers is in doubt after %s", q)
			}
			n.Connected(w.Now, p2p.Peer{ID: "mute"})
			if q := look(time.Second); (q > 0) != (c.after > 0) {
				t.Fatalf("a new node with a mute peer: quiet for %s", q)
			}
			chain := chaintest.New(t, c.params)
			for i, name := range []string{"a1", "a2"} {
				block := chain.Mine([]string{"genesis", "a1"}[i], name, chaintest.At(uint32(w.Now.Unix())))
				if _, err := n.SubmitBlock(w.Now, block); err != nil {
					t.Fatal(err)
				}
				w.flush(n)
				if q := look(0); q != 0 {
					t.Fatalf("quiet for %s at block %d", q, i+1)
				}
				if q := look(c.after - time.Second); c.after > 0 && q != 0 {
					t.Fatalf("quiet for %s, a second too early", q)
				}
				if q := look(2 * time.Second); c.after > 0 && q != c.after+time.Second || c.after == 0 && q != 0 {
					t.Fatalf("quiet for %s", q)
				}
			}
			if look(-time.Hour) != 0 || look(10*time.Second) != 0 {
				t.Error("a clock that was set back raises the alarm")
			}
		})
	}
}

// TestQuietFromTheStart: a node that starts with a tip found longer ago than the limit
// is in doubt after a minute; with a younger one it waits as any other.
func TestQuietFromTheStart(t *testing.T) {
	params := consensus.Regtest()
	params.Name, params.Rule, params.HalfLife = "slow", consensus.RuleASERTRelative, 14_400
	if err := params.Init(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ age, after time.Duration }{
		{time.Hour, time.Minute}, {30 * time.Minute, time.Minute}, {10 * time.Minute, 20 * time.Minute}, {0, 30 * time.Minute},
	} {
		t.Run(c.age.String(), func(t *testing.T) {
			w := newWorld(t, params, 1, 0)
			n := w.reside(storage.OpenMemory(params, true))
			chain := chaintest.New(t, params)
			w.submit(n, chain.Mine("genesis", "a1", chaintest.At(uint32(w.Now.Add(-c.age).Unix()))))
			began := w.Now
			for n.Quiet(w.Now) == 0 && w.Now.Sub(began) < time.Hour {
				w.check(n.Tick(w.Now))
				n.Outbox()
				w.Now = w.Now.Add(time.Second)
			}
			if after := w.Now.Sub(began); after != c.after {
				t.Errorf("in doubt after %s, not after %s", after, c.after)
			}
		})
	}
}

// TestQuietIsSaid: over RPC, and to whoever dials.
func TestQuietIsSaid(t *testing.T) {
	h := openHouse(t, consensus.Dev(), t.TempDir())
	defer h.close(t)
	client := rpc.NewClient(rpc.Dial{URL: "http://" + h.RPCAddr(), CookieFile: h.CookieFile()})
	defer client.Close()
	h.Runner.Connected(p2p.Peer{ID: "mute"})
	for _, quiet := range []bool{false, true, false} {
		h.Runner.Tick()
		var chain, network struct{ Warnings []string }
		if err := client.Call(t.Context(), "getblockchaininfo", &chain); err != nil {
			t.Fatal(err)
		}
		if err := client.Call(t.Context(), "getnetworkinfo", &network); err != nil {
			t.Fatal(err)
		}
		if said := len(chain.Warnings) == 1 && len(network.Warnings) == 1; h.Runner.Quiet() != quiet || said != quiet {
			t.Errorf("quiet %v, warnings %q and %q, expected %v", h.Runner.Quiet(), chain.Warnings, network.Warnings, quiet)
		}
		if quiet {
			h.Runner.SetMockTime(time.Time{}) // back to before
		} else {
			h.Runner.SetMockTime(time.Now().Add(time.Hour))
		}
	}
}
