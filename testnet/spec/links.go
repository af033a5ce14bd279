package spec

import (
	"math"
	"slices"
	"strings"
	"time"
)

// Limits of links: those of host.Link, beyond which handshakes run into their deadlines.
const (
	maxDelay = 5 * time.Second // with jitter
	maxLoss  = 0.5
)

// Preset lan is a switched network in one room: J. Dean's "numbers everyone should
// know" (Designs, lessons and advice from building large distributed systems, LADIS
// 2009) have half a millisecond for a round trip within a data centre and gigabit
// Ethernet for the uplink.
const (
	lanDelay  = 250 * time.Microsecond
	lanUplink = 1_000_000_000 / 8 // bytes a second
)

// linksTable is what lies between the nodes.
type linksTable struct {
	t       *table
	preset  string // "": a matrix
	latency time.Duration
	matrix  string
	jitter  time.Duration // negative: the preset's
	loss    float64
	weights map[string]float64 // of regions
	places  []string           // the region of each node
}

func readLinks(t *table) linksTable {
	l := linksTable{
		t:       t,
		preset:  t.choice("preset", "", "lan", "simblock-2019", "constant"),
		latency: t.duration("latency", 0, 0, maxDelay),
		matrix:  t.text("matrix", "", maxPath),
		jitter:  t.duration("jitter", -1, 0, maxDelay),
		loss:    t.number("loss", 0, 0, maxLoss, "a share of segments"),
	}
	switch {
	case l.preset != "" && l.matrix != "":
		t.wrong("matrix", l.matrix, "either matrix or preset")
	case l.preset == "" && l.matrix == "" && !t.has("preset"):
		l.preset = "lan"
	}
	if l.preset == "constant" && !t.has("latency") {
		t.missing("latency", `the one-way delay, such as "50ms"`)
	}
	t.only(l.preset == "constant", `but with preset = "constant"`, "latency")
	t.only(l.preset == "simblock-2019", `but with preset = "simblock-2019"`, "regions")
	l.readRegions()
	t.done()
	return l
}

// readRegions reads a table of weights, or a list of one region for each node.
func (l *linksTable) readRegions() {
	v, ok := l.t.take("regions")
	if !ok {
		return
	}
	expected := `weights such as { EUROPE = 2, JAPAN = 1 }, or a list of one region for each node; there are ` + strings.Join(regionNames(), ", ")
	switch v := v.(type) {
	case map[string]any:
		l.weights = make(map[string]float64)
		sum := 0.0
		for name, weight := range v {
			w, ok := asNumber(weight)
			if !ok || !(w >= 0 && w <= maxNumber) || !slices.Contains(regionNames(), name) {
				l.t.doc.fail(l.t.line("regions."+name), "[links] regions %s = %s: expected %s", name, shown(weight), expected)
				return
			}
			l.weights[name] = w
			sum += w
		}
		if sum == 0 {
			l.t.wrong("regions", v, "weights of which one is above 0")
		}
	case []any:
		for _, name := range v {
			s, _ := name.(string)
			if !slices.Contains(regionNames(), s) {
				l.t.wrong("regions", name, "%s", expected)
				return
			}
			l.places = append(l.places, s)
		}
	default:
		l.t.wrong("regions", v, "%s", expected)
	}
}

func regionNames() []string {
	names := make([]string, len(simblockRegions))
	for i, r := range simblockRegions {
		names[i] = r.name
	}
	return names
}

// resolve places the nodes in regions, gives them uplinks, and the pairs links.
func (l *linksTable) resolve(s *Spec, nodes *nodesTable) {
	at := l.place(s, nodes)
	if len(l.t.doc.errors) > 0 {
		return
	}
	for i := range s.Nodes {
		s.Nodes[i].Uplink = l.uplinkOf(s.Nodes[i].Region)
		if nodes.uplink != unset {
			s.Nodes[i].Uplink = nodes.uplink
		}
	}
	for _, o := range nodes.overrides {
		if o.uplink != unset {
			s.Nodes[o.node].Uplink = o.uplink
		}
	}
	means, ok := l.means(at)
	if !ok {
		return
	}
	jitter := max(0, l.jitter)
	centred := l.preset == "simblock-2019" // the figure is the mean, not the least
	if centred && l.jitter < 0 {
		jitter = simblockSpread
	}
	s.Links = make([][]Link, len(s.Nodes))
	for from := range s.Links {
		s.Links[from] = make([]Link, len(s.Nodes))
		for to, mean := range means[from] {
			if from == to {
				continue
			}
			delay := mean
			if centred {
				delay -= jitter / 2
			}
			if delay < 0 || delay+jitter > maxDelay {
				l.t.wrong("jitter", short(jitter), "delays of 0 to %s with it, and from node %d to node %d it would be %s to %s", short(maxDelay), from+1, to+1, short(delay), short(delay+jitter))
				return
			}
			s.Links[from][to] = Link{Delay: delay, Jitter: jitter, Loss: l.loss}
		}
	}
}

