package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/cloud-pixel/playground/services/canvas"
)

// timestamp replaces what differs from run to run.
var timestamp = regexp.MustCompile(`"timestamp":1[0-9]{12}\b`)

func TestLegacyRoutes(t *testing.T) {
	p := run(t, newRedis(t), env{"CANVAS_WIDTH": "3", "CANVAS_HEIGHT": "2"})
	steps := []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/api/canvas", "", 200, `{"width":3,"height":2,"pixels":{"0,0":"#FFFFFF","1,0":"#FFFFFF","2,0":"#FFFFFF","0,1":"#FFFFFF","1,1":"#FFFFFF","2,1":"#FFFFFF"}}`},
		{"GET", "/api/pixel/1/1", "", 200, `{"x":1,"y":1,"color":"#FFFFFF"}`},
		{"PUT", "/api/pixel", `{"x":1,"y":1,"color":"#ff00Aa"}`, 200, `{"success":true,"x":1,"y":1,"color":"#FF00AA","timestamp":T}`},
		{"GET", "/api/pixel/1/1", "", 200, `{"x":1,"y":1,"color":"#FF00AA"}`},
		{"PUT", "/api/pixels", `{"pixels":[{"x":0,"y":0,"color":"#111111"},{"x":2,"y":1,"color":"#222222"},{"x":0,"y":0,"color":"#333333"}]}`, 200, `{"success":true,"updated":2,"timestamp":T}`},
		{"GET", "/api/canvas", "", 200, `{"width":3,"height":2,"pixels":{"0,0":"#333333","1,0":"#FFFFFF","2,0":"#FFFFFF","0,1":"#FFFFFF","1,1":"#FF00AA","2,1":"#222222"}}`},
		{"PUT", "/api/pixels", `{"pixels":[]}`, 200, `{"success":true,"updated":0,"timestamp":T}`},
		{"PUT", "/api/pixels", `{"pixels":[{"x":9,"y":0,"color":"#111111"},7,null,{"x":1,"y":0,"color":"#444444"}]}`, 200, `{"success":true,"updated":1,"timestamp":T}`},
		{"GET", "/api/pixel/1/0", "", 200, `{"x":1,"y":0,"color":"#444444"}`},
		{"POST", "/api/canvas/reset", "", 200, `{"success":true,"message":"Canvas reset to white"}`},
		{"GET", "/api/canvas", "", 200, `{"width":3,"height":2,"pixels":{"0,0":"#FFFFFF","1,0":"#FFFFFF","2,0":"#FFFFFF","0,1":"#FFFFFF","1,1":"#FFFFFF","2,1":"#FFFFFF"}}`},

		{"GET", "/api/pixel/3/0", "", 400, `{"error":"Coordinates out of bounds"}`},
		{"GET", "/api/pixel/-1/0", "", 400, `{"error":"Coordinates out of bounds"}`},
		{"GET", "/api/pixel/1.5/0", "", 400, `{"error":"Coordinates out of bounds"}`},
		{"GET", "/api/pixel/abc/0", "", 400, `{"error":"Coordinates out of bounds"}`},
		{"GET", "/api/pixel/1e999/0", "", 400, `{"error":"Coordinates out of bounds"}`},
		{"GET", "/api/pixel/0x1/0", "", 400, `{"error":"Coordinates out of bounds"}`},
		{"GET", "/api/pixel/99999999999999999999/0", "", 400, `{"error":"Coordinates out of bounds"}`},
		{"GET", "/api/pixel/%00/0", "", 400, `{"error":"Coordinates out of bounds"}`},
		{"GET", "/api/pixel/1.0/-0", "", 200, `{"x":1,"y":0,"color":"#FFFFFF"}`},

		{"GET", "/", "", 404, `{"error":"Not found"}`},
		{"GET", "/api", "", 404, `{"error":"Not found"}`},
		{"GET", "/api/nothing", "", 404, `{"error":"Not found"}`},
		{"GET", "/api/pixel/1", "", 404, `{"error":"Not found"}`},
		{"GET", "/api//canvas", "", 404, `{"error":"Not found"}`},
		{"DELETE", "/api/canvas", "", 405, `{"error":"Method not allowed"}`},
		{"GET", "/api/canvas/reset", "", 405, `{"error":"Method not allowed"}`},
		{"POST", "/api/pixel", `{}`, 405, `{"error":"Method not allowed"}`},
	}
	for _, s := range steps {
		t.Run(s.method+" "+s.path+" "+s.body, func(t *testing.T) {
			got := p.do(s.method, s.path, s.body)
			got.body = timestamp.ReplaceAllString(got.body, `"timestamp":T`)
			equal(t, got, s.status, s.want)
			if kind := got.header.Get("Content-Type"); kind != "application/json; charset=utf-8" {
				t.Errorf("Content-Type: %s", kind)
			}
			if s.status == 200 && !strings.Contains(s.want, `"updated":0`) {
				if _, err := canvas.ParsePosition(got.header.Get("Pixel-Position")); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// A body that is wrong in any way gets an exact answer and changes nothing.
func TestBadBodies(t *testing.T) {
	p := run(t, newRedis(t), env{"MAX_BODY_BYTES": "64KiB"})
	const (
		format  = `{"error":"Invalid data format"}`
		bounds  = `{"error":"Coordinates out of bounds"}`
		color   = `{"error":"Invalid color format. Use hex format like #FF0000"}`
		invalid = `{"error":"Invalid JSON"}`
		array   = `{"error":"Pixels must be an array"}`
	)
	deep := strings.Repeat(`[`, 20_000) + strings.Repeat(`]`, 20_000)
	pixel := func(x, y, c string) string { return fmt.Sprintf(`{"x":%s,"y":%s,"color":%s}`, x, y, c) }
	red := `"#FF0000"`
	cases := []struct {
		path, body string
		status     int
		want       string
	}{
		{"/api/pixel", ``, 400, format},
		{"/api/pixel", `   `, 400, format},
		{"/api/pixel", `{}`, 400, format},
		{"/api/pixel", `[]`, 400, format},
		{"/api/pixel", `null`, 400, format},
		{"/api/pixel", `17`, 400, format},
		{"/api/pixel", `"x"`, 400, format},
		{"/api/pixel", `[1,2,"#FF0000"]`, 400, format},
		{"/api/pixel", `{"x":1,"y":1}`, 400, format},
		{"/api/pixel", `{"y":1,"color":"#FF0000"}`, 400, format},
		{"/api/pixel", `{"X":1,"Y":1,"Color":"#FF0000"}`, 400, format},
		{"/api/pixel", pixel(`"1"`, `1`, red), 400, format},
		{"/api/pixel", pixel(`null`, `1`, red), 400, format},
		{"/api/pixel", pixel(`true`, `1`, red), 400, format},
		{"/api/pixel", pixel(`[1]`, `1`, red), 400, format},
		{"/api/pixel", pixel(`{"x":1}`, `1`, red), 400, format},
		{"/api/pixel", pixel(`1`, `1`, `16711680`), 400, format},
		{"/api/pixel", pixel(`1`, `1`, `null`), 400, format},
		{"/api/pixel", pixel(`1`, `1`, `["#FF0000"]`), 400, format},
		{"/api/pixel", `{"__proto__":{"x":1,"y":1,"color":"#FF0000"}}`, 400, format},
		{"/api/pixel", pixel(`1.5`, `1`, red), 400, bounds},
		{"/api/pixel", pixel(`1`, `1e-9`, red), 400, bounds},
		{"/api/pixel", pixel(`50`, `1`, red), 400, bounds},
		{"/api/pixel", pixel(`1`, `50`, red), 400, bounds},
		{"/api/pixel", pixel(`-1`, `1`, red), 400, bounds},
		{"/api/pixel", pixel(`1e9`, `1`, red), 400, bounds},
		{"/api/pixel", pixel(`1e400`, `1`, red), 400, bounds},
		{"/api/pixel", pixel(`65537`, `1`, red), 400, bounds},
		{"/api/pixel", pixel(`9223372036854775808`, `1`, red), 400, bounds},
		{"/api/pixel", pixel(`18446744073709551617`, `1`, red), 400, bounds},
		{"/api/pixel", pixel(`1`, `1`, `""`), 400, color},
		{"/api/pixel", pixel(`1`, `1`, `"red"`), 400, color},
		{"/api/pixel", pixel(`1`, `1`, `"#F00"`), 400, color},
		{"/api/pixel", pixel(`1`, `1`, `"#FF00000"`), 400, color},
		{"/api/pixel", pixel(`1`, `1`, `"#GG0000"`), 400, color},
		{"/api/pixel", pixel(`1`, `1`, `"FF0000"`), 400, color},
		{"/api/pixel", pixel(`1`, `1`, `"<script>"`), 400, color},
		{"/api/pixel", pixel(`1`, `1`, `"\ud800"`), 400, color},
		{"/api/pixel", `{`, 400, invalid},
		{"/api/pixel", `{"x":1,"y":1,"color":"#FF0000",}`, 400, invalid},
		{"/api/pixel", pixel(`01`, `1`, red), 400, invalid},
		{"/api/pixel", pixel(`0x1`, `1`, red), 400, invalid},
		{"/api/pixel", pixel(`NaN`, `1`, red), 400, invalid},
		{"/api/pixel", pixel(`+1`, `1`, red), 400, invalid},
		{"/api/pixel", pixel(`1`, `1`, red) + pixel(`1`, `1`, red), 400, invalid},
		{"/api/pixel", pixel(`1`, `1`, "\"#FF0000\xff\""), 400, invalid},
		{"/api/pixel", "\x00", 400, invalid},
		{"/api/pixel", "x=1&y=1&color=%23FF0000", 400, invalid},
		{"/api/pixel", deep, 400, invalid},
		{"/api/pixel", pixel(`1`, `1`, `"`+strings.Repeat("#", 64<<10)+`"`), 413, `{"error":"Request body is too large"}`},
		{"/api/pixels", ``, 400, array},
		{"/api/pixels", `{}`, 400, array},
		{"/api/pixels", `[]`, 400, array},
		{"/api/pixels", `{"pixels":null}`, 400, array},
		{"/api/pixels", `{"pixels":{}}`, 400, array},
		{"/api/pixels", `{"pixels":"[]"}`, 400, array},
		{"/api/pixels", `{"Pixels":[]}`, 400, array},
		{"/api/pixels", `{"pixels":[`, 400, invalid},
		{"/api/pixels", `{"pixels":` + deep + `}`, 400, invalid},
		{"/api/canvases/main", `{"width":1.5}`, 400, `{"error":"Width and height must be integers from 1 to 4096"}`},
		{"/api/canvases/main", `{"width":"50"}`, 400, `{"error":"Width and height must be integers from 1 to 4096"}`},
		{"/api/canvases/main", `{"height":4097}`, 400, `{"error":"Width and height must be integers from 1 to 4096"}`},
		{"/api/canvases/main", `{"background":"white"}`, 400, color},
		{"/api/canvases/main", `[]`, 400, format},
		{"/api/canvases/Main", `{}`, 400, `{"error":"Canvas id must have 1 to 64 characters a-z, 0-9 or '-', and not start with '-'"}`},
	}
	for i, c := range cases {
		t.Run(fmt.Sprintf("%d %s %.60q", i, c.path, c.body), func(t *testing.T) { equal(t, p.put(c.path, c.body), c.status, c.want) })
	}
	equal(t, p.put("/api/pixel", pixel(`1`, `1`, red), "Content-Encoding", "gzip"), http.StatusUnsupportedMediaType, `{"error":"Content-Encoding is not supported"}`)
	if seq := p.seq(); seq != 0 {
		t.Errorf("bad bodies made %d operations", seq)
	}
}

// What JavaScript takes as an integer is one, whatever the request calls its
// type and however the document is written.
func TestOddButRightBodies(t *testing.T) {
	p := run(t, newRedis(t), nil)
	for i, body := range []string{
		`{"x":1,"y":0,"color":"#ABCDEF"}`,
		`{"x":1.0,"y":-0,"color":"#abcdef"}`,
		`{"x":0.1e1,"y":0.0,"color":"#abcdef"}`,
		`{"x":100e-2,"y":-0.0e5,"color":"#abcdef"}`,
		`{"x":7,"x":1,"y":0,"color":"#abcdef"}`,
		`{"\u0078":1,"y":0,"color":"\u0023abcdef"}`,
		`{"__proto__":null,"constructor":{"x":2},"extra":[{"x":"}"},"]\""],"x":1,"y":0,"color":"#abcdef","username":7}`,
		"\ufeff \r\n\t{\"x\" : 1 ,\"y\": 0\n, \"color\"\t:\"#abcdef\" } ",
	} {
		for _, contentType := range []string{"application/json", "text/plain", "application/x-www-form-urlencoded", "", "nonsense"} {
			got := p.put("/api/pixel", body, "Content-Type", contentType)
			got.body = timestamp.ReplaceAllString(got.body, `"timestamp":T`)
			equal(t, got, 200, `{"success":true,"x":1,"y":0,"color":"#ABCDEF","timestamp":T}`)
		}
		got := p.put("/api/pixels", `{"pixels":[`+strings.TrimPrefix(body, "\ufeff")+`]}`)
		got.body = timestamp.ReplaceAllString(got.body, `"timestamp":T`)
		if want := `{"success":true,"updated":1,"timestamp":T}`; got.body != want {
			t.Errorf("body %d in a list: %s", i, got.body)
		}
	}
}

// More pixels than an operation may hold become several.
func TestManyPixels(t *testing.T) {
	p := run(t, newRedis(t), env{"CANVAS_WIDTH": "100", "CANVAS_HEIGHT": "100"})
	var list []pixelRequest
	for y := range 100 {
		for x := range 100 {
			list = append(list, pixelRequest{X: x, Y: y, Color: "#000000"})
		}
	}
	for i := range list {
		again := list[i]
		again.Color = canvas.Color(i).String()
		list = append(list, again)
	}
	body, err := json.Marshal(pixelsRequest{Pixels: list})
	if err != nil {
		t.Fatal(err)
	}
	got := p.put("/api/pixels", string(body))
	got.body = timestamp.ReplaceAllString(got.body, `"timestamp":T`)
	equal(t, got, 200, `{"success":true,"updated":10000,"timestamp":T}`)
	if seq := p.seq(); seq != 3 {
		t.Errorf("%d operations; 10,000 pixels fit into 3", seq)
	}
	var all struct{ Pixels map[string]string }
	if err := json.Unmarshal([]byte(p.get("/api/canvas").body), &all); err != nil {
		t.Fatal(err)
	}
	for i := range 10_000 {
		if got := all.Pixels[fmt.Sprintf("%d,%d", i%100, i/100)]; got != canvas.Color(i).String() {
			t.Fatalf("cell %d is %s", i, got)
		}
	}
}

// seq returns how many operations the main canvas has had.
func (p *process) seq() uint64 {
	p.t.Helper()
	var state canvasState
	if err := json.Unmarshal([]byte(p.get("/api/canvases/main").body), &state); err != nil {
		p.t.Fatal(err)
	}
	return state.Seq
}
