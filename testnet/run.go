package testnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kapok-chain/kapok/testnet/record"
	"github.com/kapok-chain/kapok/testnet/report"
	"github.com/kapok-chain/kapok/testnet/spec"
)

// Options say how a testnet is run.
type Options struct {
	Spec *spec.Spec
	Dir  string // of the run: made if it is not there, and it must not hold a run
	// Data is where the nodes keep their chains, a directory each, which stay: it is made
	// if it is not there, and must be empty. "": a temporary directory, which is removed at the end.
	Data string
	// Processes runs each node in a process of its own, and not only those that the file
	// kills. Attackers stay in this one.
	Processes bool
	// Command starts such a process: a program, and arguments with which it calls Child
	// on its standard input, output and error. nil: this program with "testnet node".
	Command []string
	// Interactive is a network for people: it goes on until the context ends, which is no
	// interruption then, and its nodes have an index, pages and metrics.
	Interactive bool
	Version     string // of Kapok, as "0.1.0"
	Log         *slog.Logger

	Progress func(string) // is told how far the run is, in a few words, one call at a time; nil: nobody
	Ready    func(Info)   // is told when all nodes run and are connected; nil: nobody
}

// Info says where the nodes of a running testnet are.
type Info struct {
	Dir   string     `json:"dir"` // of the run
	Nodes []NodeInfo `json:"nodes"`
}

// NodeInfo is where one node is.
type NodeInfo struct {
	Node    int    `json:"node"` // from 1
	Name    string `json:"name"`
	Address string `json:"address"` // for peers
	RPC     string `json:"rpc"`     // URL
	Cookie  string `json:"cookie"`  // file of the RPC server's credentials
	Pages   string `json:"pages,omitempty"`
	Metrics string `json:"metrics,omitempty"` // URL, for Prometheus
	PID     int    `json:"pid"`
}

// Run runs a testnet from its file to its report. Whatever ends it, all nodes and
// processes have ended when it returns, and the run directory holds what there was until
// then, marked as what it is.
//
// The summary is of all that was measured, and nil where there was no run. The error says
// why the run is not complete: that of the context where that has ended, and otherwise
// what is wrong with the file, the machine, or a node.
func Run(ctx context.Context, o Options) (_ *record.Summary, err error) {
	r, err := newRun(o)
	if err != nil {
		return nil, err
	}
	err = r.play(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
		if o.Interactive {
			err = nil
		}
	}
	return r.finish(ctx, err)
}

// newRun makes all that a run needs before anything happens.
func newRun(o Options) (*run, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	var one sync.Mutex
	tell := o.Progress
	o.Progress = func(text string) {
		one.Lock()
		defer one.Unlock()
		tell(text)
	}
	if o.Command == nil {
		program, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("the program of the nodes' processes: %w", err)
		}
		o.Command = []string{program, "testnet", "node"}
	}
	r := &run{Options: o, began: time.Now(), random: rand.New(rand.NewPCG(o.Spec.Seed, 0))}
	if err := r.prepare(); err != nil {
		return nil, errors.Join(err, r.clear())
	}
	return r, nil
}

// run is a run in progress.
type run struct {
	Options
	began    time.Time
	random   *rand.Rand // drawn from before anything runs
	writer   *record.Writer
	manifest record.Manifest
	data     string
	ledger   *ledger
	load     *load
	recorder *recorder
	net      *network
	stage    atomic.Pointer[string]        // of the run, for people
	twice    map[*spec.Event][]*spentTwice // what double spends spend

	from, to mark // of the measured part
	looks    []lateLook
}

