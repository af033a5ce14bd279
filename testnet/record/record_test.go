package record

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawSeconds draws a time as the files keep it: in whole microseconds, or none.
func drawSeconds(t *rapid.T, label string) float64 {
	if rapid.IntRange(0, 4).Draw(t, label+" is none") == 0 {
		return math.NaN()
	}
	us := rapid.Int64Range(-1e9, 1e14).Draw(t, label+" in us")
	return math.Round(float64(us)) / 1e6
}

func drawAmount(t *rapid.T, label string) float64 {
	return rapid.OneOf(rapid.Just(math.NaN()), rapid.Float64Range(0, maxAmount)).Draw(t, label)
}

func drawWord(t *rapid.T, label string) string {
	return oneLine(rapid.String().Draw(t, label), maxWord)
}

func drawBlock(t *rapid.T, i, nodes int) Block {
	b := Block{
		Hash: fmt.Sprintf("%064x", i+1), Parent: drawWord(t, "parent"), Height: rapid.Uint32().Draw(t, "height"),
		Miner: rapid.IntRange(0, nodes).Draw(t, "miner"), Status: rapid.SampledFrom([]BlockStatus{Active, Stale, Withheld}).Draw(t, "status"),
		FoundS: float64(i), HeaderTime: rapid.Uint32().Draw(t, "time"), DifficultyHashes: drawAmount(t, "difficulty"), Hashes: drawAmount(t, "hashes"),
		Transactions: rapid.IntRange(0, 1e6).Draw(t, "txs"), SizeBytes: rapid.IntRange(0, 1e9).Draw(t, "size"), WeightUnits: rapid.IntRange(0, 1e9).Draw(t, "weight"),
		FeesUnits: rapid.Int64Range(0, maxWhole).Draw(t, "fees"),
	}
	for n := range nodes {
		b.ArrivalS = append(b.ArrivalS, drawSeconds(t, fmt.Sprint("arrival ", n)))
	}
	return b
}

func drawPayment(t *rapid.T, i, nodes int) Payment {
	p := Payment{ID: i + 1, TxID: drawWord(t, "txid"), Node: rapid.IntRange(0, nodes).Draw(t, "node"),
		FeeRate: drawAmount(t, "fee rate"), VSizeBytes: rapid.IntRange(0, 1e6).Draw(t, "vsize"), Block: drawWord(t, "block"), Height: rapid.Uint32().Draw(t, "height"),
		Status: rapid.SampledFrom([]PaymentStatus{Confirmed, Pending, Refused, Unanswered, Conflicted, Lost, Died}).Draw(t, "status"), Role: rapid.SampledFrom([]Role{"", DoubleSpend}).Draw(t, "role"), Detail: oneLine(rapid.String().Draw(t, "detail"), maxText)}
	for _, at := range []*float64{&p.DueS, &p.SubmittedS, &p.AnsweredS, &p.AcceptedS, &p.EveryPoolS, &p.InBlockS, &p.Confirmed1S, &p.Confirmed3S, &p.Confirmed6S} {
		*at = drawSeconds(t, "time")
	}
	return p
}

func drawSample(t *rapid.T, i, nodes int) Sample {
	return Sample{TimeS: float64(i) / 4, Node: rapid.IntRange(1, nodes).Draw(t, "node"), Height: rapid.Uint32().Draw(t, "height"), Tip: drawWord(t, "tip"),
		MempoolTxs: rapid.IntRange(0, 1e6).Draw(t, "txs"), MempoolBytes: rapid.Int64Range(0, maxWhole).Draw(t, "bytes"), Peers: rapid.IntRange(0, 100).Draw(t, "peers"),
		Hashes: drawAmount(t, "hashes"), HashesDue: drawAmount(t, "due")}
}

func drawEvent(t *rapid.T, i, nodes int) Event {
	e := Event{TimeS: float64(i), Kind: "partition", Nodes: rapid.SliceOfN(rapid.IntRange(1, nodes), 1, 5).Draw(t, "nodes"), Text: oneLine(rapid.String().Draw(t, "text"), maxText)}
	if rapid.Bool().Draw(t, "values") {
		e.Values = map[string]any{"offset_s": rapid.Float64Range(-1e9, 1e9).Draw(t, "offset"), "why": "because"}
	}
	if rapid.Bool().Draw(t, "attack") {
		e.Attack = &Attack{Kind: DoubleSpend, Node: 1, Share: rapid.Float64Range(0, 1).Draw(t, "share"), Tries: 3, Won: 1, GivenUp: 2}
	}
	return e
}

