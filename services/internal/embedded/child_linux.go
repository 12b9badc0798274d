package embedded

import (
	"os/exec"
	"syscall"
)

// dieWithParent makes the kernel stop the child, in an orderly way, when the
// thread that starts it ends; see process.run.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}
