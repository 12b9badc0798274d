// Command otlp is a receiver of OpenTelemetry's traces for the browser tests:
// OTLP over HTTP on a free port of this machine, as JSON (from pages, with
// CORS) and as protobuf (from the services). It prints its address, then each
// span as a line of JSON. What is not OTLP to the letter is answered with 400
// and printed as {"error": …}.
package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"sync"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

func main() {
	if err := run(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "otlp:", err)
		os.Exit(1)
	}
}

func run() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // before there is anything to cancel
	if err != nil {
		return err
	}
	out := &printer{to: json.NewEncoder(os.Stdout)}
	out.print(map[string]any{"address": listener.Addr().String()})
	server := &http.Server{Handler: http.HandlerFunc(out.serve), ReadHeaderTimeout: 10 * time.Second}
	go func() { // ends with its parent, however that ended
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

type printer struct {
	mu sync.Mutex
	to *json.Encoder
}

func (p *printer) print(line map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.to.Encode(line) // the tests have gone: nobody to tell
}

func (p *printer) serve(w http.ResponseWriter, r *http.Request) {
	// As a collector is set up that takes spans from pages of other origins.
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Allow-Headers", "Content-Type")
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	request, err := read(r)
	if err != nil {
		p.print(map[string]any{"error": err.Error()})
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, of := range request.ResourceSpans {
		about := texts(of.Resource.GetAttributes())
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				events := make([]string, 0, len(s.Events))
				for _, e := range s.Events {
					events = append(events, e.Name)
				}
				links := make([]string, 0, len(s.Links))
				for _, l := range s.Links {
					links = append(links, hex.EncodeToString(l.SpanId))
				}
				p.print(map[string]any{
					"service": about["service.name"], "version": about["service.version"], "name": s.Name, "kind": s.Kind.String(),
					"trace": hex.EncodeToString(s.TraceId), "span": hex.EncodeToString(s.SpanId), "parent": hex.EncodeToString(s.ParentSpanId),
					"links": links, "events": events, "attributes": texts(s.Attributes), "status": s.Status.GetMessage(),
					"begin": s.StartTimeUnixNano / 1000, "end": s.EndTimeUnixNano / 1000, // µs: JavaScript's numbers hold them
				})
			}
		}
	}
	w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
}

// ids are the fields that OTLP's JSON has in hexadecimal where the general
// mapping of protobuf has base64.
var ids = regexp.MustCompile(`"(traceId|spanId|parentSpanId)":\s*"([0-9a-fA-F]*)"`)

func read(r *http.Request) (*collector.ExportTraceServiceRequest, error) {
	request := new(collector.ExportTraceServiceRequest)
	body, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil {
		return nil, err
	}
	if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" {
		return nil, fmt.Errorf("%s %s", r.Method, r.URL.Path)
	}
	switch kind := r.Header.Get("Content-Type"); kind {
	case "application/x-protobuf":
		err = proto.Unmarshal(body, request)
	case "application/json":
		body = ids.ReplaceAllFunc(body, func(field []byte) []byte {
			parts := ids.FindSubmatch(field)
			raw, _ := hex.DecodeString(string(parts[2])) // of odd length: too short, found below
			return fmt.Appendf(nil, `"%s":"%s"`, parts[1], base64.StdEncoding.EncodeToString(raw))
		})
		err = protojson.Unmarshal(body, request) // unknown fields are errors
	default:
		err = fmt.Errorf("content type %q", kind)
	}
	if err != nil {
		return nil, err
	}
	for _, of := range request.ResourceSpans {
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				if len(s.TraceId) != 16 || len(s.SpanId) != 8 || s.Name == "" || s.EndTimeUnixNano < s.StartTimeUnixNano || s.StartTimeUnixNano == 0 {
					return nil, fmt.Errorf("span %v is none", s)
				}
			}
		}
	}
	return request, nil
}

func texts(attributes []*common.KeyValue) map[string]string {
	all := make(map[string]string, len(attributes))
	for _, a := range attributes {
		switch v := a.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			all[a.Key] = v.StringValue
		case *common.AnyValue_IntValue:
			all[a.Key] = fmt.Sprint(v.IntValue)
		}
	}
	return all
}
