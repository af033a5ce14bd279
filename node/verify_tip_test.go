package node_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/storage"
)

// Each level finds what is its own, and nothing that is left to the next one.
func TestVerifyTipByLevel(t *testing.T) {
	const lowest = 5 // of the levels: none finds it
	for name, test := range map[string]struct {
		bad    func(*chaintest.Chain)
		twists map[string]func(*consensus.Delta)
		spoil  func(*planter, *spoiled)
		from   int // the level
		code   string
	}{
		"good": {from: lowest},
		"body gone": {spoil: func(p *planter, s *spoiled) {
			s.block = map[consensus.Hash]error{p.c.Hash("bad"): storage.ErrNotFound}
		}, from: node.VerifyRead, code: "bad damaged-body"},
		"bad by itself": {bad: func(c *chaintest.Chain) {
			c.Mine("a105", "bad", chaintest.Edit(func(b *consensus.Block) { b.Txs[0].Outputs[0].Script = []byte{0x52} }))
		}, from: node.VerifyBody, code: "bad bad-txns-output-type"},
		"no work": {bad: func(c *chaintest.Chain) { c.Add("bad", unsolved(c, c.Mine("a105", "good"))) },
			from: node.VerifyBody, code: "bad high-hash"},
		"undo gone": {spoil: func(p *planter, s *spoiled) {
			s.undo = map[consensus.Hash]error{p.c.Hash("bad"): storage.ErrDamaged}
		}, from: node.VerifyUndo, code: "bad damaged-undo"},
		"coin missing": {twists: map[string]func(*consensus.Delta){"bad": func(d *consensus.Delta) { d.Created = nil }},
			from: node.VerifyCoins, code: "bad damaged-coin"},
		"coin changed": {twists: map[string]func(*consensus.Delta){"a104": func(d *consensus.Delta) { d.Created[0].Coin.Value++ }},
			from: node.VerifyCoins, code: "a104 damaged-coin"},
		"coin not spent": {twists: map[string]func(*consensus.Delta){"a103": func(d *consensus.Delta) { d.Spent = nil }},
			from: node.VerifyCoins, code: "a103 damaged-coin"},
		"undo of a coin from within": {twists: map[string]func(*consensus.Delta){"a102": func(d *consensus.Delta) {
			d.Undo.Spent = slices.Clone(d.Undo.Spent)
			d.Undo.Spent[1].Value++ // a101 made it
		}}, from: node.VerifyCoins, code: "a101 damaged-coin"},
		"greedy": {bad: func(c *chaintest.Chain) { c.Mine("a105", "bad", chaintest.Claim(1)) },
			from: node.VerifyAnew, code: "bad bad-cb-amount"},
	} {
		t.Run(name, func(t *testing.T) {
			c := payments(t)
			if test.bad != nil {
				test.bad(c)
			}
			c.Grow("a105 - bad - c107")
			p := newPlanter(t, c)
			p.plantAll("c107", test.twists)
			s := &spoiled{Store: p.store}
			if test.spoil != nil {
				test.spoil(p, s)
			}
			w := newWorld(t, c.Params, 1, 0)
			r := w.add(s)
			for level := node.VerifyRead; level <= node.VerifyAnew; level++ {
				var want []string
				if level >= test.from {
					want = []string{test.code}
				}
				for _, depth := range []uint32{0, 7, 1000} {
					if codes := verifyTip(t, c, w, r, level, depth); len(codes) != len(want) || len(want) > 0 && codes[0] != want[0] {
						t.Errorf("level %d, %d blocks: found %v, want %v", level, depth, codes, want)
					}
				}
				if codes := verifyTip(t, c, w, r, level, 1); len(codes) > 0 {
					t.Errorf("level %d: found %v beside the last block", level, codes)
				}
			}
		})
	}
}

