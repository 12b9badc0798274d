package main

import (
	"flag"
	"fmt"
	"io"
	"net"

	"github.com/cloud-pixel/playground/services/internal/config"
)

// Options is what can be asked for on the command line.
type Options struct {
	// Addr of the one port, host:port.
	Addr string
	// Data is the folder of the embedded store; empty: one in the user's cache
	// folder for this port, or a temporary one when the port is 0.
	Data string
	// Width and Height of new canvases, in cells; 0: as the environment says.
	Width, Height int
	// Gateways, APIs and Frontends are numbers of processes. All 0: one
	// process for everything.
	Gateways, APIs, Frontends int
	// Redis is the URL of a Redis to use instead of an embedded store. Never
	// with a password: others can read the command line. Empty: what the
	// environment names, else the embedded store.
	Redis string
	// State is the file to tell what runs where; empty: none.
	State string
}

// maxProcesses of one service: more is a slip of the finger.
const maxProcesses = 64

func parseFlags(args []string, output io.Writer) (Options, error) {
	o := Options{}
	canvas := ""
	f := flag.NewFlagSet("playground", flag.ContinueOnError)
	f.SetOutput(output)
	f.StringVar(&o.Addr, "addr", "127.0.0.1:8080", "`address` of the one port")
	f.StringVar(&o.Data, "data", "", "`folder` of the embedded store's data (default: in the user's cache folder, one for each port)")
	f.StringVar(&canvas, "canvas", "", "`size` of new canvases as WIDTHxHEIGHT (default 50x50)")
	f.IntVar(&o.Gateways, "gateways", 0, "run this `number` of gateways, each a process of its own")
	f.IntVar(&o.APIs, "apis", 0, "run this `number` of apis, each a process of its own")
	f.IntVar(&o.Frontends, "frontends", 0, "run this `number` of frontends, each a process of its own")
	f.StringVar(&o.Redis, "redis", "", "`URL` of a Redis to use instead of an embedded store; one with a password belongs in the environment variable REDIS_URL")
	f.StringVar(&o.State, "state", "", "`file` to keep up to date with what runs where, as JSON")
	f.Usage = func() {
		_, _ = fmt.Fprint(output, "The whole pixel playground on one port.\n\nUsage: playground [flags]\n       playground canvas export|import|verify …  (playground canvas -h tells more)\n\n")
		f.PrintDefaults()
		_, _ = fmt.Fprint(output, "\nThe services also read their settings from the environment, as they do on their own.\n")
	}
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("%q is no flag", f.Arg(0))
	}
	if canvas != "" {
		var err error
		if o.Width, o.Height, err = config.ParseSize(canvas); err != nil {
			return o, fmt.Errorf("-canvas %q %w", canvas, err)
		}
	}
	return o, o.Validate()
}

// Validate refuses what cannot work.
func (o Options) Validate() error {
	if _, _, err := net.SplitHostPort(o.Addr); err != nil {
		return fmt.Errorf("-addr %q is not an address (for example 127.0.0.1:8080)", o.Addr)
	}
	for name, n := range map[string]int{"gateways": o.Gateways, "apis": o.APIs, "frontends": o.Frontends} {
		if n < 0 || n > maxProcesses {
			return fmt.Errorf("-%s %d is not from 0 to %d", name, n, maxProcesses)
		}
	}
	return checkRedisFlag(o.Redis)
}

// processes tells whether each service is to be a process of its own.
func (o Options) processes() bool { return o.Gateways+o.APIs+o.Frontends > 0 }

// count is the number of instances of a service, at least one.
func (o Options) count(service string) int {
	n := map[string]int{"gateway": o.Gateways, "api": o.APIs, "frontend": o.Frontends}[service]
	return max(n, 1)
}
