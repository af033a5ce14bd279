package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/rpc"
	"github.com/kapok-chain/kapok/wallet"
)

// halves are two nodes that can be cut off from each other, and wallets that ask either.
type halves struct {
	t       *testing.T
	params  *consensus.Params
	nodes   [2]*node.Service
	clients [2]*rpc.Client
	owners  []*owner // all that have any coins
}

// owner is who has a wallet, with its first address.
type owner struct {
	words string
	devWallet
}

const halvesPatience = 30 * time.Second

func startHalves(t *testing.T) *halves {
	t.Helper()
	h := &halves{t: t, params: consensus.Regtest()}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	for i := range h.nodes {
		s, err := node.Open(node.ServiceConfig{
			Params: h.params, DataDir: t.TempDir(), Agent: agent, Version: version, Lean: true, DisableQUIC: true,
			Listen: []string{"127.0.0.1:0"}, RPCListen: "127.0.0.1:0",
		})
		h.ok(err)
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		h.nodes[i], h.clients[i] = s, rpc.NewClient(rpc.Dial{URL: "http://" + s.RPCAddr(), CookieFile: s.CookieFile()})
		t.Cleanup(h.clients[i].Close)
	}
	return h
}

func (h *halves) ok(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// owner is a new one.
func (h *halves) owner() *owner {
	h.t.Helper()
	words, err := wallet.NewWords(rand.Reader, 12)
	h.ok(err)
	w, err := newDevWallet(h.params, words)
	h.ok(err)
	h.owners = append(h.owners, &owner{words, w})
	return h.owners[len(h.owners)-1]
}

// payers are owners of one reward each, old enough to be spent on both nodes; all other
// rewards are the miner's.
func (h *halves) payers(n int, miner *owner) (list []*owner) {
	h.t.Helper()
	for range n {
		list = append(list, h.owner())
		h.mine(0, 1, list[len(list)-1])
	}
	h.mine(0, int(h.params.Maturity), miner)
	h.join()
	return list
}

func (h *halves) mine(at, blocks int, to *owner) {
	h.t.Helper()
	h.ok(h.clients[at].Call(h.t.Context(), "generatetoaddress", nil, blocks, to.address))
}

// part cuts the nodes off from each other.
func (h *halves) part() {
	h.t.Helper()
	for _, c := range h.clients {
		h.ok(c.Call(h.t.Context(), "setnetworkactive", nil, false))
	}
	h.until("they are apart", func() bool { return !h.nodes[0].Host.Active() && len(h.nodes[0].Runner.Peers()) == 0 })
}

// join connects them, and waits for one tip.
func (h *halves) join() {
	h.t.Helper()
	for _, c := range h.clients {
		h.ok(c.Call(h.t.Context(), "setnetworkactive", nil, true))
	}
	h.ok(h.nodes[1].Host.Connect(h.t.Context(), h.nodes[0].Host.Addrs()[0]))
	h.settle()
}

// settle waits for one tip.
func (h *halves) settle() {
	h.t.Helper()
	h.until("they have one tip", func() bool {
		var tips [2]string
		for i, c := range h.clients {
			h.ok(c.Call(h.t.Context(), "getbestblockhash", &tips[i]))
		}
		return tips[0] == tips[1]
	})
}

func (h *halves) until(what string, done func() bool) {
	h.t.Helper()
	for patience := time.Now().Add(halvesPatience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(patience) {
			h.t.Fatalf("not within %v: %s", halvesPatience, what)
		}
	}
}

// pay pays through one of the nodes; twin, with another copy of the wallet, which knows
// nothing of what the first one did.
func (h *halves) pay(at int, from *wallet.Wallet, to *owner, amount int64) *wallet.Receipt {
	h.t.Helper()
	o := payChoices()
	o.FeeRate = wallet.MinFeeRate
	r, err := from.Pay(h.t.Context(), walletChain{h.clients[at], h.params}, []wallet.Payment{{Address: to.address, Amount: amount}}, o)
	h.ok(err)
	return r
}

func (h *halves) twin(o *owner) *wallet.Wallet {
	h.t.Helper()
	w, err := wallet.New(h.params, o.words)
	h.ok(err)
	return w
}

// look is what a wallet that was restored from its words shows through a node. Nothing
// stands in its history twice, and what does, but for what is in conflict, is its balance.
func (h *halves) look(at int, o *owner) (wallet.Balance, []wallet.Entry) {
	h.t.Helper()
	chain := walletChain{h.clients[at], h.params}
	view, err := h.twin(o).Sync(h.t.Context(), chain)
	h.ok(err)
	entries, err := view.History(h.t.Context(), chain, 0)
	h.ok(err)
	var sum int64
	seen := make(map[consensus.Hash]bool)
	for _, e := range entries {
		if seen[e.TxID] {
			h.t.Errorf("node %d: transaction %s stands in the history twice", at+1, e.TxID)
		}
		if seen[e.TxID] = true; e.Conflict.IsZero() {
			sum += e.Net
		}
	}
	if total := view.Balance().Total(); total != sum {
		h.t.Errorf("node %d: the balance is %s, the history adds up to %s", at+1, wallet.FormatAmount(total), wallet.FormatAmount(sum))
	}
	return view.Balance(), entries
}

// sums makes sure that all wallets together have what was ever mined.
func (h *halves) sums() {
	h.t.Helper()
	for at := range h.clients {
		info, err := h.clients[at].Chain(h.t.Context())
		h.ok(err)
		var want, got int64
		for height := uint32(1); height <= info.Height; height++ {
			want += h.params.Subsidy(height)
		}
		for _, o := range h.owners {
			b, _ := h.look(at, o)
			got += b.Total()
		}
		if got != want {
			h.t.Errorf("node %d: the wallets have %s, and %s were mined", at+1, wallet.FormatAmount(got), wallet.FormatAmount(want))
		}
	}
}

const kpk = 100_000_000 // units

// TestWalletsAfterDoubleSpends is attack 8, as wallets see it: coins are spent twice at
// once, in two halves of the network, and one half finds the block. Passed where wallets
// show the payments that lost, and what was built on them, as conflicted with those that
// won, through the node that had taken them; where they count in nobody's balance; and
// where all balances together are what was mined.
func TestWalletsAfterDoubleSpends(t *testing.T) {
	h := startHalves(t)
	miner, bob, carol := h.owner(), h.owner(), h.owner()
	payers := h.payers(3, miner)
	h.part()
	lost := make(map[consensus.Hash]consensus.Hash) // → won
	for i, p := range payers {
		won := h.pay(0, p.wallet, bob, 40*kpk)
		twin := h.twin(p)
		lost[h.pay(1, twin, carol, 30*kpk).TxID] = won.TxID
		if i == 0 { // with its change, which is not confirmed
			lost[h.pay(1, twin, carol, 15*kpk).TxID] = won.TxID
		}
	}
	if b, entries := h.look(1, carol); b != (wallet.Balance{Pending: 105 * kpk}) || len(entries) != 4 {
		t.Fatalf("before the block carol has %+v", b)
	}
	h.mine(0, 1, miner)
	h.join()

	for at := range h.clients {
		if b, entries := h.look(at, bob); b != (wallet.Balance{Confirmed: 120 * kpk}) || len(entries) != 3 {
			t.Errorf("node %d: bob has %+v in %d payments", at+1, b, len(entries))
		}
		b, entries := h.look(at, carol)
		if b != (wallet.Balance{}) || len(entries) != at*len(lost) {
			t.Errorf("node %d: carol has %+v, in %d payments", at+1, b, len(entries))
		}
		for i, p := range payers {
			b, own := h.look(at, p)
			if b.Total() != b.Confirmed || b.Total() >= 10*kpk || b.Total() < 10*kpk-kpk/1000 {
				t.Errorf("node %d: payer %d has %+v", at+1, i, b)
			}
			entries = append(entries, own...)
		}
		conflicted := 0
		for _, e := range entries {
			if won, is := lost[e.TxID]; e.Conflict != won || is && (e.Height > 0 || e.Confirmations > 0) {
				t.Errorf("node %d: %+v", at+1, e)
			} else if is {
				conflicted++
			}
		}
		if conflicted != at*2*len(lost) { // whom it was from and whom it was for, where they can know
			t.Errorf("node %d: %d payments are shown as conflicted", at+1, conflicted)
		}
	}
	h.sums()

	_, entries := h.look(1, payers[0])
	var text bytes.Buffer
	h.ok(printHistory(&text, entries))
	if n := strings.Count(text.String(), "conflicted"); n != 2 || strings.Contains(text.String(), "waiting") {
		t.Errorf("the history is\n%s", &text)
	}
}

// TestWalletsAfterWithheldBranch is attack 13, as wallets see it: five blocks with a
// payment each give way to six that were kept back, in which the coin of the first one was
// spent otherwise. Passed where the other four are unconfirmed again, once each, and then
// confirmed once; the first one counts no more; and all balances together are what was
// mined.
func TestWalletsAfterWithheldBranch(t *testing.T) {
	h := startHalves(t)
	miner, bob, mallory := h.owner(), h.owner(), h.owner()
	payers := h.payers(5, miner)
	h.part()
	h.pay(1, h.twin(payers[0]), mallory, 45*kpk)
	h.mine(1, 6, mallory)
	paid := make(map[consensus.Hash]bool) // and not undone for good
	for i, p := range payers {
		r := h.pay(0, p.wallet, bob, 40*kpk)
		paid[r.TxID] = i > 0
		h.mine(0, 1, miner)
	}
	if b, _ := h.look(0, bob); b != (wallet.Balance{Confirmed: 200 * kpk}) {
		t.Fatalf("before the branch came bob has %+v", b)
	}
	h.join()

	shown := func(nodes int, want wallet.Balance, confirmations uint32) {
		t.Helper()
		for at := range nodes {
			b, entries := h.look(at, bob)
			if b != want || len(entries) != 4 {
				t.Errorf("node %d: bob has %+v in %d payments, expected %+v in 4", at+1, b, len(entries), want)
			}
			for _, e := range entries {
				if !paid[e.TxID] || e.Net != 40*kpk || e.Confirmations != confirmations {
					t.Errorf("node %d: %+v", at+1, e)
				}
			}
			if b, _ := h.look(at, mallory); b.Confirmed != 45*kpk {
				t.Errorf("node %d: mallory has %+v", at+1, b)
			}
			if b, _ := h.look(at, payers[0]); b.Total() >= 5*kpk || b.Total() < 5*kpk-kpk/1000 {
				t.Errorf("node %d: the first payer has %+v", at+1, b)
			}
		}
	}
	shown(1, wallet.Balance{Pending: 160 * kpk}, 0) // the other hears of them later
	h.mine(0, 1, miner)
	h.settle()
	shown(2, wallet.Balance{Confirmed: 160 * kpk}, 1)
	h.sums()
}