// uplinkOf is the uplink of a preset, in bytes a second.
func (l *linksTable) uplinkOf(name string) int64 {
	if l.preset == "lan" {
		return lanUplink
	}
	for _, r := range simblockRegions {
		if r.name == name {
			return r.uploadBps / 8
		}
	}
	return 0
}

// means is the one-way delays between all nodes.
func (l *linksTable) means(regions []int) ([][]time.Duration, bool) {
	n := len(regions)
	var file [][]float64
	if l.matrix != "" {
		text, err := readBeside(l.t.doc.dir, l.matrix)
		if err == nil {
			file, err = parseMatrix(text, n)
		}
		if err != nil {
			l.t.wrong("matrix", l.matrix, "%v", err)
			return nil, false
		}
	}
	means := make([][]time.Duration, n)
	for from := range means {
		means[from] = make([]time.Duration, n)
		for to := range means[from] {
			switch {
			case file != nil:
				means[from][to] = milliseconds(file[from][to])
			case l.preset == "simblock-2019":
				means[from][to] = milliseconds(simblockRegions[regions[from]].latencyMS[regions[to]])
			case l.preset == "constant":
				means[from][to] = l.latency
			default:
				means[from][to] = lanDelay
			}
		}
	}
	return means, true
}

func milliseconds(ms float64) time.Duration {
	return time.Duration(math.Round(ms * float64(time.Millisecond)))
}

// place puts each node into a region: as many into each as its share says, which ones
// drawn by the seed, but for those that the file places.
func (l *linksTable) place(s *Spec, nodes *nodesTable) []int {
	n := len(s.Nodes)
	at := make([]int, n)
	if l.preset != "simblock-2019" {
		for _, o := range nodes.overrides {
			if o.region != "" {
				o.t.wrong("region", o.region, `[links] preset = "simblock-2019", which alone has regions`)
			}
		}
		return at
	}
	if l.places != nil && len(l.places) != n {
		l.t.wrong("regions", l.places, "%d regions, one for each node, and these are %d", n, len(l.places))
		return nil
	}
	names := regionNames()
	fixed := make([]bool, n)
	for i, name := range l.places {
		at[i], fixed[i] = slices.Index(names, name), true
	}
	for _, o := range nodes.overrides {
		if o.region == "" {
			continue
		}
		if at[o.node], fixed[o.node] = slices.Index(names, o.region), true; at[o.node] < 0 {
			o.t.wrong("region", o.region, "one of %s", strings.Join(names, ", "))
			return nil
		}
	}
	var free []int
	for i := range n {
		if !fixed[i] {
			free = append(free, i)
		}
	}
	dealt := l.deal(len(free))
	s.rand(streamRegions).Shuffle(len(free), func(i, j int) { free[i], free[j] = free[j], free[i] })
	for i, node := range free {
		at[node] = dealt[i]
	}
	for i := range n {
		s.Nodes[i].Region = names[at[i]]
	}
	return at
}

// deal lists the regions of n nodes by the method of largest remainders.
func (l *linksTable) deal(n int) []int {
	type seat struct {
		region int
		rest   float64
	}
	sum := 0.0
	weight := func(i int) float64 {
		if l.weights != nil {
			return l.weights[simblockRegions[i].name]
		}
		return simblockRegions[i].share
	}
	for i := range simblockRegions {
		sum += weight(i)
	}
	var dealt []int
	var rests []seat
	for i := range simblockRegions {
		exact := float64(n) * weight(i) / sum
		whole := math.Floor(exact)
		for range int(whole) {
			dealt = append(dealt, i)
		}
		if exact > whole {
			rests = append(rests, seat{i, exact - whole})
		}
	}
	slices.SortStableFunc(rests, func(a, b seat) int {
		if a.rest > b.rest {
			return -1
		}
		return 1
	})
	for i := 0; len(dealt) < n; i++ {
		dealt = append(dealt, rests[i%len(rests)].region)
	}
	return dealt
}
