package report

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/report/chart"
	"github.com/kapok-chain/kapok/testnet/stats"
)

var (
	//go:embed page.html
	pageText string
	//go:embed style.css
	styleText string

	pageTemplate = template.Must(template.New("page").Parse(pageText))
)

// page is what the template shows.
type page struct {
	Style       template.CSS
	Kind        string // of page
	Unit        string // that it is about
	Name        string
	Description string
	Warnings    []string // on top: what is not as it should be
	Facts       []fact
	Tiles       []tile
	Missing     []string
	Sections    []section
}

// fact is a thing that is known of the run.
type fact struct{ Label, Value string }

// tile is a figure in large letters.
type tile struct{ Label, Value, Detail string }

// section is a part of the page.
type section struct {
	ID, Title string
	Intro     string
	Figures   []figure
	Tables    []table
}

// figure is a plot with its caption.
type figure struct {
	Title   string
	Picture template.HTML
	Caption string
	Wide    bool
}

// table is a table; the first cell of a row is its head.
type table struct {
	Title   string
	Caption string
	Head    []string
	Rows    [][]string
	Words   int // so many columns from the left are words, the others numbers
}

// HTML writes a run as one page that needs no network and no scripts. What is not known
// is not drawn, and the page says so. The summary is Summarize's, or one that was read.
func HTML(w io.Writer, run *record.Run, s *record.Summary) error {
	if s == nil {
		return errors.New("report: a run without a summary, which Summarize makes")
	}
	v := view{run: run, s: s, window: measured(run), disturbed: disturbances(run)}
	v.end = max(lastMoment(run), v.window.to)
	v.unit, v.unitName = chart.TimeUnit(v.end)
	v.buckets = min(max(looks(run)/2, 1), mostBuckets) // two looks each, so that none is empty
	p := page{
		Style: template.CSS(styleText + chart.Style), Kind: "Kapok testnet", Unit: "run", Name: run.Manifest.Name, Description: run.Manifest.Description,
		Warnings: v.warnings(), Facts: v.facts(), Tiles: v.tiles(), Missing: s.Missing,
	}
	for _, section := range []section{v.delays(), v.propagation(), v.blocks(), v.attacks(), v.overTime(), v.paymentsAndEnergy(), v.network(), v.events(), v.files()} {
		if len(section.Figures)+len(section.Tables) > 0 {
			p.Sections = append(p.Sections, section)
		}
	}
	return p.write(w)
}

// write writes the page, or where it cannot be made nothing of it.
func (p *page) write(w io.Writer) error {
	var text bytes.Buffer
	if err := pageTemplate.Execute(&text, p); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	_, err := w.Write(text.Bytes())
	return err
}

// view is a run while its page is made.
type view struct {
	run       *record.Run
	s         *record.Summary
	window    span
	disturbed []disturbance
	end       float64 // seconds since the start
	unit      float64 // seconds of the unit of time axes
	unitName  string
	buckets   int // that time axes are cut into
}

// warnings stand on top of the page.
func (v *view) warnings() (list []string) {
	m := &v.run.Manifest
	reason := ""
	if m.Reason != "" {
		reason = ": " + m.Reason
	}
	switch m.Status {
	case record.Running:
		list = append(list, "This run is incomplete: it goes on, or its process was killed. Figures are of what there is.")
	case record.Interrupted:
		list = append(list, "This run is incomplete: it was interrupted"+reason+". Figures are of what there is.")
	case record.Failed:
		list = append(list, "This run is incomplete: it failed"+reason+". Figures are of what there is.")
	}
	list = append(list, v.run.Notes...)
	if v.s.Tips > 1 {
		list = append(list, fmt.Sprintf("The nodes did not agree at the end: they were at %d different tips.", v.s.Tips))
	}
	if v.s.CoinSums > 1 {
		list = append(list, fmt.Sprintf("The nodes did not agree at the end: they had %d different coin sums.", v.s.CoinSums))
	}
	lost := 0
	for _, p := range v.run.Payments {
		if p.Status == record.Lost {
			lost++
		}
	}
	if lost > 0 {
		list = append(list, fmt.Sprintf("Lost: %s accepted, and in no block and no mempool at the end.", count(lost, "payment")))
	}
	if v.s.LagShare > mostLag {
		list = append(list, fmt.Sprintf("The machine did not keep up: of the hashes that were due to the worst miner, %s were not done. Figures are of a slower network than the file's.", percent(v.s.LagShare)))
	}
	if late, link := v.late(), medianLink(m); late != nil && link > 0 && late.P99S > link {
		list = append(list, fmt.Sprintf("The machine was late: what was due to it came up to %s late in 99 %% of cases, and a link delays by %s. Delays of messages are as much the machine's as the network's.", seconds(late.P99S), seconds(link)))
	}
	return list
}

