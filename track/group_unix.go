//go:build unix

package track

import (
	"os/exec"
	"syscall"
)

// ownGroup has a child begin a process group, so that what it starts ends with it, and
// the terminal's interrupts do not reach it.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func killGroup(cmd *exec.Cmd) { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