func (r *run) prepare() (err error) {
	s := r.Spec
	r.ledger = newLedger(r.began, len(s.Nodes), s.Prelude)
	if r.load, err = newLoad(s, r.random, r.ledger); err != nil {
		return err
	}
	r.recorder = newRecorder(r.began, len(s.Nodes), r.ledger)
	if r.data = r.Data; r.data == "" {
		r.data, err = os.MkdirTemp("", "kapok-testnet-")
	} else {
		err = emptyDir(r.data)
	}
	if err != nil {
		return fmt.Errorf("a directory for the nodes' chains: %w", err)
	}
	if r.net, err = newNetwork(&r.Options, r.data, r.recorder); err != nil {
		return err
	}
	r.net.say = r.say
	r.manifest = manifestOf(&r.Options, r.began)
	r.writer, err = record.Create(r.Dir, r.manifest, s.Text)
	return err
}

// emptyDir makes a directory that is not there, and refuses one that holds something: the
// chains of a run before begin with another genesis block.
func emptyDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	names, err := d.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return nil
	} else if err != nil {
		return err
	}
	return fmt.Errorf("%s holds %s, expected an empty directory: each run has a chain of its own. Name another one, or remove what is there", dir, names[0])
}

// clear removes what the nodes stored, unless it was to be kept.
func (r *run) clear() error {
	if r.data == "" || r.Data != "" {
		return nil
	}
	return os.RemoveAll(r.data)
}

// enter says which part of the run begins.
func (r *run) enter(stage string) {
	r.stage.Store(&stage)
	r.Progress(stage)
}

// say tells of something that happens now, in the record and in the log.
func (r *run) say(kind string, nodes []int, text string, values map[string]any) error {
	return r.sayAt(time.Now(), kind, nodes, text, values)
}

// sayAt is say for what happened at a moment.
func (r *run) sayAt(at time.Time, kind string, nodes []int, text string, values map[string]any) error {
	e := record.Event{TimeS: r.recorder.since(at), Kind: kind, Text: text, Values: values}
	for _, node := range nodes {
		e.Nodes = append(e.Nodes, node+1)
	}
	r.Log.Info(text, "kind", kind)
	return r.writer.Event(e)
}

// finish ends the nodes, writes the rest of the record, and makes sense of it.
func (r *run) finish(ctx context.Context, why error) (*record.Summary, error) {
	r.enter("stopping the nodes")
	patience := endTime
	if ctx.Err() != nil && !r.Interactive {
		patience = hurriedTime
	}
	r.conclude(context.WithoutCancel(ctx), patience)
	r.net.stop()
	cleared := r.clear() // before the last is written: a disk that was full has room then
	switch {
	case why == nil:
		r.manifest.Status = record.Complete
	case ctx.Err() != nil:
		r.manifest.Status = record.Interrupted
	default:
		r.manifest.Status, r.manifest.Reason = record.Failed, strings.ReplaceAll(why.Error(), "\n", "; ")
	}
	r.manifest.EndedAt = time.Now()
	written := errors.Join(
		r.say(string(r.manifest.Status), nil, sentence(&r.manifest), nil),
		r.writer.Tables(r.recorder.rows(), r.ledger.rows()),
		r.writer.Manifest(r.manifest),
	)
	summary, reported := r.report()
	return summary, errors.Join(why, written, reported, cleared, r.writer.Close())
}

// report makes summary.json and report.html of what is on disk, as anybody could.
func (r *run) report() (*record.Summary, error) {
	r.enter("writing the report")
	recorded, err := record.Open(r.Dir)
	if err != nil {
		return nil, fmt.Errorf("the record cannot be read again: %w", err)
	}
	s := report.Summarize(recorded, rand.New(rand.NewPCG(r.Spec.Seed, 2)))
	return s, errors.Join(r.writer.Summary(s), r.writer.Report(func(w io.Writer) error { return report.HTML(w, recorded, s) }))
}

// sentence says how a run ended.
func sentence(m *record.Manifest) string {
	switch m.Status {
	case record.Complete:
		return "The run is complete."
	case record.Interrupted:
		return "The run was interrupted; what is recorded is of the time until then."
	}
	return fmt.Sprintf("The run failed: %s.", m.Reason)
}
