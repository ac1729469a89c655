//go:build !unix

package main

import (
	"context"
	"log/slog"
)

// obey waits for ctx: there are no signals to be obeyed but the one that ends the show.
func (r *remote) obey(ctx context.Context, _ *watched, _ *slog.Logger) { <-ctx.Done() }

func ignoreBrokenPipes() {}
