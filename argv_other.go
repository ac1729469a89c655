//go:build !linux

package main

// hidePassword does nothing: how the command line is shown differs from system to system.
func hidePassword(string) {}
