package main

import (
	"strings"
	"unsafe"
)

// hidePassword writes over the password in a URL on the command line. The string is to be
// one of os.Args itself: these are not copies, so /proc/PID/cmdline shows no password from
// then on.
func hidePassword(arg string) {
	start := strings.Index(arg, "://")
	end := strings.LastIndexByte(arg, '@')
	if start < 0 || end < start {
		return
	}
	start += len("://")
	colon := strings.IndexByte(arg[start:end], ':')
	if colon < 0 {
		return
	}
	b := unsafe.Slice(unsafe.StringData(arg), len(arg))
	for i := start + colon + 1; i < end; i++ {
		b[i] = '*'
	}
}
