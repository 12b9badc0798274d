package api

import (
	"fmt"
	"image/png"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
)

const away = `{"error":"Redis not connected"}`

// dataRoutes is one request to each route that needs Redis.
var dataRoutes = []struct{ method, path, body string }{
	{"GET", "/api/canvas", ""},
	{"GET", "/api/pixel/1/1", ""},
	{"GET", "/api/pixel/99/1", ""},
	{"PUT", "/api/pixel", `{"x":1,"y":1,"color":"#FF0000"}`},
	{"PUT", "/api/pixel", `{"x":"1","y":1,"color":"#FF0000"}`},
	{"PUT", "/api/pixels", `{"pixels":[{"x":1,"y":1,"color":"#FF0000"}]}`},
	{"PUT", "/api/pixels", `{"pixels":[]}`},
	{"POST", "/api/canvas/reset", ""},
	{"GET", "/api/canvases", ""},
	{"GET", "/api/canvases/main", ""},
	{"PUT", "/api/canvases/new", ""},
	{"GET", "/api/canvases/new", ""},
	{"GET", "/api/canvases/main/canvas", ""},
	{"GET", "/api/canvases/main/snapshot", ""},
	{"GET", "/api/canvases/main/image.png", ""},
	{"GET", "/api/canvases/main/pixels/1/1", ""},
	{"PUT", "/api/canvases/main/pixels", `{"pixels":[{"x":1,"y":1,"color":"#FF0000"}]}`},
	{"POST", "/api/canvases/main/reset", ""},
}

// expectAway asks every route that needs Redis, which is away.
func expectAway(t *testing.T, p *process) {
	t.Helper()
	for _, r := range dataRoutes {
		got := p.do(r.method, r.path, r.body)
		if got.status != 503 || strings.TrimSpace(got.body) != away || got.header.Get("Retry-After") == "" {
			t.Errorf("%s %s: %d %s, Retry-After %q", r.method, r.path, got.status, got.body, got.header.Get("Retry-After"))
		}
	}
	equal(t, p.get("/livez"), 200, `{"status":"ok"}`)
	equal(t, p.get("/api/nothing"), 404, `{"error":"Not found"}`)
	equal(t, p.put("/api/pixel", `{`), 400, `{"error":"Invalid JSON"}`)
}

func healthSays(p *process, redis string) bool {
	got := p.get("/health")
	return got.status == 200 && strings.HasPrefix(got.body, fmt.Sprintf(`{"status":"ok","redis":%q,"timestamp":"20`, redis))
}

// Redis goes away and comes back; the api goes on without a restart, and what
// was acknowledged is there.
func TestRedisGoesAway(t *testing.T) {
	server := newRedis(t)
	p := run(t, server, env{"READ_TIMEOUT": "500ms", "REDIS_DIAL_TIMEOUT": "500ms"})
	p.put("/api/pixel", `{"x":1,"y":1,"color":"#00FF00"}`)
	p.put("/api/pixel", `{"x":2,"y":2,"color":"#0000FF"}`)
	eventually(t, "health shows Redis", func() bool { return healthSays(p, "connected") })
	for range 2 {
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "health shows that Redis is away", func() bool { return healthSays(p, "disconnected") })
		eventually(t, "the api has noticed", func() bool { return p.get("/api/canvas").status == 503 })
		// Whatever was under way when Redis went is settled by now, so each
		// write finds it away.
		expectAway(t, p)
		equal(t, p.get("/readyz"), 200, `{"status":"ok"}`)
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the canvas can be read", func() bool { return p.get("/api/canvas").status == 200 })
		eventually(t, "health shows Redis again", func() bool { return healthSays(p, "connected") })
		equal(t, p.get("/api/pixel/2/2"), 200, `{"x":2,"y":2,"color":"#0000FF"}`)
		equal(t, p.get("/api/pixel/1/1"), 200, `{"x":1,"y":1,"color":"#00FF00"}`)
		if got := p.put("/api/pixel", `{"x":3,"y":3,"color":"#ABCDEF"}`); got.status != 200 {
			t.Errorf("a write after the outage: %d %s", got.status, got.body)
		}
		equal(t, p.get("/api/pixel/3/3"), 200, `{"x":3,"y":3,"color":"#ABCDEF"}`)
	}
}

