package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// The document is valid JSON, names every route and its types, and every
// reference in it leads somewhere.
func TestOpenAPI(t *testing.T) {
	p := run(t, newRedis(t), nil)
	got := p.get("/api/openapi.json")
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string
			Responses   map[string]any
			Parameters  []struct{ Name, In string }
			RequestBody any
		}
		Components struct {
			Schemas map[string]struct {
				Properties map[string]any
			}
		}
	}
	if err := json.Unmarshal([]byte(got.body), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("OpenAPI %s", doc.OpenAPI)
	}
	var routes []string
	for path, methods := range doc.Paths {
		for method, op := range methods {
			routes = append(routes, strings.ToUpper(method)+" "+path)
			for _, status := range []string{"200", "429", "503"} {
				if op.Responses[status] == nil {
					t.Errorf("%s %s has no answer %s", method, path, status)
				}
			}
			if n := strings.Count(path, "{"); len(op.Parameters) < n {
				t.Errorf("%s %s has %d parameters", method, path, len(op.Parameters))
			}
			if (op.RequestBody != nil) != (method == "put") {
				t.Errorf("%s %s: request body %v", method, path, op.RequestBody)
			}
		}
	}
	slices.Sort(routes)
	want := []string{
		"GET /api/canvas", "GET /api/canvases", "GET /api/canvases/{id}", "GET /api/canvases/{id}/canvas",
		"GET /api/canvases/{id}/image.png", "GET /api/canvases/{id}/pixels/{x}/{y}", "GET /api/canvases/{id}/snapshot",
		"GET /api/pixel/{x}/{y}", "POST /api/canvas/reset", "POST /api/canvases/{id}/reset",
		"PUT /api/canvases/{id}", "PUT /api/canvases/{id}/pixels", "PUT /api/pixel", "PUT /api/pixels",
	}
	if !slices.Equal(routes, want) {
		t.Errorf("routes %v", routes)
	}
	for _, ref := range references(got.body) {
		name, ok := strings.CutPrefix(ref, "#/components/schemas/")
		if _, known := doc.Components.Schemas[name]; !ok || !known {
			t.Errorf("a reference to %s", ref)
		}
	}
	for schema, properties := range map[string][]string{
		"CanvasState": {"background", "created", "epoch", "height", "id", "seq", "width"},
		"PixelStory":  {"color", "lastWrite", "x", "y"},
		"ErrorBody":   {"error"},
	} {
		var names []string
		for name := range doc.Components.Schemas[schema].Properties {
			names = append(names, name)
		}
		slices.Sort(names)
		if !slices.Equal(names, properties) {
			t.Errorf("%s has %v", schema, names)
		}
	}
	if yaml := p.get("/api/openapi.yaml"); yaml.status != http.StatusOK || !strings.Contains(yaml.body, "/api/canvases/{id}/snapshot:") {
		t.Errorf("YAML: %d", yaml.status)
	}
}

func references(document string) []string {
	var all []string
	for _, part := range strings.Split(document, `"$ref":"`)[1:] {
		ref, _, _ := strings.Cut(part, `"`)
		all = append(all, ref)
	}
	return all
}
