package main

import (
	"net"
	"runtime"
	"strconv"
	"strings"

	"github.com/cloud-pixel/playground/services/internal/config"
)

// settings are the variables of all services, on top of the environment.
func (sys system) settings(o Options) []string {
	// These stand only where the environment says nothing. All load comes from
	// one address here, through a proxy, so limits meant for one person would
	// stop a load test; 0 is off.
	defaults := []string{
		"MAX_CONNECTIONS_PER_ADDRESS=0", "CONNECTION_RATE_PER_ADDRESS=0",
		"MESSAGES_PER_SECOND=0", "PIXELS_PER_SECOND=0", "REST_REQUESTS_PER_SECOND=0",
		// A terminal is for people.
		"LOG_LEVEL=warn", "LOG_FORMAT=text",
		// The proxy learns quickly who is not ready any more.
		"DRAIN_DELAY=300ms", "DRAIN_SPREAD=1s", "DRAIN_TIMEOUT=10s",
	}
	if o.processes() {
		// As a container's limit does: processes that share the processors get
		// a share each. With more threads than that they wake and spin for
		// work that others do. Beside a gateway an api has hardly any.
		share := runtime.NumCPU() / max(1, o.count("gateway"))
		defaults = append(defaults, "GOMAXPROCS="+strconv.Itoa(max(1, share)))
	} else { // it stops as a whole: there is nowhere to go to
		defaults = append(defaults, "DRAIN_DELAY=0s", "DRAIN_SPREAD=0s")
	}
	var all []string
	for _, pair := range defaults {
		name, _, _ := strings.Cut(pair, "=")
		if value, ok := sys.env(name); !ok || value == "" {
			all = append(all, pair)
		}
	}
	// These are the program's own to say.
	all = append(all, "METRICS_ADDR=", "ADDR="+anyPort, "DEBUG_ADDR="+anyPort)
	if o.Width > 0 {
		all = append(all, "CANVAS_WIDTH="+strconv.Itoa(o.Width), "CANVAS_HEIGHT="+strconv.Itoa(o.Height))
	}
	return all
}

// check reads the settings as the services will, so that a mistake is told at
// once and not by a child that dies.
func (sys system) check(settings []string) error {
	r := config.NewReader(lookupIn(settings, sys.env))
	for _, s := range sys.services {
		s.prepare(r, func(net.Addr, net.Addr) {})
	}
	return r.Err()
}

// lookupIn looks a variable up in the settings, of which the last wins, then
// in the environment.
func lookupIn(settings []string, env func(string) (string, bool)) func(string) (string, bool) {
	all := make(map[string]string, len(settings))
	for _, pair := range settings {
		name, value, _ := strings.Cut(pair, "=")
		all[name] = value
	}
	return func(name string) (string, bool) {
		if value, ok := all[name]; ok {
			return value, true
		}
		return env(name)
	}
}
