package record

import (
	"encoding/json"
	"math"
)

// Summary is summary.json: the figures of a run, of the time between
// Manifest.MeasuredFromS and MeasuredToS unless it says otherwise. Where a figure
// would mean nothing for want of data, it is left out and Missing says why.
type Summary struct {
	Schema   int      `json:"schema"`
	Complete bool     `json:"complete"`
	Missing  []string `json:"not_enough_data,omitempty"` // a sentence each

	MeasuredS    float64 `json:"measured_s"`
	Nodes        int     `json:"nodes"`
	NodesAtEnd   int     `json:"nodes_at_end"`   // that ran then
	Tips         int     `json:"tips_at_end"`    // different ones among them; 1 is agreement
	CoinSums     int     `json:"coin_sums"`      // different ones among them; 1 is agreement
	LagShare     float64 `json:"lag_share"`      // of the hashes that were due, those not done; of the worst miner
	HashesPerS   float64 `json:"hashes_per_s"`   // all miners together
	StartedInS   float64 `json:"started_in_s"`   // from the command until all nodes ran
	PeakRSSBytes float64 `json:"peak_rss_bytes"` // of all processes; 0 where the system does not say

	Blocks      int          `json:"blocks"`       // of the best chain
	StaleBlocks int          `json:"stale_blocks"` // valid ones beside it
	Withheld    int          `json:"withheld_blocks"`
	StaleRate   *StaleRate   `json:"stale_rate,omitempty"`
	Spacing     *Spacing     `json:"spacing,omitempty"`
	Nonces      *Fit         `json:"hashes_per_find,omitempty"` // of the whole run, in units of the difficulty, against Exp(1)
	Propagation *Propagation `json:"propagation,omitempty"`

	Payments map[PaymentStatus]int `json:"payments"` // by what became of them
	Delays   []Delay               `json:"delays,omitempty"`
	Parts    []DelayPart           `json:"confirmation_parts,omitempty"` // of confirmed_1, in order; their means add up to its mean
	Energy   Energy                `json:"energy"`
	Attacks  []AttackResult        `json:"attacks,omitempty"`
}

// Interval is a figure with the ends of its 95 % interval. Where there is too little
// data for an interval, its ends are NaN here and null in JSON.
type Interval struct {
	Value float64
	Low   float64
	High  float64
}

// Figure is a number that may not be there: NaN here, null in JSON.
type Figure float64

