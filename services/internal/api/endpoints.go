package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cloud-pixel/playground/services/internal/telemetry"
)

// endpoints registers handlers together with their description, so that the
// OpenAPI document has exactly the routes that exist, with the types that they
// really send.
//
// The document is huma's; the handlers are plain ones. huma's own handlers
// would decode and validate requests, too, but the routes here promise the
// answers of the original to the letter, errors included, and stream.
type endpoints struct {
	s   *service
	mux *http.ServeMux
	doc *huma.OpenAPI
}

func newEndpoints(s *service) *endpoints {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	return &endpoints{s: s, mux: http.NewServeMux(), doc: &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title:   "Cloud Pixel Playground: Canvas API",
			Version: telemetry.ReadBuild().Version,
			Description: "Canvases over HTTP. What is written here appears to everybody who is connected by WebSocket. " +
				"A read sees every write that was answered before, by whichever process; when that cannot be promised in time the answer is 503 with Retry-After. " +
				"A write that is answered with 503 may still take place later.",
		},
		Components: &huma.Components{
			Schemas: registry,
			SecuritySchemes: map[string]*huma.SecurityScheme{
				"bearer":     {Type: "http", Scheme: "bearer", Description: "RESET_TOKEN of the service, where it is set."},
				"resetToken": {Type: "apiKey", In: "header", Name: "X-Reset-Token", Description: "The same in a header of its own."},
			},
		},
		Paths: map[string]*huma.PathItem{},
	}}
}

// endpoint describes a route.
type endpoint struct {
	method, path string
	id           string // of the operation in the document
	summary      string
	description  string
	query        []*huma.Param
	body         any   // a value of the type of the request's body; nil: none
	statuses     []int // of success; 200 when empty
	errors       []int // besides 429 and 503
	guarded      bool  // by the reset token
	headers      []string
}

// Descriptions of what several routes have in common.
var (
	parameters = map[string]string{
		"id": "The canvas: 1 to 64 characters a-z, 0-9 or '-', not starting with '-'.",
		"x":  "Column, from 0 at the left.",
		"y":  "Row, from 0 at the top.",
	}
	headers = map[string]string{
		"Pixel-Position": "Where the canvas stands, as epoch/seq: every operation up to seq is part of the answer.",
		"ETag":           "Changes with the position; send it back as If-None-Match.",
		"Location":       "The canvas that was made.",
	}
)

// errorBody is the body of every error.
type errorBody struct {
	Error string `json:"error" doc:"What was wrong, for people."`
}

// answer adds a route that answers in JSON. The handler sets headers in h.
func answer[T any](e *endpoints, d endpoint, handle func(w http.ResponseWriter, r *http.Request) (status int, body T, err error)) {
	schema := e.doc.Components.Schemas.Schema(reflect.TypeFor[T](), true, d.id)
	e.add(d, map[string]*huma.MediaType{"application/json": {Schema: schema}}, func(w http.ResponseWriter, r *http.Request) error {
		status, body, err := handle(w, r)
		if err != nil {
			return err
		}
		return writeJSON(w, status, body)
	})
}

// stream adds a route that writes its answer itself.
func stream(e *endpoints, d endpoint, contentType string, schema *huma.Schema, handle func(w http.ResponseWriter, r *http.Request) error) {
	e.add(d, map[string]*huma.MediaType{contentType: {Schema: schema}}, handle)
}

func (e *endpoints) add(d endpoint, content map[string]*huma.MediaType, handle func(w http.ResponseWriter, r *http.Request) error) {
	op := &huma.Operation{
		Method: d.method, Path: d.path, OperationID: d.id, Summary: d.summary, Description: d.description,
		Responses: map[string]*huma.Response{},
	}
	for part := range strings.SplitSeq(d.path, "/") {
		name, ok := strings.CutPrefix(part, "{")
		if !ok {
			continue
		}
		name = strings.TrimSuffix(name, "}")
		schema := &huma.Schema{Type: huma.TypeInteger}
		if name == "id" {
			schema = &huma.Schema{Type: huma.TypeString, Pattern: "^[a-z0-9][a-z0-9-]{0,63}$"}
		}
		op.Parameters = append(op.Parameters, &huma.Param{Name: name, In: "path", Required: true, Description: parameters[name], Schema: schema})
	}
	op.Parameters = append(op.Parameters, d.query...)
	if d.body != nil {
		schema := e.doc.Components.Schemas.Schema(reflect.TypeOf(d.body), true, d.id+"Request")
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}}
	}
	if d.guarded {
		op.Security = []map[string][]string{{}, {"bearer": {}}, {"resetToken": {}}}
		d.errors = append(d.errors, http.StatusUnauthorized, http.StatusForbidden)
	}
	if len(d.statuses) == 0 {
		d.statuses = []int{http.StatusOK}
	}
	for _, status := range d.statuses {
		response := &huma.Response{Description: http.StatusText(status), Headers: map[string]*huma.Param{}}
		if status != http.StatusNotModified {
			response.Content = content
		}
		for _, h := range d.headers {
			response.Headers[h] = &huma.Param{Description: headers[h], Schema: &huma.Schema{Type: huma.TypeString}}
		}
		op.Responses[strconv.Itoa(status)] = response
	}
	failure := map[string]*huma.MediaType{"application/json": {Schema: e.doc.Components.Schemas.Schema(reflect.TypeFor[errorBody](), true, "Error")}}
	for _, status := range append(d.errors, http.StatusTooManyRequests, http.StatusServiceUnavailable) {
		op.Responses[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status), Content: failure}
	}
	e.doc.AddOperation(op)
	e.mux.HandleFunc(d.method+" "+d.path, func(w http.ResponseWriter, r *http.Request) {
		if err := handle(w, r); err != nil {
			e.s.fail(w, r, err)
		}
	})
}

// serveDocument adds the routes of the document itself; call it when all
// others are there.
func (e *endpoints) serveDocument() error {
	asJSON, err := json.Marshal(e.doc)
	if err != nil {
		return fmt.Errorf("api: the OpenAPI document: %w", err)
	}
	asYAML, err := e.doc.YAML()
	if err != nil {
		return fmt.Errorf("api: the OpenAPI document: %w", err)
	}
	for _, form := range []struct {
		path, contentType string
		body              []byte
	}{
		{"/api/openapi.json", "application/vnd.oai.openapi+json", asJSON},
		{"/api/openapi.yaml", "application/vnd.oai.openapi", asYAML},
	} {
		e.mux.HandleFunc("GET "+form.path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", form.contentType)
			w.Header().Set("Cache-Control", "no-cache")
			_, _ = w.Write(form.body) // the client has gone: nobody to tell
		})
	}
	return nil
}

// writeJSON answers with a body as the original wrote it: no line end, no
// escapes for HTML.
func writeJSON(w http.ResponseWriter, status int, body any) error {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(body); err != nil {
		return fmt.Errorf("api: %w", err)
	}
	text := strings.TrimSuffix(b.String(), "\n")
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("X-Content-Type-Options", "nosniff")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // the client has gone: nobody to tell
	return nil
}
