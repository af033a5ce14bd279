//go:build linux && (amd64 || arm64)

package trap

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Start starts a command and traps its calls, and those of its children, on files at
// or below a directory. The function answers them, one at a time, from another
// goroutine; joined returns when that has ended, after the process has.
//
// Names of calls are those of Syncs and Changes. Rename is asked about by its old
// path. The test binary has to be the one that imports this package.
func Start(cmd *exec.Cmd, under string, calls []string, answer func(Call) Answer) (joined func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if cmd.Err != nil {
		return nil, cmd.Err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("trap: %w", err)
	}
	defer unix.Close(pair[0])
	theirs := os.NewFile(uintptr(pair[1]), "socket")
	env := cmd.Env
	if env == nil {
		env = os.Environ()
	}
	cmd.Env = append(env, callsEnv+"="+strings.Join(calls, ","), pathEnv+"="+cmd.Path,
		sockEnv+"="+strconv.Itoa(3+len(cmd.ExtraFiles)))
	cmd.ExtraFiles = append(cmd.ExtraFiles, theirs)
	cmd.Path = self
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return nil, err
	}
	listener, err := receive(pair[0])
	if err != nil {
		cmd.Process.Kill()
		return nil, errors.Join(fmt.Errorf("trap: the child handed over no listener: %w", err), cmd.Wait())
	}
	w := &watcher{listener: listener, process: cmd.Process, under: under, answer: answer}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer unix.Close(listener)
		w.watch()
	}()
	return func() { <-done }, nil
}

// receive takes the listener from the child.
func receive(socket int) (int, error) {
	rights := make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := unix.Recvmsg(socket, make([]byte, 1), rights, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, errors.New("it ended")
	}
	messages, err := unix.ParseSocketControlMessage(rights[:oobn])
	if err != nil {
		return 0, err
	}
	if len(messages) != 1 {
		return 0, fmt.Errorf("%d messages", len(messages))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return 0, err
	}
	return fds[0], nil
}

// notification is struct seccomp_notif.
type notification struct {
	id     uint64
	thread uint32
	_      uint32
	number int32
	_      uint32
	_      uint64
	args   [6]uint64
}

// response is struct seccomp_notif_resp.
type response struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

type watcher struct {
	listener int
	process  *os.Process
	under    string
	answer   func(Call) Answer
}

// watch answers until no process is left that could ask.
func (w *watcher) watch() {
	for {
		fds := []unix.PollFd{{Fd: int32(w.listener), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil {
			if errors.Is(err, unix.EINTR) {
				continue
			}
			return // the listener is closed then, and whoever asks gets an error
		}
		if fds[0].Revents&unix.POLLIN == 0 {
			return
		}
		var n notification
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(w.listener), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&n))); errno != 0 {
			continue // the caller was killed meanwhile, or interrupted
		}
		r := response{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		if call, ok := w.call(&n); ok {
			switch a := w.answer(call); {
			case a.kill:
				w.process.Kill()
				continue
			case a.errno != 0:
				r.errno, r.flags = -a.errno, 0
			}
		}
		// An error says that the caller is gone.
		unix.Syscall(unix.SYS_IOCTL, uintptr(w.listener), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&r)))
	}
}

// call says what a notification is about, and whether it is below the directory.
func (w *watcher) call(n *notification) (c Call, ours bool) {
	for name, number := range numbers {
		if number == int(n.number) {
			c.Name = name
		}
	}
	proc := fmt.Sprintf("/proc/%d/", n.thread)
	switch c.Name {
	case "msync":
		c.Path = mapped(proc, n.args[0])
	case "rename":
		c.Path = text(proc, n.args[0])
	case "openat", "renameat", "unlinkat", "mkdirat":
		c.Path = text(proc, n.args[1])
	default:
		fd := strconv.FormatInt(int64(int32(n.args[0])), 10)
		c.Path, _ = os.Readlink(proc + "fd/" + fd)
		if strings.Contains(c.Name, "write") && w.below(c.Path) {
			c.Through = writesThrough(proc + "fdinfo/" + fd)
		}
	}
	return c, w.below(c.Path)
}

func (w *watcher) below(path string) bool {
	return path == w.under || strings.HasPrefix(path, w.under+"/")
}

// writesThrough reads the flags of an open file.
func writesThrough(fdinfo string) bool {
	text, err := os.ReadFile(fdinfo)
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), "flags:")
	var flags int64
	_, err = fmt.Sscanf(rest, "%o", &flags)
	return err == nil && flags&unix.O_DSYNC != 0
}

// mapped is the file that is mapped at an address.
func mapped(proc string, address uint64) string {
	maps, err := os.ReadFile(proc + "maps")
	if err != nil {
		return "" // the process is gone
	}
	for lines := bufio.NewScanner(bytes.NewReader(maps)); lines.Scan(); {
		var from, to uint64
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x", &from, &to); err == nil && from <= address && address < to {
			if fields := strings.SplitN(lines.Text(), " ", 6); len(fields) == 6 {
				return strings.TrimSpace(fields[5])
			}
		}
	}
	return ""
}

// text is the string at an address.
func text(proc string, address uint64) string {
	mem, err := os.Open(proc + "mem")
	if err != nil {
		return ""
	}
	defer mem.Close()
	text := make([]byte, unix.PathMax)
	n, _ := mem.ReadAt(text, int64(address)) // it may end at the end of a page
	text, _, _ = bytes.Cut(text[:n], []byte{0})
	return string(text)
}
