//go:build !windows

package testnet

import "syscall"

// apart keeps a child out of the terminal's group of processes: an interrupt from there
// is for the run, which stops its nodes in order.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
