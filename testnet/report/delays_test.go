package report

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/kapok-chain/kapok/miner"
	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/stats"
)

// TestClusters: full blocks and the one behind them are one, since payments waited for all
// of them; other blocks are by themselves. Payments in no block wait behind the last one.
func TestClusters(t *testing.T) {
	run := &record.Run{Manifest: record.Manifest{Network: record.Network{MaxWeight: 10_000 + miner.ReservedWeight}}}
	for i, weight := range []int{9_000, 9_500, 9_401, 9_400, 1_000, 10_000} {
		run.Blocks = append(run.Blocks, record.Block{Hash: fmt.Sprint(i), Height: uint32(i), WeightUnits: weight, Status: record.Active})
	}
	run.Blocks = append(run.Blocks, record.Block{Hash: "stale", Height: 2, WeightUnits: 9_900, Status: record.Stale})
	payments := []*record.Payment{{VSizeBytes: 150, Block: "1", Height: 1}, {VSizeBytes: 120, Block: "torn", Height: 6}, {VSizeBytes: 1}}
	got, n := clusters(run, payments)
	want := map[string]int{"0": 0, "1": 1, "2": 1, "3": 1, "4": 2, "5": 3, "torn": 3, "": 4}
	if !maps.Equal(got, want) || n != 5 {
		t.Errorf("%d clusters %v, want 5: %v", n, got, want)
	}
	run.Blocks[5].Height, payments[1].Block = 7, "1"
	if got, n := clusters(run, payments); got[""] != got["5"] || n != got[""]+1 {
		t.Errorf("behind a full block payments are in cluster %d of %d, the block in %d", got[""], n, got["5"])
	}
	run.Manifest.Network.MaxWeight = 0 // not known
	if got, _ := clusters(run, payments); got["1"] == got["2"] {
		t.Error("without a limit blocks are full")
	}
}

// queued is a run whose blocks come at random, one a second on average, with room for so many
// payments, the first ones first. Each is confirmed with its block.
func queued(blocks, room int, perS float64, random *rand.Rand) *record.Run {
	const (
		before = 400        // blocks, until the queue is what it will be
		vsize  = 154        // of a payment, bytes
		frame  = 1052       // weight of header and coinbase, of what the template leaves for it
		weight = 4 * vsize  // units
		spare  = weight / 2 // where another payment has no room
	)
	run := &record.Run{Manifest: record.Manifest{Network: record.Network{MaxWeight: weight*room + spare + miner.ReservedWeight}}}
	at, next := 0.0, random.ExpFloat64()/perS
	var waiting []float64
	for i := range before + blocks {
		for at += random.ExpFloat64(); next < at; next += random.ExpFloat64() / perS {
			waiting = append(waiting, next)
		}
		n := min(room, len(waiting))
		b := record.Block{Hash: fmt.Sprint(i), Height: uint32(i), Status: record.Active, WeightUnits: frame + weight*n}
		if i >= before {
			run.Blocks = append(run.Blocks, b)
			for _, due := range waiting[:n] {
				run.Payments = append(run.Payments, record.Payment{DueS: due, Confirmed1S: at, VSizeBytes: vsize, Block: b.Hash, Height: b.Height, Status: record.Confirmed})
			}
		}
		waiting = waiting[n:]
	}
	return run
}

// TestIntervalWherePaymentsQueue checks by simulation that the interval of a median covers
// the true one where payments queue for several blocks. Block by block it covers in little more than half of
// the cases here.
func TestIntervalWherePaymentsQueue(t *testing.T) {
	const room, perS, tries = 10, 7.1, 200
	sample := func(run *record.Run) *delaySample {
		d := &delaySample{stage: confirmed(1)}
		d.add(run, paid(run, span{math.Inf(-1), math.Inf(1)}))
		return d
	}
	truth := sample(queued(100_000, room, perS, rand.New(rand.NewPCG(1, 1)))).quantile(0.5)
	random := rand.New(rand.NewPCG(2, 2))
	covered, byBlock, given := 0, 0, 0
	for range tries {
		run := queued(180, room, perS, random)
		d := sample(run)
		if m := d.median(random); !math.IsNaN(m.Low) {
			given++
			if m.Low <= truth && truth <= m.High {
				covered++
			}
		}
		for i := range d.values {
			d.values[i].Cluster = int(run.Payments[i].Height)
		}
		if low, high, _ := stats.BootstrapQuantile(d.values, 0.5, 200, random); low <= truth && truth <= high {
			byBlock++
		}
	}
	t.Logf("the true median of %.2f s is in %d of %d intervals, block by block in %d of %d", truth, covered, given, byBlock, tries)
	if given < tries*9/10 || float64(covered) < 0.82*float64(given) || byBlock > tries*2/3 {
		t.Error("too few, or too many")
	}
}
