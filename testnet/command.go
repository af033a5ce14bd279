package testnet

import (
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
	"github.com/kapok-chain/kapok/p2p/host"
)

// sighting is something that one node saw, with the time at which it saw it. Exactly
// one of the pointers is set.
type sighting struct {
	At    time.Time       `json:"-"` // by the machine's clock, whatever the node's says; line.After between processes
	Block *blockSighting  `json:"block,omitempty"`
	Find  *find           `json:"find,omitempty"`
	Tx    *consensus.Hash `json:"tx,omitempty"` // entered the mempool
	Tip   *tipSighting    `json:"tip,omitempty"`
}

// blockSighting is a block whose header was judged and whose body came.
type blockSighting struct {
	Hash   consensus.Hash   `json:"hash"`
	Header consensus.Header `json:"header"`
	Height uint32           `json:"height"`
	Own    bool             `json:"own,omitempty"` // of this node, not of a peer
	Txs    int              `json:"txs"`           // with the coinbase
	Size   int              `json:"size"`          // bytes
	Weight int              `json:"weight"`        // weight units
	Fees   int64            `json:"fees"`          // units
}

// find says what a block has cost its miner, before anybody has judged it.
type find struct {
	Hash   consensus.Hash `json:"hash"`
	Hashes uint64         `json:"hashes"` // since the miner's last find
}

// tipSighting is where a node's chain stands.
type tipSighting struct {
	Hash   consensus.Hash    `json:"hash"`
	Height uint32            `json:"height"`
	Work   consensus.Uint256 `json:"chainwork"`
}

// op names what a node is asked for.
type op string

const (
	opKeep      op = "keep"      // dial Addr, again and again
	opForget    op = "forget"    // no longer
	opConnected op = "connected" // wait until there is a session with each of Peers
	opPlace     op = "place"     // the matrix: Node listens at Addr
	opPartition op = "partition" // the matrix: Groups
	opHeal      op = "heal"      // the matrix
	opMine      op = "mine"
	opRest      op = "rest" // mine no longer
	opClock     op = "clock"
	opProbe     op = "probe"
	opState     op = "state"
)

// command is what a node is asked to do. It is the same one in this process and in
// another, where it is a line of JSON.
type command struct {
	Op     op            `json:"op"`
	Addr   string        `json:"addr,omitempty"`
	Node   int           `json:"node,omitempty"`
	Peers  []p2p.PeerID  `json:"peers,omitempty"`
	Groups [][]int       `json:"groups,omitempty"`
	Offset time.Duration `json:"offset,omitempty"`
}

// answer is what comes of a command.
type answer struct {
	Probe *probe `json:"probe,omitempty"`
	State *state `json:"state,omitempty"`
}

// probe is a node at one moment.
type probe struct {
	Height       uint32         `json:"height"`
	Tip          consensus.Hash `json:"tip"`
	MempoolTxs   int            `json:"mempool_txs"`
	MempoolBytes int64          `json:"mempool_bytes"` // virtual
	Peers        int            `json:"peers"`
	Hashes       float64        `json:"hashes"`     // since the node's first start
	HashesDue    float64        `json:"hashes_due"` // that its rate allowed
}

// state is what is compared between nodes when a run ends.
type state struct {
	Height  uint32         `json:"height"`
	Tip     consensus.Hash `json:"tip"`
	CoinSum string         `json:"coin_sum"` // hex
}

// endpoint is where a node is reached.
type endpoint struct {
	ID     p2p.PeerID `json:"id"`
	Addr   string     `json:"addr"`   // multiaddr with the peer id
	Listen string     `json:"listen"` // ip:port of the same
	RPC    string     `json:"rpc"`    // host:port
	Pages  string     `json:"pages,omitempty"`
	// Metrics is the host:port of those for Prometheus; "": none.
	Metrics string `json:"metrics,omitempty"`
	Cookie  string `json:"cookie"` // file
	PID     int    `json:"pid"`    // of the process that it runs in
}

// origin is the moment that two processes count from: how long ago it was when one told
// the other, and the time that the machine's clock showed then. Times since an origin do
// not move where that clock is set; the times themselves would, for nothing but the clock's
// reading goes from one process to another.
type origin struct {
	Ago  time.Duration `json:"ago_ns"`
	Told time.Time     `json:"told"`
}

// at is the origin in the time of a process that reads its clock now.
func (o origin) at(now time.Time) time.Time { return now.Add(-o.Ago - now.Round(0).Sub(o.Told)) }

// setup is all that a node is told before it starts. In another process it is the first
// line.
type setup struct {
	Node       int              `json:"node"` // from 0
	Params     consensus.Params `json:"params"`
	DataDir    string           `json:"data_dir"`
	Version    string           `json:"version"`
	HashesPerS float64          `json:"hashes_per_s"` // that its miner is held to; 0: no miner
	Payout     []byte           `json:"payout"`
	Index      bool             `json:"index"`             // keeps one of transactions and keys, and serves pages and metrics
	Seed       uint64           `json:"seed"`              // of its links
	Links      [][]host.Link    `json:"links"`             // from, to
	Uplinks    []int64          `json:"uplinks"`           // by node; 0: no limit
	Prelude    string           `json:"prelude,omitempty"` // block file that its chain begins with
	Alone      bool             `json:"alone,omitempty"`   // listens for nobody
	LogLevel   int              `json:"log_level"`
	Origin     origin           `json:"origin"` // of the run; only another process needs it
}
