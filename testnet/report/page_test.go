package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/report/chart"
)

var (
	update = flag.Bool("update", false, "write testdata anew")
	pages  = flag.String("pages", "", "a directory to write the tests' pages to, to look at")
)

// render makes the page of a run, and checks what holds for every page.
func render(t interface {
	Helper()
	Fatalf(string, ...any)
	Errorf(string, ...any)
}, name string, run *record.Run) string {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, run, Summarize(run, seeded())); err != nil {
		t.Fatalf("%v", err)
	}
	text := b.String()
	if *pages != "" {
		if err := os.WriteFile(filepath.Join(*pages, name+".html"), b.Bytes(), 0o644); err != nil {
			t.Fatalf("%v", err)
		}
	}
	checkPage(t, text)
	return text
}

// checkPage: tags are closed, ids are there once and what refers to them finds them, each
// picture has a title, and nothing is loaded or run.
func checkPage(t interface {
	Helper()
	Fatalf(string, ...any)
	Errorf(string, ...any)
}, text string) {
	t.Helper()
	for _, bad := range []string{"NaN", "Inf", "ZgotmplZ", "%!", "<script", "javascript:", "@import", "url(", "src="} {
		if i := strings.Index(text, bad); i >= 0 {
			t.Fatalf("there is %q: …%s…", bad, text[max(0, i-80):min(len(text), i+80)])
		}
	}
	dec := xml.NewDecoder(strings.NewReader(text))
	dec.Strict, dec.AutoClose, dec.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	ids, refs, counts := make(map[string]int), []string{}, make(map[string]int)
	var open []string
	for {
		token, err := dec.RawToken()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v", err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			counts[e.Name.Local]++
			if !slices.Contains(xml.HTMLAutoClose, e.Name.Local) {
				open = append(open, e.Name.Local)
			}
			attr := make(map[string]string)
			for _, a := range e.Attr {
				attr[a.Name.Local] = a.Value
			}
			if id, ok := attr["id"]; ok {
				ids[id]++
			}
			refs = append(refs, strings.Fields(attr["aria-labelledby"])...)
			if to, ok := attr["href"]; ok {
				if !strings.HasPrefix(to, "#") {
					t.Errorf("a link to %s", to)
				}
				refs = append(refs, strings.TrimPrefix(to, "#"))
			}
			if e.Name.Local == "svg" && attr["aria-hidden"] == "" && attr["aria-labelledby"] == "" {
				t.Errorf("a picture without a title")
			}
			if e.Name.Local == "th" && attr["scope"] == "" {
				t.Errorf("a head of a table without its scope")
			}
		case xml.EndElement:
			if slices.Contains(xml.HTMLAutoClose, e.Name.Local) {
				continue
			}
			if len(open) == 0 || open[len(open)-1] != e.Name.Local {
				t.Fatalf("%v ends in %s", open, e.Name.Local)
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 || counts["h1"] != 1 || counts["svg"] == 0 && counts["table"] == 0 {
		t.Errorf("open: %v; %v", open, counts)
	}
	for id, n := range ids {
		if n > 1 {
			t.Errorf("%d things with id %s", n, id)
		}
	}
	for _, ref := range refs {
		if ids[ref] == 0 {
			t.Errorf("nothing has id %s", ref)
		}
	}
}

// TestProcesses counts the nodes that had a process of their own: attackers have none.
func TestProcesses(t *testing.T) {
	for _, c := range []struct {
		alone int
		want  string
	}{{0, "3 nodes, fixed difficulty, a block every 2\u00a0s"}, {1, "2\u00a0s; 1 of them in a process of its own"}, {2, "2\u00a0s; 2 of them in processes of their own"}, {3, "2\u00a0s; each node in a process of its own"}} {
		run := smallRun(t)
		run.Manifest.Processes = c.alone > 1
		for i := range c.alone {
			run.Manifest.Nodes[i].Process = true
		}
		v := view{run: run, s: Summarize(run, seeded()), window: measured(run)}
		if got := v.facts()[1].Value; !strings.HasSuffix(got, c.want) {
			t.Errorf("with %d processes %q, want %q", c.alone, got, c.want)
		}
	}
}

// TestAllDisturbed: blocks that are left out need not have been found while something
// disturbed the network; it is enough that it did before they were everywhere.
func TestAllDisturbed(t *testing.T) {
	if got := staleTile(&record.StaleRate{Blocks: 63, ComparedBlocks: 29}).Detail; got != "of 63 blocks, nearly all found while something disturbed the network or just before" {
		t.Error(got)
	}
}

// TestPages: what a run has data for is drawn, and nothing else.
func TestPages(t *testing.T) {
	attacked := fastRun(t, 1)
	attacked.Manifest.Nodes[0].Role = record.Selfish
	attacked.Events = append(attacked.Events,
		record.Event{TimeS: 500, Kind: "selfish", Nodes: []int{1}, Text: "Node 1 withholds what it finds from now on."},
		record.Event{TimeS: 900, Kind: "selfish", Nodes: []int{1}, Attack: &record.Attack{Kind: record.Selfish, Node: 1, Share: 0.4, FromS: 500, ToS: 900, Blocks: 300, Own: 145, Ties: 60, TiesOwn: 20, TiesWon: 20}},
		record.Event{TimeS: 1000, Kind: "double-spend", Nodes: []int{2}, Attack: &record.Attack{Kind: record.DoubleSpend, Node: 2, Share: 0.3, FromS: 950, ToS: 1000, Confirmations: 2, Tries: 12, Won: 2, GivenUp: 8, GiveUpBehind: 6}})
	killed := bigRun(t)
	killed.Manifest.Status, killed.Manifest.End = record.Running, nil
	killed.Notes = []string{"samples.csv ends in half a line, which is left out."}
	killed.Events = append(killed.Events, record.Event{TimeS: 400, Kind: "kill", Nodes: []int{3, 4}, Text: "Nodes 3 and 4 are killed."}, record.Event{TimeS: 450, Kind: "restart", Nodes: []int{3}, Text: "Node 3 runs again."})
	nothing := &record.Run{Manifest: record.Manifest{Status: record.Failed, Reason: "no space left", Name: "nothing", Nodes: []record.Node{{Node: 1}}}}
	all := []string{"How long until payments are confirmed", "What a confirmation waits for", "How long each part takes", "Delays since due", "How fast blocks spread", "How fast blocks come to each node", "Stale blocks",
		"Time between blocks", "Hashes per find", "Forks", "How far attackers got", "Hash rate", "Difficulty", "Mempool", "How many tips there are", "What became of the payments", "What it cost", "Nodes", "One-way delays of the links, ms", "Files beside this page"}
	for _, c := range []struct {
		name    string
		run     *record.Run
		without []string // of all
		says    []string
	}{
		{"big", bigRun(t), []string{"How far attackers got"}, []string{">partition</text>", "Stale blocks, undisturbed", " in the undisturbed time ", "20 of 20 nodes ran", "as configured", "30 stale"}},
		{"fast", fastRun(t, 1), append(slices.Clone(all[:4]), "How far attackers got", "What became of the payments", "Mempool"), []string{"The 12 longest of"}},
		{"attacked", attacked, append(slices.Clone(all[:4]), "What became of the payments", "Mempool"), []string{"Eyal and Sirer 2014, equation 8", "Double spend, node 2", ">selfish</text>", "Selfish, node 1"}},
		{"killed", killed, []string{"How far attackers got", "What it cost"}, []string{"This run is incomplete: it goes on, or its process was killed.", "samples.csv ends in half a line", "node 4 down", "How the nodes ended is not known"}},
		{"nothing", nothing, slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == "Nodes" || s == "Files beside this page" }), []string{"This run is incomplete: it failed: no space left."}},
	} {
		text := render(t, c.name, c.run)
		for _, title := range all {
			if there := strings.Contains(text, "<h3>"+title+"</h3>"); there == slices.Contains(c.without, title) {
				t.Errorf("%s: %q drawn: %v", c.name, title, there)
			}
		}
		for _, want := range c.says {
			if !strings.Contains(text, want) {
				t.Errorf("%s does not say %q", c.name, want)
			}
		}
		if len(text) > 300_000 {
			t.Errorf("%s has %d bytes", c.name, len(text))
		}
	}
}

