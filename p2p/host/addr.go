package host

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// maxAddrLen bounds an address in bytes: a DNS name has at most 253.
const maxAddrLen = 512

// parseAddr reads "host:port", where host is an IP address or a name and may
// be missing, or a multiaddress. listen says that a missing host is every
// address of this machine instead of an error.
func parseAddr(text string, listen bool) (ma.Multiaddr, error) {
	if len(text) > maxAddrLen {
		return nil, fmt.Errorf("address of %d bytes, expected at most %d", len(text), maxAddrLen)
	}
	if strings.ContainsFunc(text, unicode.IsControl) { // libraries would say them as they are
		return nil, fmt.Errorf("address %q: it has characters that cannot be seen", text)
	}
	if strings.HasPrefix(text, "/") {
		addr, err := ma.NewMultiaddr(text)
		if err != nil {
			return nil, fmt.Errorf("address %q: %w", text, err)
		}
		return addr, nil
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return nil, fmt.Errorf("address %q: expected host:port or /ip4/…/tcp/…/p2p/ID: %w", text, err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 && !listen {
		return nil, fmt.Errorf("address %q: %q is no port", text, port)
	}
	if host == "" {
		if !listen {
			return nil, fmt.Errorf("address %q: the host is missing", text)
		}
		host = "0.0.0.0"
	}
	kind := "dns"
	if ip, err := netip.ParseAddr(host); err == nil {
		kind, host = "ip6", ip.Unmap().String()
		if ip.Unmap().Is4() {
			kind = "ip4"
		}
	}
	addr, err := ma.NewMultiaddr(fmt.Sprintf("/%s/%s/tcp/%d", kind, host, number))
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", text, err)
	}
	return addr, nil
}

// parsePeer reads the address of a peer. The id is empty where the address
// does not state one.
func parsePeer(text string) (peer.AddrInfo, error) {
	addr, err := parseAddr(text, false)
	if err != nil {
		return peer.AddrInfo{}, err
	}
	transport, id := peer.SplitAddr(addr)
	if len(transport) == 0 {
		return peer.AddrInfo{}, fmt.Errorf("address %q says who, but not where", text)
	}
	if id != "" && !isEd25519(id) {
		return peer.AddrInfo{}, fmt.Errorf("address %q: peer ids are Ed25519 keys, this one is not", text)
	}
	return peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{transport}}, nil
}

// CheckPeer reports what is wrong with the text of a peer's address, without
// asking the network.
func CheckPeer(text string) error {
	_, err := parsePeer(text)
	return err
}

// quicAddr returns the QUIC address on the same IP and the given UDP port as a
// TCP address.
func quicAddr(tcp ma.Multiaddr, port int) (ma.Multiaddr, error) {
	ip, err := manet.ToIP(tcp)
	if err != nil {
		return nil, fmt.Errorf("address %s: %w", tcp, err)
	}
	kind := "ip6"
	if ip.To4() != nil {
		kind = "ip4"
	}
	return ma.NewMultiaddr(fmt.Sprintf("/%s/%s/udp/%d/quic-v1", kind, ip, port))
}

// tcpPort returns the port of a TCP multiaddress.
func tcpPort(addr ma.Multiaddr) (int, error) {
	text, err := addr.ValueForProtocol(ma.P_TCP)
	if err != nil {
		return 0, errors.New("expected a TCP address")
	}
	return strconv.Atoi(text)
}

// shortAddrs turns TCP multiaddresses into "ip:port", the ones that another
// machine can use first: other addresses before loopback, IPv4 before IPv6.
func shortAddrs(addrs []ma.Multiaddr) []string {
	var out []netip.AddrPort
	for _, addr := range addrs {
		if _, err := addr.ValueForProtocol(ma.P_TCP); err != nil {
			continue
		}
		netAddr, err := manet.ToNetAddr(addr)
		if err != nil {
			continue
		}
		ip, err := netip.ParseAddrPort(netAddr.String())
		if err != nil || ip.Addr().IsLinkLocalUnicast() {
			continue
		}
		out = append(out, ip)
	}
	rank := func(a netip.AddrPort) int {
		switch {
		case a.Addr().IsLoopback():
			return 2
		case a.Addr().Is6():
			return 1
		}
		return 0
	}
	slices.SortFunc(out, func(a, b netip.AddrPort) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), a.Compare(b))
	})
	texts := make([]string, 0, len(out))
	for _, a := range slices.Compact(out) {
		texts = append(texts, a.String())
	}
	return texts
}
