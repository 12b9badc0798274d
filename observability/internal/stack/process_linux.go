package stack

import "syscall"

// processAttributes: a group of its own, so that Ctrl-C in the terminal
// reaches only this program, which stops its children in order; and a signal
// when this program dies.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
