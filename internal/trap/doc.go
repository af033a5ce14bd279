// Package trap holds a child process at its system calls, for tests that kill it
// there, let its disk fail there, or look what is on its disk by then.
//
// It works on Linux, without privileges and with the program as it is: the child
// puts a seccomp filter on itself, whose notifications come to the parent, and then
// becomes the program. A call that is trapped waits, before it does anything, until
// the parent answers.
//
// Disk uses that to tell what a power cut leaves: what was written, to a file or to
// memory that maps one, counts once a sync of that file was asked for.
package trap

// Call is a system call on a file, before it does anything.
type Call struct {
	Name string // as "msync"
	Path string // of the file, or of the directory
	// Through says that the file was opened to write through to the disk (O_DSYNC).
	Through bool
}

// Answer says what becomes of a call.
type Answer struct {
	kill  bool
	errno int32
}

// Pass lets a call do its work.
func Pass() Answer { return Answer{} }

// Fail makes a call fail with an error number, undone.
func Fail(errno int32) Answer { return Answer{errno: errno} }

// Kill ends the process with SIGKILL; the call is never made.
func Kill() Answer { return Answer{kill: true} }

// Syncs are the calls that Disk has to know of: those that put on disk what was
// written, writes that may do so by themselves, and those that give a file a new name.
func Syncs() []string {
	return []string{"msync", "fsync", "fdatasync", "write", "pwrite64", "rename", "renameat"}
}

// Changes are the calls that change a file or a directory, but for writes to memory
// that maps a file, which no call makes. Of openat, those that may create a file.
func Changes() []string {
	return []string{"openat", "write", "pwrite64", "ftruncate", "fallocate", "rename", "renameat", "unlinkat", "mkdirat"}
}
