package report

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/testnet/record"
)

// made is a run that never ran: a simulation of the mining race and of payments, so that
// what Summarize must find is known.
type made struct {
	nodes     int
	rates     []float64 // hashes a second, by node
	spacing   float64   // seconds
	warmUp    float64   // seconds
	measured  float64   // seconds
	paying    float64   // payments a second
	perBlock  int       // payments that a block has room for
	delayMS   func(from, to int) float64
	partition [2]float64 // from, to; seconds into the run. The first half hears nothing of the other
	seed      uint64

	rng *rand.Rand
	run *record.Run
}

// run makes it.
func (m made) make(t testing.TB) *record.Run {
	t.Helper()
	m.rng = rand.New(rand.NewPCG(m.seed, 7))
	total := 0.0
	for _, r := range m.rates {
		total += r
	}
	end := m.warmUp + m.measured
	manifest := record.Manifest{
		Schema: record.Schema, KapokVersion: "0.1.0", Name: "made", Description: "A run that never ran.", Status: record.Complete,
		StartedAt: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC), EndedAt: time.Date(2026, 7, 1, 12, 12, 0, 0, time.UTC),
		MeasuredFromS: m.warmUp, MeasuredToS: end, Seed: m.seed, FileSHA256: "0123456789abcdef", StartedInS: 4.2,
		Machine: record.Machine{CPU: "AMD EPYC 7763", Cores: 2, OS: "linux", Arch: "amd64", Go: "go1.26.6", Kernel: "sha-ni"},
		Network: record.Network{Name: "made", Difficulty: "fixed", SpacingS: m.spacing, DifficultyHashes: m.spacing * total, MaxWeight: 4e6, Maturity: 2, GenesisHash: "00ff"},
		Load:    record.Load{RatePerS: m.paying, Arrivals: "open loop, Poisson", Fees: "lognormal, median 2"},
		End:     &record.End{Joules: 4.4 * m.measured, EnergyMethod: "model: server CPU (AMD EPYC 7763 class), 4.38 W per busy core times CPU time", PeakRSSBytes: 1.9e9, Hashes: 0.985 * total * m.measured, HashesDue: total * m.measured, WorstLag: 0.021},
	}
	regions := []string{"north-america", "europe", "south-america", "asia-pacific", "japan", "australia"}
	for i := range m.nodes {
		manifest.Nodes = append(manifest.Nodes, record.Node{Node: i + 1, Name: fmt.Sprintf("node-%02d", i+1), Region: regions[i%len(regions)], HashesPerS: m.rates[i], UplinkBps: 1.25e6, Dials: []int{(i+1)%m.nodes + 1, (i+3)%m.nodes + 1}})
		row := make([]float64, m.nodes)
		for j := range row {
			if i != j {
				row[j] = m.delayMS(i, j)
			}
		}
		manifest.LinkDelaysMS = append(manifest.LinkDelaysMS, row)
	}
	m.run = &record.Run{Manifest: manifest}
	m.mine(end + 8*m.spacing)
	m.pay(end)
	m.sample(end + 8*m.spacing)
	m.tell(end)
	return m.run
}

// delay is how long something takes from node to node, in seconds: the link's delay, a
// hop or two, and some jitter. A partition holds it up.
func (m *made) delay(from, to int, at float64) float64 {
	d := m.delayMS(from, to) / 1000 * (1.1 + 0.6*m.rng.Float64())
	apart := (from < m.nodes/2) != (to < m.nodes/2)
	if apart && at+d > m.partition[0] && at < m.partition[1] {
		return m.partition[1] - at + d
	}
	return d
}

