package host

import (
	"errors"
	"fmt"
	"syscall"

	ma "github.com/multiformats/go-multiaddr"
)

// listen binds one address: TCP, and QUIC on the same port.
func (h *Host) listen(text string) error {
	addr, err := parseAddr(text, true)
	if err != nil {
		return err
	}
	port, err := tcpPort(addr)
	if err != nil {
		return fmt.Errorf("listen address %q: %w", text, err)
	}
	before := len(h.swarm.ListenAddresses())
	if err := h.swarm.AddListenAddr(addr); err != nil {
		return listenError(addr, "TCP", port, err)
	}
	if h.cfg.DisableQUIC {
		return nil
	}
	chosen := port
	if port == 0 {
		if chosen, err = tcpPort(h.swarm.ListenAddresses()[before]); err != nil {
			return fmt.Errorf("listen address %q: %w", text, err)
		}
	}
	udp, err := quicAddr(addr, chosen)
	if err != nil {
		return err
	}
	err = h.swarm.AddListenAddr(udp)
	if err != nil && port == 0 { // any port will do, and need not be the same
		if udp, err = quicAddr(addr, 0); err == nil {
			err = h.swarm.AddListenAddr(udp)
		}
	}
	if err != nil {
		return listenError(udp, "UDP", chosen, err)
	}
	return nil
}

func listenError(addr ma.Multiaddr, kind string, port int, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s port %d is taken by another program: stop that, or choose another port (%s: %w)", kind, port, addr, err)
	}
	return fmt.Errorf("cannot listen on %s port %d (%s): %w", kind, port, addr, err)
}

// Addrs returns the addresses that peers can dial, as /ip4/…/tcp/…/p2p/ID, one
// for each interface where the node listens on all.
func (h *Host) Addrs() []string {
	addrs, err := h.swarm.InterfaceListenAddresses()
	if err != nil {
		addrs = h.swarm.ListenAddresses()
	}
	texts := make([]string, 0, len(addrs))
	for _, addr := range addrs {
		texts = append(texts, addr.String()+"/p2p/"+h.id.String())
	}
	return texts
}

// ShortAddrs returns the same as "ip:port" for banners, the ones that another
// machine can use first; each will do as an address for Config.Peers.
func (h *Host) ShortAddrs() []string {
	addrs, err := h.swarm.InterfaceListenAddresses()
	if err != nil {
		addrs = h.swarm.ListenAddresses()
	}
	return shortAddrs(addrs)
}

// Advertised returns the address that peers are told, or "" where nobody can dial
// us: the one that the router gave, or else the first one that the node listens on, with
// whatever of it is not specified left for them to see.
func (h *Host) Advertised() string {
	if addr, _ := h.mapped.Load().(string); addr != "" {
		return addr
	}
	for _, addr := range h.swarm.ListenAddresses() {
		if _, err := addr.ValueForProtocol(ma.P_TCP); err == nil {
			return addr.String()
		}
	}
	return ""
}

// noteMapping notes by which address the router lets others dial us, and says so when it is
// another one. Routers choose the port. It may wait for the router, so nobody else asks for
// it.
func (h *Host) noteMapping() {
	mapped := ""
	for _, addr := range h.swarm.ListenAddresses() {
		if _, err := addr.ValueForProtocol(ma.P_TCP); err != nil {
			continue
		}
		if to := h.nat.GetMapping(addr); to != nil {
			mapped = to.String()
			break
		}
	}
	if h.ctx.Err() != nil { // closing ends all mappings
		return
	}
	before, _ := h.mapped.Swap(mapped).(string)
	switch {
	case mapped == before:
	case mapped == "":
		h.log.Warn("the router does not let others dial this node any more", "address", before)
	default:
		h.log.Info("the router lets others dial this node", "address", mapped)
	}
}
