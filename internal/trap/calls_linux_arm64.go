package trap

import "golang.org/x/sys/unix"

const arch = unix.AUDIT_ARCH_AARCH64

// numbers of the calls that can be trapped; -1: there is no such call here.
var numbers = map[string]int{
	"msync": unix.SYS_MSYNC, "fsync": unix.SYS_FSYNC, "fdatasync": unix.SYS_FDATASYNC,
	"openat": unix.SYS_OPENAT, "write": unix.SYS_WRITE, "pwrite64": unix.SYS_PWRITE64,
	"ftruncate": unix.SYS_FTRUNCATE, "fallocate": unix.SYS_FALLOCATE,
	"rename": -1, "renameat": unix.SYS_RENAMEAT, "unlinkat": unix.SYS_UNLINKAT, "mkdirat": unix.SYS_MKDIRAT,
}