// mine finds blocks until the end.
func (m *made) mine(end float64) {
	since := make([]float64, m.nodes)
	total := 0.0
	for _, r := range m.rates {
		total += r
	}
	blocks := []record.Block{}
	places := map[string]int{}
	for at := m.rng.ExpFloat64() * m.spacing; at < end; at += m.rng.ExpFloat64() * m.spacing {
		who, draw := 0, m.rng.Float64()*total
		for draw > m.rates[who] {
			draw -= m.rates[who]
			who++
		}
		b := record.Block{Hash: fmt.Sprintf("%064x", m.rng.Uint64()), Parent: fmt.Sprintf("%064x", 0), Height: 1, Miner: who + 1, Status: record.Stale, FoundS: math.Round(at*1e6) / 1e6,
			HeaderTime: uint32(1782907200 + at), DifficultyHashes: m.run.Manifest.Network.DifficultyHashes, Hashes: m.rates[who] * (at - since[who]), Transactions: 1, SizeBytes: 280, WeightUnits: 1100}
		since[who] = at
		first := math.Inf(1)
		for i := len(blocks) - 1; i >= 0 && i > len(blocks)-60; i-- {
			if o := &blocks[i]; o.ArrivalS[who] <= at && (o.Height >= b.Height || o.Height+1 == b.Height && o.ArrivalS[who] < first) {
				b.Parent, b.Height, first = o.Hash, o.Height+1, o.ArrivalS[who]
			}
		}
		parent, known := places[b.Parent]
		for i := range m.nodes {
			arrival := at
			if i != who {
				arrival += m.delay(who, i, at) + 0.002
			}
			if known {
				arrival = max(arrival, blocks[parent].ArrivalS[i])
			}
			b.ArrivalS = append(b.ArrivalS, math.Round(arrival*1e6)/1e6)
		}
		places[b.Hash] = len(blocks)
		blocks = append(blocks, b)
	}
	best := 0
	for i, b := range blocks {
		if b.Height > blocks[best].Height {
			best = i
		}
	}
	for i, ok := best, true; ok; i, ok = places[blocks[i].Parent] {
		blocks[i].Status = record.Active
	}
	m.run.Blocks = blocks
	for i := range m.nodes {
		m.run.Manifest.End.Nodes = append(m.run.Manifest.End.Nodes, record.NodeEnd{Node: i + 1, Height: blocks[best].Height, Tip: blocks[best].Hash, CoinSum: "c0"})
	}
}

func (m *made) active() (chain []*record.Block) {
	for i := range m.run.Blocks {
		if m.run.Blocks[i].Status == record.Active {
			chain = append(chain, &m.run.Blocks[i])
		}
	}
	slices.SortFunc(chain, func(a, b *record.Block) int { return cmp.Compare(a.Height, b.Height) })
	return chain
}

// pay makes payments from the warm-up to the end, and puts them in blocks.
func (m *made) pay(end float64) {
	if m.paying == 0 {
		return
	}
	chain := m.active()
	never := math.NaN()
	room := make([]int, len(chain))
	for at := m.warmUp / 2; at < end; at += m.rng.ExpFloat64() / m.paying {
		node := m.rng.IntN(m.nodes)
		p := record.Payment{ID: len(m.run.Payments) + 1, TxID: fmt.Sprintf("%064x", m.rng.Uint64()), Node: node + 1, DueS: at, SubmittedS: at + 0.0002, FeeRate: 1 + m.rng.ExpFloat64(), VSizeBytes: 154,
			Confirmed1S: never, Confirmed3S: never, Confirmed6S: never, InBlockS: never, Status: record.Pending}
		p.AcceptedS = p.SubmittedS + 0.001 + 0.002*m.rng.Float64()
		p.AnsweredS = p.AcceptedS + 0.0004
		p.EveryPoolS = p.AcceptedS
		for i := range m.nodes {
			if i != node {
				p.EveryPoolS = max(p.EveryPoolS, p.AcceptedS+m.delay(node, i, p.AcceptedS))
			}
		}
		for h, b := range chain {
			if b.FoundS < p.AcceptedS+m.delay(node, b.Miner-1, p.AcceptedS) || room[h] >= m.perBlock {
				continue
			}
			room[h]++
			b.Transactions++
			b.SizeBytes, b.WeightUnits, b.FeesUnits = b.SizeBytes+220, b.WeightUnits+616, b.FeesUnits+300
			p.Block, p.Height, p.InBlockS, p.Status = b.Hash, b.Height, b.FoundS, record.Confirmed
			for k, to := range map[int]*float64{1: &p.Confirmed1S, 3: &p.Confirmed3S, 6: &p.Confirmed6S} {
				if h+k-1 < len(chain) {
					*to = slices.Max(chain[h+k-1].ArrivalS)
				}
			}
			break
		}
		m.run.Payments = append(m.run.Payments, p)
	}
}

