package peers

import (
	"math/rand/v2"
	"net/netip"
	"slices"
)

// table holds addresses in groups, in a fair way: with g groups that want room, a
// group that asks for at most max/g and at most perGroup places keeps all that it
// has. Who adds beyond his group's cap pushes out one of his own. Who adds to a
// full table pushes out one of the largest group, unless his own is as large: then
// one of his own. Inside a group chance decides, so that nobody can aim.
type table struct {
	max, perGroup int // addresses
	size          int
	groups        map[netip.Prefix][]netip.AddrPort // none is empty
	order         []netip.Prefix                    // the keys of groups, so that chance is repeatable
}

func newTable(max, perGroup int) table {
	return table{max: max, perGroup: perGroup, groups: make(map[netip.Prefix][]netip.AddrPort)}
}

// victim is what was pushed out.
type victim struct {
	group netip.Prefix
	addr  netip.AddrPort
}

// add files an address that the group does not have, and returns what it pushed
// out; nil where there was room.
func (t *table) add(rng *rand.Rand, group netip.Prefix, addr netip.AddrPort) *victim {
	own := len(t.groups[group])
	var out *victim
	switch {
	case own >= t.perGroup:
		out = t.pick(rng, group)
	case t.size >= t.max:
		from := group
		if largest := t.largest(rng); len(t.groups[largest]) > own {
			from = largest
		}
		out = t.pick(rng, from)
	}
	if out != nil {
		t.remove(out.group, out.addr)
	}
	if len(t.groups[group]) == 0 {
		t.order = append(t.order, group)
	}
	t.groups[group] = append(t.groups[group], addr)
	t.size++
	return out
}

func (t *table) pick(rng *rand.Rand, group netip.Prefix) *victim {
	addrs := t.groups[group]
	return &victim{group, addrs[rng.IntN(len(addrs))]}
}

// largest returns one of the largest groups of a table that is not empty; chance
// decides among equals.
func (t *table) largest(rng *rand.Rand) netip.Prefix {
	first := rng.IntN(len(t.order))
	best := t.order[first]
	for i := range t.order {
		if group := t.order[(first+i)%len(t.order)]; len(t.groups[group]) > len(t.groups[best]) {
			best = group
		}
	}
	return best
}

func (t *table) remove(group netip.Prefix, addr netip.AddrPort) {
	addrs := t.groups[group]
	i := slices.Index(addrs, addr)
	if i < 0 {
		return
	}
	t.size--
	if len(addrs) > 1 {
		t.groups[group] = slices.Delete(addrs, i, i+1)
		return
	}
	delete(t.groups, group)
	t.order = slices.DeleteFunc(t.order, func(g netip.Prefix) bool { return g == group })
}

// choose returns an address that is wanted: of the groups that have one, each is
// as likely as the other, and so are the wanted ones of a group.
func (t *table) choose(rng *rand.Rand, wanted func(netip.AddrPort) bool) (netip.AddrPort, bool) {
	for _, i := range rng.Perm(len(t.order)) {
		addrs := t.groups[t.order[i]]
		for _, j := range rng.Perm(len(addrs)) {
			if wanted(addrs[j]) {
				return addrs[j], true
			}
		}
	}
	return netip.AddrPort{}, false
}
