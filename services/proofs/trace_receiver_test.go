package proofs

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// receiver takes spans by OTLP, as a collector does: protobuf over gRPC and over
// HTTP. Safe for concurrent use.
type receiver struct {
	collector.UnimplementedTraceServiceServer

	mu    sync.Mutex
	spans []*span
}

// span is a received span with what the tests look at.
type span struct {
	pod, service, scope string
	name                string
	kind                traces.Span_SpanKind
	trace, id, parent   string // hexadecimal; parent "" for none
	attributes          map[string]string
	links               []ref
	failed              string // the status's message when it is an error
	start, end          uint64 // ns since the Unix epoch
}

type ref struct{ trace, id string }

// receive starts a receiver for a protocol of OTLP and returns the variables that
// have a process send to it.
func receive(t *testing.T, protocol string) (r *receiver, env []string) {
	t.Helper()
	r = &receiver{}
	var endpoint string
	switch protocol {
	case "grpc":
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := grpc.NewServer()
		collector.RegisterTraceServiceServer(server, r)
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(listener) }()
		t.Cleanup(func() {
			server.Stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		endpoint = "http://" + listener.Addr().String()
	case "http/protobuf":
		server := httptest.NewServer(http.HandlerFunc(r.serveHTTP))
		t.Cleanup(server.Close)
		endpoint = server.URL
	default:
		t.Fatalf("no receiver for %s", protocol)
	}
	return r, []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL=" + protocol,
		"OTEL_LOGS_EXPORTER=none", "OTEL_BSP_SCHEDULE_DELAY=20",
	}
}

// Export implements the service of OTLP over gRPC.
func (r *receiver) Export(_ context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	r.take(request)
	return &collector.ExportTraceServiceResponse{}, nil
}

func (r *receiver) serveHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	var request collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &request)
	}
	if err != nil || q.URL.Path != "/v1/traces" || q.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(w, fmt.Sprint(q.URL.Path, err), http.StatusBadRequest)
		return
	}
	r.take(&request)
	answer, err := proto.Marshal(&collector.ExportTraceServiceResponse{})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(answer)
}

func (r *receiver) take(request *collector.ExportTraceServiceRequest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, of := range request.ResourceSpans {
		about := texts(of.Resource.Attributes)
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				got := &span{
					pod: about["service.instance.id"], service: about["service.name"], scope: scope.Scope.Name,
					name: s.Name, kind: s.Kind, attributes: texts(s.Attributes),
					trace: hex.EncodeToString(s.TraceId), id: hex.EncodeToString(s.SpanId), parent: hex.EncodeToString(s.ParentSpanId),
					start: s.StartTimeUnixNano, end: s.EndTimeUnixNano,
				}
				for _, l := range s.Links {
					got.links = append(got.links, ref{hex.EncodeToString(l.TraceId), hex.EncodeToString(l.SpanId)})
				}
				if s.Status.GetCode() == traces.Status_STATUS_CODE_ERROR {
					got.failed = s.Status.Message
				}
				r.spans = append(r.spans, got)
			}
		}
	}
}

func texts(attributes []*common.KeyValue) map[string]string {
	all := make(map[string]string, len(attributes))
	for _, a := range attributes {
		switch v := a.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			all[a.Key] = v.StringValue
		case *common.AnyValue_IntValue:
			all[a.Key] = fmt.Sprint(v.IntValue)
		case *common.AnyValue_BoolValue:
			all[a.Key] = fmt.Sprint(v.BoolValue)
		default:
			all[a.Key] = a.Value.String()
		}
	}
	return all
}

// all returns what was received so far.
func (r *receiver) all() []*span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*span(nil), r.spans...)
}