// sample looks at the nodes every second.
func (m *made) sample(end float64) {
	placed := make(map[string]*record.Block)
	for i := range m.run.Blocks {
		placed[m.run.Blocks[i].Hash] = &m.run.Blocks[i]
	}
	type step struct {
		at  float64
		b   *record.Block // arrives
		txs int           // come, or go
	}
	for i := range m.nodes {
		var steps []step
		for j := range m.run.Blocks {
			steps = append(steps, step{at: m.run.Blocks[j].ArrivalS[i], b: &m.run.Blocks[j]})
		}
		for _, p := range m.run.Payments {
			if steps = append(steps, step{at: p.AcceptedS, txs: 1}); p.Block != "" {
				steps = append(steps, step{at: placed[p.Block].ArrivalS[i], txs: -1})
			}
		}
		slices.SortFunc(steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
		now := record.Sample{Node: i + 1, Peers: 4, Tip: "genesis"}
		for at := 1.0; at < end; at++ {
			for ; len(steps) > 0 && steps[0].at <= at; steps = steps[1:] {
				if b := steps[0].b; b != nil && b.Height > now.Height {
					now.Height, now.Tip = b.Height, b.Hash
				}
				now.MempoolTxs += steps[0].txs
			}
			now.TimeS, now.Hashes, now.HashesDue, now.MempoolBytes = at, 0.985*m.rates[i]*at, m.rates[i]*at, 154*int64(now.MempoolTxs)
			m.run.Samples = append(m.run.Samples, now)
		}
	}
	slices.SortStableFunc(m.run.Samples, func(a, b record.Sample) int { return cmp.Compare(a.TimeS, b.TimeS) })
}

func (m *made) tell(end float64) {
	m.run.Events = []record.Event{
		{TimeS: 4.2, Kind: "ready", Text: fmt.Sprintf("All %d nodes run and are connected, 4.2 s after the start.", m.nodes)},
		{TimeS: m.warmUp, Kind: "measuring", Text: "The measured part of the run begins."},
	}
	if m.partition[1] > 0 {
		m.run.Events = append(m.run.Events, record.Event{TimeS: m.partition[0], Kind: "partition", Text: "The network is cut in halves."}, record.Event{TimeS: m.partition[1], Kind: "heal", Text: "The network is whole again."})
	}
	m.run.Events = append(m.run.Events, record.Event{TimeS: end + 8*m.spacing, Kind: "complete", Text: "All nodes are at one tip, with equal coin sums."})
}

// worldMS are one-way delays like those between six regions.
func worldMS(from, to int) float64 {
	a, b := from%6, to%6
	return 10 + 25*math.Abs(float64(a-b)) + float64((a*b)%3)*7
}

func equalRates(n int, rate float64) []float64 { return slices.Repeat([]float64{rate}, n) }

// bigRun is twenty nodes, a block every ten seconds, five payments a second and a
// partition.
func bigRun(t testing.TB) *record.Run {
	rates := equalRates(20, 0)
	for i := range 8 {
		rates[2*i] = 1e5 / float64(i+1)
	}
	return made{nodes: 20, rates: rates, spacing: 10, warmUp: 60, measured: 600, paying: 5, perBlock: 80, delayMS: worldMS, partition: [2]float64{260, 340}, seed: 3}.make(t)
}

// fastRun is so fast that many blocks are stale.
func fastRun(t testing.TB, seed uint64) *record.Run {
	return made{nodes: 5, rates: []float64{400, 300, 200, 50, 50}, spacing: 1, warmUp: 20, measured: 1200, delayMS: func(a, b int) float64 { return 100 + 60*math.Abs(float64(a-b)) }, seed: seed}.make(t)
}

// smallRun is short.
func smallRun(t testing.TB) *record.Run {
	return made{nodes: 3, rates: []float64{2000, 1000, 0}, spacing: 2, warmUp: 10, measured: 100, paying: 1, perBlock: 5, delayMS: func(a, b int) float64 { return 80 }, partition: [2]float64{50, 60}, seed: 5}.make(t)
}
