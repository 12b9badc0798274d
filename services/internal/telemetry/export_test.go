package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/config"
	"github.com/cloud-pixel/playground/services/internal/telemetry"
)

var at = time.UnixMilli(1_700_000_000_000)

// Nothing is exported, and no tracer made, unless the environment names where to.
func TestExportNeedsAnEndpoint(t *testing.T) {
	const endpoint, tracesEndpoint, logsEndpoint = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"
	for _, c := range []struct {
		env          map[string]string
		traces, logs bool
	}{
		{nil, false, false},
		{map[string]string{"OTEL_TRACES_SAMPLER": "always_on"}, false, false},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_LOGS_EXPORTER": "otlp"}, false, false},
		{map[string]string{endpoint: "http://c:4318"}, true, true},
		{map[string]string{tracesEndpoint: "http://c:4318/v1/traces"}, true, false},
		{map[string]string{logsEndpoint: "http://c:4318/v1/logs"}, false, true},
		{map[string]string{endpoint: "http://c:4318", "OTEL_LOGS_EXPORTER": "none"}, true, false},
		{map[string]string{endpoint: "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, false, true},
		{map[string]string{endpoint: "http://c:4318", "OTEL_SDK_DISABLED": "true"}, false, false},
		{map[string]string{"OTEL_TRACES_EXPORTER": "console"}, true, false},
	} {
		got := read(t, c.env)
		if got.Traces != c.traces || got.Logs != c.logs {
			t.Errorf("%v: traces %t, logs %t", c.env, got.Traces, got.Logs)
		}
	}
	tel, err := telemetry.Start(t.Context(), "gateway", "g", read(t, nil), slog.New(slog.DiscardHandler))
	if err != nil || tel.Tracer != nil || tel.Provider() != nil {
		t.Errorf("without an endpoint: %v, %v, %v", err, tel.Tracer, tel.Provider())
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	for name, value := range map[string]string{
		"OTEL_TRACES_SAMPLER": "sometimes", "OTEL_TRACES_SAMPLER_ARG": "2", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
		"OTEL_TRACES_EXPORTER": "zipkin",
	} {
		r := config.NewReader(func(n string) (string, bool) { return value, n == name })
		config.TelemetryFrom(r)
		if err := r.Err(); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), value) {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
}

// A line that is logged within a sampled span names it, under the keys of
// OpenTelemetry, and no other line does.
func TestLogsNameTheirTrace(t *testing.T) {
	var out bytes.Buffer
	spans := tracetest.NewSpanRecorder()
	tel := telemetry.New("api", "api-0", telemetry.WithLogger(telemetry.NewLogger(slog.LevelInfo, "json", &out)),
		telemetry.WithTracing(sdktrace.AlwaysSample(), sdktrace.WithSpanProcessor(spans)))
	within, span := tel.Provider().Tracer("").Start(t.Context(), "x")
	span.End()
	unsampled := trace.ContextWithSpanContext(t.Context(), span.SpanContext().WithTraceFlags(0))
	for _, ctx := range []context.Context{t.Context(), unsampled, within} {
		out.Reset()
		tel.Logger.With("canvas", "main").InfoContext(ctx, "hello")
		var line map[string]any
		if err := json.Unmarshal(out.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		want, wantSpan := any(nil), any(nil)
		if ctx == within {
			want, wantSpan = span.SpanContext().TraceID().String(), span.SpanContext().SpanID().String()
		}
		if line["trace_id"] != want || line["span_id"] != wantSpan || line["service"] != "api" || line["canvas"] != "main" {
			t.Errorf("%s; want trace %v, span %v", out.String(), want, wantSpan)
		}
	}
}

// A collector that is away neither holds up a stop nor fails it, and is told as a
// line like any other.
func TestCollectorIsAway(t *testing.T) {
	asked := make(chan struct{}, 100)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		http.Error(w, "no", http.StatusBadRequest)
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	var out lockedBuffer
	tel, err := telemetry.Start(t.Context(), "gateway", "g", read(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL}),
		telemetry.NewLogger(slog.LevelInfo, "json", &out))
	if err != nil {
		t.Fatal(err)
	}
	defer otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {}))
	span, _ := tel.Tracer.Draw(canvas.Trace{}, at, "main", 1, 1)
	span.End()
	tel.Close(t.Context())
	<-asked
	if !strings.Contains(out.String(), `"msg":"the last telemetry was not exported"`) && !strings.Contains(out.String(), `"msg":"telemetry cannot be exported"`) {
		t.Errorf("not a word about it: %s", out.String())
	}
	for line := range strings.Lines(out.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
	otel.Handle(errors.New("later"))
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}
