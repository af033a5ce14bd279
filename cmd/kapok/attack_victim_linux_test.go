package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kapok-chain/kapok/rpc"
)

// watchedCommand is the command kapok in a process that says how it is: at each
// SIGUSR1 it writes its goroutines and the bytes of its live heap to file 3.
const watchedCommand = "kapok-watched"

func init() { commands[watchedCommand] = watched }

func watched() {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	go func() {
		answers := os.NewFile(3, "answers")
		for range asked {
			runtime.GC()
			runtime.GC() // what pools held
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			fmt.Fprintln(answers, runtime.NumGoroutine(), m.HeapAlloc)
		}
	}()
	main()
}

// quarry is the node that is attacked, in a process of its own.
type quarry struct {
	cmd    *exec.Cmd
	ready  readyEvent
	client *rpc.Client
	log    string // file of its standard error
	dead   chan struct{}
	status error // of the process, once it is dead

	ask     sync.Mutex
	answers *bufio.Reader
}

// startQuarry runs `kapok node` and passes what it says to seen, until it ends.
func startQuarry(t *testing.T, dir string, seen func(*nodeEvent), args ...string) *quarry {
	t.Helper()
	q := &quarry{log: filepath.Join(dir, "victim.log"), dead: make(chan struct{})}
	log, err := os.Create(q.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	q.answers = bufio.NewReader(from)
	q.cmd = exec.Command(watchedCommand, append([]string{"node", "--json", "--datadir", filepath.Join(dir, "victim"),
		"--rpc", "127.0.0.1:0", "--no-quic", "--lean", "--only-peers"}, args...)...)
	q.cmd.Stderr, q.cmd.ExtraFiles = log, []*os.File{to}
	out, err := q.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := q.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	first, err := readEvent(lines)
	go func() {
		for err == nil {
			var e *nodeEvent
			if e, err = readEvent(lines); err == nil {
				seen(e)
			}
		}
		q.status = q.cmd.Wait()
		from.Close()
		close(q.dead)
	}()
	if err != nil || first.Ready == nil {
		q.kill()
		t.Fatalf("the victim said %+v (%v) instead of being ready: %s", first, err, q.said())
	}
	q.ready = *first.Ready
	q.client = rpc.NewClient(rpc.Dial{URL: "http://" + q.ready.RPC, CookieFile: q.ready.Cookie})
	return q
}

// kill ends the process.
func (q *quarry) kill() {
	_ = q.cmd.Process.Kill() // it may have ended
	<-q.dead
}

// said is the end of the victim's log.
func (q *quarry) said() string {
	text, err := os.ReadFile(q.log)
	if err != nil {
		return err.Error()
	}
	return "\n" + string(text[max(0, len(text)-4000):])
}

// alive returns an error once the process has ended.
func (q *quarry) alive() error {
	select {
	case <-q.dead:
		return fmt.Errorf("the victim has ended (%v): %s", q.status, q.said())
	default:
		return nil
	}
}

// look asks the process for its goroutines and its live heap in bytes.
func (q *quarry) look() (goroutines int, heap int64, err error) {
	q.ask.Lock()
	defer q.ask.Unlock()
	if err := errors.Join(q.alive(), q.cmd.Process.Signal(syscall.SIGUSR1)); err != nil {
		return 0, 0, err
	}
	line, err := q.answers.ReadString('\n')
	if err == nil {
		_, err = fmt.Sscan(line, &goroutines, &heap)
	}
	return goroutines, heap, err
}

// cpu is the CPU time that the process took until now.
func (q *quarry) cpu() time.Duration { return cpuOf(q.cmd.Process.Pid) }

func (q *quarry) proc(name string) string {
	return filepath.Join("/proc", strconv.Itoa(q.cmd.Process.Pid), name)
}

// files counts the open files.
func (q *quarry) files() (int, error) {
	names, err := os.ReadDir(q.proc("fd"))
	return len(names), err
}

// memory reads a line of /proc/PID/status that is in kB, in bytes.
func (q *quarry) memory(key string) (int64, error) {
	text, err := os.ReadFile(q.proc("status"))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		if words := strings.Fields(string(line)); len(words) == 3 && words[0] == key+":" {
			kB, err := strconv.ParseInt(words[1], 10, 64)
			return kB << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no %s", q.proc("status"), key)
}

// condition is how a process is when nothing is asked of it.
type condition struct {
	goroutines, files int
	heap, rss         int64 // bytes
}

func (q *quarry) condition() (c condition, err error) {
	if c.goroutines, c.heap, err = q.look(); err != nil {
		return c, err
	}
	c.files, err = q.files()
	if err == nil {
		c.rss, err = q.memory("VmRSS")
	}
	return c, err
}

// forgetPeak makes VmHWM count from now on.
func (q *quarry) forgetPeak() error { return os.WriteFile(q.proc("clear_refs"), []byte("5"), 0) }

// peers asks for the victim's peers, by id.
func (q *quarry) peers(ctx context.Context) (map[string]peerState, error) {
	var list []peerState
	if err := q.client.Call(ctx, "getpeerinfo", &list); err != nil {
		return nil, err
	}
	peers := make(map[string]peerState)
	for _, p := range list {
		peers[p.ID] = p
	}
	return peers, nil
}

// peerState is what getpeerinfo says of a peer, as far as attacks need it.
type peerState struct {
	ID     string            `json:"peer_id"`
	Number int64             `json:"id"`
	Score  float64           `json:"score"`
	Recv   map[string]uint64 `json:"bytesrecv_per_msg"`
	Sent   map[string]uint64 `json:"bytessent_per_msg"`
}
