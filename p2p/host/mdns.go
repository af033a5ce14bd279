package host

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"

	"github.com/kapok-chain/kapok/p2p/peers"
)

// lan is told of nodes of our network in the local network, and connects to a few of
// them: anybody there can make up as many as it likes.
type lan struct {
	host  *Host
	found chan peer.AddrInfo
}

func newLAN(h *Host) *lan { return &lan{h, make(chan peer.AddrInfo, maxFound)} }

// HandlePeerFound implements mdns.Notifee.
func (l *lan) HandlePeerFound(info peer.AddrInfo) {
	select {
	case l.found <- info:
	default: // it will be announced again
	}
}

// startMDNS announces this node in the local network and listens for others, under
// a name of our network's own. It ends with the host.
func (h *Host) startMDNS() error {
	l := newLAN(h)
	service := mdns.NewMdnsService(h.lib, "_kapok-"+h.cfg.network()+"._udp", l)
	if err := service.Start(); err != nil {
		return fmt.Errorf("cannot announce this node in the local network: %w", err)
	}
	h.spawn(func() {
		<-h.ctx.Done()
		_ = service.Close()
	})
	h.spawn(func() {
		for {
			select {
			case info := <-l.found:
				l.visit(info)
			case <-h.ctx.Done():
				return
			}
		}
	})
	return nil
}

// visit connects to a node that was found, unless there are enough.
func (l *lan) visit(info peer.AddrInfo) {
	h := l.host
	if info.ID == h.id || !isEd25519(info.ID) || h.session(name(info.ID)) != nil || len(h.kind(peers.Local)) >= maxLocal {
		return
	}
	ctx, cancel := context.WithTimeout(h.ctx, dialTimeout)
	defer cancel()
	info.Addrs = info.Addrs[:min(len(info.Addrs), maxFoundAddrs)]
	if _, err := h.open(ctx, info, peers.Local); err != nil {
		h.log.Debug("cannot connect to a node of the local network", "peer", info.ID, "reason", err)
	}
}
