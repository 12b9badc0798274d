package frontend

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"time"

	"github.com/cloud-pixel/playground/services/internal/httpkit"
	"github.com/cloud-pixel/playground/services/internal/telemetry"
	"github.com/cloud-pixel/playground/web"
)

// writeTimeout bounds one answer; the largest is a few kilobytes.
const writeTimeout = 30 * time.Second

var errDraining = errors.New("draining")

// Run serves the page until ctx ends, then stops within o.DrainTimeout. A stop
// that was asked for and went well is nil.
func Run(ctx context.Context, o Options) (err error) {
	if err := o.Validate(); err != nil {
		return err
	}
	t := o.Telemetry
	if t == nil {
		t, err = telemetry.Start(ctx, "frontend", o.Pod, o.Export, telemetry.NewLogger(o.Log.Level, o.Log.Format, os.Stderr))
		if err != nil {
			return err
		}
		defer t.Close(ctx)
	}
	s, err := newSite(web.Files, o.places(), NewMetrics(t.Registry))
	if err != nil {
		return err
	}
	// Nobody waits a second for the start, or longer where processors are
	// scarce, to save one of the first visitors some kilobytes.
	packing, stop := context.WithCancel(ctx)
	packed := make(chan struct{})
	go func() {
		defer close(packed)
		s.pack(packing)
	}()
	defer func() { stop(); <-packed }()
	var draining atomic.Bool
	m := httpkit.NewMetrics(t.Registry)
	httpkit.ReadyGauge(t.Registry, readiness(&draining))
	handler := secure(o.places(), m.Wrap(m.Recover(t.Logger, s.routes(readiness(&draining)))))
	return httpkit.Serve(ctx, httpkit.Server{
		Addr: o.Addr, Listener: o.Listener, Handler: httpkit.Trace(t.Provider(), handler),
		Gatherer: t.Registry, MetricsAddr: o.MetricsAddr, DebugAddr: o.DebugAddr,
		OnReady:      o.OnReady,
		Drain:        []func(context.Context) error{drain(&draining, o.DrainDelay)},
		DrainTimeout: o.DrainTimeout,
		WriteTimeout: writeTimeout,
		Log:          t.Logger,
	})
}

func readiness(draining *atomic.Bool) func() error {
	return func() error {
		if draining.Load() {
			return errDraining
		}
		return nil
	}
}

// drain says unready, then goes on answering for a while: until balancers have
// noticed they still send.
func drain(draining *atomic.Bool, delay time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		draining.Store(true)
		select {
		case <-time.After(delay):
		case <-ctx.Done():
		}
		return nil
	}
}
