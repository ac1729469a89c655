package lock

import (
	"fmt"
	"os"
	"path/filepath"
)

// Folders returns where programs of this user keep locks: in the runtime folder of a login
// session, in that of a service, which systemd makes (RuntimeDirectory=icepush), and among
// temporary files. A cron job may have the last alone. ICEPUSH_RUNTIME_DIR takes the place
// of them all.
func Folders() []string {
	if dir := os.Getenv("ICEPUSH_RUNTIME_DIR"); dir != "" {
		return []string{dir}
	}
	uid := os.Getuid()
	if uid < 0 { // on Windows: temporary files are each user's own
		return []string{filepath.Join(os.TempDir(), "icepush")}
	}
	var folders []string
	session := os.Getenv("XDG_RUNTIME_DIR")
	if session == "" {
		session = fmt.Sprintf("/run/user/%d", uid)
	}
	if info, err := os.Stat(session); filepath.IsAbs(session) && err == nil && info.IsDir() && ours(info) {
		folders = append(folders, filepath.Join(session, "icepush"))
	}
	// Of a service without a user of its own (DynamicUser=yes) it may be a link of systemd's.
	if service, err := filepath.EvalSymlinks("/run/icepush"); err == nil {
		if info, err := os.Stat(service); err == nil && info.IsDir() && ours(info) {
			folders = append(folders, service)
		}
	}
	return append(folders, filepath.Join(os.TempDir(), fmt.Sprintf("icepush-%d", uid)))
}
