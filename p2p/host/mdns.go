package host

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
)

// lan is told of nodes of our network in the local network.
type lan struct{ host *Host }

// HandlePeerFound implements mdns.Notifee.
func (l lan) HandlePeerFound(info peer.AddrInfo) { l.host.found(info) }

// startMDNS announces this node in the local network and listens for others, under
// a name of our network's own. It ends with the host.
func (h *Host) startMDNS() error {
	service := mdns.NewMdnsService(h.lib, "_kapok-"+h.cfg.network()+"._udp", lan{h})
	if err := service.Start(); err != nil {
		return fmt.Errorf("cannot announce this node in the local network: %w", err)
	}
	h.spawn(func() {
		<-h.ctx.Done()
		_ = service.Close()
	})
	return nil
}
