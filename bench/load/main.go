// Command load measures a running system: many clients at a constant total
// rate of writes, and how long each write takes to reach everybody.
//
// Latency counts from the moment at which a write was due, not from when it
// was sent: a server or a generator that stalls is not hidden (coordinated
// omission; Gil Tene, "How NOT to Measure Latency", 2013). Sender and
// receivers are in this process and share its clock.
//
// It starts the playground that -playground names in the given shape, or
// measures the one whose state file -state names. It talks to loopback
// addresses only, and stops by itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

type options struct {
	playground       string
	state            string
	gateways, apis   int
	clients          int
	rate             float64 // writes per second
	warmUp, duration time.Duration
	json             bool
}

func main() {
	var o options
	flag.StringVar(&o.playground, "playground", "build/playground", "`program` to start")
	flag.StringVar(&o.state, "state", "", "state `file` of a playground that runs already, instead")
	flag.IntVar(&o.gateways, "gateways", 1, "gateways to start")
	flag.IntVar(&o.apis, "apis", 1, "apis to start")
	flag.IntVar(&o.clients, "clients", 100, "clients, each on a connection of its own")
	flag.Float64Var(&o.rate, "rate", 50, "writes per second, of all clients together")
	flag.DurationVar(&o.warmUp, "warm-up", 2*time.Second, "time before the measurement")
	flag.DurationVar(&o.duration, "duration", 10*time.Second, "time of the measurement, at most 10 minutes")
	flag.BoolVar(&o.json, "json", false, "speak the JSON codec (default: binary)")
	flag.Parse()
	if o.clients < 1 || o.clients > 20_000 || o.rate <= 0 || o.rate > 100_000 || o.duration <= 0 || o.duration > 10*time.Minute {
		fmt.Fprintln(os.Stderr, "load: clients must be 1 to 20000, rate up to 100000, duration up to 10m")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	f, s, err := start(ctx, o)
	if err != nil {
		return err
	}
	r, err := measure(ctx, o, s)
	if err := errors.Join(err, f.Stop()); err != nil {
		return err
	}
	r.print(os.Stdout)
	return nil
}