// MarshalJSON writes what is no number as null.
func (f Figure) MarshalJSON() ([]byte, error) {
	if x := float64(f); !math.IsNaN(x) && !math.IsInf(x, 0) {
		return json.Marshal(x)
	}
	return []byte("null"), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (f *Figure) UnmarshalJSON(text []byte) error {
	var x *float64
	if err := json.Unmarshal(text, &x); err != nil {
		return err
	}
	*f = Figure(math.NaN())
	if x != nil {
		*f = Figure(*x)
	}
	return nil
}

type intervalJSON struct {
	Value *float64 `json:"value"`
	Low   *float64 `json:"low"`
	High  *float64 `json:"high"`
}

// MarshalJSON writes what is no number as null.
func (i Interval) MarshalJSON() ([]byte, error) {
	known := func(x float64) *float64 {
		if math.IsNaN(x) {
			return nil
		}
		return &x
	}
	return json.Marshal(intervalJSON{known(i.Value), known(i.Low), known(i.High)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (i *Interval) UnmarshalJSON(text []byte) error {
	var from intervalJSON
	if err := json.Unmarshal(text, &from); err != nil {
		return err
	}
	for _, v := range []struct {
		to   *float64
		from *float64
	}{{&i.Value, from.Value}, {&i.Low, from.Low}, {&i.High, from.High}} {
		*v.to = math.NaN()
		if v.from != nil {
			*v.to = *v.from
		}
	}
	return nil
}

// StaleRate is the share of stale blocks among all that were found, withheld ones aside.
// The prediction is for the time in which nothing disturbed the network: no partition, no
// node down, no attack. Where there is none, Method is empty and Summary.Missing says why.
type StaleRate struct {
	Share  Interval `json:"share"` // Wilson's; without ends where something disturbed the run
	Blocks int      `json:"blocks"`

	Compared       Interval `json:"share_undisturbed"` // with the simulation's error: what the prediction is held against
	ComparedBlocks int      `json:"blocks_undisturbed"`
	Predicted      float64  `json:"predicted"`                // from the measured delays and hash rates
	PredictedError float64  `json:"predicted_standard_error"` // of the simulation
	Method         string   `json:"method,omitempty"`
	Inside         bool     `json:"predicted_inside"` // of Compared
}

// Disturbed reports whether some of the blocks were found in a disturbed time, or so shortly
// before that it may have decided what became of them. Their share of stale ones is that of a
// few events, as a partition, and not of the network.
func (r *StaleRate) Disturbed() bool { return r.ComparedBlocks != r.Blocks }

// LeastBlocks is how many blocks there must be for a figure that rests on them: fewer, and
// its interval is wider than what it could tell apart.
const LeastBlocks = 30

// MostlyDisturbed reports whether so few of the blocks were found undisturbed that their
// share of stale ones says nothing.
func (r *StaleRate) MostlyDisturbed() bool {
	return r.Disturbed() && r.ComparedBlocks < LeastBlocks
}

// Fit is a Kolmogorov–Smirnov test against an exponential distribution.
type Fit struct {
	Count int     `json:"count"`
	Mean  float64 `json:"mean"`
	D     float64 `json:"ks_d"`
	P     float64 `json:"ks_p"`
}

// Spacing is the time between finds of any miner, stale ones too.
type Spacing struct {
	Fit
	TargetS float64  `json:"target_s"`
	MeanS   Interval `json:"mean_s"`
}

// Propagation is how long blocks took from their miner to other nodes, in seconds, in
// the time in which nothing disturbed the network.
type Propagation struct {
	Blocks   int       `json:"blocks"`
	Arrivals int       `json:"arrivals"`
	P50S     float64   `json:"p50_s"`
	P90S     float64   `json:"p90_s"`
	P95S     float64   `json:"p95_s"`
	LastP50S float64   `json:"last_node_p50_s"` // until the last node had it
	LastP95S float64   `json:"last_node_p95_s"`
	ByNode   []float64 `json:"p50_by_node_s"` // in order of nodes; 0: nothing came to it
}

// Delay is how long payments took to get somewhere, from when they were due, with the
// intervals of the bootstrap by block. Those that never got there count as the longest,
// so that there may be no percentile; those that were refused do not count.
type Delay struct {
	Stage    string   `json:"stage"`    // submitted, accepted, every_mempool, in_block, confirmed_1, confirmed_3, confirmed_6
	Payments int      `json:"payments"` // that got there
	Never    int      `json:"payments_that_never_got_there"`
	Blocks   int      `json:"blocks"` // that those which did were in: what the interval rests on
	P50S     Interval `json:"p50_s"`
	P90S     Figure   `json:"p90_s"`
	P99S     Figure   `json:"p99_s"`
	P50      Interval `json:"p50_block_intervals"`
}

// DelayPart is a part of the time from when a payment was due until all nodes had its
// block: accepting (its node took it), gossip (all mempools have it, or it is in a
// block), queue (others' payments went first: until the last block without it), block
// wait (until its block was found) and propagation (until all nodes had that).
type DelayPart struct {
	Part  string  `json:"part"` // accepting, gossip, queue, block_wait, propagation
	MeanS float64 `json:"mean_s"`
	P50S  float64 `json:"p50_s"`
	P90S  float64 `json:"p90_s"`
}

// Energy is what the measured time cost, all nodes and the load together.
type Energy struct {
	Method           string  `json:"method"`
	Measured         bool    `json:"measured"`
	Joules           float64 `json:"joules"`
	JoulesPerBlock   Figure  `json:"joules_per_block"`   // not there where there was none; so with the others
	Payments         int     `json:"payments"`           // confirmed in that time on all nodes, whenever they were due
	JoulesPerPayment Figure  `json:"joules_per_payment"` // of these
	JoulesPerHash    Figure  `json:"joules_per_hash"`
}

// AttackResult holds an attack against its theory.
type AttackResult struct {
	Attack
	Measured  Interval `json:"measured"` // share of blocks of a selfish miner, or of tries won
	Predicted float64  `json:"predicted"`
	Inside    *bool    `json:"predicted_inside"` // nil: there are no data that could tell
	Theory    string   `json:"theory"`
	// Needed is how many blocks, or tries, it takes to tell the prediction from
	// its absence (an honest miner's share; no double spend at all) at 95 % and a power of 80 %.
	Needed int `json:"needed"`
}
