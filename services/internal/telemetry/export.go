package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

	"github.com/cloud-pixel/playground/services/internal/config"
	"github.com/cloud-pixel/playground/services/internal/tracing"
)

// namespace is what the services have in common.
const namespace = "cloud-pixel-playground"

// flushTime bounds what Close waits for a collector.
const flushTime = 3 * time.Second

// Start returns the telemetry of one service of this process, which exports
// traces and logs as the standard OTEL_ variables of the environment say, and
// nothing where they name no endpoint. c is what [config.TelemetryFrom] read of
// them. Close it at the end.
func Start(ctx context.Context, service, pod string, c config.Telemetry, log *slog.Logger) (*Telemetry, error) {
	if !c.Traces && !c.Logs {
		return New(service, pod, WithLogger(log)), nil
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(
			semconv.ServiceNamespace(namespace), semconv.ServiceName(service),
			semconv.ServiceInstanceID(pod), semconv.ServiceVersion(ReadBuild().Version),
		),
		resource.WithHost(), resource.WithTelemetrySDK(),
		resource.WithFromEnv(), // wins
	)
	if err != nil && !errors.Is(err, resource.ErrPartialResource) && !errors.Is(err, resource.ErrSchemaURLConflict) {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	var options []Option
	var closers []func(context.Context) error
	if c.Traces {
		exporter, err := autoexport.NewSpanExporter(ctx)
		if err != nil {
			return nil, fmt.Errorf("telemetry: export of traces: %w", err)
		}
		if !autoexport.IsNoneSpanExporter(exporter) {
			options = append(options, WithTracing(Sampler(c), sdktrace.WithBatcher(exporter), sdktrace.WithResource(about)))
		}
	}
	if c.Logs {
		exporter, err := autoexport.NewLogExporter(ctx)
		if err != nil {
			return nil, fmt.Errorf("telemetry: export of logs: %w", err)
		}
		if !autoexport.IsNoneLogExporter(exporter) {
			provider := sdklog.NewLoggerProvider(sdklog.WithResource(about), sdklog.WithProcessor(sdklog.NewBatchProcessor(exporter)))
			closers = append(closers, provider.Shutdown)
			options = append(options, func(t *Telemetry) {
				t.export = otelslog.NewHandler(instrumentation, otelslog.WithLoggerProvider(provider))
			})
		}
	}
	t := New(service, pod, append(options, WithLogger(log))...)
	t.closers = append(t.closers, closers...)
	complain(t.Logger)
	return t, nil
}

const instrumentation = "github.com/cloud-pixel/playground"

// complain has what goes wrong inside the SDK, such as a collector that is away,
// logged like everything else. The SDK has one handler for a process.
func complain(log *slog.Logger) {
	// Each failed export is told: a few of them are enough.
	few := rate.NewLimiter(rate.Every(time.Minute), 3)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		if few.Allow() {
			log.Warn("telemetry cannot be exported", "error", err)
		}
	}))
	otel.SetLogger(logr.FromSlogHandler(log.Handler()))
}

// WithTracing records the spans that the sampler chooses; options say where they
// go.
func WithTracing(s sdktrace.Sampler, options ...sdktrace.TracerProviderOption) Option {
	return func(t *Telemetry) {
		provider := sdktrace.NewTracerProvider(append([]sdktrace.TracerProviderOption{
			sdktrace.WithSampler(linked{s}), sdktrace.WithIDGenerator(newIDs()),
		}, options...)...)
		t.provider = provider
		t.Tracer = tracing.New(provider, Decider(s))
		t.closers = append(t.closers, provider.Shutdown)
	}
}

// Provider returns what instrumentation of libraries starts its spans by; nil
// when nothing is traced.
func (t *Telemetry) Provider() trace.TracerProvider {
	if t.provider == nil {
		return nil
	}
	return t.provider
}

// Close exports what has not been exported, within a few seconds, also when ctx
// has ended. That a collector is away is logged: it must not turn an orderly stop
// into a failed one.
func (t *Telemetry) Close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
	defer cancel()
	var errs []error
	for _, c := range t.closers {
		errs = append(errs, c(ctx))
	}
	t.closers = nil
	if err := errors.Join(errs...); err != nil {
		t.Logger.Warn("the last telemetry was not exported", "error", err)
	}
}
