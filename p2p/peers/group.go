package peers

import (
	"net/netip"
	"slices"
)

// Bits of an address that make its net group.
const (
	groupBitsV4 = 16
	groupBitsV6 = 32
)

// GroupOf returns the net group of an address, the zero prefix for no address.
func GroupOf(ip netip.Addr) netip.Prefix {
	ip = ip.Unmap()
	bits := groupBitsV6
	if ip.Is4() {
		bits = groupBitsV4
	}
	group, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return group
}

// Private are the loopback, link-local, private (RFC 1918, RFC 4193) and shared
// (RFC 6598) ranges: a testnet lives in them, so limits on net groups do not
// apply there.
func Private() []netip.Prefix { return slices.Clone(private) }

var private = parse(
	"127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10",
	"::1/128", "fc00::/7", "fe80::/10",
)

// reserved are ranges that no machine on the Internet has: this network,
// documentation, benchmarks, later use.
var reserved = parse(
	"0.0.0.0/8", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"::/128", "100::/64", "2001:db8::/32",
)

func parse(texts ...string) []netip.Prefix {
	ranges := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		ranges[i] = netip.MustParsePrefix(text)
	}
	return ranges
}

// Public reports whether an address is publicly routable.
func Public(ip netip.Addr) bool {
	ip = ip.Unmap()
	holds := func(p netip.Prefix) bool { return p.Contains(ip) }
	return ip.IsValid() && !ip.IsMulticast() && ip.Zone() == "" &&
		!slices.ContainsFunc(private, holds) && !slices.ContainsFunc(reserved, holds)
}