// late is how late the machine was with what was due at a given moment: payments, or where
// nobody pays looks at the nodes; nil where that is not known.
func (v *view) late() *record.Lateness {
	switch end := v.run.Manifest.End; {
	case end == nil:
		return nil
	case end.LoadLate != nil:
		return end.LoadLate
	default:
		return end.LookLate
	}
}

// medianLink is the median delay of the links between nodes that are connected, in seconds;
// 0 where there is none.
func medianLink(m *record.Manifest) float64 {
	var delays []float64
	for from, row := range m.LinkDelaysMS {
		for _, to := range m.Nodes[from].Dials {
			if to > 0 && to != from+1 {
				delays = append(delays, row[to-1]/1000)
			}
		}
	}
	slices.Sort(delays)
	return orZero(stats.Quantile(delays, 0.5))
}

// mostLag is the share of the hashes due that a miner may not have done before the run
// counts as too much for its machine.
const mostLag = 0.05

func (v *view) facts() []fact {
	m := &v.run.Manifest
	n := &m.Network
	facts := []fact{
		{"Run", fmt.Sprintf("%s, %s", m.StartedAt.UTC().Format("2 January 2006 15:04:05 UTC"), m.Status)},
		{"Network", fmt.Sprintf("%s: %s, %s difficulty, a block every %s", n.Name, count(len(m.Nodes), "node"), n.Difficulty, seconds(n.SpacingS))},
		{"Measured", fmt.Sprintf("%s, from %s to %s after the start", seconds(v.window.length()), seconds(v.window.from), seconds(v.window.to))},
		{"Load", "none"},
		{"Machine", machine(&m.Machine)},
		{"Made by", fmt.Sprintf("Kapok %s, seed %d, file SHA-256 %s", m.KapokVersion, m.Seed, chart.Cut(m.FileSHA256, 17))},
	}
	if m.Load.RatePerS > 0 {
		facts[3].Value = fmt.Sprintf("%s payments a second, %s", chart.Number(m.Load.RatePerS), m.Load.Arrivals)
		if m.Load.Fees != "" {
			facts[3].Value += "; fee rates " + m.Load.Fees
		}
	}
	if late := v.late(); late != nil {
		facts[4].Value += fmt.Sprintf("; late by %s with what was due (median), by up to %s in 99 %% of cases", seconds(late.P50S), seconds(late.P99S))
	}
	alone := 0
	for _, node := range m.Nodes {
		if node.Process {
			alone++
		}
	}
	switch {
	case alone == 1 && len(m.Nodes) > 1:
		facts[1].Value += "; 1 of them in a process of its own"
	case alone > 0 && alone < len(m.Nodes): // attackers have none, and those that are killed need one
		facts[1].Value += fmt.Sprintf("; %d of them in processes of their own", alone)
	case alone > 0:
		facts[1].Value += "; each node in a process of its own"
	}
	return facts
}

func machine(m *record.Machine) string {
	var parts []string
	for _, s := range []string{m.CPU, count(m.Cores, "core"), strings.TrimSuffix(m.OS+"/"+m.Arch, "/"), m.Go} {
		if s != "" && s != "0 cores" {
			parts = append(parts, s)
		}
	}
	if m.Kernel != "" {
		parts = append(parts, "hash kernel "+m.Kernel)
	}
	return strings.Join(parts, ", ")
}

