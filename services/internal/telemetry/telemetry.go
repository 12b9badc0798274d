// Package telemetry makes what every service reports through: a registry for
// its metrics, a tracer and a logger, all naming the service and the pod.
package telemetry

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/cloud-pixel/playground/services/internal/tracing"
)

// Telemetry is what one service reports through. Safe for concurrent use.
type Telemetry struct {
	// Service is gateway, api or frontend; Pod the process's name among its
	// equals.
	Service, Pod string
	// Registry has the Go runtime's and the process's metrics and
	// pixel_build_info; each package adds its own. It is no global one, so
	// that several services, and tests, fit into one process.
	Registry *prometheus.Registry
	// Logger gives service and pod with each line, and the trace and span of the
	// context that a line is logged with.
	Logger *slog.Logger
	// Tracer starts spans; nil where nothing is traced.
	Tracer *tracing.Tracer

	provider *sdktrace.TracerProvider
	export   slog.Handler // of logs, or nil
	closers  []func(context.Context) error
}

// Option changes what [New] makes.
type Option func(*Telemetry)

// WithLogger replaces the logger that writes JSON to the standard error;
// service and pod are added to it.
func WithLogger(l *slog.Logger) Option { return func(t *Telemetry) { t.Logger = l } }

// New returns the telemetry of one service of this process.
func New(service, pod string, options ...Option) *Telemetry {
	t := &Telemetry{Service: service, Pod: pod, Registry: prometheus.NewRegistry()}
	for _, o := range options {
		o(t)
	}
	if t.Logger == nil {
		t.Logger = NewLogger(slog.LevelInfo, "json", os.Stderr)
	}
	t.Logger = slog.New(handler(t.Logger.Handler(), t.export)).With("service", service, "pod", pod)
	b := ReadBuild()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pixel_build_info",
		Help: "Always 1; the labels say what runs.",
		ConstLabels: prometheus.Labels{
			"service": service, "version": b.Version, "revision": b.Revision, "goversion": b.GoVersion,
		},
	})
	info.Set(1)
	t.Registry.MustRegister(
		info,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return t
}

// NewLogger returns a logger that writes lines of the given form ("text" for
// people, anything else JSON) to w.
func NewLogger(level slog.Level, format string, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == "text" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// Build says which program runs.
type Build struct {
	// Version of the module: a tag, or "(devel)".
	Version string `json:"version"`
	// Revision of the source, with "+dirty" when it was changed; "unknown"
	// when the build did not record it.
	Revision  string `json:"revision"`
	GoVersion string `json:"goVersion"`
}

// Set by the linker (-X) where programs are built from the source without its
// history, as in the Dockerfile.
var version, revision string

// ReadBuild returns what the linker recorded in this program.
func ReadBuild() Build {
	b := Build{Version: cmp.Or(version, "(devel)"), Revision: cmp.Or(revision, "unknown"), GoVersion: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok || version != "" || revision != "" {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	dirty := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if dirty {
		b.Revision += "+dirty"
	}
	return b
}
