// Command api is the REST side of the pixel playground, and what persists its
// canvases.
//
// Its settings come from the environment (the README lists them); the port is
// 3001 unless they say otherwise. SIGTERM and SIGINT stop it in an orderly way,
// a second one at once. It exits with 2 when settings are wrong, with 1 when
// something went wrong later.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/cloud-pixel/playground/services/internal/api"
	"github.com/cloud-pixel/playground/services/internal/config"
)

func main() { os.Exit(run()) }

func run() int {
	r := config.FromEnv()
	options := api.OptionsFrom(r)
	if err := r.Err(); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "api: wrong settings in the environment:\n%v\n", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal meets no handler
	if err := api.Run(ctx, options); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "api: %v\n", err)
		return 1
	}
	return 0
}
