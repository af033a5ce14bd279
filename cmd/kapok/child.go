package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"time"
)

// stopGrace is how long a child has to end after an interrupt before it is killed.
const stopGrace = 10 * time.Second

// child is a node in a process of its own. Its complaints go to our standard error.
type child struct {
	cmd   *exec.Cmd
	lines *bufio.Reader
	began time.Time  // when the process was started
	ready *nodeEvent // what it said first
	ended bool
}

// startChild runs `kapok node --json` with more arguments and waits until it is ready.
// The end of the context interrupts it.
func startChild(ctx context.Context, args ...string) (*child, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.CommandContext(ctx, program, append([]string{"node", "--json"}, args...)...)}
	c.cmd.Cancel = c.interrupt
	c.cmd.WaitDelay = stopGrace
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.began = time.Now()
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	c.lines = bufio.NewReader(out)
	if c.ready, err = c.next(); err == nil && c.ready.Ready != nil {
		return c, nil
	}
	c.interrupt()
	return nil, errors.Join(errors.New("a node did not get ready"), err, c.wait())
}

// next reads what the child says next.
func (c *child) next() (*nodeEvent, error) { return readEvent(c.lines) }

// readEvent reads one JSON line.
func readEvent(r *bufio.Reader) (*nodeEvent, error) {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	var e nodeEvent
	return &e, json.Unmarshal(line, &e)
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// usedCPU is the CPU time that it took until now.
func (c *child) usedCPU() time.Duration { return cpuOf(c.pid()) }

func (c *child) interrupt() error { return c.cmd.Process.Signal(os.Interrupt) }

// wait reads on until the child has ended, and returns how.
func (c *child) wait() error {
	io.Copy(io.Discard, c.lines)
	c.ended = true
	return c.cmd.Wait()
}

// end stops a child and returns what it used. A second call returns the same.
func (c *child) end() (cpuSeconds float64, peakBytes int64) {
	if !c.ended {
		c.interrupt()
		c.wait() // by an interrupt, which is no error of ours
	}
	state := c.cmd.ProcessState
	return (state.UserTime() + state.SystemTime()).Seconds(), peakRSS(state)
}

// kill ends a child at once, as a loss of power would.
func (c *child) kill() {
	c.cmd.Process.Kill()
	c.wait()
}
