package host

import (
	"sync/atomic"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	basichost "github.com/libp2p/go-libp2p/p2p/host/basic"
	ma "github.com/multiformats/go-multiaddr"
)

// router maps the ports of TCP to another one of its own, once it does.
type router struct{ maps atomic.Pointer[ma.Multiaddr] }

func (r *router) GetMapping(addr ma.Multiaddr) ma.Multiaddr {
	if _, err := addr.ValueForProtocol(ma.P_TCP); err != nil {
		return nil
	}
	if to := r.maps.Load(); to != nil {
		return *to
	}
	return nil
}

func (r *router) HasDiscoveredNAT() bool { return r.maps.Load() != nil }
func (r *router) Close() error           { return nil }

// TestPortMap: peers are told of the address that the router gave, whose port is another one.
func TestPortMap(t *testing.T) {
	config, r := lean(), new(router)
	config.PortMap = true
	config.nat = func(network.Network) basichost.NATManager { return r }
	h := start(t, config)
	listening := h.Advertised()
	if listening != h.swarm.ListenAddresses()[0].String() {
		t.Errorf("without a mapping peers are told of %q", listening)
	}
	mapped := ma.StringCast("/ip4/203.0.113.7/tcp/31877")
	r.maps.Store(&mapped)
	h.noteMapping()
	if addr := h.Advertised(); addr != mapped.String() {
		t.Errorf("peers are told of %q, want %v", addr, mapped)
	}
	r.maps.Store(nil)
	h.noteMapping()
	if addr := h.Advertised(); addr != listening {
		t.Errorf("peers are told of %q when the router maps nothing any more", addr)
	}
}
