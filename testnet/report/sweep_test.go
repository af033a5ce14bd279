package report

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/kapok-chain/kapok/energy"
	"github.com/kapok-chain/kapok/testnet/record"
)

// sweptRuns is a sweep over three intervals, two replicas each.
func sweptRuns(t testing.TB) Sweep {
	s := Sweep{Version: "0.1.0", Attackers: []float64{0.1, 0.3}, HashesPerS: 6e20, Model: energy.ASICFleet()}
	for i, spacing := range []float64{0.5, 1, 2} {
		p := SweepPoint{IntervalS: spacing, MaxWeight: 400_000, Replicas: 2}
		for replica := range 2 {
			run := made{nodes: 4, rates: []float64{400, 300, 200, 100}, spacing: spacing, warmUp: 10, measured: 100 * spacing,
				paying: 5, perBlock: 600, delayMS: func(a, b int) float64 { return 90 }, seed: uint64(20 + 10*i + replica)}.make(t)
			run.Dir = fmt.Sprintf("sweep/%gs-%d", spacing, replica+1)
			p.Runs = append(p.Runs, run)
		}
		s.Points = append(s.Points, p)
	}
	return s
}

func TestTryTradeoffs(t *testing.T) {
	r := TradeoffsOf(sweptRuns(t), rand.New(rand.NewPCG(1, 1)))
	r.Print(os.Stdout)
	b, err := json.MarshalIndent(r, "", " ")
	fmt.Println(string(b), err)
	_ = record.Schema
}
