package node_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/rpc"
)

// TestHowBodiesCome: getnettotals tells whole bodies from those put together from the
// mempool, and those from blocks of which something was asked for; getpeerinfo has the
// bytes of each message.
func TestHowBodiesCome(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	c := chaintest.New(t, consensus.Regtest())
	c.Grow("genesis - a1..a102")
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second) // for slow machines
	defer cancel()
	dir := t.TempDir()
	a := openHouse(t, c.Params, filepath.Join(dir, "1"))
	submitAll(t, ctx, a, c.Path("a102")...)
	b := openHouse(t, c.Params, filepath.Join(dir, "2"), a.Host.Addrs()[0])
	b.reach(t, ctx, c, "a102")

	client := rpc.NewClient(rpc.Dial{URL: "http://" + b.RPCAddr(), CookieFile: b.CookieFile()})
	defer client.Close()
	type totals struct {
		Messages map[string]rpc.MessageCount `json:"kapok_messages"`
		Blocks   rpc.BlockRelay              `json:"kapok_blocks"`
	}
	ask := func() (now totals) {
		t.Helper()
		if err := client.Call(ctx, "getnettotals", &now); err != nil {
			t.Fatal(err)
		}
		return now
	}
	if got := ask(); got.Blocks != (rpc.BlockRelay{Whole: 102}) || got.Messages["block"].Received != 102 {
		t.Errorf("after the sync: %+v", got)
	}
	known := c.Pay(chaintest.From(c.Coinbase("a1")), chaintest.To("bob", 49*chaintest.Coins))
	for _, h := range []*house{a, b} {
		if _, err := h.Runner.SubmitTx(ctx, known); err != nil && h == a {
			t.Fatal(err) // at b it may be known by then
		}
	}
	submitAll(t, ctx, a, c.Mine("a102", "a103", chaintest.Txs(known)))
	b.reach(t, ctx, c, "a103")
	if got := ask(); got.Blocks != (rpc.BlockRelay{Whole: 102, Rebuilt: 1}) || got.Messages["cmpctblock"].Received == 0 {
		t.Errorf("after a block whose payment is known: %+v", got)
	}
	withheld := c.Pay(chaintest.From(c.Coinbase("a2")), chaintest.To("bob", 49*chaintest.Coins))
	submitAll(t, ctx, a, c.Mine("a103", "a104", chaintest.Txs(withheld)))
	b.reach(t, ctx, c, "a104")
	if got := ask(); got.Blocks != (rpc.BlockRelay{Whole: 102, Rebuilt: 1, Completed: 1}) || got.Messages["blocktxn"].Received != 1 {
		t.Errorf("after a block with an unknown payment: %+v", got)
	}

	var peers []struct {
		Sent map[string]uint64 `json:"bytessent_per_msg"`
		Recv map[string]uint64 `json:"bytesrecv_per_msg"`
	}
	if err := client.Call(ctx, "getpeerinfo", &peers); err != nil || len(peers) != 1 {
		t.Fatalf("%d peers, %v", len(peers), err)
	}
	if p := peers[0]; p.Sent["getblocktxn"] == 0 || p.Recv["blocktxn"] == 0 || p.Recv["block"] == 0 || p.Sent["block"] != 0 {
		t.Errorf("bytes by message: %+v", p)
	}
	a.close(t)
	b.close(t)
}
