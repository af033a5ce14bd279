package host

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// gater is libp2p's connection gater: it lets nobody in who is on the deny list
// or whose id is not an Ed25519 key.
type gater struct {
	mu     sync.RWMutex
	denied map[peer.ID]struct{}
	order  []peer.ID // of denial, oldest first; may hold pardoned ids
}

func newGater() *gater { return &gater{denied: make(map[peer.ID]struct{})} }

// deny puts id on the list or takes it off.
func (g *gater) deny(id peer.ID, on bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !on {
		delete(g.denied, id)
		return
	}
	if _, known := g.denied[id]; known {
		return
	}
	g.denied[id] = struct{}{}
	g.order = append(g.order, id)
	for len(g.order) > maxDenied {
		delete(g.denied, g.order[0])
		g.order = g.order[1:]
	}
}

func (g *gater) isDenied(id peer.ID) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	_, denied := g.denied[id]
	return denied
}

// The methods below implement connmgr.ConnectionGater.

func (g *gater) InterceptPeerDial(id peer.ID) bool { return !g.isDenied(id) }

func (g *gater) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }

func (g *gater) InterceptAccept(network.ConnMultiaddrs) bool { return true }

func (g *gater) InterceptSecured(_ network.Direction, id peer.ID, _ network.ConnMultiaddrs) bool {
	return isEd25519(id) && !g.isDenied(id)
}

func (g *gater) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