// TestLateMachine: a machine that is late with what was due by less than a link's delay is a
// fact, and by more a warning: of payments, or where nobody pays of looks.
func TestLateMachine(t *testing.T) {
	const warned, fact = "The machine was late: what was due to it came up to 90\u00a0ms late in 99 % of cases, and a link delays by 80\u00a0ms.", "late by 1\u00a0ms with what was due (median), by up to "
	slow, quick := &record.Lateness{P50S: 0.001, P99S: 0.09, MaxS: 0.2}, &record.Lateness{P50S: 0.001, P99S: 0.07, MaxS: 0.2}
	for _, c := range []struct {
		load, look   *record.Lateness
		warned, fact bool
	}{{nil, nil, false, false}, {slow, nil, true, true}, {quick, slow, false, true}, {nil, slow, true, true}} {
		run := smallRun(t)
		run.Manifest.End.LoadLate, run.Manifest.End.LookLate = c.load, c.look
		text := render(t, "late", run)
		if strings.Contains(text, warned) != c.warned || strings.Contains(text, fact) != c.fact {
			t.Errorf("load %v, looks %v: warned %v, told %v", c.load, c.look, strings.Contains(text, warned), strings.Contains(text, fact))
		}
	}
}

// TestGoldenPage keeps the page of a small run, so that a change of it is seen.
func TestGoldenPage(t *testing.T) {
	name := filepath.Join("testdata", "small.html")
	got := render(t, "small", smallRun(t))
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(name, []byte(got), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if runtime.GOARCH != "amd64" {
		t.Skip("elsewhere the last digit of a float may be another one: a multiplication and an addition may be one")
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		t.Errorf("the page is another one (run with -update) from byte %d on: …%s…, want …%s…", at, got[max(0, at-60):min(at+60, len(got))], want[max(0, at-60):min(at+60, len(want))])
	}
}

// TestEscapes puts markup into every text of a run.
func TestEscapes(t *testing.T) {
	const bad = `<script>alert(1)</script>"'>&]]>`
	run := smallRun(t)
	m := &run.Manifest
	for _, s := range []*string{&m.Name, &m.Description, &m.Reason, &m.KapokVersion, &m.Machine.CPU, &m.Machine.Kernel, &m.Network.Name, &m.Network.Difficulty, &m.Load.Arrivals, &m.Load.Fees, &m.End.EnergyMethod, &m.Nodes[0].Name, &m.Nodes[0].Region, &m.Nodes[1].Name, (*string)(&m.Nodes[1].Role), &run.Events[0].Text, &run.Events[0].Kind, (*string)(&m.Status)} {
		*s = bad
	}
	run.Notes = []string{bad}
	if text := render(t, "escaped", run); strings.Count(text, "&lt;script&gt;") < 12 {
		t.Errorf("the texts are not there: %d", strings.Count(text, "&lt;script&gt;"))
	}
}

// TestAnyRun makes a page of runs in which anything is wrong that Open lets pass.
func TestAnyRun(t *testing.T) {
	base := smallRun(t)
	if len(base.Blocks) < 30 {
		t.Fatal("a run too small")
	}
	anyTime := rapid.OneOf(rapid.Float64Range(-10, 200), rapid.SampledFrom([]float64{math.NaN(), 1e8, -1e8, 0}))
	anyAmount := rapid.OneOf(rapid.Float64Range(0, 1e6), rapid.SampledFrom([]float64{math.NaN(), 1e80, 0}))
	rapid.Check(t, func(t *rapid.T) {
		run := *base
		run.Blocks, run.Payments, run.Samples, run.Events = slices.Clone(base.Blocks), slices.Clone(base.Payments), slices.Clone(base.Samples), slices.Clone(base.Events)
		run.Blocks = run.Blocks[:rapid.IntRange(0, len(run.Blocks)).Draw(t, "blocks")]
		run.Payments = run.Payments[:rapid.IntRange(0, len(run.Payments)).Draw(t, "payments")]
		run.Samples = run.Samples[:rapid.IntRange(0, len(run.Samples)).Draw(t, "samples")]
		m := &run.Manifest
		m.MeasuredFromS, m.MeasuredToS = rapid.Float64Range(-5, 50).Draw(t, "from"), rapid.Float64Range(-5, 150).Draw(t, "to")
		m.Network.SpacingS, m.Network.DifficultyHashes = rapid.SampledFrom([]float64{0, 2, 1e8}).Draw(t, "spacing"), rapid.SampledFrom([]float64{0, 6000, 1e80}).Draw(t, "difficulty")
		m.Network.Difficulty = rapid.SampledFrom([]string{"fixed", "asert", ""}).Draw(t, "rule")
		if rapid.Bool().Draw(t, "no end") {
			m.End = nil
		}
		if rapid.Bool().Draw(t, "no links") {
			m.LinkDelaysMS = nil
		}
		for range rapid.IntRange(0, 20).Draw(t, "changes") {
			if len(run.Blocks) > 0 {
				b := &run.Blocks[rapid.IntRange(0, len(run.Blocks)-1).Draw(t, "block")]
				b.Parent = run.Blocks[rapid.IntRange(0, len(run.Blocks)-1).Draw(t, "parent")].Hash
				b.Height = rapid.OneOf(rapid.Uint32Range(0, 60), rapid.Just(uint32(math.MaxUint32))).Draw(t, "height")
				b.Miner, b.Status = rapid.IntRange(0, 3).Draw(t, "miner"), rapid.SampledFrom([]record.BlockStatus{record.Active, record.Stale, record.Withheld}).Draw(t, "status")
				b.DifficultyHashes, b.Hashes = anyAmount.Draw(t, "difficulty"), anyAmount.Draw(t, "hashes")
				b.ArrivalS = []float64{anyTime.Draw(t, "1"), anyTime.Draw(t, "2"), anyTime.Draw(t, "3")}
			}
			if len(run.Payments) > 0 {
				p := &run.Payments[rapid.IntRange(0, len(run.Payments)-1).Draw(t, "payment")]
				for _, at := range []*float64{&p.DueS, &p.AcceptedS, &p.EveryPoolS, &p.InBlockS, &p.Confirmed1S, &p.Confirmed3S} {
					*at = anyTime.Draw(t, "at")
				}
			}
			if len(run.Samples) > 0 {
				s := &run.Samples[rapid.IntRange(0, len(run.Samples)-1).Draw(t, "sample")]
				s.Hashes, s.HashesDue, s.Tip = anyAmount.Draw(t, "hashes"), anyAmount.Draw(t, "due"), rapid.SampledFrom([]string{"a", "b"}).Draw(t, "tip")
			}
			e := record.Event{TimeS: rapid.Float64Range(-10, 200).Draw(t, "t"), Kind: rapid.SampledFrom([]string{"partition", "heal", "kill", "restart", "clock", "churn", "selfish", "?"}).Draw(t, "kind"), Nodes: []int{rapid.IntRange(0, 3).Draw(t, "node")}}
			if rapid.IntRange(0, 9).Draw(t, "attack") == 0 {
				e.Attack = &record.Attack{Kind: rapid.SampledFrom([]record.Role{record.Selfish, record.DoubleSpend}).Draw(t, "kind"), Share: rapid.SampledFrom([]float64{0, 0.3, 0.5, 1}).Draw(t, "share"), FromS: e.TimeS, ToS: 100, Blocks: rapid.IntRange(0, 3).Draw(t, "blocks"), Tries: rapid.IntRange(0, 3).Draw(t, "tries"), Confirmations: rapid.IntRange(0, 1e6).Draw(t, "z"), GiveUpBehind: rapid.IntRange(0, 1e6).Draw(t, "behind")}
			}
			run.Events = append(run.Events, e)
		}
		render(t, "any", &run)
	})
}

// TestColours computes the contrasts of WCAG 2.2: 4.5 for text, 3 for what is drawn, in
// the light and in the dark.
func TestColours(t *testing.T) {
	variable := regexp.MustCompile(`--(\w+):#([0-9a-f]{3,6})\b`)
	style := styleText + chart.Style
	light, dark := make(map[string]float64), make(map[string]float64)
	for _, block := range regexp.MustCompile(`(@media screen and \(prefers-color-scheme:dark\)\{)?:root\{[^}]*\}`).FindAllString(style, -1) {
		for _, m := range variable.FindAllStringSubmatch(block, -1) {
			if strings.HasPrefix(block, "@media") {
				dark[m[1]] = luminance(t, m[2])
			} else {
				light[m[1]] = luminance(t, m[2])
			}
		}
	}
	for name, colours := range map[string]map[string]float64{"light": light, "dark": dark} {
		if len(colours) < 15 {
			t.Fatalf("%s: only %d colours", name, len(colours))
		}
		for _, c := range []struct {
			front, back string
			least       float64
		}{{"ink", "paper", 7}, {"soft", "paper", 4.5}, {"soft", "card", 4.5}, {"ink", "warn", 7}, {"accent", "paper", 4.5},
			{"c0", "paper", 3}, {"c1", "paper", 3}, {"c2", "paper", 3}, {"c3", "paper", 3}, {"c4", "paper", 3}, {"c5", "paper", 3}} {
			a, b := colours[c.front], colours[c.back]
			if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); ratio < c.least {
				t.Errorf("%s: --%s on --%s has a contrast of %.2f, want %g", name, c.front, c.back, ratio, c.least)
			}
		}
	}
}

// luminance is the relative luminance of an sRGB colour, as WCAG 2.2 defines it.
func luminance(t *testing.T, hex string) float64 {
	if len(hex) == 3 {
		hex = fmt.Sprintf("%c%c%c%c%c%c", hex[0], hex[0], hex[1], hex[1], hex[2], hex[2])
	}
	n, err := strconv.ParseUint(hex, 16, 32)
	if err != nil || len(hex) != 6 {
		t.Fatalf("colour %q: %v", hex, err)
	}
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		c := float64(n>>(16-8*i)&255) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
