package host

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/kapok-chain/kapok/consensus"
)

// Link is one direction of a connection in a network that is made up: what one
// end writes comes to the other as it would over such a line. The zero value is
// the line as it is.
type Link struct {
	Delay     time.Duration // from the sender to the receiver
	Jitter    time.Duration // at most so much more, drawn evenly for each write; the order stays
	Bandwidth int64         // bytes a second that leave the sender; 0: no limit
	// Loss is the share of segments (1,448 bytes) that get lost. TCP sends them
	// again: a round trip later, and twice as late each further time, and all
	// that was written behind them waits.
	Loss float64
}

// What a Link may have. Beyond this, handshakes run into their deadlines.
const (
	maxLinkDelay = 5 * time.Second // delay and jitter together
	maxLinkLoss  = 0.5
)

func (l Link) check() error {
	switch {
	case l.Delay < 0 || l.Jitter < 0 || l.Delay+l.Jitter > maxLinkDelay:
		return fmt.Errorf("delay %v, jitter %v: expected 0 to %v together", l.Delay, l.Jitter, maxLinkDelay)
	case l.Bandwidth < 0:
		return fmt.Errorf("bandwidth %d bytes/s: expected none below 0", l.Bandwidth)
	case !(l.Loss >= 0 && l.Loss <= maxLinkLoss):
		return fmt.Errorf("loss %g: expected 0 to %g", l.Loss, maxLinkLoss)
	}
	return nil
}

// Matrix holds the links between the nodes of a test network, which are counted
// from 0. Its methods may be called from any goroutine.
type Matrix struct {
	links [][]Link // from, to

	mu      sync.Mutex
	nodes   map[netip.AddrPort]int
	uplinks []*uplink     // by node; nil: no limit
	sides   []int         // by node: on which side of a partition it is; nil: there is none
	parted  chan struct{} // closed, and replaced, when the sides change
	lanes   []*lane       // of all connections that are open
}

// NewMatrix returns the links of a network, links[from][to] being the direction
// from one node to the other.
func NewMatrix(links [][]Link) (*Matrix, error) {
	for from, row := range links {
		if len(row) != len(links) {
			return nil, fmt.Errorf("the links from node %d are %d, expected one to each of %d nodes", from, len(row), len(links))
		}
		for to, link := range row {
			if err := link.check(); err != nil {
				return nil, fmt.Errorf("the link from node %d to node %d: %w", from, to, err)
			}
		}
	}
	return &Matrix{links: links, nodes: make(map[netip.AddrPort]int), parted: make(chan struct{})}, nil
}

// UniformMatrix is a network of n nodes whose links are all the same.
func UniformMatrix(n int, link Link) (*Matrix, error) {
	links := make([][]Link, n)
	for i := range links {
		links[i] = make([]Link, n)
		for j := range links[i] {
			links[i][j] = link
		}
	}
	return NewMatrix(links)
}

// Place says at which address a node is dialed: the one it listens on, in place of where
// it was before. Hosts may run already.
func (m *Matrix) Place(node int, addr netip.AddrPort) error {
	if node < 0 || node >= len(m.links) {
		return fmt.Errorf("node %d is not in the matrix of %d", node, len(m.links))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.nodes, func(_ netip.AddrPort, at int) bool { return at == node })
	m.nodes[netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())] = node
	return nil
}

// at returns the node that is dialed at an address.
func (m *Matrix) at(addr netip.AddrPort) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, ok := m.nodes[netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())]
	if !ok {
		return 0, fmt.Errorf("%s is at no place of the matrix that shapes connections", addr)
	}
	return node, nil
}

// Shape makes a host's connections those of a node of a Matrix, for testnets and
// measurements. The side that dials shapes both directions of a connection, for it
// knows by the address that it dials who is at the other end; a dial to an address
// that the matrix does not place fails. So every host of the network has the same
// matrix, with its own Node.
type Shape struct {
	Matrix *Matrix
	Node   int    // this host
	Seed   uint64 // of jitter and loss
}

// ErrShapeMain: connections of the main network are never shaped.
var ErrShapeMain = errors.New("connections of the main network are not shaped")

// check reports what keeps a network's hosts from being shaped this way.
func (s *Shape) check(genesis consensus.Hash) error {
	switch {
	case genesis == consensus.Main().GenesisHash():
		return ErrShapeMain
	case s.Matrix == nil:
		return errors.New("shaped connections need a matrix")
	case s.Node < 0 || s.Node >= len(s.Matrix.links):
		return fmt.Errorf("node %d is not in the matrix of %d", s.Node, len(s.Matrix.links))
	}
	return nil
}
