package spec

import (
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// Spec is a testnet. Nodes count from 0 here, and from 1 in the file and in what people
// read.
type Spec struct {
	Name        string
	Description string
	Seed        uint64
	Text        []byte // the file
	Dir         string // of the file: what paths in it are relative to

	Duration time.Duration // of the measured part; 0: Blocks decide
	Blocks   uint32        // of the best chain in the measured part; 0: Duration decides
	WarmUp   time.Duration // from the moment that coins have matured and payments flow

	Network  *consensus.Params
	SpacingS float64 // seconds between blocks that hash rate and start difficulty give; may be below Network.Spacing's second
	Nodes    []Node
	Edges    []Edge   // who dials whom, each pair once
	Links    [][]Link // from, to
	Payments Payments
	Events   []Event // by time

	// Prelude is how many blocks are mined, at full speed and before the nodes run, so
	// that Coins coins of the wallets have matured and are ready to be spent; their times
	// are Network.Spacing apart and end at the moment Read was given. 0: nobody pays.
	// Double spends take coins, too.
	Prelude uint32
	Coins   int
}

// Node is one node.
type Node struct {
	Name       string
	Region     string
	HashesPerS float64 // 0: does not mine
	Uplink     int64   // bytes a second that leave it, on all links together; 0: no limit
	Process    bool    // runs in a process of its own, since it is to be killed
}

// Edge says that one node keeps a connection to another.
type Edge struct{ From, To int }

// Link is one direction between two nodes.
type Link struct {
	Delay  time.Duration // one way
	Jitter time.Duration // at most so much more
	Loss   float64       // share of segments
}

// Payments is the load: an open loop that waits for no answer.
type Payments struct {
	Rate    float64     // a second, on average; 0 with no Curve: none
	Curve   []CurveStep // the rate over time, in place of Rate; the last one stays
	Regular bool        // evenly spaced, not a Poisson process
	Fees    Fees
	Wallets int // that pay; each is a real one on a node of its own choice
}

// CurveStep is a rate from a moment of the measured run on.
type CurveStep struct {
	From time.Duration // since the first payment was due
	Rate float64       // payments a second
}

// Fees is how fee rates are drawn, in units per virtual byte.
type Fees struct {
	Kind     FeeKind
	Min, Max float64 // of Uniform; bounds of LogNormal
	Median   float64 // of LogNormal; the value of Constant
	Sigma    float64 // of LogNormal: of the natural logarithm
}

// FeeKind names a distribution.
type FeeKind string

const (
	Constant  FeeKind = "constant"
	Uniform   FeeKind = "uniform"
	LogNormal FeeKind = "lognormal"
)

// Event is something that happens to the network while it runs.
type Event struct {
	At    time.Duration // since the measured part began
	Kind  Kind
	Line  int // in the file
	Nodes []int

	Groups [][]int       // of Partition; nodes in none of them are a group together
	For    time.Duration // of Churn, Selfish and DoubleSpend; 0: until the end
	Rate   float64       // of Churn: stops a minute, of random nodes
	Down   time.Duration // of Churn: mean time until a stopped node starts again
	Offset time.Duration // of Clock

	Confirmations uint32 // of DoubleSpend: that the merchant waits for
	Tries         int    // of DoubleSpend: one after the other, at most; 0: as many as fit
	GiveUp        int    // of DoubleSpend: blocks behind the best chain at which a try ends
}

// Kind names what happens.
type Kind string

const (
	Partition   Kind = "partition"    // Groups hear nothing of each other
	Heal        Kind = "heal"         // all hear all again
	Kill        Kind = "kill"         // SIGKILL; the nodes run in processes of their own
	Stop        Kind = "stop"         // a clean one
	Restart     Kind = "restart"      // of nodes that were killed or stopped
	Churn       Kind = "churn"        // nodes stop and start at random
	Clock       Kind = "clock"        // the nodes' clocks are wrong by Offset
	Selfish     Kind = "selfish"      // the node withholds blocks (Eyal and Sirer 2014, algorithm 1)
	DoubleSpend Kind = "double-spend" // the node pays, and mines a secret branch that takes it back
)