func testManifest(nodes int) Manifest {
	m := Manifest{KapokVersion: "0.1.0", Name: "test", StartedAt: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC), MeasuredFromS: 5, Seed: 1<<64 - 1}
	for i := range nodes {
		m.Nodes = append(m.Nodes, Node{Node: i + 1, Name: fmt.Sprint("node ", i+1), HashesPerS: 1000, Dials: []int{}})
	}
	return m
}

// drawRun draws the rows of a run, in the order of the files.
func drawRun(t *rapid.T) *Run {
	nodes := rapid.IntRange(1, 5).Draw(t, "nodes")
	r := &Run{Manifest: testManifest(nodes)}
	for i := range rapid.IntRange(0, 4).Draw(t, "rows") {
		r.Blocks = append(r.Blocks, drawBlock(t, i, nodes))
		r.Payments = append(r.Payments, drawPayment(t, i, nodes))
		r.Samples = append(r.Samples, drawSample(t, i, nodes))
		r.Events = append(r.Events, drawEvent(t, i, nodes))
	}
	return r
}

// TestTablesRoundTrip writes rows and reads the same again.
func TestTablesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawRun(t)
		got := &Run{
			Blocks:   rewrite(t, blockColumns(len(want.Manifest.Nodes)), want.Blocks),
			Payments: rewrite(t, paymentColumns, want.Payments),
			Samples:  rewrite(t, sampleColumns, want.Samples),
			Events:   want.Events, Manifest: want.Manifest,
		}
		if g, w := show(t, got), show(t, want); g != w {
			t.Fatalf("read\n%s\nwant\n%s", g, w)
		}
	})
}

func rewrite[T any](t interface{ Fatal(...any) }, columns []column[T], rows []T) []T {
	var text bytes.Buffer
	if err := writeTable(&text, columns, rows); err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Count(text.Bytes(), []byte("\n")); lines != len(rows)+1 {
		t.Fatal("a row is not a line: ", text.String())
	}
	got, _, err := decodeTable("t.csv", bytes.NewReader(text.Bytes()), int64(text.Len()), table[T]{columns: columns, most: 100, appended: true})
	if err != nil {
		t.Fatal(err, text.String())
	}
	return got
}

// TestRoundTrip writes runs as a run is written, tables over and over, and reads the
// same again.
func TestRoundTrip(t *testing.T) {
	for seed := range 5 {
		want := rapid.Custom(drawRun).Example(seed)
		want.Dir = t.TempDir()
		file := []byte("name = \"x\"\r\n# \xff\x00")
		w, err := Create(want.Dir, want.Manifest, file)
		if err != nil {
			t.Fatal(err)
		}
		for i := range want.Blocks {
			if err := errors.Join(w.Tables(want.Blocks[:i+1], want.Payments[:i+1]), w.Event(want.Events[i]), w.Samples(want.Samples[i:i+1])); err != nil {
				t.Fatal(err)
			}
		}
		want.Manifest.Status = Complete
		if err := errors.Join(w.Manifest(want.Manifest), w.Close()); err != nil {
			t.Fatal(err)
		}
		got, err := Open(want.Dir)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(file)
		want.Manifest.Schema, want.Manifest.FileSHA256 = Schema, hex.EncodeToString(sum[:])
		if g, w := show(t, got), show(t, want); g != w {
			t.Fatalf("read\n%s\nwant\n%s", g, w)
		}
		if text, err := os.ReadFile(filepath.Join(want.Dir, SpecFile)); err != nil || !bytes.Equal(text, file) {
			t.Fatalf("%s: %q %v, want %q", SpecFile, text, err, file)
		}
	}
}

// show is all of a run as text, in which NaN equals NaN.
func show(t interface{ Fatal(...any) }, r *Run) string {
	var events, rest []byte
	var err error
	if events, err = json.Marshal(r.Events); err == nil {
		rest, err = json.Marshal([]any{r.Manifest, r.Notes})
	}
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%+v\n%+v\n%+v\n%s\n%s", r.Blocks, r.Payments, r.Samples, events, rest)
}

func TestCreateRefusesARun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "run")
	w, err := Create(dir, testManifest(1), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := Create(dir, testManifest(1), nil); err == nil || !strings.Contains(err.Error(), "holds a run already") {
		t.Errorf("a second run in the directory: %v", err)
	}
	if _, err := Create(t.TempDir(), Manifest{}, nil); err == nil {
		t.Error("a run without nodes was begun")
	}
}

