package telemetry_test

import (
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/otel"
	collector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	"google.golang.org/protobuf/proto"

	"github.com/cloud-pixel/playground/services/internal/telemetry"
)

// Where an endpoint is set, the lines that are written are exported, too, with
// trace and span in their place, and no others.
func TestLogsAreExported(t *testing.T) {
	received := make(chan *collector.ExportLogsServiceRequest, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/v1/logs" {
			return // spans: taken, and not looked at
		}
		var request collector.ExportLogsServiceRequest
		if err := proto.Unmarshal(body, &request); err != nil {
			t.Error(err)
		}
		received <- &request
	}))
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	var out lockedBuffer
	tel, err := telemetry.Start(t.Context(), "gateway", "gateway-7", read(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": server.URL, "OTEL_TRACES_SAMPLER": "always_on"}),
		telemetry.NewLogger(slog.LevelInfo, "json", &out))
	if err != nil {
		t.Fatal(err)
	}
	defer otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {}))
	ctx, span := tel.Provider().Tracer("").Start(t.Context(), "x")
	tel.Logger.DebugContext(ctx, "below the level")
	tel.Logger.InfoContext(ctx, "hello", "canvas", "main")
	span.End()
	tel.Close(t.Context())
	request := <-received
	about, records := request.ResourceLogs[0].Resource.Attributes, request.ResourceLogs[0].ScopeLogs[0].LogRecords
	if len(records) != 1 || records[0].Body.GetStringValue() != "hello" {
		t.Fatalf("exported: %v", records)
	}
	if got := hex.EncodeToString(records[0].TraceId); got != span.SpanContext().TraceID().String() {
		t.Errorf("trace %s, want %s", got, span.SpanContext().TraceID())
	}
	values := make(map[string]string)
	for _, a := range append(about, records[0].Attributes...) {
		values[a.Key] = a.Value.GetStringValue()
	}
	for key, want := range map[string]string{"service.name": "gateway", "service.instance.id": "gateway-7", "canvas": "main", "pod": "gateway-7"} {
		if values[key] != want {
			t.Errorf("%s=%q, want %q", key, values[key], want)
		}
	}
}
