package spec

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

const (
	defaultDegree = 8 // Bitcoin Core's outbound connections, too
	// maxDraws is how often a random graph is drawn until it is regular and connected.
	// Of 50 nodes with degree 2, the worst case, one in six is; nothing else comes close.
	maxDraws = 1000
)

// topologyTable is who keeps a connection to whom.
type topologyTable struct {
	t      *table
	kind   string
	degree int
	file   string
	graph  *graph // what the file says
}

// graph is a topology that somebody else drew.
type graph struct {
	names []string // of the nodes, in order; nil: they have numbers
	nodes int      // the highest number
	edges []Edge
}

func readTopology(t *table) topologyTable {
	p := topologyTable{
		t:      t,
		kind:   t.choice("kind", "", "full", "random", "ring", "line"),
		degree: int(t.whole("degree", defaultDegree, 1, maxNodes-1)),
		file:   t.text("file", "", maxPath),
	}
	switch {
	case p.kind != "" && p.file != "":
		t.wrong("file", p.file, "either file or kind")
	case p.kind == "" && p.file == "":
		p.kind = "full"
	}
	t.only(p.kind == "random", `but with kind = "random"`, "degree")
	t.done()
	return p
}

// load reads the file, if there is one, which also says how many nodes there are.
func (p *topologyTable) load(nodes *nodesTable) {
	if p.file == "" {
		return
	}
	var err error
	if p.graph, err = readGraph(p.t.doc.dir, p.file); err != nil {
		p.t.wrong("file", p.file, "%v", err)
		return
	}
	named := p.graph.names != nil
	switch {
	case p.graph.nodes > maxNodes:
		p.t.wrong("file", p.file, "at most %d nodes, and it has %d", maxNodes, p.graph.nodes)
	case nodes.count == 0:
		nodes.count = p.graph.nodes
	case named && p.graph.nodes != nodes.count || p.graph.nodes > nodes.count:
		p.t.wrong("file", p.file, "a graph of the %d nodes that [nodes] count says, and it has %d", nodes.count, p.graph.nodes)
	}
}

// resolve draws the edges and looks whether they hold all nodes together.
func (p *topologyTable) resolve(s *Spec) {
	n := len(s.Nodes)
	switch {
	case p.graph != nil:
		s.Edges = p.graph.edges
		for i, name := range p.graph.names {
			if validName.MatchString(name) && s.Nodes[i].Name == "node-"+strconv.Itoa(i+1) && !slices.ContainsFunc(s.Nodes, func(o Node) bool { return o.Name == name }) {
				s.Nodes[i].Name = name
			}
		}
	case p.kind == "random":
		edges, err := randomEdges(n, p.degree, s.rand(streamTopology))
		if err != nil {
			p.t.wrong("degree", p.degree, "%v", err)
			return
		}
		s.Edges = edges
	default:
		s.Edges = regularEdges(p.kind, n)
	}
	if apart := partsOf(n, s.Edges); len(apart) > 1 {
		texts := make([]string, len(apart))
		for i, part := range apart {
			texts[i] = "{" + numbered(part) + "}"
		}
		p.t.doc.fail(p.t.line("file"), "[topology] nodes are in %d parts that have no connection: %s: expected one network", len(apart), strings.Join(texts, " "))
	}
}

// numbered lists nodes as people count them.
func numbered(nodes []int) string {
	texts := make([]string, len(nodes))
	for i, n := range nodes {
		texts[i] = strconv.Itoa(n + 1)
	}
	return strings.Join(texts, ", ")
}

// regularEdges is the graphs that need no drawing. As everywhere, the later node dials
// the earlier one, which runs already when they start in order.
func regularEdges(kind string, n int) []Edge {
	var edges []Edge
	for from := 1; from < n; from++ {
		if kind == "full" {
			for to := range from {
				edges = append(edges, Edge{from, to})
			}
			continue
		}
		edges = append(edges, Edge{from, from - 1})
	}
	if kind == "ring" && n > 2 {
		edges = append(edges, Edge{n - 1, 0})
	}
	return edges
}