// Undo data of another block passes for this one's as long as nobody looks at
// the coin's own block, or at the signature that spends it.
func TestVerifyTipOfForeignUndoData(t *testing.T) {
	c := payments(t)
	p := newPlanter(t, c)
	p.plantAll("a105", map[string]func(*consensus.Delta){"a103": func(d *consensus.Delta) {
		d.Undo.Spent = []consensus.Coin{{Value: 50 * chaintest.Coins, Height: 3, Coinbase: true}} // of no key
	}})
	w := newWorld(t, c.Params, 1, 0)
	r := w.add(p.store)
	for _, test := range []struct {
		level int
		depth uint32
		want  string
	}{{node.VerifyCoins, 3, ""}, {node.VerifyAnew, 2, ""}, {node.VerifyAnew, 3, "a103 bad-sig"}, {node.VerifyCoins, 0, "a3 damaged-coin"}} {
		if got := strings.Join(verifyTip(t, c, w, r, test.level, test.depth), ", "); got != test.want {
			t.Errorf("level %d, %d blocks: found %q, want %q", test.level, test.depth, got, test.want)
		}
	}
}

// verifyTip takes steps until the first finding, as the RPC does.
func verifyTip(t *testing.T, c *chaintest.Chain, w *world, r *resident, level int, depth uint32) []string {
	t.Helper()
	coins, err := r.Store.Snapshot()
	w.check(err)
	defer coins.Close()
	v := r.VerifyTip(w.Now, level, depth, coins, consensus.Verifier{Workers: 2})
	for more := true; more; {
		if more, err = v.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if list, _ := v.Findings(); len(list) > 0 {
			return []string{fmt.Sprint(c.Name(list[0].Hash), " ", list[0].Code)}
		}
	}
	if done, total := v.Progress(); done != total {
		t.Errorf("%d of %d steps are done at the end", done, total)
	}
	return nil
}

// The node goes on while its chain is verified: blocks come, a reorganisation
// takes some of those off that are being looked at, and a payment is spent.
func TestVerifyTipWhileTheTipMoves(t *testing.T) {
	c := payments(t)
	c.Mine("a105", "a106", chaintest.Txs(c.Pay(chaintest.From(c.Coinbase("a5")), chaintest.To("bob", 1*chaintest.Coins))))
	c.Grow("a102 - b103..b109")
	w := newWorld(t, c.Params, 1, 1)
	r := w.Nodes[0]
	w.submit(r, c.Path("a105")...)
	coins, err := r.Store.Snapshot()
	w.check(err)
	defer coins.Close()
	v := r.VerifyTip(w.Now, node.VerifyAnew, 0, coins, consensus.Verifier{Workers: 1})
	moves := map[int]string{1: "a106", 2: "b103", 4: "b104", 50: "b105", 106: "b106", 107: "b107", 108: "b108", 109: "b109"}
	steps := 0
	for more := true; more; steps++ {
		if name := moves[steps]; name != "" {
			w.submit(r, c.Block(name))
		}
		more, err = v.Step(t.Context())
		w.check(err)
	}
	if list, _ := v.Findings(); len(list) > 0 {
		t.Errorf("found %v", list)
	}
	w.standsAt(r, c, "b109")
	if steps <= slices.Max(slices.Collect(maps.Keys(moves))) {
		t.Errorf("%d steps were too few for the moves", steps)
	}
}

// A clock that was set back says nothing about what is in the chain already.
func TestVerifyTipByAnOldClock(t *testing.T) {
	c := payments(t)
	w := newWorld(t, c.Params, 1, 1)
	w.submit(w.Nodes[0], c.Path("a105")...)
	w.Now = time.Unix(int64(c.Params.GenesisTime)-1_000_000, 0)
	if codes := verifyTip(t, c, w, w.Nodes[0], node.VerifyAnew, 0); len(codes) > 0 {
		t.Errorf("found %v", codes)
	}
}

// At genesis there is nothing to look at, and all is well.
func TestVerifyTipAtGenesis(t *testing.T) {
	c := chaintest.New(t, consensus.Regtest())
	w := newWorld(t, c.Params, 1, 1)
	if codes := verifyTip(t, c, w, w.Nodes[0], node.VerifyAnew, 0); len(codes) > 0 {
		t.Errorf("found %v", codes)
	}
	coins, err := w.Nodes[0].Store.Snapshot()
	w.check(err)
	defer coins.Close()
	v := w.Nodes[0].VerifyTip(w.Now, node.VerifyAnew, 0, coins, consensus.Verifier{})
	if v.Tip().Hash != c.Params.GenesisHash() {
		t.Errorf("the tip is %s", v.Tip().Hash)
	}
}
