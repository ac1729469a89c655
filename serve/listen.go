package serve

import (
	"context"
	"net"
)

// Listen waits for connections at an address and port, whose other ends are found to have
// gone when they acknowledge nothing for a while, where the system can do that.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	config := net.ListenConfig{Control: dropSilent}
	return config.Listen(ctx, "tcp", address)
}