// randomEdges draws a connected graph in which every node has so many neighbours, and
// one of them one fewer where their product is odd: pairs are drawn among the nodes
// that lack neighbours until none fits, which is close to uniform among all such
// graphs (Steger and Wormald 1999), and all is drawn anew until it fits.
func randomEdges(n, degree int, r *rand.Rand) ([]Edge, error) {
	if degree >= n-1 {
		return regularEdges("full", n), nil
	}
	for tries := 0; degree > 1 && tries < maxDraws; tries++ {
		if edges := drawRegular(n, degree, r); edges != nil && len(partsOf(n, edges)) == 1 {
			return edges, nil
		}
	}
	return nil, fmt.Errorf("a degree with which %d nodes can be connected: at least 2", n)
}

// drawRegular is one try; nil where the nodes that lack neighbours are neighbours
// already.
func drawRegular(n, degree int, r *rand.Rand) []Edge {
	var near [maxNodes][maxNodes]bool
	free := make([]int, 0, n*degree) // each node as often as it lacks neighbours
	for i := range n {
		for range degree {
			free = append(free, i)
		}
	}
	edges := make([]Edge, 0, n*degree/2)
	for len(free) > 1 {
		a, b, ok := drawPair(free, &near, r)
		if !ok {
			break
		}
		from, to := max(free[a], free[b]), min(free[a], free[b])
		near[from][to] = true
		edges = append(edges, Edge{from, to})
		for _, at := range []int{max(a, b), min(a, b)} {
			free[at] = free[len(free)-1]
			free = free[:len(free)-1]
		}
	}
	if len(free) > n*degree%2 {
		return nil
	}
	slices.SortFunc(edges, compareEdges)
	return edges
}

func compareEdges(a, b Edge) int {
	if a.From != b.From {
		return a.From - b.From
	}
	return a.To - b.To
}

func fits(free []int, a, b int, near *[maxNodes][maxNodes]bool) bool {
	return free[a] != free[b] && !near[max(free[a], free[b])][min(free[a], free[b])]
}

// drawPair draws two positions in free that fit, all pairs that do being as likely: by
// chance as long as that has a chance, and then from the list of them.
func drawPair(free []int, near *[maxNodes][maxNodes]bool, r *rand.Rand) (a, b int, ok bool) {
	const tries = 100
	for range tries {
		if a, b := r.IntN(len(free)), r.IntN(len(free)); fits(free, a, b, near) {
			return a, b, true
		}
	}
	pairs := fitting(free, near)
	if len(pairs) == 0 {
		return 0, 0, false
	}
	pair := pairs[r.IntN(len(pairs))]
	return pair[0], pair[1], true
}

// fitting lists all pairs that fit.
func fitting(free []int, near *[maxNodes][maxNodes]bool) [][2]int {
	var pairs [][2]int
	for a := range free {
		for b := range a {
			if fits(free, a, b, near) {
				pairs = append(pairs, [2]int{a, b})
			}
		}
	}
	return pairs
}

// partsOf lists the parts of a graph that are connected in themselves, each sorted.
func partsOf(n int, edges []Edge) [][]int {
	part := make([]int, n) // the lowest node known to be in it
	for i := range part {
		part[i] = i
	}
	for changed := true; changed; {
		changed = false
		for _, e := range edges {
			if low := min(part[e.From], part[e.To]); part[e.From] != low || part[e.To] != low {
				part[e.From], part[e.To] = low, low
				changed = true
			}
		}
	}
	var parts [][]int
	at := make(map[int]int)
	for i, low := range part {
		if i == low {
			at[i] = len(parts)
			parts = append(parts, nil)
		}
		parts[at[low]] = append(parts[at[low]], i)
	}
	return parts
}
