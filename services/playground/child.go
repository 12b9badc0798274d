package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/cloud-pixel/playground/services/internal/config"
)

// childVariable makes this program one of the services.
const childVariable = "PLAYGROUND_CHILD"

// child is the whole life of a process that is one service. It stops on a
// signal, and when its standard input ends: the parent closes it to stop the
// child, and the system closes it when the parent dies. It returns the exit
// code, as the service's own main does.
func child(name string, all []service) int {
	for _, s := range all {
		if s.name == name {
			return s.child()
		}
	}
	_, _ = fmt.Fprintf(os.Stderr, "playground: %s=%q is no service\n", childVariable, name)
	return 2
}

func (s service) child() int {
	r := config.FromEnv()
	run := s.prepare(r, func(addr, debug net.Addr) {
		// If the parent has gone, the standard input ends, too.
		_ = json.NewEncoder(os.Stdout).Encode(listenAt(addr, debug))
	})
	if err := r.Err(); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "%s: wrong settings in the environment:\n%v\n", s.name, err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	if err := run(ctx); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "%s: %v\n", s.name, err)
		return 1
	}
	return 0
}
