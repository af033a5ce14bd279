package host

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	libp2p "github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	basichost "github.com/libp2p/go-libp2p/p2p/host/basic"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrOtherNetwork: the peer answers, but does not speak our network's protocol.
	ErrOtherNetwork = errors.New("speaks another network")
	// ErrDenied: the peer is on the deny list.
	ErrDenied = errors.New("is on the deny list")
	// ErrBanned: there is such a ban already.
	ErrBanned = errors.New("is banned already")
	// ErrSelf: the address is our own.
	ErrSelf = errors.New("is this node itself")
	// ErrRefused: the peer answered that it does not want this connection.
	ErrRefused = errors.New("refused the connection")
	// ErrPSKMain: a private network with the main network's genesis.
	ErrPSKMain = errors.New("a key for the connections is for test networks: network main is open to everybody")
	// ErrClosed: the host is not running any more.
	ErrClosed = errors.New("the network is closed")
)

// Config is what New needs. Only GenesisHash is required.
type Config struct {
	GenesisHash consensus.Hash // names the network in protocol ids and topics

	// Listen holds the addresses to listen on, as "ip:port", ":port" or
	// /ip4/…/tcp/… multiaddresses; port 0 means any free one. QUIC listens on
	// the same port of UDP. Empty: no listening, dialing only.
	Listen []string
	// Peers are dialed and dialed again until Run ends: /ip4/…/tcp/…/p2p/ID,
	// or "host:port", where the peer's id is asked from the peer itself.
	Peers []string
	// Bootstrap peers are dialed while there are fewer than eight peers that we dialed.
	Bootstrap []string
	// Book holds the addresses that are dialed until there are enough peers; nil:
	// none but Peers and Bootstrap are dialed.
	Book *Book
	MDNS bool // find nodes in the local network, and be found there
	DHT  bool // find nodes for the book by a distributed hash table, and be found there
	// PortMap asks the router in front of this machine, by UPnP or NAT-PMP, to let others dial
	// the ports of Listen. Advertised is the address that it gives, then.
	PortMap bool
	// StrictPeers ends Run with ErrOtherNetwork when one of Peers turns out to
	// be of another network, instead of logging that and trying again later.
	StrictPeers bool

	BanFile string // keeps the bans over a restart; "": they are forgotten
	KeyFile string // holds the Ed25519 identity (mode 0600); "" is a new one for each start
	Agent   string // software name and version that other peers see

	MaxIn  int // peers that connected to us; 0 is 128
	MaxOut int // connections that we opened; 0 is 64

	PSK         []byte // 32 bytes shared by all nodes of a private network; QUIC is off then
	DisableQUIC bool   // TCP only: leaner, and faster between neighbours
	// LimitPrivate applies the caps per address and net group to loopback and
	// private ranges too, for attack tests.
	LimitPrivate bool
	// Shape makes the connections those of a wide network, for testnets and
	// measurements. QUIC is off then. The main network's hosts refuse it.
	Shape *Shape

	// dialFrom is the address that we dial from; for tests of limits on net groups.
	dialFrom netip.Addr
	// nat takes the place of libp2p's; for tests of PortMap without a router.
	nat func(network.Network) basichost.NATManager
	// transport takes the place of TCP and QUIC; for tests in virtual time.
	transport libp2p.Option

	Metrics prometheus.Registerer // libp2p's own metrics go here; nil is none
	Logger  *slog.Logger          // nil is silent
}

// Handler is the node as the network sees it. Calls for one peer come one at a
// time and in order, calls for several peers concurrently.
type Handler interface {
	Connected(p2p.Peer)
	Disconnected(p2p.PeerID)
	// Receive judges a message. The verdict counts for gossip only, where it
	// says whether the message is forwarded.
	Receive(from p2p.PeerID, m p2p.Msg, gossip bool) p2p.Verdict
	Tick() // every 200 ms
	// Peers describes the connected peers.
	Peers() []p2p.PeerInfo
	// Quiet reports whether no block has come for so long that our peers may keep
	// them from us.
	Quiet() bool
}

// withDefaults returns a checked copy of c with the blanks filled in.
func (c Config) withDefaults() (Config, error) {
	if c.GenesisHash == (consensus.Hash{}) {
		return c, errors.New("the host needs the genesis hash of its network")
	}
	if n := len(c.PSK); n != 0 && n != 32 {
		return c, fmt.Errorf("the key of a private network has %d bytes, expected 32", n)
	}
	if c.PSK != nil && c.GenesisHash == consensus.Main().GenesisHash() {
		return c, ErrPSKMain
	}
	if c.MaxIn < 0 || c.MaxOut < 0 {
		return c, fmt.Errorf("connection limits %d in, %d out: expected none below 0", c.MaxIn, c.MaxOut)
	}
	if c.MaxIn == 0 {
		c.MaxIn = defaultMaxIn
	}
	if c.MaxOut == 0 {
		c.MaxOut = defaultMaxOut
	}
	if c.Agent == "" {
		c.Agent = "kapok"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.nat == nil {
		c.nat = basichost.NewNATManager
	}
	if c.Shape != nil {
		if err := c.Shape.check(c.GenesisHash); err != nil {
			return c, err
		}
	}
	if c.PSK != nil || c.Shape != nil || c.transport != nil {
		c.DisableQUIC = true
	}
	return c, nil
}

// network is the hex form of the first 8 bytes of the genesis hash in wire
// order: the end without the zeros of the proof of work. It tells networks
// apart in protocol ids and topics.
func (c *Config) network() string { return hex.EncodeToString(c.GenesisHash[:8]) }

// identity is what identify reports as the protocol version.
func (c *Config) identity() string { return "kapok/" + c.network() }

func (c *Config) protocol() protocol.ID { return protocol.ID("/kapok/" + c.network() + "/1") }
func (c *Config) txTopic() string       { return "kapok/" + c.network() + "/tx" }
func (c *Config) blockTopic() string    { return "kapok/" + c.network() + "/block" }
