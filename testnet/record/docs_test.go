package record

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestDocs holds docs/outputs.md against the formats, both ways: each column, key and word
// stands in the part of its file, and nothing else does.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "outputs.md"))
	if err != nil {
		t.Fatal(err)
	}
	parts := make(map[string]string) // by heading
	for _, part := range strings.Split(string(text), "\n## ")[1:] {
		name, rest, _ := strings.Cut(part, "\n")
		parts[name] = rest
	}
	row := regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")
	statuses := []string{string(Confirmed), string(Pending), string(Refused), string(Unanswered), string(Conflicted), string(Died), string(Lost)}
	for file, want := range map[string][]string{
		BlocksFile:   append(header(blockColumns(0)), "arrival_s_N"),
		PaymentsFile: append(header(paymentColumns), statuses...),
		SamplesFile:  header(sampleColumns),
		EventsFile:   append(keys(reflect.TypeFor[Event](), ""), "attack"),
		ManifestFile: keys(reflect.TypeFor[Manifest](), ""),
		SummaryFile:  append(keys(reflect.TypeFor[intervalJSON](), ""), keys(reflect.TypeFor[Summary](), "")...),
	} {
		var got []string
		for _, m := range row.FindAllStringSubmatch(parts[file], -1) {
			got = append(got, m[1])
		}
		for _, key := range want {
			if !slices.Contains(got, key) {
				t.Errorf("%s: %s is not in docs/outputs.md", file, key)
			}
		}
		for i, key := range got {
			if !slices.Contains(want, key) || slices.Contains(got[:i], key) {
				t.Errorf("%s: docs/outputs.md has %s, which is not there, or is there twice", file, key)
			}
		}
	}
	for _, word := range []string{string(Active), string(Stale), string(Withheld), string(Running), string(Complete), string(Interrupted), string(Failed), string(Selfish), string(DoubleSpend),
		SpecFile, ReportFile, ManifestFile, BlocksFile, PaymentsFile, SamplesFile, EventsFile, SummaryFile} {
		if !strings.Contains(string(text), "`"+word+"`") {
			t.Errorf("`%s` is not in docs/outputs.md", word)
		}
	}
}

// keys lists the keys of a struct's JSON, those within with the way to them.
func keys(t reflect.Type, before string) (list []string) {
	switch {
	case t.Kind() == reflect.Pointer:
		return keys(t.Elem(), before)
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return keys(t.Elem(), before+"[]")
	case t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]() || before != "" && t.Implements(reflect.TypeFor[json.Marshaler]()):
		return []string{before}
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			list = append(list, keys(f.Type, before)...)
		case before == "":
			list = append(list, keys(f.Type, name)...)
		default:
			list = append(list, keys(f.Type, before+"."+name)...)
		}
	}
	return list
}

// TestKeys: what TestDocs looks for is what JSON has.
func TestKeys(t *testing.T) {
	got := keys(reflect.TypeFor[Summary](), "")
	for _, want := range []string{"schema", "stale_rate.share", "spacing.ks_d", "spacing.mean_s", "propagation.p50_by_node_s", "delays[].p50_s", "payments", "attacks[].kind", "attacks[].predicted"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not among %v", want, got)
		}
	}
	if got := keys(reflect.TypeFor[Manifest](), ""); !slices.Contains(got, "end.nodes[].coin_sum") || !slices.Contains(got, "started_at") || slices.Contains(got, "") {
		t.Errorf("%v", got)
	}
}

// TestPython runs the lines of docs/outputs.md that read a directory with pandas. Where
// there is no pandas, the tables are read with Python's csv module alone.
func TestPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3 here")
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "outputs.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```python\n")
	lines, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("docs/outputs.md has no lines of Python")
	}
	const without = `
import csv
try:
    import pandas
except ImportError:
    for name in ("blocks", "payments", "samples"):
        with open(name + ".csv", newline="") as f:
            rows = list(csv.DictReader(f, strict=True))
        assert rows and all(None not in row and None not in row.values() for row in rows), name
        print(name, len(rows))
    raise SystemExit
`
	const with = `
print("blocks", len(blocks)); print("payments", len(payments)); print("samples", len(samples)); print("events", list(events.kind))
numbers = blocks.filter(regex="_s(_[0-9]+)?$").dtypes.tolist() + payments.filter(regex="_s$").dtypes.tolist() + samples.drop(columns="tip").dtypes.tolist()
print(all(d.kind in "fi" for d in numbers), round(float(payments.eval("confirmed_1_s - due_s").mean()), 6))
`
	const counts = "blocks 3\npayments 2\nsamples 2\n"
	cmd := exec.Command(python, "-c", without+lines+with)
	cmd.Dir = filepath.Join("testdata", "run")
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil && string(out) == counts:
		t.Log("without pandas")
	case err != nil || string(out) != counts+"events ['clock', 'complete']\nTrue 13.05\n":
		t.Errorf("%s%v", out, err)
	}
}
