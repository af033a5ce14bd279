package spec

import (
	"math"
	"slices"
	"strconv"
)

const (
	defaultHashrate = 200_000 // hashes a second of all miners together: a small part of one core
	// minHashrate of one miner: throttled hashing goes in steps of a few hashes.
	minHashrate = 1.0
	shareSlack  = 1e-9 // of rounding, in sums of shares
)

// nodesTable is who takes part.
type nodesTable struct {
	t         *table
	count     int // 0: not given
	hashrate  float64
	shares    string    // equal or zipf
	weights   []float64 // in place of shares
	miners    int       // 0: not given
	uplink    int64     // bytes a second; unset: the preset's
	overrides []override
}

// unset is the uplink of a file that says nothing about it; 0 is no limit.
const unset = -1

// override is what a [[nodes.node]] says of one node.
type override struct {
	t        *table
	node     int // from 0
	name     string
	region   string
	share    float64 // of the whole hash rate; NaN: not given
	hashrate float64 // NaN: not given
	uplink   int64
}

func readNodes(t *table) nodesTable {
	n := nodesTable{
		t:        t,
		count:    int(t.whole("count", 0, 1, maxNodes)),
		hashrate: t.quantity("hashrate", defaultHashrate, hashUnits, "100 H/s", "100 GH/s"),
		miners:   int(t.whole("miners", 0, 1, maxNodes)),
		uplink:   t.uplink("uplink"),
	}
	if v, ok := t.values["shares"]; ok {
		if _, isText := v.(string); isText {
			n.shares = t.choice("shares", "equal", "equal", "zipf")
		} else {
			n.weights = t.numbers("shares", maxNodes)
		}
	} else {
		t.take("shares")
	}
	for _, o := range t.tables("node", "[[nodes.node]]", maxNodes) {
		n.overrides = append(n.overrides, readOverride(o))
	}
	t.done()
	return n
}

func readOverride(t *table) override {
	o := override{
		t:        t,
		node:     int(t.whole("node", 0, 1, maxNodes)) - 1,
		name:     t.text("name", "", 63),
		region:   t.text("region", "", 63),
		share:    t.number("share", math.NaN(), 0, 1, "a part of the whole hash rate"),
		hashrate: t.quantity("hashrate", math.NaN(), hashUnits, "0 H/s", "100 GH/s"),
		uplink:   t.uplink("uplink"),
	}
	if !t.has("node") {
		t.missing("node", "which node it is about, from 1")
	}
	if o.name != "" && !validName.MatchString(o.name) {
		t.wrong("name", o.name, nameExpected)
	}
	if t.has("share") && t.has("hashrate") {
		t.wrong("hashrate", t.values["hashrate"], "either share or hashrate")
	}
	t.done()
	return o
}

// uplink is a rate in bytes a second, 0 for "none".
func (t *table) uplink(key string) int64 {
	if v := t.values[key]; v == "none" {
		t.take(key)
		return 0
	}
	return int64(t.quantity(key, unset, byteUnits, "64 kbit/s", "100 Gbit/s"))
}

// resolve makes the nodes, but for their regions and the preset's uplinks, which are
// up to the links. A topology's file may have said before how many they are.
func (n *nodesTable) resolve(s *Spec) {
	if n.count == 0 {
		n.t.missing("count", "how many nodes there are, 1 to %d", maxNodes)
		return
	}
	s.Nodes = make([]Node, n.count)
	for i := range s.Nodes {
		s.Nodes[i].Name = "node-" + strconv.Itoa(i+1)
	}
	seen := make(map[int]bool)
	for _, o := range n.overrides {
		if o.node >= n.count {
			o.t.wrong("node", o.node+1, "1 to %d, as many nodes as there are", n.count)
			return
		}
		if seen[o.node] {
			o.t.wrong("node", o.node+1, "each node once")
			return
		}
		seen[o.node] = true
		if o.name != "" {
			s.Nodes[o.node].Name = o.name
		}
	}
	names := make(map[string]int)
	for i, node := range s.Nodes {
		if other, twice := names[node.Name]; twice {
			n.t.doc.fail(n.t.line("node[0]"), "[[nodes.node]] name %q is that of nodes %d and %d: expected names that differ", node.Name, other+1, i+1)
			return
		}
		names[node.Name] = i
	}
	n.resolveHashrates(s)
}

// resolveHashrates deals the whole hash rate out: first to the nodes whose part is
// given, and what is left to the other miners by their weights.
func (n *nodesTable) resolveHashrates(s *Spec) {
	weights := n.weigh(n.count)
	if weights == nil {
		return
	}
	left := 1.0
	for _, o := range n.overrides {
		part := o.share
		if !math.IsNaN(o.hashrate) {
			part = o.hashrate / n.hashrate
		}
		if math.IsNaN(part) {
			continue
		}
		weights[o.node] = 0
		s.Nodes[o.node].HashesPerS = part * n.hashrate
		if left -= part; left < -shareSlack {
			o.t.wrong(given(o.t, "share", "hashrate"), plain(part), "that the parts of all [[nodes.node]] add up to at most 1, the whole hash rate of %s H/s", plain(n.hashrate))
			return
		}
	}
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	if sum == 0 && left > shareSlack {
		n.t.doc.fail(n.t.line("shares"), "[nodes] shares add up to %.6g: expected the whole hash rate to be somebody's; give the rest to other miners", 1-left)
		return
	}
	for i, w := range weights {
		if w > 0 {
			s.Nodes[i].HashesPerS = max(0, left) * n.hashrate * w / sum
		}
		if h := s.Nodes[i].HashesPerS; h > 0 && h < minHashrate {
			n.t.doc.fail(n.t.line("hashrate"), "[nodes] node %d would do %.3g hashes a second: expected at least %g of each miner; raise hashrate, or let fewer mine", i+1, h, minHashrate)
			return
		}
	}
	if !slices.ContainsFunc(s.Nodes, func(n Node) bool { return n.HashesPerS > 0 }) {
		n.t.doc.fail(n.t.line("shares"), "[nodes] nobody mines: expected at least one miner")
	}
}

func given(t *table, keys ...string) string {
	for _, key := range keys {
		if t.has(key) {
			return key
		}
	}
	return keys[0]
}

// weigh returns the nodes' parts of the hash rate, relative to each other; nil after
// an error.
func (n *nodesTable) weigh(count int) []float64 {
	miners := n.miners
	if miners == 0 {
		miners = count
		if n.weights != nil {
			miners = len(n.weights)
		}
	}
	if miners > count {
		n.t.wrong(given(n.t, "miners", "shares"), miners, "at most %d miners, as many nodes as there are", count)
		return nil
	}
	if n.weights != nil && len(n.weights) != miners {
		n.t.wrong("shares", n.weights, "%d numbers, one for each of the miners", miners)
		return nil
	}
	weights := make([]float64, count)
	for i := range miners {
		switch {
		case n.weights != nil:
			weights[i] = n.weights[i]
		case n.shares == "zipf":
			weights[i] = 1 / float64(i+1)
		default:
			weights[i] = 1
		}
	}
	return weights
}
