package record

import "time"

// Schema is the version of the directory's format. It changes when a column or key
// changes its meaning or goes away.
const Schema = 1

// Status says how far a run came.
type Status string

const (
	Running     Status = "running" // or its process died
	Complete    Status = "complete"
	Interrupted Status = "interrupted" // by whoever ran it
	Failed      Status = "failed"      // Manifest.Reason says why
)

// Manifest is manifest.json.
type Manifest struct {
	Schema       int       `json:"schema"`
	KapokVersion string    `json:"kapok_version"`
	Name         string    `json:"name"`
	Description  string    `json:"description,omitempty"`
	Status       Status    `json:"status"`
	Reason       string    `json:"reason,omitempty"`
	StartedAt    time.Time `json:"started_at"`
	EndedAt      time.Time `json:"ended_at,omitzero"`

	// The part of the run that figures are taken from: after the warm-up, and before
	// the time that the last confirmations are waited for.
	MeasuredFromS float64 `json:"measured_from_s"`
	MeasuredToS   float64 `json:"measured_to_s"` // 0 until it is known

	Seed       uint64  `json:"seed"`
	FileSHA256 string  `json:"file_sha256"` // of testnet.toml
	Processes  bool    `json:"processes"`   // asked for: each node but attackers in a process of its own
	Machine    Machine `json:"machine"`
	Network    Network `json:"network"`
	Nodes      []Node  `json:"nodes"`
	// LinkDelaysMS is, from node by to node, the one-way delay that the links were
	// given, in milliseconds; 0 where there is none.
	LinkDelaysMS [][]float64 `json:"link_delays_ms"`
	Load         Load        `json:"load"`
	StartedInS   float64     `json:"started_in_s"` // from the command until all nodes ran
	End          *End        `json:"end,omitempty"`
	// PaymentsUnknown is why it is not known what became of the payments in the end, and
	// whether some were lost; "": it is known.
	PaymentsUnknown string `json:"payments_unknown,omitempty"`
}

// End is the state of the network when the run ended, and what the measured part cost.
type End struct {
	Nodes        []NodeEnd `json:"nodes"` // those that ran
	Joules       float64   `json:"joules"`
	EnergyMethod string    `json:"energy_method"`
	Measured     bool      `json:"energy_measured"`       // else modelled
	PeakRSSBytes float64   `json:"peak_rss_bytes"`        // of all processes together; 0 where the system does not say
	Hashes       float64   `json:"hashes"`                // of the measured part, all miners
	HashesDue    float64   `json:"hashes_due"`            // that their rates allowed in it
	WorstLag     float64   `json:"worst_miner_lag_share"` // of the hashes due to one miner, those not done

	// How late the run itself was, in the measured part: what a machine with time to spare
	// does at once. nil: nothing was due.
	LoadLate *Lateness `json:"load_late_s,omitempty"` // calls of the load's payments, after they were due
	LookLate *Lateness `json:"look_late_s,omitempty"` // looks at the nodes, likewise
}

// Lateness is by how many seconds something came after it was due; percentiles are nearest
// ranks.
type Lateness struct {
	P50S float64 `json:"p50"`
	P99S float64 `json:"p99"`
	MaxS float64 `json:"max"`
}

// NodeEnd is how one node ended.
type NodeEnd struct {
	Node    int    `json:"node"`
	Height  uint32 `json:"height"`
	Tip     string `json:"tip"`
	CoinSum string `json:"coin_sum"`
}

// Machine is where it ran.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	Go     string `json:"go"`
	Kernel string `json:"kernel"` // of the hash search, as sha-ni
}

// Network is the chain's rules, as far as figures depend on them.
type Network struct {
	Name             string  `json:"name"`
	GenesisHash      string  `json:"genesis_hash"`
	Difficulty       string  `json:"difficulty"` // the rule: fixed, asert, asert-relative, bitcoin
	SpacingS         float64 `json:"spacing_s"`  // between blocks, that the file asks for
	DifficultyHashes float64 `json:"difficulty_hashes"`
	MaxWeight        int     `json:"max_weight"`
	Maturity         uint32  `json:"coinbase_maturity"`
}

// Node is one node of the network.
type Node struct {
	Node       int     `json:"node"`
	Name       string  `json:"name"`
	Region     string  `json:"region,omitempty"`
	HashesPerS float64 `json:"hashes_per_s"` // that its miner is held to; 0: mines not
	UplinkBps  float64 `json:"uplink_bytes_per_s,omitempty"`
	Dials      []int   `json:"dials"`
	Role       Role    `json:"role,omitempty"`
	Process    bool    `json:"process,omitempty"` // it had one of its own
}

// Role is what a node does beside following the rules.
type Role string

const (
	Selfish     Role = "selfish"      // withholds blocks (Eyal and Sirer 2014)
	DoubleSpend Role = "double-spend" // mines a branch in secret to take a payment back
)

// Load is how payments were made.
type Load struct {
	RatePerS float64 `json:"rate_per_s"` // the mean over the run, 0: none
	Arrivals string  `json:"arrivals"`   // as "open loop, Poisson"
	Fees     string  `json:"fees"`
}

