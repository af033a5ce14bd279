package main

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/kapok-chain/kapok/testnet/record"
)

// What is unknown is left out of the summary, and what went wrong stands in it.
func TestTestnetSummary(t *testing.T) {
	unknown := record.Interval{Value: 0.01, Low: math.NaN(), High: math.NaN()}
	s := &testnetSummary{name: "net", dir: "runs/7", Summary: &record.Summary{
		Complete: true, MeasuredS: 600, Nodes: 20, NodesAtEnd: 19, Tips: 2, CoinSums: 1, LagShare: 0.012, HashesPerS: 4e5, StartedInS: 9.04, PeakRSSBytes: 2 << 30,
		Blocks: 60, StaleBlocks: 3, Withheld: 2,
		StaleRate:   &record.StaleRate{Share: record.Interval{Value: 0.0476, Low: 0.016, High: 0.13}, Blocks: 63, ComparedBlocks: 63, Predicted: 0.039, Method: "simulated"},
		Spacing:     &record.Spacing{TargetS: 10, MeanS: record.Interval{Value: 9.5, Low: 7.4, High: 12.6}},
		Propagation: &record.Propagation{P50S: 0.3127, P95S: 0.6, LastP50S: 1.2, LastP95S: 2.5},
		Payments:    map[record.PaymentStatus]int{record.Confirmed: 3000, record.Pending: 4},
		Delays:      []record.Delay{{Stage: "in_block", Payments: 3000}, {Stage: "confirmed_6", Payments: 2900, P50S: unknown, P99S: 90}},
		Attacks:     []record.AttackResult{{Attack: record.Attack{Kind: record.Selfish, Node: 1}, Measured: record.Interval{Value: 0.4, Low: 0.36, High: 0.44}, Predicted: 0.39}},
		Energy:      record.Energy{Joules: 120, JoulesPerPayment: 0.04, JoulesPerBlock: 2, Method: "a model"},
		Missing:     []string{"Not enough data: something."},
	}}
	const want = `net: complete

  measured      600 s; 19 of 20 nodes ran at the end, on 2 different tips with one coin sum
  blocks        60 on the best chain, 3 stale, 2 withheld (4.76 % (95 % 1.6 % to 13 %); predicted 3.9 %); a find every 9.5 s (95 % 7.4 s to 12.6 s), asked for 10s
  propagation   p50 313 ms, p95 600 ms; to the last node p50 1.2 s, p95 2.5 s
  payments      3000 confirmed, 4 pending, 0 lost
  confirmed 6   p50 10 ms, p99 90 s
  selfish       node 1: 40 % (95 % 36 % to 44 %), theory 39 %
  energy        120 J, 0.04 J a payment, 2 J a block (a model)
  machine       400.00 kH/s hashed, 1.2 % of the worst miner's hashes not done; started in 9.04 s; 2.15 GB of memory at most

  Not enough data: something.

  runs/7/report.html
`
	var text strings.Builder
	s.print(&text)
	if got := text.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	cut := record.Interval{Value: 0.0476, Low: math.NaN(), High: math.NaN()}
	s.StaleRate = &record.StaleRate{Share: cut, Blocks: 63, Compared: record.Interval{Value: 0.025, Low: 0.01, High: 0.08}, ComparedBlocks: 40, Predicted: 0.029, Method: "simulated"}
	if got, want := s.blocks(), "2 withheld (4.76 %; undisturbed 2.5 % (95 % 1 % to 8 %); predicted 2.9 %)"; !strings.Contains(got, want) {
		t.Errorf("a run with a partition has %q, want %q", got, want)
	}
	s.StaleRate = &record.StaleRate{Share: cut, Blocks: 63}
	if got, want := s.blocks(), "(4.76 %, nearly all found while something disturbed the network or just before)"; !strings.Contains(got, want) {
		t.Errorf("a run that is all attack has %q, want %q", got, want)
	}
	s.Complete = false
	text.Reset()
	if s.print(&text); !strings.HasPrefix(text.String(), "net: NOT COMPLETE") {
		t.Error(text.String())
	}
	encoded, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		Dir    string  `json:"dir"`
		Blocks int     `json:"blocks"`
		Lag    float64 `json:"lag_share"`
	}
	if err := json.Unmarshal(encoded, &back); err != nil || back.Dir != "runs/7" || back.Blocks != 60 || back.Lag != 0.012 {
		t.Errorf("%+v, %v", back, err)
	}
}
