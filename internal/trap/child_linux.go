//go:build linux && (amd64 || arm64)

package trap

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	callsEnv = "KAPOK_TRAP_CALLS" // names, with commas between
	pathEnv  = "KAPOK_TRAP_PATH"  // of the program to become
	sockEnv  = "KAPOK_TRAP_SOCKET"
)

// A test binary that is started with these variables is the child, and becomes the
// program before any test runs.
func init() {
	if calls := os.Getenv(callsEnv); calls != "" {
		err := become(strings.Split(calls, ","), os.Getenv(pathEnv), os.Getenv(sockEnv))
		fmt.Fprintf(os.Stderr, "trap: %v\n", err)
		os.Exit(1)
	}
}

// become traps the calling thread and executes the program there. The filter goes
// over to it; the other threads of this process end.
func become(calls []string, path, socket string) error {
	runtime.LockOSThread()
	var fd int
	if _, err := fmt.Sscan(socket, &fd); err != nil {
		return fmt.Errorf("socket %q: %w", socket, err)
	}
	unix.CloseOnExec(fd)
	program, err := filter(calls)
	if err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	listener, err := install(program)
	if err != nil {
		return fmt.Errorf("seccomp filter: %w", err)
	}
	if err := unix.Sendmsg(fd, []byte{0}, unix.UnixRights(listener), nil, 0); err != nil {
		return fmt.Errorf("hand over the listener: %w", err)
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "KAPOK_TRAP_") })
	return syscall.Exec(path, os.Args, env)
}

// waitKillable keeps signals other than fatal ones from interrupting a call that the
// parent has seen (Linux 5.19; x/sys has no name for it). Else it would be seen twice.
const waitKillable = 0x20

func install(program []unix.SockFilter) (listener int, err error) {
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	for _, flags := range []uintptr{unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | waitKillable, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER} {
		fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
		if errno == 0 {
			return int(fd), nil
		}
		err = errno
	}
	return 0, err
}

// Places in struct seccomp_data.
const (
	offsetNumber = 0
	offsetArch   = 4
	offsetArg2   = 16 + 2*8
)

// filter notifies of the calls and allows all others. Of openat it notifies where
// a file may be created.
func filter(calls []string) ([]unix.SockFilter, error) {
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	equal := func(k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jt: yes, Jf: no}
	}
	ret := func(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }
	program := []unix.SockFilter{
		load(offsetArch), equal(arch, 1, 0), ret(unix.SECCOMP_RET_ALLOW),
		load(offsetNumber),
	}
	for _, name := range calls {
		number, ok := numbers[name]
		switch {
		case !ok:
			return nil, fmt.Errorf("no call is named %q", name)
		case number < 0: // this machine does without it
		case name == "openat":
			program = append(program, equal(uint32(number), 0, 4), load(offsetArg2),
				unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: unix.O_CREAT, Jt: 0, Jf: 1},
				ret(unix.SECCOMP_RET_USER_NOTIF), ret(unix.SECCOMP_RET_ALLOW))
		default:
			program = append(program, equal(uint32(number), 0, 1), ret(unix.SECCOMP_RET_USER_NOTIF))
		}
	}
	return append(program, ret(unix.SECCOMP_RET_ALLOW)), nil
}