// Block is a row of blocks.csv.
type Block struct {
	Hash             string
	Parent           string
	Height           uint32
	Miner            int         // the node that found it; 0 unknown
	Status           BlockStatus // at the end of the run
	FoundS           float64     // its miner's node had it
	HeaderTime       uint32      // Unix seconds that the header states
	DifficultyHashes float64     // hashes that such a block takes on average
	Hashes           float64     // that its miner did since the last block it found; NaN unknown
	Transactions     int         // with the coinbase
	SizeBytes        int
	WeightUnits      int
	FeesUnits        int64
	ArrivalS         []float64 // by node: its body was there and its header judged; NaN never
}

// BlockStatus is what became of a block.
type BlockStatus string

const (
	Active   BlockStatus = "active"   // on the best chain
	Stale    BlockStatus = "stale"    // valid, and not on it
	Withheld BlockStatus = "withheld" // an attacker's, which never came out
)

// Payment is a row of payments.csv.
type Payment struct {
	ID          int // from 1, in the order of the schedule
	TxID        string
	Node        int     // that it was handed to
	DueS        float64 // by the schedule; delays count from here
	SubmittedS  float64 // the call began
	AnsweredS   float64 // the node had taken or refused it
	FeeRate     float64 // units per virtual byte
	VSizeBytes  int
	AcceptedS   float64 // in the mempool of its node
	EveryPoolS  float64 // in the last mempool of the nodes that ran then
	Block       string  // of the best chain; "": none
	Height      uint32
	InBlockS    float64 // the first node had that block
	Confirmed1S float64 // the last node had so many blocks from that one on
	Confirmed3S float64
	Confirmed6S float64
	Status      PaymentStatus
	Role        Role   // DoubleSpend of an attacker's, which is meant to be taken back; "" of the load's
	Detail      string // why it was refused, or what conflicts with it
}

// PaymentStatus is what became of a payment by the end of the run.
type PaymentStatus string

const (
	Confirmed  PaymentStatus = "confirmed"  // in the best chain
	Pending    PaymentStatus = "pending"    // in a mempool, or in a block beside the best chain
	Refused    PaymentStatus = "refused"    // by its node
	Unanswered PaymentStatus = "unanswered" // its node was down or did not answer
	Conflicted PaymentStatus = "conflicted" // a double spend of it is in the best chain, on purpose
	Lost       PaymentStatus = "lost"       // was accepted, and is neither in the chain nor in any mempool
	Died       PaymentStatus = "died"       // as lost, but its node was killed or stopped before any other had it
)

// Sample is a row of samples.csv: one node at one moment.
type Sample struct {
	TimeS        float64
	Node         int
	Height       uint32
	Tip          string
	MempoolTxs   int
	MempoolBytes int64 // virtual
	Peers        int
	Hashes       float64 // done by its miner since the start
	HashesDue    float64 // that its rate allowed until now while there was something to mine
}

// Event is a line of events.jsonl. What is not meant is left out.
type Event struct {
	TimeS  float64        `json:"t_s"`
	Kind   string         `json:"kind"` // as partition, heal, kill, stop, restart, clock, selfish, double-spend, complete
	Nodes  []int          `json:"nodes,omitempty"`
	Text   string         `json:"text"`             // a sentence for people
	Values map[string]any `json:"values,omitempty"` // for programs, units in the names
	Attack *Attack        `json:"attack,omitempty"` // how one ended
}

// Attack is the outcome of an attack that ended.
type Attack struct {
	Kind   Role    `json:"kind"`
	Node   int     `json:"node"`
	Share  float64 `json:"share"` // of the hash rate, as the file has it
	FromS  float64 `json:"from_s"`
	ToS    float64 `json:"to_s"`
	Blocks int     `json:"blocks"` // of the best chain in that time
	Own    int     `json:"own"`    // of these: the attacker's

	// ShareDone is the attacker's share of the hashes that all miners did in that time: nodes
	// that stop, and a machine that is too slow, make it another one. 0: not known.
	ShareDone float64 `json:"share_done,omitempty"`

	// Of a selfish miner.
	Ties    int `json:"ties,omitempty"`     // races that were decided with both branches public
	TiesWon int `json:"ties_won,omitempty"` // of these: decided by an honest miner on the attacker's branch
	TiesOwn int `json:"ties_own,omitempty"` // of these: decided by the attacker

	// Of a double spend; Tries is 1 in a file's event, and more where it repeats.
	Confirmations int `json:"confirmations,omitempty"` // that the merchant waits for
	Tries         int `json:"tries,omitempty"`
	Won           int `json:"won,omitempty"`
	GivenUp       int `json:"given_up,omitempty"` // of those not won: too far behind
	GiveUpBehind  int `json:"give_up_behind,omitempty"`
}

// Run is a run directory in memory.
type Run struct {
	Dir      string
	Manifest Manifest
	Blocks   []Block   // in the order in which they were found
	Payments []Payment // by ID
	Samples  []Sample  // by time, then node
	Events   []Event
	Notes    []string // what is not as it should be and could be read, a sentence each: torn last lines
}
