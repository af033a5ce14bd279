package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata anew")

// goldenRun is a small run with every kind of row.
func goldenRun() *Run {
	never := math.NaN()
	m := testManifest(2)
	m.Status, m.EndedAt, m.MeasuredToS = Complete, m.StartedAt.Add(60e9), 50
	m.Machine = Machine{CPU: "a CPU", Cores: 2, OS: "linux", Arch: "amd64", Go: "go1.26.6", Kernel: "sha-ni"}
	m.Network = Network{Name: "net", Difficulty: "fixed", SpacingS: 10, DifficultyHashes: 20000, MaxWeight: 4e6, Maturity: 2}
	m.LinkDelaysMS = [][]float64{{0, 50.5}, {51, 0}}
	m.End = &End{Nodes: []NodeEnd{{Node: 1, Height: 2, Tip: "b2", CoinSum: "c"}, {Node: 2, Height: 2, Tip: "b2", CoinSum: "c"}}, Joules: 12.5, EnergyMethod: "model", Hashes: 40000, HashesDue: 41000, WorstLag: 0.03,
		LoadLate: &Lateness{P50S: 0.00001, P99S: 0.002, MaxS: 0.25}, LookLate: &Lateness{P50S: 0.0001, P99S: 0.03, MaxS: 1.5}}
	return &Run{
		Manifest: m,
		Blocks: []Block{
			{Hash: "b1", Parent: "b0", Height: 1, Miner: 1, Status: Active, FoundS: 7.25, HeaderTime: 1782907207, DifficultyHashes: 20000, Hashes: 14500, Transactions: 1, SizeBytes: 250, WeightUnits: 1000, ArrivalS: []float64{7.25, 7.301234}},
			{Hash: "s1", Parent: "b0", Height: 1, Miner: 2, Status: Stale, FoundS: 7.3, HeaderTime: 1782907207, DifficultyHashes: 20000, Hashes: never, Transactions: 1, SizeBytes: 250, WeightUnits: 1000, ArrivalS: []float64{never, 7.3}},
			{Hash: "b2", Parent: "b1", Height: 2, Miner: 2, Status: Active, FoundS: 21, HeaderTime: 1782907221, DifficultyHashes: 20000, Hashes: 1e6, Transactions: 2, SizeBytes: 500, WeightUnits: 2000, FeesUnits: 154, ArrivalS: []float64{21.05, 21}},
		},
		Payments: []Payment{
			{ID: 1, TxID: "t1", Node: 1, DueS: 8, SubmittedS: 8.000012, AnsweredS: 8.002, FeeRate: 1.5, VSizeBytes: 154, AcceptedS: 8.0015, EveryPoolS: 8.06, Block: "b2", Height: 2, InBlockS: 21, Confirmed1S: 21.05, Confirmed3S: never, Confirmed6S: never, Status: Confirmed},
			{ID: 2, Node: 2, DueS: 9, SubmittedS: 9, AnsweredS: 9.001, AcceptedS: never, EveryPoolS: never, InBlockS: never, Confirmed1S: never, Confirmed3S: never, Confirmed6S: never, Status: Refused, Detail: `fee rate too low: "min relay fee", want 1`},
		},
		Samples: []Sample{
			{TimeS: 10, Node: 1, Height: 1, Tip: "b1", MempoolTxs: 1, MempoolBytes: 154, Peers: 1, Hashes: 20000, HashesDue: 20100},
			{TimeS: 10, Node: 2, Height: 1, Tip: "b1", MempoolTxs: 1, MempoolBytes: 154, Peers: 1, Hashes: 20000, HashesDue: 20100},
		},
		Events: []Event{
			{TimeS: 12, Kind: "clock", Nodes: []int{2}, Text: "The clock of node 2 is wrong by 30 s.", Values: map[string]any{"offset_s": 30.0}},
			{TimeS: 50, Kind: "complete", Text: "All that was asked for is measured."},
		},
	}
}

