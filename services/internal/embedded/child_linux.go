package embedded

import (
	"os/exec"
	"syscall"
)

// dieWithParent makes the kernel stop the child, in an orderly way, when the
// thread that starts it ends; see process.run. The child has a process group of
// its own: Ctrl-C in a terminal must not reach the store before the services
// that still write to it have ended.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
