//go:build !unix

package main

import "os"

// stop and goOn would hold a process and let it go on; there is no such thing here.
var stop, goOn = os.Kill, os.Kill
