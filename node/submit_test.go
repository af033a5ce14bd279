package node

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/mempool"
	"github.com/kapok-chain/kapok/storage"
)

// codes are what payments that were handed in together are answered with.
func codes(errs []error) (codes []string) {
	for _, err := range errs {
		code := "ok"
		if rule := consensus.AsRuleError(err); rule != nil {
			code = string(rule.Code)
		} else if err != nil {
			code = err.Error()
		}
		codes = append(codes, code)
	}
	return codes
}

// Payments that are handed in together get the answers that each would get alone, after
// those before it.
func TestSubmitTogether(t *testing.T) {
	const n = 12
	for bad := range n + 1 { // n: none
		w := newWorkshop(t, consensus.Regtest(), storage.OpenMemory(consensus.Regtest(), true), "genesis - a1..a120", "a120")
		var txs []*consensus.Tx
		want := slices.Repeat([]string{"ok"}, n)
		for i := range n {
			tx := w.c.Pay(chaintest.From(w.c.Coinbase(fmt.Sprintf("a%d", i+1))), chaintest.To("bob", 49*chaintest.Coins))
			if i == bad {
				tx.Inputs[0].Witness[0][40] ^= 1
				want[i] = string(consensus.ErrSig)
			}
			txs = append(txs, tx)
		}
		entries, errs := w.SubmitTxs(t.Context(), txs, nil)
		if got := codes(errs); !slices.Equal(got, want) {
			t.Fatalf("number %d is forged: %v", bad, got)
		}
		for i, tx := range txs {
			in := w.pool(tx)
			if in != (i != bad) || (entries[i] != nil) != in || in && entries[i].TxID != tx.TxID() {
				t.Fatalf("number %d is forged: number %d is in the mempool: %v, entry %v", bad, i, in, entries[i])
			}
		}
	}
}

// pool reports whether a payment is in the mempool.
func (w *workshop) pool(tx *consensus.Tx) (in bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.node.InMempool(tx.TxID())
}

func TestSubmitTogetherInOrder(t *testing.T) {
	w := newWorkshop(t, consensus.Regtest(), storage.OpenMemory(consensus.Regtest(), true), "genesis - a1..a110", "a110")
	c := w.c
	pay := func(coin chaintest.Coin, value int64) *consensus.Tx {
		return c.Pay(chaintest.From(coin), chaintest.To("bob", value))
	}
	parent := pay(c.Coinbase("a1"), 49*chaintest.Coins)
	child := pay(c.Out(parent, 0), 48*chaintest.Coins)
	forged := pay(c.Out(parent, 0), 47*chaintest.Coins)
	forged.Inputs[0].Witness[0][40] ^= 1
	early := pay(c.Out(pay(c.Coinbase("a2"), 49*chaintest.Coins), 0), 48*chaintest.Coins) // its parent never comes
	mined := pay(c.Coinbase("a3"), 49*chaintest.Coins)
	if _, err := w.SubmitBlock(t.Context(), c.Mine("a110", "a111", chaintest.Txs(mined))); err != nil {
		t.Fatal(err)
	}
	dear := pay(c.Coinbase("a4"), 1*chaintest.Coins)
	txs := []*consensus.Tx{parent, forged, child, child, pay(c.Coinbase("a1"), 48*chaintest.Coins), early, mined, dear}
	_, errs := w.SubmitTxs(t.Context(), txs, func(i int, e *mempool.Entry) *consensus.RuleError {
		if e.TxID != txs[i].TxID() {
			t.Errorf("number %d is asked for with entry %v", i, e.TxID)
		}
		if e.Fee > 10*chaintest.Coins {
			return &consensus.RuleError{Code: "too dear", Kind: consensus.Policy}
		}
		return nil
	})
	want := []string{"ok", string(consensus.ErrSig), "ok", string(mempool.ErrInPool), string(mempool.ErrConflict), string(mempool.ErrMissing), string(mempool.ErrKnown), "too dear"}
	if got := codes(errs); !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if w.pool(dear) || !w.pool(child) {
		t.Error("the mempool holds what was refused, or lacks what was taken")
	}
}

// blindStore cannot read coins.
type blindStore struct{ storage.Store }

func (blindStore) Coins([]consensus.OutPoint) (map[consensus.OutPoint]consensus.Coin, error) {
	return nil, errors.New("the disk is gone")
}

// A read that fails is the node's end, and no panic, no verdict on the payments.
func TestSubmitWithoutCoins(t *testing.T) {
	w := newIdleWorkshop(t, consensus.Regtest(), storage.OpenMemory(consensus.Regtest(), true), "genesis - a1..a120", "a120")
	tx := w.c.Pay(chaintest.From(w.c.Coinbase("a1")), chaintest.To("bob", 49*chaintest.Coins))
	w.node.store = blindStore{w.node.store}
	entries, errs := w.SubmitTxs(t.Context(), []*consensus.Tx{tx, tx}, nil)
	for i, err := range errs {
		if err == nil || consensus.AsRuleError(err) != nil || !strings.Contains(err.Error(), "the disk is gone") || entries[i] != nil {
			t.Errorf("number %d: %v, %v", i, entries[i], err)
		}
	}
}