// goldenSummary is what might have been made of it.
func goldenSummary() *Summary {
	return &Summary{Schema: Schema, Complete: true, MeasuredS: 45, Nodes: 2, NodesAtEnd: 2, Tips: 1, CoinSums: 1, Payments: map[PaymentStatus]int{Confirmed: 1, Refused: 1}}
}

func writeRun(t *testing.T, dir string, r *Run) {
	t.Helper()
	w, err := Create(dir, r.Manifest, []byte("name = \"test\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range r.Events {
		if err := w.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Samples(r.Samples), w.Tables(r.Blocks, r.Payments), w.Manifest(r.Manifest), w.Summary(goldenSummary()), w.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestGolden keeps the format: what this version writes is what stands in testdata, and
// what stands there can be read.
func TestGolden(t *testing.T) {
	golden, dir := filepath.Join("testdata", "run"), t.TempDir()
	want := goldenRun()
	writeRun(t, dir, want)
	for _, name := range []string{ManifestFile, SpecFile, BlocksFile, PaymentsFile, SamplesFile, EventsFile, SummaryFile} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := errors.Join(os.MkdirAll(golden, 0o755), os.WriteFile(filepath.Join(golden, name), got, 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		if kept, err := os.ReadFile(filepath.Join(golden, name)); err != nil || !bytes.Equal(got, kept) {
			t.Errorf("%s is\n%s\nwant (or run with -update)\n%s%v", name, got, kept, err)
		}
	}
	got, err := Open(golden)
	if err != nil {
		t.Fatal(err)
	}
	want.Manifest.Schema, want.Manifest.FileSHA256 = got.Manifest.Schema, got.Manifest.FileSHA256
	if g, w := show(t, got), show(t, want); g != w {
		t.Errorf("read\n%s\nwant\n%s", g, w)
	}
}

// TestOpenErrors breaks a run in many ways, each of which is said with file and line.
func TestOpenErrors(t *testing.T) {
	for _, c := range []struct {
		file, old, new, want string
	}{
		{ManifestFile, `"seed":`, `"seed"`, `/manifest.json:\d+: invalid character`},
		{ManifestFile, `"seed": 1844`, `"seed": -1844`, `/manifest.json:\d+: json: cannot unmarshal number`},
		{ManifestFile, `"schema": 1`, `"schema": 2`, `/manifest.json: schema: 2, want 1: the run is of another version of Kapok \("0.1.0"\)`},
		{ManifestFile, `"status": "complete"`, `"status": "done"`, `status: "done", want running, complete, interrupted or failed`},
		{ManifestFile, `"node": 2`, `"node": 3`, `nodes: 3 in place 2: they count from 1`},
		{ManifestFile, `"dials": []`, `"dials": [3]`, `node 1: dials: node 3, want at most 2`},
		{ManifestFile, `"hashes_per_s": 1000`, `"hashes_per_s": -1`, `node 1: hashes_per_s: -1, want 0 to 1e\+80`},
		{ManifestFile, `50.5`, `50.5, 3`, `link_delays_ms: 3 values in row 1, want one for each of the 2 nodes`},
		{ManifestFile, "[\n      0,\n      50.5\n    ],", "", `link_delays_ms: 1 rows, want one for each of the 2 nodes`},
		{ManifestFile, `"measured_to_s": 50`, `"measured_to_s": 5e300`, `measured_to_s: 5e\+300, want at most 1e\+08`},
		{ManifestFile, `"spacing_s": 10`, `"spacing_s": -10`, `network.spacing_s: -10`},
		{ManifestFile, `"worst_miner_lag_share": 0.03`, `"worst_miner_lag_share": 1.5`, `end.worst_miner_lag_share: 1.5, want 0 to 1`},
		{ManifestFile, `"worst_miner_lag_share": 0.03`, `"worst_miner_lag_share": -0.03`, `end.worst_miner_lag_share: -0.03`},
		{ManifestFile, `50.5`, `-50.5`, `link_delays_ms: -50.5, want 0 to`},
		{ManifestFile, `50.5`, `5e20`, `link_delays_ms: 5e\+17, want at most 1e\+08`},
		{ManifestFile, `"name": "test"`, `"name": "` + strings.Repeat("x", maxWord+1) + `"`, `/manifest.json: name: 129 bytes, want 128 at most`},
		{ManifestFile, `"energy_method": "model"`, `"energy_method": "` + strings.Repeat("x", maxText+1) + `"`, `end.energy_method: 4097 bytes, want 4096 at most`},
		{EventsFile, `"text":"All`, `"text":"` + strings.Repeat("x", maxText), `/events.jsonl:2: text: \d+ bytes, want 4096 at most`},
		{BlocksFile, "found_s,", "found,", `/blocks.csv:1: there is no column found_s$`},
		{BlocksFile, "found_s,", "found_s,found_s,", `/blocks.csv:1: column "found_s" stands there twice`},
		{BlocksFile, "arrival_s_2", "arrival_s_2,arrival_s_3", `/blocks.csv:1: column arrival_s_3 is of a node that the manifest does not have`},
		{BlocksFile, ",7.301234", "", `/blocks.csv:2: wrong number of fields`},
		{BlocksFile, "7.301234", "soon", `/blocks.csv:2: arrival_s_2: "soon", want seconds since the start from -1e\+08 to 1e\+08, or nothing`},
		{BlocksFile, "7.301234", "NaN", `/blocks.csv:2: arrival_s_2: "NaN"`},
		{BlocksFile, "7.301234", "0x1p3", `/blocks.csv:2: arrival_s_2`},
		{BlocksFile, "7.301234", "1e9", `/blocks.csv:2: arrival_s_2`},
		{BlocksFile, "s1,b0,1,2,stale", "s1,b0,1,3,stale", `/blocks.csv:3: miner: node 3, want at most 2`},
		{BlocksFile, "s1,b0,1,2,stale", "s1,b0,-1,2,stale", `/blocks.csv:3: height: "-1", want a whole number that is not below 0`},
		{BlocksFile, "s1,b0,1,2,stale", "s1,b0,4294967296,2,stale", `/blocks.csv:3: height: "4294967296"`},
		{BlocksFile, "s1,b0,1,2,stale", "s1,b0,1,2,orphan", `/blocks.csv:3: status: "orphan", want one of \[active stale withheld\]`},
		{BlocksFile, "s1,b0,1,2,stale", "b1,b0,1,2,stale", `/blocks.csv:3: hash: "b1", want one that no other block has`},
		{BlocksFile, "s1,", `"s1,`, `/blocks.csv:4: extraneous or missing " in quoted-field`},
		{BlocksFile, "s1,", strings.Repeat("s", maxWord+1) + ",", `/blocks.csv:3: hash: 129 bytes, want 128 at most`},
		{BlocksFile, "s1,", strings.Repeat("s", maxLine+1) + ",", `/blocks.csv:3: the line has more than 262144 bytes`},
		{PaymentsFile, "refused", "refused?", `/payments.csv:3: status: "refused\?"`},
		{PaymentsFile, ",1.5,", ",-1.5,", `/payments.csv:2: fee_rate_units_per_vbyte: "-1.5", want a number from 0 to`},
		{SamplesFile, "10,1,1", ",1,1", `/samples.csv:2: t_s: nothing`},
		{SamplesFile, "10,1,1", "10,0,1", `/samples.csv:2: node: 0, want 1 to`},
		{SamplesFile, "t_s,", "", `/samples.csv:1: there is no column t_s`},
		{EventsFile, `"kind":"complete"`, `"kind":""`, `/events.jsonl:2: kind: nothing, want a word`},
		{EventsFile, `"nodes":[2]`, `"nodes":[-2]`, `/events.jsonl:1: nodes: node -2, want at most 2`},
		{EventsFile, `{"t_s":50`, `{"t_s":"50"`, `/events.jsonl:2: json: cannot unmarshal string`},
		{EventsFile, `"kind":"complete"`, `"kind":"x","attack":{"kind":"selfish","blocks":1,"own":2}`, `/events.jsonl:2: attack: a part`},
		{EventsFile, `"kind":"complete"`, `"kind":"x","attack":{"kind":"theft"}`, `/events.jsonl:2: attack.kind: "theft"`},
		{EventsFile, `"kind":"complete"`, `"kind":"x","attack":{"kind":"selfish","share":2}`, `/events.jsonl:2: attack.share: 2`},
		{EventsFile, `"kind":"complete"`, `"kind":"x","attack":{"kind":"selfish","ties":-2}`, `/events.jsonl:2: attack: -2, want a count`},
		{EventsFile, "{", strings.Repeat(" ", maxLine+1) + "{", `/events.jsonl:1: bufio.Scanner: token too long`},
	} {
		dir := t.TempDir()
		writeRun(t, dir, goldenRun())
		name := filepath.Join(dir, c.file)
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(text, []byte(c.old)) {
			t.Fatalf("%s holds no %q", c.file, c.old)
		}
		if err := os.WriteFile(name, bytes.Replace(text, []byte(c.old), []byte(c.new), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil || !regexp.MustCompile(c.want).MatchString(err.Error()) {
			t.Errorf("%.60q in place of %.60q: error %v, want %s", c.new, c.old, err, c.want)
		}
	}
}

func TestOpenFiles(t *testing.T) {
	if _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is not a run directory: it holds no manifest.json") {
		t.Errorf("an empty directory: %v", err)
	}
	for _, name := range []string{BlocksFile, PaymentsFile, SamplesFile, EventsFile} {
		dir := t.TempDir()
		writeRun(t, dir, goldenRun())
		name = filepath.Join(dir, name)
		if err := os.Truncate(name, maxTable+1); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), name+" has 536870913 bytes, want 536870912 at most") {
			t.Errorf("a file too large: %v", err)
		}
		if err := os.Truncate(name, maxTable); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("half a gigabyte of nothing: %v", err)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("without %s: %v", name, err)
		}
		if err := os.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), name+" is not a file") {
			t.Errorf("a directory: %v", err)
		}
	}
	dir := t.TempDir()
	writeRun(t, dir, goldenRun())
	if err := os.WriteFile(filepath.Join(dir, SummaryFile), []byte("["), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err != nil {
		t.Errorf("a bad summary, which can be made anew, is in the way: %v", err)
	}
}

// TestTextsAreHarmless reads texts that would do something to the terminal that shows them,
// and writes such ones: an error's text may be of any length.
func TestTextsAreHarmless(t *testing.T) {
	const bad, good = "a\x1b]0;b\a\nc\u202ed\u009be", "a ]0;b  c d e"
	dir := t.TempDir()
	run := goldenRun()
	writeRun(t, dir, run)
	for _, c := range []struct{ file, old string }{
		{ManifestFile, `"test"`}, {ManifestFile, `"model"`}, {ManifestFile, `"node 2"`}, {EventsFile, `"All that was asked for is measured."`}, {PaymentsFile, "t1"}, {BlocksFile, "b1"},
	} {
		name := filepath.Join(dir, c.file)
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		with := `"` + bad + `"` // of CSV
		if c.old[0] == '"' {
			quoted, err := json.Marshal(bad)
			if err != nil {
				t.Fatal(err)
			}
			with = string(quoted)
		}
		if err := os.WriteFile(name, bytes.Replace(text, []byte(c.old), []byte(with), 1), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	m := &got.Manifest
	for _, text := range []string{m.Name, m.End.EnergyMethod, m.Nodes[1].Name, got.Events[1].Text, got.Payments[0].TxID, got.Blocks[0].Hash} {
		if text != good {
			t.Errorf("read %q, want %q", text, good)
		}
	}

	dir = t.TempDir()
	run.Manifest.Reason, run.Manifest.Nodes[0].Name = strings.Repeat("x\n", maxText), bad
	run.Manifest.End.EnergyMethod = strings.Repeat("y", maxText+1)
	writeRun(t, dir, run)
	if got, err = Open(dir); err != nil || got.Manifest.Nodes[0].Name != good || len(got.Manifest.Reason) != maxText || len(got.Manifest.End.EnergyMethod) != maxText {
		t.Errorf("what was written cannot be read: %v", err)
	}
	if run.Manifest.Nodes[0].Name != bad || len(run.Manifest.End.EnergyMethod) != maxText+1 {
		t.Error("writing has changed the caller's manifest")
	}
}

// TestRowLimit reads a table of one row more than it may have.
func TestRowLimit(t *testing.T) {
	text := []byte("t_s,node,height,tip,mempool_txs,mempool_vbytes,peers,hashes,hashes_due\n" + strings.Repeat("1,1,1,,0,0,0,,\n", 3))
	for most, want := range map[int]string{3: "", 2: "s.csv:4: there are more than 2 rows"} {
		rows, _, err := decodeTable("s.csv", bytes.NewReader(text), int64(len(text)), table[Sample]{columns: sampleColumns, most: most})
		if want == "" && (err != nil || len(rows) != 3) || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("at most %d: %d rows, error %v, want %q", most, len(rows), err, want)
		}
	}
}

// FuzzDecode gives strangers' bytes to the decoders of all files. What they take can
// be written, and is then read as the same.
func FuzzDecode(f *testing.F) {
	for _, name := range []string{ManifestFile, BlocksFile, PaymentsFile, SamplesFile, EventsFile} {
		text, err := os.ReadFile(filepath.Join("testdata", "run", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(name, text)
	}
	f.Fuzz(func(t *testing.T, name string, text []byte) {
		in, size := bytes.NewReader(text), int64(len(text))
		switch name {
		case BlocksFile:
			fuzzTable(t, text, table[Block]{columns: blockColumns(2), most: maxBlocks})
		case PaymentsFile:
			fuzzTable(t, text, table[Payment]{columns: paymentColumns, most: maxPayments})
		case SamplesFile:
			fuzzTable(t, text, table[Sample]{columns: sampleColumns, most: maxSamples, appended: true})
		case EventsFile:
			events, _, err := decodeEvents("f", in, size, 2)
			if err != nil {
				return
			}
			var again bytes.Buffer
			for _, e := range events {
				line, err := json.Marshal(e)
				if err != nil {
					t.Fatal(err)
				}
				again.Write(append(line, '\n'))
			}
			got, _, err := decodeEvents("f", bytes.NewReader(again.Bytes()), int64(again.Len()), 2)
			if g, w := show(t, &Run{Events: got}), show(t, &Run{Events: events}); err != nil || g != w {
				t.Fatalf("read %s (%v), want %s", g, err, w)
			}
		case ManifestFile:
			var m Manifest
			if decodeJSON("f", text, &m) == nil && m.check() == nil {
				if _, err := json.Marshal(m); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func fuzzTable[T any](t *testing.T, text []byte, c table[T]) {
	rows, _, err := decodeTable("f", bytes.NewReader(text), int64(len(text)), c)
	if err != nil {
		if !strings.HasPrefix(err.Error(), "f") {
			t.Fatalf("the error names no file: %v", err)
		}
		return
	}
	once := rewrite(t, c.columns, rows)
	var a, b bytes.Buffer
	if err := errors.Join(writeTable(&a, c.columns, rows), writeTable(&b, c.columns, once)); err != nil || a.String() != b.String() {
		t.Fatalf("read %s, want %s (%v)", b.String(), a.String(), err)
	}
}
