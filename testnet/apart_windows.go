package testnet

import "syscall"

// apart keeps a child out of the console's group of processes: an interrupt from there
// is for the run, which stops its nodes in order.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}
