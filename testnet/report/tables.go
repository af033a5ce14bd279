package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/report/chart"
	"github.com/kapok-chain/kapok/testnet/stats"
)

// network is the nodes and the links.
func (v *view) network() section {
	s := section{ID: "network", Title: "Nodes and links"}
	s.Tables = append(s.Tables, v.nodeTable())
	if t, ok := v.linkTable(); ok {
		s.Tables = append(s.Tables, t)
	}
	return s
}

func (v *view) nodeTable() table {
	m := &v.run.Manifest
	total := 0.0
	for _, n := range m.Nodes {
		total += n.HashesPerS
	}
	active, beside := make([]int, len(m.Nodes)+1), make([]int, len(m.Nodes)+1)
	for _, b := range v.run.Blocks {
		if b.Status == record.Active {
			active[b.Miner]++
		} else {
			beside[b.Miner]++
		}
	}
	ends := make(map[int]record.NodeEnd)
	if m.End != nil {
		for _, e := range m.End.Nodes {
			ends[e.Node] = e
		}
	}
	t := table{Title: "Nodes", Words: 3, Head: []string{"node", "region", "role", "hash rate", "share", "uplink", "dials", "blocks", "stale", "median arrival", "height at the end"},
		Caption: "Blocks and stale ones that the node found in the whole run; withheld ones count as stale here."}
	for i, n := range m.Nodes {
		row := []string{strings.TrimSpace(fmt.Sprintf("%d %s", n.Node, n.Name)), n.Region, string(n.Role), "–", "–", "no limit", joinInts(n.Dials), whole(active[i+1]), whole(beside[i+1]), "–", "–"}
		if n.HashesPerS > 0 {
			row[3], row[4] = chart.Quantity(n.HashesPerS, "H/s"), percent(n.HashesPerS/total)
		}
		if n.UplinkBps > 0 {
			row[5] = chart.Quantity(n.UplinkBps, "B/s")
		}
		if p := v.s.Propagation; p != nil && i < len(p.ByNode) && p.ByNode[i] > 0 {
			row[9] = seconds(p.ByNode[i])
		}
		if e, ok := ends[n.Node]; ok {
			row[10] = whole(int(e.Height))
		} else if m.End != nil {
			row[10] = "down"
		}
		t.Rows = append(t.Rows, row)
	}
	t.dropEmpty("region", "role")
	if active[0]+beside[0] > 0 {
		t.Caption += fmt.Sprintf(" Of %s the miner is not known.", count(active[0]+beside[0], "block"))
	}
	return t
}

// dropEmpty takes out columns of words that say nothing.
func (t *table) dropEmpty(names ...string) {
	for _, name := range names {
		i := slices.Index(t.Head, name)
		if i < 0 || slices.ContainsFunc(t.Rows, func(row []string) bool { return row[i] != "" }) {
			continue
		}
		t.Head = slices.Delete(t.Head, i, i+1)
		for k := range t.Rows {
			t.Rows[k] = slices.Delete(t.Rows[k], i, i+1)
		}
		t.Words--
	}
}

func joinInts(list []int) string {
	const most = 12
	var parts []string
	for i, n := range list {
		if i == most {
			parts = append(parts, "…")
			break
		}
		parts = append(parts, fmt.Sprint(n))
	}
	return strings.Join(parts, ", ")
}

// mostLinks is how many nodes a table of all their links may have.
const mostLinks = 12

// linkTable is the delays of all links, or where that would be too much their medians
// between regions.
func (v *view) linkTable() (table, bool) {
	m := &v.run.Manifest
	group := func(n *record.Node) string { return fmt.Sprint(n.Node) }
	t := table{Title: "One-way delays of the links, ms", Words: 1, Caption: "From the row to the column, as configured; jitter and the time that bytes take come on top."}
	if len(m.Nodes) > mostLinks {
		t.Caption = "Medians from the row to the column, as configured; jitter and the time that bytes take come on top."
		group = func(n *record.Node) string { return cmp.Or(n.Region, "all nodes") }
	}
	var names []string
	for i := range m.Nodes {
		if g := group(&m.Nodes[i]); !slices.Contains(names, g) {
			names = append(names, g)
		}
	}
	if len(m.LinkDelaysMS) == 0 || len(names) > mostLinks {
		return t, false
	}
	delays := make(map[[2]string][]float64)
	for i, row := range m.LinkDelaysMS {
		for j, ms := range row {
			if i != j && ms > 0 {
				key := [2]string{group(&m.Nodes[i]), group(&m.Nodes[j])}
				delays[key] = append(delays[key], ms)
			}
		}
	}
	if len(delays) == 0 {
		return t, false
	}
	t.Head = append([]string{"from"}, names...)
	for _, from := range names {
		row := []string{from}
		for _, to := range names {
			cell := "–"
			if list := delays[[2]string{from, to}]; len(list) > 0 {
				slices.Sort(list)
				cell = chart.Number(stats.Quantile(list, 0.5))
			}
			row = append(row, cell)
		}
		t.Rows = append(t.Rows, row)
	}
	return t, true
}

// mostEvents is how many events the page lists.
const mostEvents = 200

// events is what happened to the network.
func (v *view) events() section {
	s := section{ID: "events", Title: "What happened"}
	if len(v.run.Events) == 0 {
		return s
	}
	t := table{Words: 3, Head: []string{"time", "kind", "what"}}
	for _, e := range v.run.Events[:min(len(v.run.Events), mostEvents)] {
		t.Rows = append(t.Rows, []string{chart.Decimal(e.TimeS, 1) + " s", e.Kind, e.Text})
	}
	if more := len(v.run.Events) - mostEvents; more > 0 {
		t.Caption = fmt.Sprintf("And %s more, in %s.", whole(more), record.EventsFile)
	}
	s.Tables = []table{t}
	return s
}

// files says where the data are, and how figures came about.
func (v *view) files() section {
	m := &v.run.Manifest
	t := table{Title: "Files beside this page", Words: 2, Head: []string{"file", "what"}}
	for _, f := range [][2]string{
		{record.ManifestFile, "what ran: version, seed, machine, network, nodes, links"},
		{record.SpecFile, "the file that was run, byte for byte; the same seed gives the same topology, schedule and faults, not the same blocks"},
		{record.BlocksFile, fmt.Sprintf("%s, each with its arrival at every node", count(len(v.run.Blocks), "block"))},
		{record.PaymentsFile, fmt.Sprintf("%s, from when it was due to its sixth confirmation", count(len(v.run.Payments), "payment"))},
		{record.SamplesFile, fmt.Sprintf("%s of nodes: mempool, hashes, peers, tip", count(len(v.run.Samples), "sample"))},
		{record.EventsFile, count(len(v.run.Events), "event")},
		{record.SummaryFile, "the figures of this page"},
	} {
		t.Rows = append(t.Rows, []string{f[0], f[1]})
	}
	intro := fmt.Sprintf("Mining is real: each block's hash meets its target, and the miners' rates are throttled to their shares. All nodes ran on one machine (%s).", machine(&m.Machine))
	if !math.IsNaN(v.s.StartedInS) && v.s.StartedInS > 0 {
		intro += fmt.Sprintf(" They were ready after %s.", seconds(v.s.StartedInS))
	}
	if v.s.PeakRSSBytes > 0 {
		intro += fmt.Sprintf(" All processes together took %s of memory at most.", chart.Quantity(v.s.PeakRSSBytes, "B"))
	}
	return section{ID: "method", Title: "Method and files", Intro: intro, Tables: []table{t}}
}
