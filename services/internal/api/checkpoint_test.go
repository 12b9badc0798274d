package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/internal/store"
)

// often are settings with which checkpoints come at once.
func often(pod string) env {
	return env{"POD_NAME": pod, "CHECKPOINT_INTERVAL": "20ms", "LOG_RETENTION": "5"}
}

func leaseOf(t *testing.T, server *embedded.Server, id string) string {
	t.Helper()
	owner, _ := commands(t, server).Get(t.Context(), "{canvas:"+id+"}:lease").Result()
	return owner
}

// storedAt returns the position of the stored checkpoint, 0 when there is none.
func storedAt(t *testing.T, s *store.Store, id string) uint64 {
	t.Helper()
	mark, err := s.CheckpointMark(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if mark == nil {
		return 0
	}
	return mark.Position.Seq
}

// Checkpoints follow the writes, the log is trimmed to its retention, and a
// process that starts from both has the same picture.
func TestCheckpointAndTrim(t *testing.T) {
	server := newRedis(t)
	direct := openStore(t, store.Options{URL: server.URL()})
	p := run(t, server, often("a"))
	for n := range 30 {
		p.put("/api/pixel", fmt.Sprintf(`{"x":%d,"y":%d,"color":"%v"}`, n%50, n/7, canvas.Color(n*1000)))
	}
	p.put("/api/canvases/drawn", `{"width":3,"height":3}`)
	p.put("/api/canvases/drawn/pixels", `{"pixels":[{"x":1,"y":1,"color":"#00FF00"}]}`)
	eventually(t, "the checkpoint has every write", func() bool { return storedAt(t, direct, "main") == 30 })
	eventually(t, "the log is as short as it may be", func() bool {
		length, oldest, err := direct.LogInfo(t.Context(), "main")
		return err == nil && length == 5 && oldest == 26
	})
	eventually(t, "a canvas that was only drawn on by REST has a checkpoint", func() bool { return storedAt(t, direct, "drawn") == 1 })
	eventually(t, "the metrics say so", func() bool {
		return p.metric(`pixel_checkpoint_lag_operations{canvas="main"}`) == 0 && p.metric(`pixel_checkpoint_lag_seconds{canvas="main"}`) == 0 &&
			p.metric(`pixel_checkpoint_leases_held{canvas="main"}`) == 1 && p.metric(`pixel_log_entries{canvas="main"}`) == 5 &&
			p.metric(`pixel_checkpoint_leases_held{canvas="other"}`) == 1 && p.metric(`pixel_log_trimmed_entries_total`) == 25
	})

	fresh := run(t, server, often("b"))
	for _, id := range []string{"main", "drawn"} {
		grid, at := p.snapshot(id)
		same, there := fresh.snapshot(id)
		if at != there || grid.Hash() != same.Hash() {
			t.Errorf("%s: %v with %x, in a fresh process %v with %x", id, at, grid.Hash(), there, same.Hash())
		}
	}
	// Who painted a cell behind the retention is not known to the new process.
	equal(t, fresh.get("/api/canvases/main/pixels/0/0"), 200, `{"x":0,"y":0,"color":"#000000","lastWrite":null}`)
}

// When nothing changes nothing is written.
func TestNoNeedlessCheckpoints(t *testing.T) {
	server := newRedis(t)
	direct := openStore(t, store.Options{URL: server.URL()})
	p := run(t, server, often("a"))
	p.put("/api/pixel", `{"x":1,"y":1,"color":"#FF0000"}`)
	eventually(t, "there is a checkpoint", func() bool { return storedAt(t, direct, "main") == 1 })
	eventually(t, "it is counted", func() bool { return p.metric(`pixel_checkpoints_total{result="saved"}`) == 1 })
	before := p.metric(`pixel_store_operations_total{operation="lease",outcome="ok"}`)
	eventually(t, "the lease was prolonged some times", func() bool {
		return p.metric(`pixel_store_operations_total{operation="lease",outcome="ok"}`) > before+2
	})
	if n := p.metric(`pixel_checkpoints_total{result="saved"}`); n != 1 {
		t.Errorf("%v checkpoints of one write", n)
	}
}

// The lease goes over to another process: at once when its holder stops, in
// time when the holder dies. Checkpoints go on, and none is lost.
func TestLeaseHandover(t *testing.T) {
	server := newRedis(t)
	direct := openStore(t, store.Options{URL: server.URL()})
	apis := map[string]*process{"a": run(t, server, often("a")), "b": run(t, server, often("b"))}
	eventually(t, "somebody holds the lease", func() bool { return leaseOf(t, server, "main") != "" })
	first, _, _ := strings.Cut(leaseOf(t, server, "main"), "/")
	second := map[string]string{"a": "b", "b": "a"}[first]
	holder, heir := apis[first], apis[second]
	holder.put("/api/pixel", `{"x":1,"y":1,"color":"#FF0000"}`)
	if err := holder.stop(); err != nil {
		t.Fatal(err)
	}
	// The holder wrote a last checkpoint before it gave the lease up.
	if at := storedAt(t, direct, "main"); at != 1 {
		t.Errorf("the checkpoint of the one that stopped is at %d", at)
	}
	eventually(t, "the other one holds the lease", func() bool { return strings.HasPrefix(leaseOf(t, server, "main"), second+"/") })
	heir.put("/api/pixel", `{"x":2,"y":1,"color":"#FF0000"}`)
	eventually(t, "checkpoints go on", func() bool { return storedAt(t, direct, "main") == 2 })

	// A process that died holds the lease until it runs out.
	const ttl = 300 // ms
	if err := commands(t, server).Do(t.Context(), "SET", "{canvas:main}:lease", "dead", "PX", ttl).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lease is seen as lost", func() bool { return heir.metric(`pixel_checkpoint_leases_held{canvas="main"}`) == 0 })
	heir.put("/api/pixel", `{"x":3,"y":1,"color":"#FF0000"}`)
	eventually(t, "the lease is taken again", func() bool { return strings.HasPrefix(leaseOf(t, server, "main"), second+"/") })
	eventually(t, "checkpoints go on again", func() bool { return storedAt(t, direct, "main") == 3 })
}

// Two processes that both believe in the lease do no harm: what is stored only
// goes forward, and what is loaded is right.
func TestTwoLeaseHolders(t *testing.T) {
	server := newRedis(t)
	direct := openStore(t, store.Options{URL: server.URL()})
	p, q := run(t, server, often("a")), run(t, server, often("b"))
	client := commands(t, server)
	stored := uint64(0)
	for n := range 40 {
		p.put("/api/pixel", fmt.Sprintf(`{"x":%d,"y":3,"color":"%v"}`, n, canvas.Color(n)))
		if err := client.Del(t.Context(), "{canvas:main}:lease").Err(); err != nil {
			t.Fatal(err)
		}
		at := storedAt(t, direct, "main")
		if at < stored {
			t.Fatalf("the checkpoint went from %d back to %d", stored, at)
		}
		stored = at
	}
	eventually(t, "the checkpoint has every write", func() bool { return storedAt(t, direct, "main") == 40 })
	grid, _ := p.snapshot("main")
	same, _ := q.snapshot("main")
	checkpoint, err := direct.LoadCheckpoint(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	if grid.Hash() != same.Hash() || grid.Hash() != checkpoint.Grid.Hash() {
		t.Errorf("hashes %x, %x, stored %x", grid.Hash(), same.Hash(), checkpoint.Grid.Hash())
	}
}

// When no checkpoint comes the log fills up: writes are refused by name, reads
// go on, and there is room again with the next checkpoint.
func TestLogFull(t *testing.T) {
	server := newRedis(t)
	// Somebody holds the lease and does nothing.
	if err := commands(t, server).Set(t.Context(), "{canvas:main}:lease", "asleep", 0).Err(); err != nil {
		t.Fatal(err)
	}
	const most = 20
	settings := often("a")
	settings["LOG_MAX_ENTRIES"], settings["CHECKPOINT_OPERATIONS"] = fmt.Sprint(most), "10"
	p := run(t, server, settings)
	for n := range most {
		if got := p.put("/api/pixel", fmt.Sprintf(`{"x":%d,"y":0,"color":"#FF0000"}`, n)); got.status != http.StatusOK {
			t.Fatalf("write %d: %d %s", n, got.status, got.body)
		}
	}
	got := p.put("/api/pixel", `{"x":1,"y":1,"color":"#FF0000"}`)
	equal(t, got, 503, `{"error":"The log is full"}`)
	if got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	equal(t, p.get("/api/pixel/1/1"), 200, `{"x":1,"y":1,"color":"#FFFFFF"}`)
	eventually(t, "the lag is seen", func() bool { return p.metric(`pixel_checkpoint_lag_operations{canvas="main"}`) == most })

	if err := commands(t, server).Del(t.Context(), "{canvas:main}:lease").Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "there is room again", func() bool {
		return p.put("/api/pixel", `{"x":1,"y":1,"color":"#00FF00"}`).status == http.StatusOK
	})
	equal(t, p.get("/api/pixel/1/1"), 200, `{"x":1,"y":1,"color":"#00FF00"}`)
}
