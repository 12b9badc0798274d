package api

import (
	"encoding/json"
	"fmt"
	"regexp"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
)

var created = regexp.MustCompile(`"created":"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z"`)

func TestCreateCanvas(t *testing.T) {
	server := newRedis(t)
	p := run(t, server, env{"MAX_CANVASES": "4", "CANVASES": "second:20x10"})
	q := run(t, server, env{"MAX_CANVASES": "4", "CANVASES": "second:20x10"})
	steps := []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/api/canvases/art", "", 404, `{"error":"Canvas not found"}`},
		{"GET", "/api/canvases/art/canvas", "", 404, `{"error":"Canvas not found"}`},
		{"GET", "/api/canvases/art/snapshot", "", 404, `{"error":"Canvas not found"}`},
		{"GET", "/api/canvases/art/image.png", "", 404, `{"error":"Canvas not found"}`},
		{"GET", "/api/canvases/art/pixels/0/0", "", 404, `{"error":"Canvas not found"}`},
		{"PUT", "/api/canvases/art/pixels", `{"pixels":[]}`, 404, `{"error":"Canvas not found"}`},
		{"POST", "/api/canvases/art/reset", "", 404, `{"error":"Canvas not found"}`},
		{"GET", "/api/canvases/No%2FSuch/canvas", "", 404, `{"error":"Canvas not found"}`},

		{"PUT", "/api/canvases/art", `{"width":4,"height":3.0,"background":"#00ff00"}`, 201, `{"id":"art","width":4,"height":3,"background":"#00FF00","created":C}`},
		{"PUT", "/api/canvases/art", `{"width":4}`, 200, `{"id":"art","width":4,"height":3,"background":"#00FF00","created":C}`},
		{"PUT", "/api/canvases/art", ``, 200, `{"id":"art","width":4,"height":3,"background":"#00FF00","created":C}`},
		{"PUT", "/api/canvases/art", `{"width":5}`, 409, `{"error":"The canvas exists with another size or background"}`},
		{"PUT", "/api/canvases/art", `{"background":"#00ff01"}`, 409, `{"error":"The canvas exists with another size or background"}`},
		{"GET", "/api/canvases/art/pixels/3/2", "", 200, `{"x":3,"y":2,"color":"#00FF00","lastWrite":null}`},
		{"PUT", "/api/canvases/plain", ``, 201, `{"id":"plain","width":50,"height":50,"background":"#FFFFFF","created":C}`},
		{"PUT", "/api/canvases/toomany", `{}`, 409, `{"error":"There are 4 canvases already"}`},
		{"PUT", "/api/canvases/plain", `{}`, 200, `{"id":"plain","width":50,"height":50,"background":"#FFFFFF","created":C}`},

		{"PUT", "/api/canvases/art/pixels", `{"pixels":[{"x":3,"y":2,"color":"#010203"},{"x":4,"y":2,"color":"#010203"}]}`, 200, `{"success":true,"updated":1,"timestamp":T}`},
		{"GET", "/api/canvases/art/canvas", "", 200, `{"width":4,"height":3,"pixels":{"0,0":"#00FF00","1,0":"#00FF00","2,0":"#00FF00","3,0":"#00FF00","0,1":"#00FF00","1,1":"#00FF00","2,1":"#00FF00","3,1":"#00FF00","0,2":"#00FF00","1,2":"#00FF00","2,2":"#00FF00","3,2":"#010203"}}`},
		{"GET", "/api/pixel/3/2", "", 200, `{"x":3,"y":2,"color":"#FFFFFF"}`},
		{"POST", "/api/canvases/art/reset", "", 200, `{"success":true,"message":"Canvas reset"}`},
		{"GET", "/api/canvases/art/pixels/3/2", "", 200, `{"x":3,"y":2,"color":"#00FF00","lastWrite":{"username":"Anonymous","timestamp":T,"seq":2,"reset":true}}`},
		{"GET", "/api/canvases/art/pixels/4/2", "", 400, `{"error":"Coordinates out of bounds"}`},
	}
	for i, s := range steps {
		t.Run(fmt.Sprintf("%d %s %s %s", i, s.method, s.path, s.body), func(t *testing.T) {
			by := p
			if i%2 == 1 {
				by = q // what one process did, every other knows
			}
			got := by.do(s.method, s.path, s.body)
			got.body = created.ReplaceAllString(timestamp.ReplaceAllString(got.body, `"timestamp":T`), `"created":C`)
			equal(t, got, s.status, s.want)
			if location := got.header.Get("Location"); (s.status == 201) != (location == s.path) {
				t.Errorf("Location %q", location)
			}
		})
	}

	var list canvasList
	if err := json.Unmarshal([]byte(p.get("/api/canvases").body), &list); err != nil {
		t.Fatal(err)
	}
	sizes := make(map[string]string)
	for _, c := range list.Canvases {
		sizes[c.ID] = fmt.Sprintf("%dx%d %s", c.Width, c.Height, c.Background)
	}
	if got := fmt.Sprint(sizes); got != "map[art:4x3 #00FF00 main:50x50 #FFFFFF plain:50x50 #FFFFFF second:20x10 #FFFFFF]" {
		t.Error(got)
	}
	var state canvasState
	got := p.get("/api/canvases/art")
	if err := json.Unmarshal([]byte(got.body), &state); err != nil {
		t.Fatal(err)
	}
	if state.Seq != 2 || state.Epoch+"/2" != got.header.Get("Pixel-Position") {
		t.Errorf("%s, Pixel-Position %s", got.body, got.header.Get("Pixel-Position"))
	}
}

// metric returns the value of a counter or gauge by its name and labels, 0
// when there is none.
func (p *process) metric(series string) float64 {
	p.t.Helper()
	families, err := p.telemetry.Registry.Gather()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if name(family.GetName(), m.GetLabel()) == series {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return 0
}

func name(family string, labels []*dto.LabelPair) string {
	if len(labels) == 0 {
		return family
	}
	text := family + "{"
	for i, l := range labels {
		if i > 0 {
			text += ","
		}
		text += fmt.Sprintf("%s=%q", l.GetName(), l.GetValue())
	}
	return text + "}"
}

func TestMetricNames(t *testing.T) {
	p := run(t, newRedis(t), nil)
	p.put("/api/pixel", `{"x":1,"y":1,"color":"#FF0000"}`)
	problems, err := testutil.GatherAndLint(p.telemetry.Registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
}
