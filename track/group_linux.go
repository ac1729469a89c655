package track

import (
	"os/exec"
	"syscall"
)

// ownGroup has a child begin a process group, so that what it starts ends with it, and
// the terminal's interrupts do not reach it. It ends with us, too, however we end.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
