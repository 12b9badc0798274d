// Command gateway is the WebSocket side of the pixel playground: clients draw here, and
// see what everybody draws.
//
// Its settings come from the environment (the README lists them); the port is
// 3002 unless they say otherwise. SIGTERM and SIGINT stop it in an orderly way,
// a second one at once. It exits with 2 when settings are wrong, with 1 when
// something went wrong later.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/cloud-pixel/playground/services/internal/config"
	"github.com/cloud-pixel/playground/services/internal/gateway"
)

func main() { os.Exit(run()) }

func run() int {
	r := config.FromEnv()
	options := gateway.OptionsFrom(r)
	if err := r.Err(); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "gateway: wrong settings in the environment:\n%v\n", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal meets no handler
	if err := gateway.Run(ctx, options); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "gateway: %v\n", err)
		return 1
	}
	return 0
}