// A Redis that hangs is away, too: no request waits for longer than it was
// told, and none gets an old picture.
func TestRedisHangs(t *testing.T) {
	// A request gives up before Redis is given up, or has time left after it.
	for _, timeout := range []string{"300ms", "50ms"} {
		t.Run(timeout, func(t *testing.T) { redisHangs(t, timeout) })
	}
}

func redisHangs(t *testing.T, timeout string) {
	server := newRedis(t)
	p := run(t, server, env{"READ_TIMEOUT": "300ms", "REDIS_TIMEOUT": timeout, "REDIS_DIAL_TIMEOUT": "300ms"})
	if got := p.get("/api/canvas"); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	resume := func() {
		if err := server.Resume(); err != nil {
			t.Error(err)
		}
	}
	got := p.get("/api/canvas")
	write := p.put("/api/pixel", `{"x":3,"y":3,"color":"#ABCDEF"}`)
	resume()
	equal(t, got, 503, away)
	equal(t, write, 503, away)
	eventually(t, "the canvas can be read", func() bool { return p.get("/api/canvas").status == 200 })
}

// An api that starts before Redis listens, says so, and needs no restart.
func TestStartWithoutRedis(t *testing.T) {
	server := newRedis(t)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	p := begin(t, server, env{"READ_TIMEOUT": "100ms"})
	expectAway(t, p)
	if !healthSays(p, "disconnected") {
		t.Error(p.get("/health").body)
	}
	if got := p.get("/readyz"); got.status != 503 {
		t.Errorf("readyz: %d %s", got.status, got.body)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the api is ready", func() bool { return p.get("/readyz").status == 200 })
	if got := p.put("/api/pixel", `{"x":3,"y":3,"color":"#ABCDEF"}`); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// A Redis that may drop canvases is never used.
func TestUnusableRedis(t *testing.T) {
	server := newRedis(t)
	if err := commands(t, server).ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err(); err != nil {
		t.Fatal(err)
	}
	p := begin(t, server, nil)
	eventually(t, "the api says why it is not ready", func() bool {
		got := p.get("/readyz")
		return got.status == 503 && strings.Contains(got.body, "Redis must not be used as it is configured")
	})
	if err := commands(t, server).ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the api is ready", func() bool { return p.get("/readyz").status == 200 })
}

// When Redis loses everything the canvas begins anew, blank, and the last
// picture is on disk.
func TestRescue(t *testing.T) {
	server := newRedis(t)
	dir := filepath.Join(t.TempDir(), "deep", "rescue")
	p := run(t, server, env{"RESCUE_DIR": dir})
	p.put("/api/pixel", `{"x":7,"y":9,"color":"#123456"}`)
	last, at := p.snapshot("main")
	if err := commands(t, server).FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the canvas is blank", func() bool {
		got := p.get("/api/pixel/7/9")
		return got.status == http.StatusOK && strings.Contains(got.body, "#FFFFFF")
	})
	path := filepath.Join(dir, fmt.Sprintf("pixel-rescue-main-%s-1.png", at.Epoch))
	encoded, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	checkImage(t, encoded, last.Freeze(), 1)
	if got := p.put("/api/pixel", `{"x":7,"y":9,"color":"#654321"}`); got.status != 200 {
		t.Errorf("a write to the new canvas: %d %s", got.status, got.body)
	}
}

// The folder does not fill the disk.
func TestRescuedAreBounded(t *testing.T) {
	dir := t.TempDir()
	r := &rescuer{dir: dir}
	grid := canvas.NewGrid(canvas.Spec{Width: 2, Height: 2})
	base := time.Now().Add(-time.Hour)
	const many = maxRescued + 5
	for n := range many {
		path, err := r.write("c", canvas.Position{Seq: uint64(n)}, grid.Freeze())
		if err != nil {
			t.Fatal(err)
		}
		when := base.Add(time.Duration(n) * time.Second)
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != maxRescued {
		t.Errorf("%d files", len(entries))
	}
	newest, err := os.Open(filepath.Join(dir, fmt.Sprintf("pixel-rescue-c-%s-%d.png", canvas.Epoch{}, many-1)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = newest.Close() }()
	if _, err := png.Decode(newest); err != nil {
		t.Error(err)
	}
}
