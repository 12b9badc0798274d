// Command canary draws one pixel a second through each gateway, waits for it at
// another one, writes and reads by REST, and tells Prometheus how that went.
//
//	canary -gateways ws://a:3002/ws,ws://b:3002/ws -api http://c:3001
//	canary -state FILE      the gateways of a playground, and its one port
//
// SIGTERM and SIGINT stop it. It exits with 2 when its flags are wrong, with 1
// when something went wrong later.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/cloud-pixel/playground/observability/internal/canary"
	"github.com/cloud-pixel/playground/services/fleet"
)

func main() { os.Exit(run()) }

func run() int {
	gateways := flag.String("gateways", "", "WebSocket `addresses` of gateways, or of what stands before them, with commas between")
	api := flag.String("api", "", "`address` of the REST service, as http://host:3001; empty: REST is not tried")
	state := flag.String("state", "", "state `file` of a playground, instead of the other two")
	id := flag.String("canvas", "canary", "`id` of the canary's own canvas")
	every := flag.Duration("every", time.Second, "time between two strokes through one gateway")
	timeout := flag.Duration("timeout", 5*time.Second, "how long an attempt may take")
	addr := flag.String("addr", "127.0.0.1:9091", "`address` of /metrics")
	flag.Parse()

	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	o := canary.Options{
		API: *api, Canvas: *id, Every: *every, Timeout: *timeout,
		Registerer: registry, Log: slog.New(slog.NewJSONHandler(os.Stderr, nil)),
	}
	if *gateways != "" {
		o.Gateways = strings.Split(*gateways, ",")
	}
	if *state != "" {
		s, err := fleet.ReadState(*state)
		if err == nil {
			o.API = s.URL
			o.Gateways, err = s.GatewayURLs()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "canary:", err)
			return 1
		}
	}
	if err := o.Validate(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *addr, registry, o); err != nil {
		fmt.Fprintln(os.Stderr, "canary:", err)
		return 1
	}
	return 0
}

// serve shows the metrics while the canary runs.
func serve(ctx context.Context, addr string, registry *prometheus.Registry, o canary.Options) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	o.Log.Info("listening", "addr", listener.Addr().String())
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
			cancel(err)
		}
	}()
	err = canary.Run(ctx, o)
	if cause := context.Cause(ctx); errors.Is(err, context.Canceled) || (err == nil && !errors.Is(cause, context.Canceled)) {
		err = cause
	}
	if errors.Is(err, context.Canceled) {
		err = nil // asked to stop
	}
	_ = server.Close()
	<-served
	return err
}
