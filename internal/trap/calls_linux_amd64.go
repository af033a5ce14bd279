package trap

import "golang.org/x/sys/unix"

const arch = unix.AUDIT_ARCH_X86_64

// numbers of the calls that can be trapped.
var numbers = map[string]int{
	"msync": unix.SYS_MSYNC, "fsync": unix.SYS_FSYNC, "fdatasync": unix.SYS_FDATASYNC,
	"openat": unix.SYS_OPENAT, "write": unix.SYS_WRITE, "pwrite64": unix.SYS_PWRITE64,
	"ftruncate": unix.SYS_FTRUNCATE, "fallocate": unix.SYS_FALLOCATE,
	"rename": unix.SYS_RENAME, "renameat": unix.SYS_RENAMEAT, "unlinkat": unix.SYS_UNLINKAT, "mkdirat": unix.SYS_MKDIRAT,
}