func (v *view) tiles() (tiles []tile) {
	s := v.s
	for _, d := range s.Delays {
		if d.Stage == "confirmed_1" {
			detail := interval(d.P50S, seconds)
			if !math.IsNaN(d.P50.Value) {
				detail += fmt.Sprintf("; %s block intervals", chart.Number(d.P50.Value))
			}
			tiles = append(tiles, tile{"Median until 1 confirmation on all nodes", seconds(d.P50S.Value), detail})
		}
	}
	if p := s.Payments; len(v.run.Payments) > 0 {
		total := 0
		for _, n := range p {
			total += n
		}
		tiles = append(tiles, tile{"Payments confirmed", fmt.Sprintf("%s of %s", whole(p[record.Confirmed]), whole(total)), fmt.Sprintf("%s lost", whole(p[record.Lost]))})
	}
	if r := s.StaleRate; r != nil {
		tiles = append(tiles, staleTile(r))
	}
	if p := s.Spacing; p != nil {
		detail := "target " + seconds(p.TargetS)
		if !math.IsNaN(p.MeanS.Low) { // else the difficulty moved
			detail = interval(p.MeanS, seconds) + "; " + detail
		}
		tiles = append(tiles, tile{"Time between blocks", seconds(p.MeanS.Value), detail})
	}
	if p := s.Propagation; p != nil {
		tiles = append(tiles, tile{"A block reaches half of the nodes within", seconds(p.P50S), fmt.Sprintf("the last node: median %s, 95th percentile %s", seconds(p.LastP50S), seconds(p.LastP95S))})
	}
	if e := s.Energy; e.Joules > 0 {
		kind := "modelled"
		if e.Measured {
			kind = "measured"
		}
		t := tile{"Energy per payment", joules(e.JoulesPerPayment), fmt.Sprintf("%s per block; %s", joules(e.JoulesPerBlock), kind)}
		if math.IsNaN(float64(e.JoulesPerPayment)) {
			t = tile{"Energy per block", joules(e.JoulesPerBlock), kind}
		}
		tiles = append(tiles, t)
	}
	if s.NodesAtEnd > 0 {
		value := "all nodes agree"
		if s.Tips != 1 || s.CoinSums != 1 {
			value = "no agreement"
		}
		tiles = append(tiles, tile{"At the end", value, fmt.Sprintf("%d of %d nodes ran, with %s and %s", s.NodesAtEnd, s.Nodes, count(s.Tips, "tip"), count(s.CoinSums, "coin sum"))})
	}
	if s.HashesPerS > 0 {
		tiles = append(tiles, tile{"Hash rate", chart.Quantity(s.HashesPerS, "H/s"), fmt.Sprintf("the worst miner lags by %s", percent(s.LagShare))})
	}
	return tiles
}

// staleTile has the share that a prediction is for: where something disturbed the run, that
// of the undisturbed time.
func staleTile(r *record.StaleRate) tile {
	t := tile{"Stale blocks", percent(r.Share.Value), fmt.Sprintf("%s, of %s", interval(r.Share, percent), count(r.Blocks, "block"))}
	switch {
	case r.MostlyDisturbed():
		t.Detail = fmt.Sprintf("of %s, nearly all found while something disturbed the network or just before", count(r.Blocks, "block"))
	case r.Disturbed():
		t = tile{"Stale blocks, undisturbed", percent(r.Compared.Value), fmt.Sprintf("%s, of %s", interval(r.Compared, percent), count(r.ComparedBlocks, "block"))}
		t.Detail += fmt.Sprintf("; of all %s: %s", whole(r.Blocks), percent(r.Share.Value))
	}
	if r.Method != "" {
		t.Detail += "; predicted " + percent(r.Predicted)
	}
	return t
}

// seconds writes a time for people.
func seconds(s float64) string {
	if math.IsNaN(s) {
		return "–"
	}
	if s == 0 {
		return "0\u00a0s"
	}
	if math.Abs(s) < 1e-3 {
		return chart.Number(s*1e6) + "\u00a0µs"
	}
	unit, name := chart.TimeUnit(math.Abs(s))
	return chart.Number(s/unit) + "\u00a0" + name
}

// joules writes an energy, if it is known.
func joules(f record.Figure) string {
	if math.IsNaN(float64(f)) {
		return "–"
	}
	return chart.Quantity(float64(f), "J")
}

// percent writes a share.
func percent(share float64) string {
	if math.IsNaN(share) {
		return "–"
	}
	return chart.Number(math.Round(share*1e5)/1e3) + "\u00a0%"
}

func whole(n int) string { return chart.Decimal(float64(n), 0) }

// interval writes the ends of an interval.
func interval(i record.Interval, write func(float64) string) string {
	if math.IsNaN(i.Low) || math.IsNaN(i.High) {
		return "too little data for an interval"
	}
	return fmt.Sprintf("95 %%: %s to %s", write(i.Low), write(i.High))
}
