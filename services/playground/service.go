package main

import (
	"context"
	"net"

	"github.com/cloud-pixel/playground/services/internal/config"
)

// link is a place that people may want to look at.
type link struct{ name, path string }

// service is one of the three.
type service struct {
	name string
	// prepare reads the settings, as the service's own main does (what is wrong
	// with them stands in r.Err() afterwards), and returns what runs the
	// service until its context ends; that calls ready when it listens.
	prepare func(r *config.Reader, ready func(addr, debug net.Addr)) func(context.Context) error
	links   []link
}

// inProcess launches the service as a goroutine of this process.
func (s service) inProcess(env []string, lookup func(string) (string, bool), pid int) func(context.Context, listening, func(listening)) error {
	return func(ctx context.Context, at listening, up func(listening)) error {
		r := config.NewReader(lookupIn(append(env[:len(env):len(env)], at.env()...), lookup))
		run := s.prepare(r, func(addr, debug net.Addr) {
			where := listenAt(addr, debug)
			where.pid = pid
			up(where)
		})
		if err := r.Err(); err != nil {
			return err
		}
		return run(ctx)
	}
}

// listening is where an instance listens. It is also the line by which a child
// process tells its parent.
type listening struct {
	Addr  string `json:"addr"`
	Debug string `json:"debugAddr"`
	pid   int
}

func listenAt(addr, debug net.Addr) listening {
	l := listening{Addr: addr.String()}
	if debug != nil {
		l.Debug = debug.String()
	}
	return l
}

// env are the variables that make a service listen there.
func (l listening) env() []string { return []string{"ADDR=" + l.Addr, "DEBUG_ADDR=" + l.Debug} }
