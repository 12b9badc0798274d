package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(run()) }

// run returns the exit code: 2 for mistakes in flags or settings, 1 for what
// went wrong later.
func run() int {
	if name := os.Getenv(childVariable); name != "" {
		return child(name, services)
	}
	if len(os.Args) > 1 && os.Args[1] == "canvas" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return runCanvas(ctx, os.Args[2:], terminal{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.LookupEnv})
	}
	o, err := parseFlags(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		_, _ = fmt.Fprintln(os.Stderr, "playground:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the program at once; its children follow by
	// themselves.
	context.AfterFunc(ctx, stop)
	err = Run(ctx, o, system{services: services, store: startStore, out: os.Stdout, log: os.Stderr, env: os.LookupEnv})
	var mistake *settingsError
	switch {
	case errors.As(err, &mistake):
		_, _ = fmt.Fprintln(os.Stderr, "playground:", err)
		return 2
	case err != nil:
		_, _ = fmt.Fprintln(os.Stderr, "playground:", err)
		return 1
	}
	return 0
}
