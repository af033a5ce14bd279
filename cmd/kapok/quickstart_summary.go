package main

import (
	"context"
	"time"

	"github.com/kapok-chain/kapok/energy"
	"github.com/kapok-chain/kapok/wallet"
)

// quickstartSummary is the JSON document of `kapok quickstart --json`.
type quickstartSummary struct {
	Version  string  `json:"version"`
	Network  string  `json:"network"`
	ReadyMS  float64 `json:"ready_ms"`  // from process start to the banner
	ElapsedS float64 `json:"elapsed_s"` // from process start to this summary

	Blocks     uint32  `json:"blocks"`
	HashesPerS float64 `json:"hashes_per_s"` // measured, over the whole run
	Hashes     uint64  `json:"hashes"`
	SpacingS   float64 `json:"spacing_s"` // mean, by the blocks' arrival
	TargetS    float64 `json:"target_spacing_s"`

	Payment paymentSummary `json:"payment"`
	Energy  energySummary  `json:"energy"`
	Nodes   []nodeSummary  `json:"nodes"`
}

type paymentSummary struct {
	TxID        string  `json:"txid"`
	AmountKPK   string  `json:"amount_kpk"`
	FeeUnits    int64   `json:"fee_units"`
	Block       string  `json:"block"`
	Height      uint32  `json:"height"`
	AcceptedMS  float64 `json:"accepted_ms"`          // node 1's mempool, after the wallet sent it
	GossipMS    float64 `json:"gossip_ms"`            // until the last mempool has it
	WaitMS      float64 `json:"block_wait_ms"`        // until node 1 has a block with it
	SpreadMS    float64 `json:"block_propagation_ms"` // until the last node has that block
	ConfirmedMS float64 `json:"confirmed_ms"`         // in all: from sending to a block on every node
}

type energySummary struct {
	Method           string  `json:"method"`
	Measured         bool    `json:"measured"` // false: a model
	TotalJoules      float64 `json:"total_joules"`
	JoulesPerHash    float64 `json:"joules_per_hash"`
	JoulesPerBlock   float64 `json:"joules_per_block"`
	JoulesPerPayment float64 `json:"joules_per_payment,omitempty"` // all joules of the run, over its payments
	KWhPerPayment    float64 `json:"kwh_per_payment,omitempty"`
}

type nodeSummary struct {
	Node          int     `json:"node"`
	SeenMS        float64 `json:"seen_ms"` // payment in the mempool, after the wallet sent it
	BlockMS       float64 `json:"block_ms"`
	Confirmations uint32  `json:"confirmations"`
	Coins         uint64  `json:"coins"`
	CoinSum       string  `json:"coin_sum"`
	BestBlock     string  `json:"best_block"`
}

// summarise asks the nodes for what is left to know and puts the story into
// figures.
func (w *follower) summarise(ctx context.Context, began time.Time) (*quickstartSummary, error) {
	sums, err := w.coinSums(ctx)
	if err != nil {
		return nil, err
	}
	t, chain := w.payment, w.chain
	mined := time.Since(chain.first).Seconds()
	used := w.meter.Read(float64(chain.mining.Hashes))
	blocks := chain.tips[0].Height
	s := &quickstartSummary{
		Version: version, Network: w.plan.params.Name, ReadyMS: w.screen.readyMS, ElapsedS: time.Since(began).Seconds(),
		Blocks: blocks, Hashes: chain.mining.Hashes, HashesPerS: float64(chain.mining.Hashes) / mined,
		SpacingS: mined / float64(max(blocks, 1)), TargetS: float64(w.plan.params.Spacing),
		Energy: energyOf(used, chain.mining.Hashes, blocks, 1),
	}
	at := chain.arrivals[t.block]
	lastSeen, lastBlock := latest(t.seen), latest(at)
	s.Payment = paymentSummary{
		TxID: t.txid.String(), AmountKPK: wallet.FormatCoins(t.amount), FeeUnits: t.fee, Block: t.block, Height: t.height,
		AcceptedMS: after(t.sent, t.seen[0]), GossipMS: after(t.seen[0], lastSeen),
		WaitMS: after(lastSeen, at[0]), SpreadMS: after(at[0], lastBlock), ConfirmedMS: after(t.sent, lastBlock),
	}
	for i := range w.fleet.nodes {
		s.Nodes = append(s.Nodes, nodeSummary{
			Node: i + 1, SeenMS: after(t.sent, t.seen[i]), BlockMS: after(t.sent, at[i]), Confirmations: t.confirms[i],
			Coins: sums[i].Count, CoinSum: sums[i].Sum, BestBlock: sums[i].BestBlock,
		})
	}
	return s, nil
}

// energyOf divides what was used.
func energyOf(used energy.Reading, hashes uint64, blocks, payments uint32) energySummary {
	e := energySummary{
		Method: used.Method, Measured: used.Measured, TotalJoules: used.Joules,
		JoulesPerHash: used.Joules / float64(max(hashes, 1)),
	}
	if blocks > 0 {
		e.JoulesPerBlock = used.Joules / float64(blocks)
	}
	if payments > 0 {
		e.JoulesPerPayment, e.KWhPerPayment = used.Joules/float64(payments), used.KWh()/float64(payments)
	}
	return e
}

// latest is the last of some times.
func latest(times []time.Time) (last time.Time) {
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// after is the time from a to b in milliseconds.
func after(a, b time.Time) float64 { return float64(b.Sub(a).Microseconds()) / 1000 }
