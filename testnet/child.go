package testnet

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/kapok-chain/kapok/p2p/host"
)

// maxLine bounds a line between a run and a node's process, in bytes: the longest is a
// setup, with some 100 bytes for each link, and there are 2,500 between fifty nodes.
const maxLine = 4 << 20

// request is a line to a node's process.
type request struct {
	ID int `json:"id"`
	command
}

// line is what a node's process says; exactly one of the first fields is set.
type line struct {
	Ready    *endpoint `json:"ready,omitempty"` // first
	Reply    *reply    `json:"reply,omitempty"`
	Sighting *sighting `json:"sighting,omitempty"`
	Fault    string    `json:"fault,omitempty"` // last, where the node ends by itself

	After time.Duration `json:"after_ns,omitempty"` // of a sighting: since setup.Origin
}

// reply answers a request.
type reply struct {
	ID    int    `json:"id"`
	Error string `json:"error,omitempty"`
	answer
}

// Child is one node in a process of its own: what Options.Command runs. It reads
// requests from in, as lines of JSON, writes what the node sees and answers to out, and
// logs to errs. It returns when the context or in ends, so that no process is left where
// the run dies, whatever kills it; everything the node had is closed then.
func Child(ctx context.Context, in io.Reader, out, errs io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	if !lines.Scan() {
		return errors.Join(errors.New("a node's process is told its setup in the first line of its input, and there is none; it is started by `kapok testnet run`"), lines.Err())
	}
	var s setup
	if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
		return fmt.Errorf("the setup of a node's process: %w", err)
	}
	c := &child{out: json.NewEncoder(out), origin: s.Origin.at(time.Now())}
	log := slog.New(slog.NewTextHandler(errs, &slog.HandlerOptions{Level: slog.Level(s.LogLevel)})).With("node", s.Node+1)
	if err := c.serve(ctx, &s, lines, log); err != nil {
		c.say(&line{Fault: err.Error()})
		return err
	}
	return nil
}

// child writes the lines of a node's process.
type child struct {
	origin time.Time

	mu  sync.Mutex
	out *json.Encoder
	err error // of the first line that could not be written
}

func (c *child) say(l *line) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = c.out.Encode(l)
	}
}

// serve runs the node until its input, the context or the node ends.
func (c *child) serve(ctx context.Context, s *setup, lines *bufio.Scanner, log *slog.Logger) error {
	params := s.Params
	if err := params.Init(); err != nil {
		return err
	}
	matrix, err := newMatrix(s.Links, s.Uplinks)
	if err != nil {
		return err
	}
	st, err := openStation(s, &params, matrix, func(seen sighting) { c.say(&line{Sighting: &seen, After: seen.At.Sub(c.origin)}) }, log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var requests sync.WaitGroup
	reading := make(chan struct{})
	go func() { // ends with the input, or with the process: nothing else interrupts a read
		defer close(reading)
		for lines.Scan() {
			var r request
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				cancel(fmt.Errorf("a request to a node's process cannot be read: %w", err))
				return
			}
			c.answer(ctx, st, &r, &requests)
		}
		cancel(nil)
	}()
	err = st.run(ctx, func() { c.say(&line{Ready: &st.at}) })
	select {
	case <-reading:
		requests.Wait()
	default:
	}
	return err
}

// answer does what is requested, in order, but for what waits for something.
func (c *child) answer(ctx context.Context, st *station, r *request, requests *sync.WaitGroup) {
	do := func() {
		got, err := st.do(ctx, &r.command)
		re := reply{ID: r.ID, answer: got}
		if err != nil {
			re.Error = err.Error()
		}
		c.say(&line{Reply: &re})
	}
	if r.Op == opConnected {
		requests.Go(do)
		return
	}
	do()
}

// newMatrix makes the links that a process knows of.
func newMatrix(links [][]host.Link, uplinks []int64) (*host.Matrix, error) {
	m, err := host.NewMatrix(links)
	if err != nil {
		return nil, err
	}
	return m, m.Uplinks(uplinks)
}
