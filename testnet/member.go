package testnet

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/kapok-chain/kapok/consensus"
	"github.com/kapok-chain/kapok/p2p/host"
)

// member is a node that runs, in this process or in another.
type member interface {
	where() endpoint
	do(ctx context.Context, c *command) (answer, error)
	// stop ends the node in order, kill at once, as a loss of power would its process;
	// both return when it has ended.
	stop()
	kill() error
	// done is closed when the node has ended; fault says then what made it end, nil where
	// that was one of the above, or a stop over RPC.
	done() <-chan struct{}
	fault() error
}

// local is a member in this process.
type local struct {
	*station
	cancel context.CancelFunc
	over   chan struct{}
	reason error
}

// startLocal starts a node in this process and returns when its first blocks are
// connected, or ctx ends before that. It lives until life ends, or stop.
func startLocal(ctx, life context.Context, s *setup, params *consensus.Params, matrix *host.Matrix, watch func(sighting), log *slog.Logger) (*local, error) {
	st, err := openStation(s, params, matrix, watch, log)
	if err != nil {
		return nil, err
	}
	life, cancel := context.WithCancel(life)
	m := &local{station: st, cancel: cancel, over: make(chan struct{})}
	ready := make(chan struct{})
	go func() {
		m.reason = st.run(life, func() { close(ready) })
		close(m.over)
	}()
	select {
	case <-ready:
		return m, nil
	case <-m.over:
		cancel()
		return nil, cmp.Or(m.reason, context.Cause(life))
	case <-ctx.Done():
		m.stop()
		return nil, cmp.Or(m.reason, context.Cause(ctx))
	}
}

func (m *local) where() endpoint { return m.at }

func (m *local) stop() {
	m.cancel()
	<-m.over
}

var errInProcess = errors.New("the node runs in this process and cannot be killed: give it a process of its own")

func (m *local) kill() error { return errInProcess }

func (m *local) done() <-chan struct{} { return m.over }

func (m *local) fault() error { return m.reason }

// stopGrace is how long a node's process has to end in order before it is killed: a
// store of many blocks takes seconds to close on a busy disk.
const stopGrace = 20 * time.Second

// remote is a member in a process of its own.
type remote struct {
	cmd   *exec.Cmd
	node  int
	began time.Time // the run: what the process counts from
	at    endpoint
	input io.WriteCloser
	lines chan []byte // for input: taken while the process reads
	over  chan struct{}
	asked chan struct{} // closed when it is to end
	ask   sync.Once

	mu      sync.Mutex
	next    int
	waiting map[int]chan reply
	reason  error // why it ended by itself
}

// startRemote starts a node in a process of its own, and returns when its first blocks
// are connected. The process ends with stop or kill, or when this one does.
func startRemote(ctx context.Context, program []string, s *setup, began time.Time, watch func(sighting)) (*remote, error) {
	cmd := exec.Command(program[0], program[1:]...)
	cmd.Stderr = os.Stderr // its log
	cmd.SysProcAttr = apart()
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("a process for node %d: %w", s.Node+1, err)
	}
	m := &remote{
		cmd: cmd, node: s.Node, began: began, input: input, lines: make(chan []byte),
		over: make(chan struct{}), asked: make(chan struct{}), waiting: make(map[int]chan reply),
	}
	ready := make(chan struct{})
	go m.listen(output, watch, ready)
	now := time.Now()
	s.Origin = origin{now.Sub(began), now}
	if err := m.send(ctx, s); err != nil {
		m.stop()
		return nil, cmp.Or(m.fault(), err)
	}
	select {
	case <-ready:
		return m, nil
	case <-m.over:
		return nil, cmp.Or(m.fault(), errEnded)
	case <-ctx.Done():
		m.stop()
		return nil, context.Cause(ctx)
	}
}

var errEnded = errors.New("the node has ended")

// send hands the process a line, once it has read those before it.
func (m *remote) send(ctx context.Context, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	select {
	case m.lines <- append(line, '\n'):
		return nil
	case <-m.over:
		return errEnded
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// write writes lines to the process until it is to end. Nobody else waits for a process
// that hangs, and reads nothing: whoever has a line for it gives up in time.
func (m *remote) write(quit <-chan struct{}) {
	for {
		select {
		case line := <-m.lines:
			if _, err := m.input.Write(line); err != nil {
				return // the process has ended, or is about to
			}
		case <-quit:
			return
		}
	}
}

// listen takes what the process says, until it ends.
func (m *remote) listen(output io.Reader, watch func(sighting), ready chan<- struct{}) {
	quit := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() { m.write(quit) })
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, maxLine)
	var fault error
	started := false
	for lines.Scan() {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			fault = fmt.Errorf("it said what is no line of JSON: %w", err)
			break
		}
		switch {
		case l.Sighting != nil:
			l.Sighting.At = m.began.Add(l.After)
			watch(*l.Sighting)
		case l.Reply != nil:
			m.mu.Lock()
			to := m.waiting[l.Reply.ID]
			delete(m.waiting, l.Reply.ID)
			m.mu.Unlock()
			if to != nil {
				to <- *l.Reply // it has room
			}
		case l.Ready != nil && !started: // a second one would change what others read
			started, m.at = true, *l.Ready
			close(ready)
		case l.Fault != "":
			fault = errors.New(l.Fault)
		}
	}
	fault = errors.Join(fault, lines.Err())
	close(quit)
	_ = m.input.Close() // which ends a write, too
	writer.Wait()
	killer := time.AfterFunc(stopGrace, func() { _ = m.cmd.Process.Kill() })
	defer killer.Stop()
	_, _ = io.Copy(io.Discard, output) // so that nothing keeps it from ending
	m.end(fault)
}

// end waits for the process, whose output has ended.
func (m *remote) end(fault error) {
	err := m.cmd.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.asked:
	default:
		m.reason = fault
		if fault == nil && err != nil {
			m.reason = fmt.Errorf("its process has ended: %w", err)
		}
	}
	close(m.over)
}

func (m *remote) where() endpoint { return m.at }

func (m *remote) do(ctx context.Context, c *command) (answer, error) {
	to := make(chan reply, 1)
	m.mu.Lock()
	m.next++
	id := m.next
	m.waiting[id] = to
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		delete(m.waiting, id)
		m.mu.Unlock()
	}()
	if err := m.send(ctx, &request{id, *c}); err != nil {
		return answer{}, fmt.Errorf("node %d: %w", m.node+1, err)
	}
	select {
	case r := <-to:
		if r.Error != "" {
			return answer{}, fmt.Errorf("node %d: %s", m.node+1, r.Error)
		}
		return r.answer, nil
	case <-m.over:
		return answer{}, fmt.Errorf("node %d: %w", m.node+1, errEnded)
	case <-ctx.Done():
		return answer{}, fmt.Errorf("node %d: %w", m.node+1, context.Cause(ctx))
	}
}

// stop closes the input of the process, which ends it.
func (m *remote) stop() {
	m.ask.Do(func() { close(m.asked) })
	_ = m.input.Close()
	killer := time.AfterFunc(stopGrace, func() { _ = m.cmd.Process.Kill() })
	defer killer.Stop()
	<-m.over
}

func (m *remote) kill() error {
	m.ask.Do(func() { close(m.asked) })
	err := m.cmd.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	<-m.over
	return err
}

func (m *remote) done() <-chan struct{} { return m.over }

func (m *remote) fault() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reason
}
