package record

import (
	"bufio"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// The files of a run directory.
const (
	ManifestFile = "manifest.json"
	SpecFile     = "testnet.toml"
	BlocksFile   = "blocks.csv"
	PaymentsFile = "payments.csv"
	SamplesFile  = "samples.csv"
	EventsFile   = "events.jsonl"
	SummaryFile  = "summary.json"
	ReportFile   = "report.html"
)

// Writer writes a run directory while the run goes on. Events and samples are
// appended, a whole line at a time; everything else is replaced by rename. So whatever
// ends the process, the directory is one that Open reads: with the status running,
// and without at most the last line of what was appended.
//
// What a method wrote survives the process once it returned, and the machine once
// Manifest, Summary, Report or Close has. An error names its file; after one, the
// method may be called again. A Writer may be used by several goroutines.
type Writer struct {
	dir    string
	nodes  int
	sha256 string // of the file that is run

	mu      sync.Mutex
	events  *appender
	samples *appender
}

// Create makes the directory where it is not there, and begins a run in it: the
// manifest, with the status running, the file that is run, byte for byte, and tables
// that have no rows yet. A directory that holds a run, or a part of one, is refused.
func Create(dir string, m Manifest, file []byte) (*Writer, error) {
	if len(m.Nodes) == 0 || len(m.Nodes) > MaxNodes {
		return nil, fmt.Errorf("%s: a run of %d nodes, want 1 to %d", dir, len(m.Nodes), MaxNodes)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for _, name := range []string{ManifestFile, EventsFile, SamplesFile, BlocksFile, PaymentsFile, SummaryFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("%s holds a run already (%s): choose another directory, or remove it", dir, name)
		}
	}
	sum := sha256.Sum256(file)
	w := &Writer{dir: dir, nodes: len(m.Nodes), sha256: hex.EncodeToString(sum[:])}
	m.Status = Running
	err := func() (err error) {
		if w.events, err = newAppender(filepath.Join(dir, EventsFile)); err != nil {
			return err
		}
		if w.samples, err = newAppender(filepath.Join(dir, SamplesFile)); err != nil {
			return err
		}
		if err := w.samples.append([]byte(strings.Join(header(sampleColumns), ",") + "\n")); err != nil {
			return err
		}
		if err := w.Tables(nil, nil); err != nil {
			return err
		}
		if err := w.replace(SpecFile, false, func(out io.Writer) error { _, err := out.Write(file); return err }); err != nil {
			return err
		}
		return w.Manifest(m)
	}()
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// Event appends a line to events.jsonl.
func (w *Writer) Event(e Event) error {
	name := filepath.Join(w.dir, EventsFile)
	writeText(e.texts())
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if len(line) >= maxLine {
		return fmt.Errorf("%s: an event of %d bytes, want less than %d", name, len(line), maxLine)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.events.append(append(line, '\n'))
}

// Samples appends rows to samples.csv.
func (w *Writer) Samples(s []Sample) error {
	var text strings.Builder
	if err := writeRows(&text, sampleColumns, s); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(w.dir, SamplesFile), err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.samples.append([]byte(text.String()))
}

// Tables replaces blocks.csv and payments.csv. Each block has an arrival for every
// node of the manifest.
func (w *Writer) Tables(blocks []Block, payments []Payment) error {
	for i := range blocks {
		if n := len(blocks[i].ArrivalS); n != w.nodes {
			return fmt.Errorf("%s: block %s has arrivals at %d nodes, and there are %d", filepath.Join(w.dir, BlocksFile), blocks[i].Hash, n, w.nodes)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.replace(BlocksFile, false, func(out io.Writer) error { return writeTable(out, blockColumns(w.nodes), blocks) })
	return errors.Join(err, w.replace(PaymentsFile, false, func(out io.Writer) error { return writeTable(out, paymentColumns, payments) }))
}

// Manifest replaces manifest.json. Its schema and the hash of the file are filled in, and
// its texts are cut to what Open takes.
func (w *Writer) Manifest(m Manifest) error {
	m.Schema, m.FileSHA256 = Schema, w.sha256
	m.Nodes = slices.Clone(m.Nodes)
	if m.End != nil {
		end := *m.End
		end.Nodes = slices.Clone(end.Nodes)
		m.End = &end
	}
	writeText(m.texts())
	return w.json(ManifestFile, m)
}

// Summary writes summary.json.
func (w *Writer) Summary(s *Summary) error { return w.json(SummaryFile, s) }

// Report writes report.html, by what the function hands over.
func (w *Writer) Report(write func(io.Writer) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.replace(ReportFile, true, write)
}

// Close ends the writing. It does not say how the run ended: that is the manifest's.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for _, a := range []*appender{w.events, w.samples} {
		if a != nil {
			errs = append(errs, a.close())
		}
	}
	w.events, w.samples = nil, nil
	return errors.Join(errs...)
}

func (w *Writer) json(name string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(w.dir, name), err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.replace(name, true, func(out io.Writer) error {
		_, err := out.Write(append(text, '\n'))
		return err
	})
}

func (w *Writer) replace(name string, sync bool, write func(io.Writer) error) error {
	return replace(filepath.Join(w.dir, name), sync, write)
}

// Replace writes a file beside the one of that name, and puts it in its place once it
// is whole and on disk: whatever happens, the name holds the old text or the new one.
func Replace(name string, write func(io.Writer) error) error { return replace(name, true, write) }

func replace(name string, sync bool, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	buffer := bufio.NewWriterSize(f, 1<<16)
	err = write(buffer)
	if err == nil {
		err = buffer.Flush()
	}
	if err == nil && sync {
		err = f.Sync()
	}
	if err == nil {
		err = f.Chmod(0o644)
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

func writeTable[T any](out io.Writer, columns []column[T], rows []T) error {
	if _, err := io.WriteString(out, strings.Join(header(columns), ",")+"\n"); err != nil {
		return err
	}
	return writeRows(out, columns, rows)
}

func writeRows[T any](out io.Writer, columns []column[T], rows []T) error {
	c := csv.NewWriter(out)
	fields := make([]string, len(columns))
	for i := range rows {
		for j := range columns {
			var err error
			if fields[j], err = columns[j].text(&rows[i]); err != nil {
				return fmt.Errorf("row %d, %s: %w", i+1, columns[j].name, err)
			}
		}
		if err := c.Write(fields); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// appender appends whole lines to a file.
type appender struct {
	file interface {
		io.WriteCloser
		Truncate(int64) error
		Sync() error
	}
	name string
	size int64 // of the whole lines in it
	torn error // what left half a line at its end, if anything did: nothing may follow it
}

// newAppender begins a file, which must not be there.
func newAppender(name string) (*appender, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	return &appender{file: f, name: name}, nil
}

// append writes lines. Where that fails half way, as on a full disk, it takes back
// what was written of them.
func (a *appender) append(lines []byte) error {
	switch {
	case a == nil:
		return errors.New("the run directory is closed")
	case a.torn != nil:
		return fmt.Errorf("%s ends in half a line: %w", a.name, a.torn)
	}
	n, err := a.file.Write(lines)
	if err == nil {
		a.size += int64(n)
		return nil
	}
	if n > 0 && a.file.Truncate(a.size) != nil {
		a.torn = err
	}
	return fmt.Errorf("%s: %w", a.name, err)
}

func (a *appender) close() error {
	if err := errors.Join(a.file.Sync(), a.file.Close()); err != nil {
		return fmt.Errorf("%s: %w", a.name, err)
	}
	return nil
}
