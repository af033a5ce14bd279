package node_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/internal/chaintest"
	"github.com/kapok-chain/kapok/node"
	"github.com/kapok-chain/kapok/p2p"
)

// BenchmarkMeanwhile connects a block of about the greatest weight, whose payments were
// not seen, while a peer announces other blocks and sends payments: how long an
// announcement takes from the call to the verdict, by which it is forwarded, and how many
// payments were not accepted.
//
//	go test ./node -run xxx -bench Meanwhile -benchtime 20x
func BenchmarkMeanwhile(b *testing.B) {
	const payments, others = 8_800, 400
	c := chaintest.New(b, consensus.Regtest())
	c.Grow("genesis - a1..a102")
	split := c.Pay(chaintest.From(c.Coinbase("a1")), slices.Repeat([]chaintest.Output{chaintest.To("bob", 200_000)}, payments+others)...)
	c.Mine("a102", "split", chaintest.Txs(split))
	pays := make([]*consensus.Tx, payments+others)
	for i := range pays {
		pays[i] = c.Pay(chaintest.From(c.Out(split, uint32(i))), chaintest.To("carol", 190_000))
	}
	big := c.Mine("split", "big", chaintest.Txs(pays[:payments]...))
	rivals := make([]*consensus.Block, others)
	for i := range rivals {
		rivals[i] = c.Mine("split", fmt.Sprint("rival", i), chaintest.PayTo(fmt.Sprint("miner", i)))
	}
	path := c.Path("split")

	var announced, connected []time.Duration
	lost := 0
	for range b.N {
		service, err := node.Open(node.ServiceConfig{Params: c.Params, DataDir: b.TempDir(), Agent: "/bench/", Version: "0", DisableQUIC: true})
		if err != nil {
			b.Fatal(err)
		}
		ctx, stop := context.WithCancel(b.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if err := service.Run(ctx); err != nil {
				b.Error(err)
			}
		})
		r := service.Runner
		for _, block := range path {
			if _, err := r.SubmitBlock(ctx, block); err != nil {
				b.Fatal(err)
			}
		}
		const peer = p2p.PeerID("peer")
		r.Connected(p2p.Peer{ID: peer, Addr: "/dns4/peer"})
		r.Receive(peer, &p2p.Hello{Version: p2p.Version, Genesis: c.Params.GenesisHash(), Nonce: 1, Tip: c.Hash("split"), Time: time.Now().Unix()}, false)

		done := make(chan struct{})
		all.Go(func() {
			defer close(done)
			began := time.Now()
			if active, err := r.SubmitBlock(ctx, big); err != nil || !active {
				b.Error(active, err)
			}
			connected = append(connected, time.Since(began))
		})
		for first := false; !first && !over(done); { // the rivals of equal work stay beside it
			_ = r.Do(func(n *node.Node, _ time.Time) error {
				index := n.Lookup(big.Hash())
				first = index != nil && index.HasBody()
				return nil
			})
			runtime.Gosched()
		}
		for i := 0; i < others && !over(done); i++ {
			began := time.Now()
			if v := r.Receive(peer, p2p.NewAnnounce(rivals[i], 1), true); v != p2p.Accept {
				b.Fatalf("announcement %d: %v", i, v)
			}
			announced = append(announced, time.Since(began))
			if v := r.Receive(peer, &p2p.Tx{Tx: pays[payments+i]}, true); v != p2p.Accept {
				lost++
			}
			time.Sleep(time.Millisecond)
		}
		<-done
		stop()
		all.Wait()
	}
	slices.Sort(announced)
	slices.Sort(connected)
	ms := func(of []time.Duration, p float64) float64 { return of[int(p*float64(len(of)-1))].Seconds() * 1e3 }
	b.ReportMetric(ms(connected, 0.5), "connect-p50-ms")
	b.ReportMetric(ms(announced, 0.5), "announce-p50-ms")
	b.ReportMetric(ms(announced, 0.95), "announce-p95-ms")
	b.ReportMetric(ms(announced, 0.99), "announce-p99-ms")
	b.ReportMetric(ms(announced, 1), "announce-max-ms")
	b.ReportMetric(float64(lost), "payments-not-accepted")
	b.ReportMetric(float64(len(announced))/float64(b.N), "announcements/op")
	b.ReportMetric(0, "ns/op")
}

func over(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}
