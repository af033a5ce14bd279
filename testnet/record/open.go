package record

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// Limits of what Open reads into memory. A file above one is an error that says so.
const (
	// MaxNodes is five times what a testnet file may ask for.
	MaxNodes = 256

	maxTable = 512 << 20 // bytes of a table, or of the events: hours of fifty nodes; in memory they are up to ten times that
	maxJSON  = 16 << 20  // bytes of the manifest: the delays between 256 nodes, and much besides
	maxLine  = 256 << 10 // bytes of a line: the arrivals at 256 nodes take a tenth

	maxBlocks   = 1_000_000 // rows: a block a second over eleven days
	maxPayments = 4_000_000 // rows: a hundred a second over eleven hours
	maxSamples  = 4_000_000 // rows: fifty nodes, each second, over 22 hours
	maxEvents   = 1_000_000 // lines: a node that stops or starts each second, over eleven days
)

// Open reads what a run recorded. Nothing in its directory is trusted: sizes, rows and
// values are bounded, and what is wrong is an error with file and line. The last line of
// what is appended may be torn, as a killed process leaves it: it is left out, and
// Run.Notes says so. What was made of the run, its summary and page, is not looked at: it
// can be made anew.
func Open(dir string) (*Run, error) {
	run := &Run{Dir: dir}
	if err := openJSON(filepath.Join(dir, ManifestFile), &run.Manifest); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s is not a run directory: it holds no %s", dir, ManifestFile)
	} else if err != nil {
		return nil, err
	}
	if err := run.Manifest.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, ManifestFile), err)
	}
	if err := cmp.Or(run.openBlocks(), run.openPayments(), run.openSamples(), run.openEvents()); err != nil {
		return nil, err
	}
	if why := run.Manifest.PaymentsUnknown; why != "" {
		run.Notes = append(run.Notes, fmt.Sprintf("Whether payments were lost is not known, for the nodes did not say in the end what they have: %s.", why))
	}
	return run, nil
}

func (r *Run) openBlocks() error {
	nodes := len(r.Manifest.Nodes)
	return r.open(BlocksFile, maxTable, func(name string, f io.ReaderAt, size int64) (_ bool, err error) {
		known := make(map[string]bool)
		r.Blocks, _, err = decodeTable(name, f, size, table[Block]{columns: blockColumns(nodes), most: maxBlocks, check: func(b *Block) error {
			if b.Hash == "" || known[b.Hash] {
				return fmt.Errorf("hash: %s, want one that no other block has", quote(b.Hash))
			}
			known[b.Hash] = true
			return checkNode("miner", b.Miner, nodes)
		}})
		slices.SortStableFunc(r.Blocks, func(a, b Block) int { return cmp.Compare(later(a.FoundS), later(b.FoundS)) })
		return false, err
	})
}

// later sorts what never came behind everything.
func later(s float64) float64 {
	if math.IsNaN(s) {
		return math.Inf(1)
	}
	return s
}

func (r *Run) openPayments() error {
	nodes := len(r.Manifest.Nodes)
	return r.open(PaymentsFile, maxTable, func(name string, f io.ReaderAt, size int64) (_ bool, err error) {
		r.Payments, _, err = decodeTable(name, f, size, table[Payment]{columns: paymentColumns, most: maxPayments, check: func(p *Payment) error {
			return checkNode("node", p.Node, nodes)
		}})
		slices.SortStableFunc(r.Payments, func(a, b Payment) int { return cmp.Compare(a.ID, b.ID) })
		return false, err
	})
}

func (r *Run) openSamples() error {
	nodes := len(r.Manifest.Nodes)
	return r.open(SamplesFile, maxTable, func(name string, f io.ReaderAt, size int64) (torn bool, err error) {
		r.Samples, torn, err = decodeTable(name, f, size, table[Sample]{columns: sampleColumns, most: maxSamples, appended: true, check: func(s *Sample) error {
			if math.IsNaN(s.TimeS) {
				return errors.New("t_s: nothing, want seconds since the start")
			}
			return cmp.Or(checkAmount("node", float64(s.Node), 1), checkNode("node", s.Node, nodes))
		}})
		slices.SortStableFunc(r.Samples, func(a, b Sample) int {
			return cmp.Or(cmp.Compare(a.TimeS, b.TimeS), cmp.Compare(a.Node, b.Node))
		})
		return torn, err
	})
}

func (r *Run) openEvents() error {
	return r.open(EventsFile, maxTable, func(name string, f io.ReaderAt, size int64) (torn bool, err error) {
		r.Events, torn, err = decodeEvents(name, f, size, len(r.Manifest.Nodes))
		slices.SortStableFunc(r.Events, func(a, b Event) int { return cmp.Compare(a.TimeS, b.TimeS) })
		return torn, err
	})
}

// open hands a file of the directory to the function that decodes it, and notes where
// that says that its last line is torn.
func (r *Run) open(file string, most int64, decode func(name string, f io.ReaderAt, size int64) (torn bool, err error)) error {
	name := filepath.Join(r.Dir, file)
	f, size, err := openFile(name, most)
	if err != nil {
		return err
	}
	defer f.Close()
	torn, err := decode(name, f, size)
	if torn {
		r.Notes = append(r.Notes, file+" ends in half a line, which is left out: the process that wrote it was killed, or had no room.")
	}
	return err
}

func openJSON(name string, into any) error {
	f, size, err := openFile(name, maxJSON)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.NewSectionReader(f, 0, size))
	if err != nil {
		return err
	}
	return decodeJSON(name, text, into)
}

// openFile opens a regular file of at most so many bytes.
func openFile(name string, most int64) (*os.File, int64, error) {
	// What is no file is not opened: a pipe would wait for its other end.
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, 0, err
	case !info.Mode().IsRegular():
		return nil, 0, fmt.Errorf("%s is not a file", name)
	case info.Size() > most:
		return nil, 0, fmt.Errorf("%s has %d bytes, want %d at most", name, info.Size(), most)
	}
	f, err := os.Open(name)
	return f, info.Size(), err
}