// TestKilled opens what a process leaves that wrote no last manifest, and half a line.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(dir, testManifest(2), []byte("name = 'x'\n"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := w.Event(Event{TimeS: float64(i), Kind: "stop", Nodes: []int{1}, Text: "Node 1 stops."}); err != nil {
			t.Fatal(err)
		}
		if err := w.Samples([]Sample{{TimeS: float64(i), Node: 1, Hashes: 1234}, {TimeS: float64(i), Node: 2, Hashes: 1234}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{EventsFile, SamplesFile} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		whole := bytes.Count(text, []byte("\n"))
		for cut := range len(text) {
			if err := os.WriteFile(filepath.Join(dir, name), text[:cut], 0o600); err != nil {
				t.Fatal(err)
			}
			run, err := Open(dir)
			if cut == 0 && name == SamplesFile {
				if err == nil {
					t.Error("an empty table was read")
				}
				continue
			}
			if err != nil {
				t.Fatalf("%s cut to %d bytes: %v", name, cut, err)
			}
			want := bytes.Count(text[:cut], []byte("\n"))
			got := len(run.Events)
			if name == SamplesFile {
				got, want = len(run.Samples), max(0, want-1)
			}
			if torn := text[max(0, cut-1)] != '\n' && cut > 0; got != want || torn != (len(run.Notes) == 1) {
				t.Fatalf("%s cut to %d bytes: %d rows of %d, want %d; notes %q", name, cut, got, whole, want, run.Notes)
			}
			if run.Manifest.Status != Running {
				t.Fatalf("status %q", run.Manifest.Status)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if err := w.Event(Event{Kind: "stop"}); err == nil {
		t.Error("an event was written after Close")
	}
}

// TestTablesAreWhole fails the writing of a table, and looks for the one before.
func TestTablesAreWhole(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(dir, testManifest(1), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	good := Block{Hash: "a", Status: Active, ArrivalS: []float64{1}}
	if err := w.Tables([]Block{good}, nil); err != nil {
		t.Fatal(err)
	}
	for what, bad := range map[string]Block{
		"blocks.csv: block b has arrivals at 0": {Hash: "b", Status: Active},
		"blocks.csv: row 1, status":             {Hash: "b", ArrivalS: []float64{1}},
		"blocks.csv: row 1, found_s":            {Hash: "b", Status: Active, FoundS: math.Inf(1), ArrivalS: []float64{1}},
		"blocks.csv: row 1, size_bytes":         {Hash: "b", Status: Active, SizeBytes: -1, ArrivalS: []float64{1}},
	} {
		if err := w.Tables([]Block{bad}, nil); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("error %v, want %s", err, what)
		}
	}
	for name, err := range map[string]error{
		ReportFile:   w.Report(func(io.Writer) error { return io.ErrShortWrite }),
		SummaryFile:  w.Summary(&Summary{LagShare: math.NaN()}),
		EventsFile:   w.Event(Event{Kind: "stop", TimeS: math.NaN()}),
		SamplesFile:  w.Samples([]Sample{{Node: -1}}),
		ManifestFile: w.Manifest(Manifest{StartedInS: math.Inf(1)}),
	} {
		if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, name)) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	run, err := Open(dir)
	if err != nil || len(run.Blocks) != 1 || run.Blocks[0].Hash != "a" {
		t.Errorf("after errors: %v %+v", err, run)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 6 {
		t.Errorf("%d files, want 6: %v %v", len(files), files, err)
	}
}

// A file of before a column came is read without it.
func TestLateColumn(t *testing.T) {
	text := strings.ReplaceAll(payment(t, Payment{ID: 1, Status: Pending, Detail: "waits", Role: DoubleSpend}), ",role", "")
	text = strings.ReplaceAll(text, ",double-spend", "")
	rows, _, err := decodeTable("payments.csv", strings.NewReader(text), int64(len(text)), table[Payment]{columns: paymentColumns, most: 1})
	if err != nil || len(rows) != 1 || rows[0].Role != "" || rows[0].Detail != "waits" {
		t.Errorf("%+v, %v", rows, err)
	}
}

// payment is a payments.csv of one row.
func payment(t *testing.T, p Payment) string {
	t.Helper()
	var text strings.Builder
	if err := writeTable(&text, paymentColumns, []Payment{p}); err != nil {
		t.Fatal(err)
	}
	return text.String()
}
