package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/cloud-pixel/playground/services/fleet"
	"github.com/cloud-pixel/playground/services/internal/config"
	"github.com/cloud-pixel/playground/services/internal/httpkit"
	"github.com/cloud-pixel/playground/services/internal/telemetry"
)

// system is what the program works with; tests have other services.
type system struct {
	services []service
	store    func(context.Context, Options, func(string) (string, bool)) (*store, error)
	out      io.Writer // for people
	log      *os.File
	env      func(string) (string, bool)
	// ready, unless nil, is called when everything is.
	ready func(fleet.State)
}

// settingsError is a mistake in the environment.
type settingsError struct{ err error }

func (e *settingsError) Error() string { return "wrong settings in the environment:\n" + e.err.Error() }
func (e *settingsError) Unwrap() error { return e.err }

const (
	// startTime bounds the start of the embedded store, which reads its data.
	startTime = time.Minute
	// tellAfter is how long the services may take to be ready before people
	// are told what they wait for.
	tellAfter = 5 * time.Second
	// spareTime is what a process gets beyond its own drain before it is
	// killed.
	spareTime = 5 * time.Second
)

// Run starts everything, serves until ctx ends or a part fails that cannot be
// started again, then stops the services in order (gateways first, which close
// their connections in an orderly way), and the store last.
func Run(ctx context.Context, o Options, sys system) (err error) {
	if err := o.Validate(); err != nil {
		return err
	}
	settings := sys.settings(o)
	if err := sys.check(settings); err != nil {
		return &settingsError{err}
	}
	r := config.NewReader(lookupIn(settings, sys.env))
	logging, drain := config.LogFrom(r), config.ListenFrom(r, 0).DrainTimeout
	log := telemetry.NewLogger(logging.Level, logging.Format, sys.log)

	// The port first: when it is taken nothing else needs to start.
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is in use, perhaps by another playground; choose another address by -addr", o.Addr)
	case err != nil:
		return fmt.Errorf("cannot listen: %w", err)
	}
	defer listener.Close() //nolint:errcheck // closed already unless the start failed
	starting, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	st, err := sys.store(starting, o, sys.env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.close()) }()
	settings = append(settings, st.env...)

	b := &board{path: o.State, now: fleet.State{URL: "http://" + reachable(listener.Addr(), "127.0.0.1"), Redis: st.state()}}
	if err := b.change(func(all []fleet.Process) []fleet.Process { return all }); err != nil {
		return err // a file that cannot be written is better known now
	}
	defer func() { err = errors.Join(err, b.remove()) }()

	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var background sync.WaitGroup
	defer background.Wait()
	defer fail(nil)
	pools := make(map[string]*pool)
	for _, s := range sys.services {
		pools[s.name] = &pool{}
	}
	sup := newSupervisor(log, b, pools, o.processes(), func(err error) { fail(err) })
	// Redis is kept until the services have stopped: they need it to drain.
	keeping, letGo := context.WithCancel(context.WithoutCancel(ctx))
	defer letGo()
	if st.keep != nil {
		background.Go(func() {
			st.keep(keeping, log, func() { sup.show(b.redis(st.state())) })
		})
	}
	groups := sys.instances(o, settings, drain+spareTime)
	for _, g := range groups {
		for _, i := range g {
			sup.expect(i)
		}
	}
	var steps []func(context.Context) error
	for _, g := range groups {
		stop := sup.start(g)
		steps = append(steps, func(context.Context) error { stop(); return nil })
	}
	background.Go(func() { sys.announce(ctx, sup, o, st, listener.Addr()) })

	proxy := newProxy(pools, log)
	defer proxy.close()
	err = httpkit.Serve(ctx, httpkit.Server{
		Listener: listener, Handler: proxy, Drain: steps, Log: log,
		DrainTimeout: time.Duration(len(groups)) * (drain + 2*spareTime), // each step bounds itself
	})
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	return err
}

// instances returns the groups in which they are stopped.
func (sys system) instances(o Options, settings []string, grace time.Duration) [][]instance {
	var groups [][]instance
	program, programErr := os.Executable()
	p := processes{program: program, grace: grace, log: sys.log}
	for _, s := range sys.services {
		var group []instance
		for n := range o.count(s.name) {
			i := instance{service: s.name, pod: fmt.Sprintf("%s-%d", s.name, n)}
			env := append(slices.Clone(settings), "POD_NAME="+i.pod)
			switch {
			case !o.processes():
				i.launch = s.inProcess(env, sys.env, os.Getpid())
			case programErr != nil:
				i.launch = func(context.Context, listening, func(listening)) error { return programErr }
			default:
				i.launch = p.launch(s.name, env)
			}
			group = append(group, i)
		}
		groups = append(groups, group)
	}
	return groups
}

// announce tells people where to look once everything is ready, and what it
// waits for when that takes long.
func (sys system) announce(ctx context.Context, sup *supervisor, o Options, st *store, addr net.Addr) {
	tick := time.NewTicker(tellAfter)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-sup.ready:
			now := sup.board.snapshot()
			sys.banner(now, o, st, "http://"+reachable(addr, "localhost"))
			if sys.ready != nil {
				sys.ready(now)
			}
			return
		case <-tick.C:
			waiting := sup.waiting()
			for _, pod := range slices.Sorted(maps.Keys(waiting)) {
				_, _ = fmt.Fprintf(sys.out, "waiting: %s %s\n", pod, waiting[pod])
			}
		}
	}
}

func (sys system) banner(now fleet.State, o Options, st *store, url string) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(sys.out, format+"\n", args...) }
	say("")
	say("Pixel playground is ready. Open")
	say("")
	say("  page       %s/", url)
	for _, s := range sys.services {
		for _, l := range s.links {
			say("  %-10s %s%s", l.name, url, l.path)
		}
	}
	say("")
	say("  data       %s", st.where)
	if now.Redis.PID != 0 {
		say("  redis      %s  pid %d", now.Redis.URL, now.Redis.PID)
	} else {
		say("  redis      %s", now.Redis.URL)
	}
	if o.State != "" {
		say("  state      %s", o.State)
	}
	say("")
	for _, p := range now.Processes {
		line := fmt.Sprintf("  %-10s http://%s/metrics", p.Pod, p.Addr)
		if p.DebugAddr != "" {
			line += fmt.Sprintf("  http://%s/debug/pprof/", p.DebugAddr)
		}
		if o.processes() {
			line += fmt.Sprintf("  pid %d", p.PID)
		}
		say("%s", line)
	}
	say("")
	say("Ctrl-C stops it.")
}

// reachable is host:port of a listener for who is on this machine: one that
// listens everywhere, or on the loopback, is at the given host.
func reachable(a net.Addr, loopback string) string {
	host, port, _ := net.SplitHostPort(a.String()) // a TCP address always splits
	if ip := net.ParseIP(host); ip.IsUnspecified() || ip.Equal(net.IPv4(127, 0, 0, 1)) {
		host = loopback
	}
	return net.JoinHostPort(host, port)
}
