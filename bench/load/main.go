// Command load measures a running system: many clients at a constant total
// rate of writes, and how long each write takes to reach everybody.
//
// Latency counts from the moment at which a write was due, not from when it
// was sent: a server or a generator that stalls is not hidden (coordinated
// omission; Gil Tene, "How NOT to Measure Latency", 2013). Sender and
// receivers are in this process and share its clock.
//
// It starts the playground that -playground names in the given shape, or the
// reference server on the Centrifuge library, each with a redis-server of its
// own, or measures the playground whose state file -state names. It talks to
// loopback addresses only, and stops by itself.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/cloud-pixel/playground/bench/internal/swarm"
)

// Systems to measure.
const (
	playground = "playground"
	reference  = "reference"
)

type options struct {
	system           string
	playground       string // the program
	reference        string // the program
	referenceArgs    []string
	state            string
	redis, fsync     string
	env              []string
	gateways, apis   int
	width, height    int
	clients          int
	writers          int
	block            int
	pictures         int
	codec            string
	rate             float64 // writes per second
	warmUp, duration time.Duration
	settle           time.Duration
	out              string
	joins            int
	joinOver         time.Duration
}

func main() { os.Exit(command()) }

func command() int {
	o, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(os.Stderr, "load:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	debug.SetGCPercent(400) // little is allocated; collect it seldom
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		return 1
	}
	return 0
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	f.StringVar(&o.system, "system", playground, "what to measure: playground or reference")
	f.StringVar(&o.playground, "playground", "build/playground", "`program` to start")
	f.StringVar(&o.reference, "reference", "build/reference", "reference server: `program` to start")
	settings := f.String("reference-args", "", "more `arguments` for the reference server")
	f.StringVar(&o.state, "state", "", "state `file` of a playground that runs already, instead")
	f.StringVar(&o.redis, "redis", "", "`URL` of a Redis that runs already, whose use is then not known; default: start one")
	f.StringVar(&o.fsync, "appendfsync", "always", "when Redis writes to disk: always or everysec")
	env := f.String("env", "", "settings of the services, `NAME=value,…`")
	f.IntVar(&o.gateways, "gateways", 1, "gateways to start")
	f.IntVar(&o.apis, "apis", 1, "apis to start")
	size := f.String("canvas", "50x50", "`size` of the canvas")
	f.IntVar(&o.clients, "clients", 100, "clients, each on a connection of its own")
	f.IntVar(&o.writers, "writers", 0, "how many of the clients write; default: all")
	f.IntVar(&o.block, "block", 1, "writes that follow each other which one client sends, in one segment if they are due")
	f.IntVar(&o.pictures, "pictures", 1000, "connections that keep a picture, to be compared at the end")
	f.Float64Var(&o.rate, "rate", 50, "writes per second, of all clients together")
	f.DurationVar(&o.warmUp, "warm-up", 2*time.Second, "time before the measurement")
	f.DurationVar(&o.duration, "duration", 10*time.Second, "time of the measurement, at most 10 minutes")
	f.DurationVar(&o.settle, "settle", 500*time.Millisecond, "time at rest after the clients have joined, when memory is looked at")
	f.StringVar(&o.codec, "codec", "binary", "codec of the playground: json or binary")
	asJSON := f.Bool("json", false, "short for -codec json")
	f.StringVar(&o.out, "out", "", "`file` for the result as JSON; - for standard output, in place of the text")
	f.IntVar(&o.joins, "joins", 0, "measure so many clients who join, in place of writes")
	f.DurationVar(&o.joinOver, "join-over", 5*time.Second, "time over which they join")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if *asJSON || o.system == reference {
		o.codec = "json"
	}
	if o.state != "" || o.redis != "" {
		o.fsync = "unknown"
	}
	o.referenceArgs = strings.Fields(*settings)
	if *env != "" {
		o.env = strings.Split(*env, ",")
	}
	if _, err := fmt.Sscanf(*size, "%dx%d", &o.width, &o.height); err != nil {
		return o, fmt.Errorf("-canvas %q is not of the form 50x50", *size)
	}
	return o, o.check(f.NArg())
}

func (o options) check(rest int) error {
	writes := o.rate * (o.warmUp + o.duration).Seconds()
	switch {
	case rest > 0:
		return errors.New("there are arguments behind the flags")
	case o.system != playground && o.system != reference:
		return fmt.Errorf("-system is %s or %s", playground, reference)
	case o.codec != "json" && o.codec != "binary":
		return errors.New("-codec is json or binary")
	case o.fsync != "always" && o.fsync != "everysec" && o.fsync != "unknown":
		return errors.New("-appendfsync is always or everysec")
	case o.clients < 1 || o.clients > 20_000 || o.writers < 0 || o.writers > o.clients || o.block < 1:
		return errors.New("-clients is 1 to 20000, -writers at most as many, -block at least 1")
	case o.rate <= 0 || o.rate > 200_000:
		return errors.New("-rate is up to 200000")
	case o.duration <= 0 || o.duration > 10*time.Minute || o.warmUp < 0 || o.settle < 0:
		return errors.New("-duration is up to 10m")
	case writes < 1 || writes >= swarm.MaxWrites:
		return fmt.Errorf("rate × duration are %.0f writes; 1 to %d can be told apart", writes, swarm.MaxWrites-1)
	case o.width < 1 || o.height < 1:
		return errors.New("-canvas has no cells")
	case o.joins < 0 || o.joins > 20_000 || o.joinOver <= 0 || o.joins > 0 && o.system == reference:
		return errors.New("-joins is up to 20000, of the playground only")
	}
	return allowDescriptors(uint64(max(o.clients, o.joins)) + 200)
}

// senders is how many clients write.
func (o options) senders() int {
	if o.writers > 0 {
		return o.writers
	}
	return o.clients
}

func (o options) wire() swarm.Wire {
	switch {
	case o.system == reference:
		return swarm.Centrifuge{}
	case o.codec == "json":
		return swarm.JSON{}
	}
	return swarm.Binary{}
}

func run(ctx context.Context, o options) (err error) {
	s, err := start(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	var r printer
	if o.joins > 0 {
		r, err = joins(ctx, o, s)
	} else {
		r, err = measure(ctx, o, s)
	}
	if err != nil {
		return err
	}
	if o.out == "" {
		r.print(os.Stdout)
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if text = append(text, '\n'); o.out == "-" {
		_, err = os.Stdout.Write(text)
		return err
	}
	r.print(os.Stdout)
	return os.WriteFile(o.out, text, 0o600)
}

// printer is a result that can be shown to people.
type printer interface{ print(io.Writer) }
