//go:build !linux

package host

import "syscall"

func networkNamespace(int, int) *syscall.SysProcAttr { return nil }
