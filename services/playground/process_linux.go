package main

import "syscall"

// processAttributes: a group of its own, so that Ctrl-C in the terminal
// reaches only the parent, which stops its children in order; and a signal
// when the parent dies, should the child not be reading its input yet.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
