package spec

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// Limits of a file as a whole.
const (
	maxFile        = 64 << 10 // bytes; fifty nodes and a hundred events with comments are a quarter of that
	maxDescription = 4 << 10  // bytes: a page
	maxNodes       = 50       // what one machine of today runs, with its links
	maxEvents      = 500
	maxBlocks      = 100_000 // of a run: each is kept with its arrival at every node, 40 MB for 50 of them
	maxDuration    = 7 * 24 * time.Hour
	defaultLength  = 10 * time.Minute
	defaultWarmUp  = 30 * time.Second
)

// validName is what names of testnets and nodes are made of: they become parts of
// directories' and metrics' names.
var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

const nameExpected = "1 to 63 letters, digits, dots, dashes and underscores, the first a letter or digit"

// Option changes what a file says.
type Option func(*options)

type options struct {
	seed  *uint64
	asked map[string][]string
}

// WithSeed takes another seed than the file's.
func WithSeed(seed uint64) Option { return func(o *options) { o.seed = &seed } }

// Read reads a testnet's file, and the files that it names. The network's blocks before
// the run end at now. Errors is what it returns for a bad file.
func Read(path string, now time.Time, opts ...Option) (*Spec, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("testnet file: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("testnet file %s: %w", path, err)
	}
	s, err := Parse(text, filepath.Dir(path), now, opts...)
	if errs, ok := err.(Errors); ok {
		for _, e := range errs {
			e.File = path
		}
	}
	if err != nil {
		return nil, err
	}
	if base := strings.TrimSuffix(filepath.Base(path), ".toml"); s.Name == "" && validName.MatchString(base) {
		s.Name = base
	}
	if s.Name == "" {
		s.Name = "testnet"
	}
	return s, nil
}

// Parse is Read for the text of a file in dir. Without a name in it, the Spec has none.
func Parse(text []byte, dir string, now time.Time, opts ...Option) (*Spec, error) {
	s, f, err := build(text, dir, now, opts...)
	if err != nil {
		return nil, err
	}
	f.network.found(s)
	if err := f.t.doc.err(); err != nil {
		return nil, err
	}
	return s, nil
}

// build is all of Parse but for the search of the genesis block, which takes its time.
func build(text []byte, dir string, now time.Time, opts ...Option) (*Spec, *file, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	doc := &document{dir: dir, asked: o.asked}
	root, err := decode(text, doc)
	if err != nil {
		return nil, nil, err
	}
	f := readFile(root)
	if err := doc.err(); err != nil {
		return nil, nil, err
	}
	s := &Spec{
		Name: f.name, Description: f.description, Seed: f.seed, Text: text, Dir: dir,
		Duration: f.duration, Blocks: f.blocks, WarmUp: f.warmUp,
	}
	if o.seed != nil {
		s.Seed = *o.seed
	}
	// Each step rests on the ones before it.
	for _, step := range []func(){
		func() { f.topology.load(&f.nodes) },
		func() { f.nodes.resolve(s) },
		func() { f.topology.resolve(s) },
		func() { f.links.resolve(s, &f.nodes) },
		func() { f.network.resolve(s, f.nodes.hashrate) },
		func() { f.resolveLength(s) },
		func() { f.payments.resolve(s) },
		func() { f.events.resolve(s) },
		func() { f.payments.prepare(s, f.network.t) },
		func() { f.network.date(s, now) },
	} {
		if step(); len(doc.errors) > 0 {
			return nil, nil, doc.err()
		}
	}
	return s, f, nil
}

// decode turns the text into tables that know their lines.
func decode(text []byte, doc *document) (*table, error) {
	if len(text) > maxFile {
		return nil, Errors{{Text: fmt.Sprintf("longer than %d KiB: nothing that a testnet's file holds needs as much", maxFile>>10)}}
	}
	body := strings.TrimPrefix(string(text), "\ufeff")
	s := scan(body)
	if s.depth > maxDepth || s.parts > maxKeyParts {
		return nil, Errors{{Text: fmt.Sprintf("brackets or keys are nested more than %d deep: the deepest that means anything are the curve and groups of [payments] and [[event]]", maxDepth)}}
	}
	values := make(map[string]any)
	meta, err := toml.Decode(body, &values)
	if err != nil {
		if parse, ok := err.(toml.ParseError); ok {
			return nil, Errors{{Line: parse.Position.Line, Text: parse.Message}}
		}
		return nil, Errors{{Text: err.Error()}}
	}
	keys := make([][]string, len(meta.Keys()))
	for i, key := range meta.Keys() {
		keys[i] = key
	}
	doc.lines = linesOf(s.marks, keys)
	return &table{doc: doc, values: values}, nil
}

// file is what stands in a file, before the blanks are filled in.
type file struct {
	t           *table
	name        string
	description string
	seed        uint64
	duration    time.Duration
	blocks      uint32
	warmUp      time.Duration

	network  networkTable
	nodes    nodesTable
	topology topologyTable
	links    linksTable
	payments paymentsTable
	events   eventTables
}

func readFile(t *table) *file {
	f := &file{
		t:           t,
		name:        t.text("name", "", 63),
		description: t.text("description", "", maxDescription),
		seed:        uint64(t.whole("seed", 1, 0, 1<<62)),
		duration:    t.duration("duration", 0, time.Second, maxDuration),
		blocks:      uint32(t.whole("blocks", 0, 1, maxBlocks)),
		warmUp:      t.duration("warm_up", defaultWarmUp, 0, 24*time.Hour),
		network:     readNetwork(t.table("network", "[network]")),
		nodes:       readNodes(t.table("nodes", "[nodes]")),
		topology:    readTopology(t.table("topology", "[topology]")),
		links:       readLinks(t.table("links", "[links]")),
		payments:    readPayments(t.table("payments", "[payments]"), t.has("payments")),
		events:      readEvents(t.tables("event", "[[event]]", maxEvents)),
	}
	t.done()
	if f.name != "" && !validName.MatchString(f.name) {
		t.wrong("name", f.name, nameExpected)
	}
	if t.has("duration") && t.has("blocks") {
		t.wrong("blocks", f.blocks, "either blocks or duration: one of them decides when the run ends")
	} else if !t.has("blocks") && !t.has("duration") {
		f.duration = defaultLength
	}
	return f
}

// resolveLength bounds what a run has to keep, once the spacing is known.
func (f *file) resolveLength(s *Spec) {
	if blocks := s.Duration.Seconds() / s.SpacingS; blocks > maxBlocks {
		f.t.wrong("duration", short(s.Duration), "at most %d blocks, which are %s at a block every %gs: all are kept in memory, with their arrivals",
			maxBlocks, short(time.Duration(maxBlocks*s.SpacingS*float64(time.Second)).Round(time.Second)), s.SpacingS)
	}
}

// Streams of randomness: what is drawn in one place does not depend on how much is
// drawn in others.
const (
	streamTopology = iota + 1
	streamRegions
	streamPartition // and one more for each event
)

func (s *Spec) rand(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(s.Seed, stream)) }
