//go:build unix && !linux

package track

import (
	"os/exec"
	"syscall"
)

// ownGroup has a child begin a process group, so that what it starts ends with it, and
// the terminal's interrupts do not reach it.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
