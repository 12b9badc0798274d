// Package schemas makes JSON schemas of Kubernetes objects, in the form that
// kubeconform reads, from the OpenAPI document of a Kubernetes version. They
// are strict: a field that the version does not know is an error.
package schemas

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Template is where kubeconform finds the schemas that [Write] has put into a
// folder: join the two.
const Template = "{{ .ResourceKind }}{{ .KindSuffix }}.json"

const prefix = "#/definitions/"

type document struct {
	Definitions map[string]map[string]any `json:"definitions"`
}

// Write writes a schema for each kind of the OpenAPI v2 document (the file
// api/openapi-spec/swagger.json of Kubernetes) into dir and returns how many.
// Each file stands for itself: it holds all definitions that it refers to.
func Write(openapi []byte, dir string) (int, error) {
	var doc document
	if err := json.Unmarshal(openapi, &doc); err != nil {
		return 0, fmt.Errorf("the OpenAPI document: %w", err)
	}
	for name, d := range doc.Definitions {
		tighten(name, d)
	}
	n := 0
	for name, d := range doc.Definitions {
		kinds, _ := d["x-kubernetes-group-version-kind"].([]any)
		if len(kinds) != 1 {
			continue // a part of objects, or of all groups alike, such as DeleteOptions
		}
		kind, _ := kinds[0].(map[string]any)
		used := make(map[string]any)
		doc.collect(name, used)
		top, _ := json.Marshal(used[name]) // what was JSON becomes JSON
		var own map[string]any
		if err := json.Unmarshal(top, &own); err != nil {
			return n, err
		}
		// That an object says what it is, is not in the document.
		group, _ := kind["group"].(string)
		version, _ := kind["version"].(string)
		api := version
		if group != "" {
			api = group + "/" + version
		}
		properties, _ := own["properties"].(map[string]any)
		if properties == nil {
			continue
		}
		properties["apiVersion"] = map[string]any{"const": api}
		properties["kind"] = map[string]any{"const": kind["kind"]}
		own["required"] = append([]any{"apiVersion", "kind"}, list(own["required"])...)
		own["$schema"] = "http://json-schema.org/draft-07/schema#"
		own["definitions"] = used
		text, err := json.Marshal(own)
		if err != nil {
			return n, err
		}
		if err := os.WriteFile(filepath.Join(dir, FileName(group, version, fmt.Sprint(kind["kind"]))), text, 0o600); err != nil {
			return n, err
		}
		n++
	}
	if n == 0 {
		return 0, fmt.Errorf("the OpenAPI document has no kinds")
	}
	return n, nil
}

// FileName returns the name that [Template] gives to the schema of a kind.
func FileName(group, version, kind string) string {
	name := strings.ToLower(kind)
	if first, _, _ := strings.Cut(group, "."); first != "" {
		name += "-" + first
	}
	return name + "-" + strings.ToLower(version) + ".json"
}

// collect puts a definition and all that it refers to into used.
func (d *document) collect(name string, used map[string]any) {
	if used[name] != nil {
		return
	}
	definition := d.Definitions[name]
	if definition == nil {
		return
	}
	used[name] = definition
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				d.collect(strings.TrimPrefix(ref, prefix), used)
			}
			for _, child := range v {
				walk(child)
			}
		case []any:
			for _, child := range v {
				walk(child)
			}
		}
	}
	walk(definition)
}

// tighten says what the document leaves to its reader: no other fields than
// those named, and numbers where a quantity or a port may be one.
func tighten(name string, d map[string]any) {
	switch {
	case strings.HasSuffix(name, ".api.resource.Quantity"), strings.HasSuffix(name, ".util.intstr.IntOrString"):
		delete(d, "format")
		d["type"] = []any{"string", "number"}
	case strings.HasSuffix(name, ".JSONSchemaProps"):
		return // a schema may hold anything
	}
	if _, open := d["additionalProperties"]; !open && d["properties"] != nil {
		d["additionalProperties"] = false
	}
	properties, _ := d["properties"].(map[string]any)
	for _, p := range properties {
		if p, ok := p.(map[string]any); ok && p["format"] == "int-or-string" {
			delete(p, "format")
			p["type"] = []any{"string", "integer"}
		}
	}
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}
