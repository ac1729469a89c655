//go:build unix

package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// obey does what signals ask for, until ctx ends: those of ezstream. A hangup has lists read
// again elsewhere.
func (r *remote) obey(ctx context.Context, w *watched, log *slog.Logger) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGHUP)
	defer signal.Stop(signals)
	for {
		select {
		case s := <-signals:
			switch s {
			case syscall.SIGUSR1:
				for _, d := range r.shows {
					if err := r.Skip(d.mount); err != nil {
						log.Warn("not skipped", "err", err)
					}
				}
			case syscall.SIGUSR2:
				for _, d := range r.shows {
					d.retitle()
				}
			case syscall.SIGHUP:
				if w.asRun != nil {
					w.asRun.Reopen()
				}
			}
		case <-ctx.Done():
			return
		}
	}
}

// ignoreBrokenPipes lets the program go on when nobody reads its log any more. What it runs
// is not concerned.
func ignoreBrokenPipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }
