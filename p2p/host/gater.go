package host

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// gater is libp2p's connection gater: it lets nobody in who is on the deny list
// or whose id is not an Ed25519 key.
type gater struct {
	closed   atomic.Bool // to everybody
	halfOpen halfOpen

	mu     sync.RWMutex
	bans   map[string]ban        // by target; at most maxDenied
	denied map[peer.ID]time.Time // until when
	order  []peer.ID             // of denial, oldest first
}

func newGater() *gater {
	return &gater{bans: make(map[string]ban), denied: make(map[peer.ID]time.Time)}
}

// deny keeps id out for a time.
func (g *gater) deny(id peer.ID, until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.take(id)
	g.denied[id] = until
	g.order = append(g.order, id)
	for len(g.order) > maxDenied {
		delete(g.denied, g.order[0])
		g.order = g.order[1:]
	}
}

// pardon takes a denial back.
func (g *gater) pardon(id peer.ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.take(id)
}

// take takes id off the list; g.mu is held.
func (g *gater) take(id peer.ID) {
	if _, known := g.denied[id]; known {
		delete(g.denied, id)
		g.order = slices.DeleteFunc(g.order, func(old peer.ID) bool { return old == id })
	}
}

func (g *gater) isDenied(id peer.ID) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return time.Now().Before(g.denied[id]) // the zero time for a stranger
}

// ban enters a refusal.
func (g *gater) ban(b ban) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	maps.DeleteFunc(g.bans, func(_ string, old ban) bool { return !b.Created.Before(old.Until) })
	if _, twice := g.bans[b.Target]; twice {
		return fmt.Errorf("%s %w", b.Target, ErrBanned)
	}
	if len(g.bans) >= maxDenied {
		return fmt.Errorf("%d bans are the most allowed", maxDenied)
	}
	g.bans[b.Target] = b
	return nil
}

func (g *gater) unban(target string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, ok := g.bans[target]
	delete(g.bans, target)
	return ok
}

// list returns the bans in force, by target.
func (g *gater) list(now time.Time) []Ban {
	g.mu.RLock()
	defer g.mu.RUnlock()
	var bans []Ban
	for _, b := range g.bans {
		if now.Before(b.Until) {
			bans = append(bans, b.Ban)
		}
	}
	slices.SortFunc(bans, func(a, b Ban) int { return strings.Compare(a.Target, b.Target) })
	return bans
}

// admits reports whether nothing stands against a peer at an address; either
// may be unknown.
func (g *gater) admits(id peer.ID, addr ma.Multiaddr) bool {
	if g.closed.Load() || g.isDenied(id) {
		return false
	}
	now := time.Now()
	g.mu.RLock()
	defer g.mu.RUnlock()
	for _, b := range g.bans {
		if b.means(id, addr) && now.Before(b.Until) {
			return false
		}
	}
	return true
}

// The methods below implement connmgr.ConnectionGater.

func (g *gater) InterceptPeerDial(id peer.ID) bool { return g.admits(id, nil) }

func (g *gater) InterceptAddrDial(id peer.ID, addr ma.Multiaddr) bool { return g.admits(id, addr) }

func (g *gater) InterceptAccept(c network.ConnMultiaddrs) bool {
	if !g.admits("", c.RemoteMultiaddr()) {
		return false
	}
	g.halfOpen.begin(time.Now(), c)
	return true
}

func (g *gater) InterceptSecured(_ network.Direction, id peer.ID, c network.ConnMultiaddrs) bool {
	return isEd25519(id) && g.admits(id, c.RemoteMultiaddr())
}

func (g *gater) InterceptUpgraded(c network.Conn) (bool, control.DisconnectReason) {
	g.halfOpen.end(c)
	return true, 0
}
