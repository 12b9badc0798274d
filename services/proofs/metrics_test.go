package proofs

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/fleet"
	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/protocol"
)

// Metrics that nothing from outside can move, and what shows that they work.
var movedElsewhere = map[string]string{
	"pixel_build_info":              "constant",
	"pixel_http_panics_total":       "TestRecover: there is no known defect",
	"pixel_connection_panics_total": "TestPanicEndsOneConnection: there is no known defect",
}

// provoker is the system under provocation.
type provoker struct {
	*recorder
	redis    *embedded.Server
	commands *redis.Client
	store    *store.Store
	writer   protocol.Session // of what is appended past the gateways
	number   uint64
	a, b     fleet.Process // gateways
	api      fleet.Process
	frontend fleet.Process
}

// Every metric of observability/METRICS.md is in a scrape of the running system,
// and moves when what it is about happens.
func TestEveryMetricMoves(t *testing.T) {
	ctx := limit(t)
	server := redisServer(t)
	f := startFleet(t, ctx, fleet.Options{
		Gateways: 2, APIs: 2, Redis: server.URL(),
		Env: []string{
			"PING_INTERVAL=100ms", "SLOW_CONSUMER_TIMEOUT=3s", "BALANCE_AFTER=1s", "DRAIN_TIMEOUT=8s", "MESSAGES_PER_SECOND=100",
			"MAX_QUEUE_BYTES=64KiB", "CHECKPOINT_INTERVAL=300ms", "LOG_RETENTION=18000",
			"REST_REQUESTS_PER_SECOND=200", "REST_REQUESTS_BURST=400", "READ_TIMEOUT=6s",
		},
	})
	state := allReady(t, ctx, f)
	p := &provoker{recorder: newRecorder(f), redis: server, writer: protocol.NewSession()}
	p.a, p.b, p.api, p.frontend = state.Of(fleet.Gateway)[0], state.Of(fleet.Gateway)[1], state.Of(fleet.API)[0], state.Of(fleet.Frontend)[0]
	p.commands = redis.NewClient(&redis.Options{
		Addr: server.Addr(), MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	defer p.commands.Close()
	var err error
	if p.store, err = store.Open(store.Options{URL: server.URL()}); err != nil {
		t.Fatal(err)
	}
	defer p.store.Close()

	ada := p.people(t, ctx)
	p.mistakes(t, ctx)
	p.returns(t, ctx)
	p.slowness(t, ctx)
	p.requests(t, ctx)
	p.messages(t, ctx, ada)
	p.auditing(t, ctx)
	p.outage(t, ctx, ada)
	p.crowd(t, ctx)
	p.endings(t, ctx)

	page, err := os.ReadFile("../../observability/METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `(pixel_\\w+)` \\|").FindAllSubmatch(page, -1)
	if len(rows) < 80 {
		t.Fatalf("METRICS.md has only %d metrics", len(rows))
	}
	for _, row := range rows {
		name := string(row[1])
		if !p.families[name] {
			t.Errorf("%s is in no scrape", name)
		}
		if _, elsewhere := movedElsewhere[name]; elsewhere == p.proven[name] {
			t.Errorf("%s: moved by a step: %v, said to be shown elsewhere: %v", name, p.proven[name], elsewhere)
		}
	}
	for _, name := range regexp.MustCompile("`((?:go|process)_\\w+)`").FindAllSubmatch(page, -1) {
		if !p.families[string(name[1])] {
			t.Errorf("%s is in no scrape", name[1])
		}
	}
	t.Logf("%d metrics, %d of them moved", len(rows), len(p.proven))
}

// raw is a WebSocket past all clients.
type raw struct {
	*websocket.Conn
	reading sync.Once
}

// dial connects past all clients; header lines come in pairs.
func (p *provoker) dial(t *testing.T, ctx context.Context, gateway fleet.Process, path string, binary bool, header ...string) (*raw, error) {
	t.Helper()
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	d := websocket.Dialer{NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(16 << 10)
		}
		return c, err
	}}
	if binary {
		d.Subprotocols = []string{protocol.Subprotocol}
	}
	ws, response, err := d.DialContext(ctx, "ws://"+gateway.Addr+path, h)
	if response != nil {
		_ = response.Body.Close()
	}
	if err != nil {
		return nil, err
	}
	c := &raw{Conn: ws}
	t.Cleanup(func() { _ = ws.Close() })
	return c, nil
}

func (p *provoker) mustDial(t *testing.T, ctx context.Context, gateway fleet.Process, path string, binary bool) *raw {
	t.Helper()
	c, err := p.dial(t, ctx, gateway, path, binary)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// read reads, and answers pings, until the connection ends.
func (r *raw) read() {
	r.reading.Do(func() {
		go func() {
			for {
				if _, _, err := r.ReadMessage(); err != nil {
					return
				}
			}
		}()
	})
}

func (r *raw) say(t *testing.T, messages ...string) {
	t.Helper()
	for _, m := range messages {
		if err := r.WriteMessage(websocket.TextMessage, []byte(m)); err != nil {
			t.Fatal(err)
		}
	}
}

// append puts operations into the log past the gateways, whose clients get them
// all the same.
func (p *provoker) append(t *testing.T, ctx context.Context, id string, n int, op func(i int) canvas.Op) {
	t.Helper()
	meta, err := p.store.Meta(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	for done := 0; done < n; {
		var batch []store.AppendOp
		for size := 0; done < n && len(batch) < store.MaxBatchOps; done++ {
			p.number++
			o := op(done)
			o.Number = p.number
			encoded := store.EncodeOp(nil, &o)
			if size += len(encoded); size > store.MaxBatchBytes {
				p.number--
				break
			}
			batch = append(batch, store.AppendOp{Session: p.writer, TTL: time.Hour, Op: o, Encoded: encoded})
		}
		if _, err := p.store.Append(ctx, id, canvas.Position{Epoch: meta.Epoch}, batch); err != nil {
			t.Fatal(err)
		}
	}
}

func dot(i int) canvas.Op {
	return canvas.Op{Kind: canvas.Paint, Pixels: []canvas.Pixel{{X: uint16(i % 50), Y: uint16(i / 50 % 50), Color: canvas.Color(i & 0xFFFFFF)}}}
}

// great is an operation of many pixels and colours.
func great(i int) canvas.Op {
	o := canvas.Op{Kind: canvas.Paint, Pixels: make([]canvas.Pixel, 2500)}
	for k := range o.Pixels {
		o.Pixels[k] = canvas.Pixel{X: uint16(k % 50), Y: uint16(k / 50), Color: canvas.Color((k*7919 + i*104729) & 0xFFFFFF)}
	}
	return o
}

func (p *provoker) head(t *testing.T, ctx context.Context) canvas.Position {
	t.Helper()
	meta, err := p.store.Meta(ctx, "main")
	if err != nil {
		t.Fatal(err)
	}
	_, head, err := p.store.Read(ctx, "main", 0, 1)
	if err != nil && head == 0 {
		t.Fatal(err)
	}
	return canvas.Position{Epoch: meta.Epoch, Seq: head}
}

// people come, draw and go.
func (p *provoker) people(t *testing.T, ctx context.Context) (ada *client.Client) {
	t.Helper()
	p.step(t, ctx, "two people come", func() {
		ada = connect(t, ctx, client.Options{URLs: []string{"ws://" + p.a.Addr + "/ws"}, Name: "Ada"})
		connect(t, ctx, client.Options{URLs: []string{"ws://" + p.b.Addr + "/ws"}, Name: "Bob", Codec: client.JSON, API: baseURL(t, p.fleet)})
	},
		"pixel_connections", "pixel_connections_everywhere", "pixel_users", "pixel_users_everywhere", "pixel_handshakes_total|opened",
		"pixel_handshake_duration_seconds", "pixel_messages_received_total|hello", "pixel_messages_received_total|name", "pixel_http_requests_total|1xx",
		"pixel_hub_pictures_total|join", "pixel_hub_socket_writes_total", "pixel_hub_written_bytes_total", "pixel_hub_written_frames_total",
		"pixel_hub_flusher_busy_seconds_total", "pixel_pictures_total|json", "pixel_http_request_duration_seconds", "pixel_store_operations_total|ok",
		"pixel_store_operation_duration_seconds", "pixel_replica_head_checks_total|ok", "pixel_store_pool_connections")
	p.step(t, ctx, "somebody draws", func() { draw(t, ctx, ada, []canvas.Pixel{{X: 1, Y: 1, Color: 7}, {X: 2, Y: 1, Color: 7}}) },
		"pixel_messages_received_total|draw", "pixel_operations_received_total", "pixel_operations_acknowledged_total", "pixel_pixels_received_total",
		"pixel_append_batches_total", "pixel_append_operations_total", "pixel_append_batch_operations", "pixel_append_duration_seconds", "pixel_durability_seconds",
		"pixel_store_append_batch_bytes", "pixel_replica_live_messages_total", "pixel_store_subscription_events_total|live",
		"pixel_replica_applied_operations_total", "pixel_replica_applied_pixels_total", "pixel_replica_position", "pixel_log_head", "pixel_log_entries",
		"pixel_hub_owed_operations_total", `pixel_hub_delivered_operations_total|"operation"`, "pixel_broadcast_latency_seconds", "pixel_hub_history_operations",
		"pixel_checkpoint_lag_operations", "pixel_checkpoint_lag_seconds", "pixel_checkpoints_total|saved", "pixel_checkpoint_duration_seconds",
		"pixel_store_checkpoint_tiles_written_total")
	p.step(t, ctx, "hearts beat", func() { draw(t, ctx, ada, []canvas.Pixel{{X: 1, Y: 2, Color: 7}}) }, "pixel_hub_pings_total", "pixel_hub_confirmed_operations_total")
	p.step(t, ctx, "a client asks for the time", func() {
		if _, err := ada.Ping(ctx); err != nil {
			t.Fatal(err)
		}
	}, "pixel_messages_received_total|ping")
	c := p.mustDial(t, ctx, p.a, "/ws", false)
	c.read()
	p.step(t, ctx, "clients report", func() {
		c.say(t, `{"type":"telemetry","kind":"latency","millis":12}`, `{"type":"telemetry","kind":"recovery","millis":345}`,
			`{"type":"telemetry","kind":"recovery","millis":34500000}`)
		for range 20 {
			c.say(t, `{"type":"telemetry","kind":"latency","millis":12,"vantage":"k6"}`)
		}
	}, "pixel_end_to_end_latency_seconds|browser", "pixel_recovery_duration_seconds|browser", "pixel_messages_received_total|telemetry",
		"pixel_telemetry_reports_total|accepted", "pixel_telemetry_reports_total|out_of_range", "pixel_telemetry_reports_total|rate_limited")
	looks := p.mustDial(t, ctx, p.b, "/ws", false)
	looks.read()
	looks.say(t, `{"type":"view","x":0,"y":0,"width":50,"height":50}`)
	soon(t, ctx, "its gateway follows where people point", func() bool { // what is told before is not kept
		n, err := p.commands.PubSubNumSub(ctx, "cursors:{canvas:main}").Result()
		return err == nil && n["cursors:{canvas:main}"] > 0
	})
	p.step(t, ctx, "somebody points, and another one sees it", func() {
		c.say(t, `{"type":"hello","session":"`+protocol.NewSession().Hex()+`"}`, `{"type":"cursor","x":3,"y":4}`)
	}, "pixel_cursors_received_total", "pixel_cursors_published_total", "pixel_cursors_delivered_total")
	_ = looks.Close()
	p.step(t, ctx, "somebody leaves", func() { _ = c.Close() }, "pixel_connection_closes_total|none", "pixel_connection_duration_seconds")
	return ada
}

// mistakes of clients.
func (p *provoker) mistakes(t *testing.T, ctx context.Context) {
	t.Helper()
	c := p.mustDial(t, ctx, p.a, "/ws", false)
	c.read()
	p.step(t, ctx, "a client talks nonsense", func() { c.say(t, "nonsense", `{"type":"nonsense"}`, `{"type":"pixel_update"}`) },
		"pixel_messages_received_total|bad", "pixel_messages_refused_total|invalid_format", "pixel_messages_refused_total|unknown_type",
		"pixel_messages_refused_total|invalid_pixel")
	session := protocol.NewSession().Hex()
	operation := func(n int) string {
		return fmt.Sprintf(`{"type":"pixel_update","x":%d,"y":3,"color":"#010203","op":%d}`, n%50, n)
	}
	c.say(t, `{"type":"hello","session":"`+session+`"}`)
	p.step(t, ctx, "a client is too fast", func() {
		for n := 1; n <= 400; n++ {
			c.say(t, operation(n))
		}
		// Each by itself may just have its turn.
		for range 100 {
			c.say(t, operation(1))
		}
	}, "pixel_operations_refused_total|rate_limited", "pixel_messages_refused_total|rate_limited", "pixel_operations_repeated_total")
	again := p.mustDial(t, ctx, p.b, "/ws", false)
	again.read()
	p.step(t, ctx, "an operation is sent again", func() { again.say(t, `{"type":"hello","session":"`+session+`"}`, operation(1)) }, "pixel_append_duplicates_total")
	third := p.mustDial(t, ctx, p.b, "/ws", false)
	third.read()
	p.step(t, ctx, "a session moves", func() { third.say(t, `{"type":"hello","session":"`+session+`"}`) }, "pixel_connection_closes_total|4409")
	p.step(t, ctx, "handshakes fail", func() {
		_, _ = p.dial(t, ctx, p.a, "/ws?since=x", false)
		_, _ = p.dial(t, ctx, p.a, "/ws?canvas=nowhere", false)
		_, _ = p.dial(t, ctx, p.a, "/ws", false, "Origin", "https://evil.example")
	}, "pixel_handshakes_total|bad_request", "pixel_handshakes_total|not_found", "pixel_handshakes_total|origin")
	silent := p.mustDial(t, ctx, p.b, "/ws", true) // never reads, so never answers a ping
	p.step(t, ctx, "a client is dead", func() {}, "pixel_hub_heartbeats_missed_total", "pixel_dead_connections_total")
	_ = silent.Close()
}

// returns of clients that have been away for longer and longer.
func (p *provoker) returns(t *testing.T, ctx context.Context) {
	t.Helper()
	p.append(t, ctx, "main", 17_000, dot)
	since := func(back uint64) string {
		at := p.head(t, ctx)
		return fmt.Sprintf("/ws?epoch=%s&since=%d", at.Epoch, at.Seq-back)
	}
	reached := func(p2 fleet.Process) {
		head := float64(p.head(t, ctx).Seq)
		soon(t, ctx, "the gateway is at the head", func() bool { return metric(t, ctx, p2, "pixel_replica_position") == head })
	}
	reached(p.a)
	p.step(t, ctx, "clients return", func() {
		for _, path := range []string{since(10), since(16_900), "/ws?epoch=" + canvas.NewEpoch().String() + "&since=3"} {
			p.mustDial(t, ctx, p.a, path, true).read()
		}
	}, "pixel_resumes_total|memory", "pixel_resumes_total|log", "pixel_resumes_total|snapshot", "pixel_hub_catch_up_writes_total")
	p.step(t, ctx, "the log grows", func() { p.append(t, ctx, "main", 4000, dot) }, "pixel_log_trimmed_entries_total")
}

// slowness of clients.
func (p *provoker) slowness(t *testing.T, ctx context.Context) {
	t.Helper()
	// On a canvas of their own: elsewhere a socket may be full for a moment
	// though its client reads.
	const id, path = "slow", "/ws?canvas=slow"
	if _, _, err := p.store.Create(ctx, id, canvas.Spec{Width: 50, Height: 50}, 0); err != nil {
		t.Fatal(err)
	}
	until := func(blocked int) {
		t.Helper()
		soon(t, ctx, "the sockets are full", func() bool {
			p.append(t, ctx, id, 9, great)
			var state struct {
				Canvases map[string]struct{ Blocked int }
			}
			if err := json.Unmarshal(debug(t, ctx, p.a, "/debug/state"), &state); err != nil {
				t.Fatal(err)
			}
			return state.Canvases[id].Blocked == blocked
		})
		p.append(t, ctx, id, 9, great) // behind what the full sockets wait with
		soon(t, ctx, "somebody lags", func() bool { return metric(t, ctx, p.a, "pixel_hub_max_lag_operations") > 0 })
		p.look(t, ctx)
	}
	breaks := p.mustDial(t, ctx, p.a, path, true)
	p.step(t, ctx, "one does not read, and breaks off", func() {
		until(1)
		_ = breaks.NetConn().Close() // with a reset: there is much that it has not read
	}, "pixel_hub_blocked_writes_total", "pixel_hub_blocked_connections", "pixel_hub_max_lag_operations",
		`pixel_hub_undelivered_operations_total|"broken"`, "pixel_hub_unconfirmed_operations_total")
	slow, stops := p.mustDial(t, ctx, p.a, path, true), p.mustDial(t, ctx, p.a, path, true)
	p.step(t, ctx, "two do not read; then one does, and one never will", func() {
		until(2)
		slow.read()
		p.append(t, ctx, id, 50, great)
	}, "pixel_hub_conflated_ranges_total", `pixel_hub_delivered_operations_total|"range"`, "pixel_hub_slow_consumers_total",
		`pixel_hub_undelivered_operations_total|"slow"`)
	_ = stops.Close()
}

// requests to the api and for the page.
func (p *provoker) requests(t *testing.T, ctx context.Context) {
	t.Helper()
	base, page := "http://"+p.api.Addr, "http://"+p.frontend.Addr
	ask := func(method, url, body string) {
		t.Helper()
		request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
	p.step(t, ctx, "somebody draws by REST and looks at it", func() {
		ask("PUT", base+"/api/pixel", `{"x":1,"y":2,"color":"#FF0000"}`)
		ask("GET", base+"/api/canvases/main/pixels/1/2", "")
		ask("GET", base+"/api/canvases/main/image.png", "")
		ask("GET", base+"/api/canvases/main/snapshot", "")
		ask("POST", base+"/api/canvas/reset", "")
	}, "pixel_rest_writes_total|done", "pixel_rest_pixels_total", "pixel_last_write_lookups_total", "pixel_pictures_total|png", "pixel_pictures_total|snapshot",
		"pixel_replica_applied_resets_total", "pixel_http_requests_total|2xx")
	p.step(t, ctx, "another canvas is made and used", func() {
		ask("PUT", base+"/api/canvases/art", `{"width":9,"height":9}`)
		ask("GET", base+"/api/canvases/art/canvas", "")
	}, "pixel_replica_canvases", "pixel_replica_loads_total", "pixel_replica_load_duration_seconds", "pixel_store_subscription_events_total|confirmed")
	p.step(t, ctx, "somebody asks too often", func() {
		// Side by side: one after the other may be too slow for the limit.
		var refused atomic.Bool
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				for range 1000 {
					if _, err := get(ctx, base+"/api/canvases/main"); err != nil || refused.Load() {
						refused.Store(true)
						return
					}
				}
			})
		}
		all.Wait()
	}, "pixel_http_limited_total", "pixel_http_requests_total|4xx")
	p.step(t, ctx, "somebody opens the page", func() { ask("GET", page+"/", "") }, "pixel_frontend_files_total", "pixel_frontend_sent_bytes_total")
	p.step(t, ctx, "a page of another release asks for its files", func() { ask("GET", page+"/a/0123456789abcdef/js/main.js", "") }, "pixel_frontend_other_release_total")
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.b.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	soon(t, ctx, "requests are let through again", func() bool {
		_, err := get(ctx, base+"/api/canvases/main")
		return err == nil
	})
	slow, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.api.Addr)
	if err != nil {
		t.Fatal(err)
	}
	p.step(t, ctx, "a request takes its time", func() {
		if _, err := fmt.Fprintf(slow, "PUT /api/pixel HTTP/1.1\r\nHost: %s\r\nContent-Length: 30\r\n\r\n{", p.api.Addr); err != nil {
			t.Fatal(err)
		}
	}, "pixel_http_requests_in_flight")
	_ = slow.Close()
}

// messages that Redis should not have carried, and those that it did not carry.
func (p *provoker) messages(t *testing.T, ctx context.Context, ada *client.Client) {
	t.Helper()
	const channel = "pixel-updates:{canvas:main}"
	listening := p.commands.Subscribe(ctx, channel)
	defer listening.Close()
	if _, err := listening.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	draw(t, ctx, ada, []canvas.Pixel{{X: 3, Y: 3, Color: 3}})
	m, err := listening.ReceiveMessage(ctx)
	if err != nil {
		t.Fatal(err)
	}
	header, body, _ := strings.Cut(m.Payload, "\n")
	fields := strings.Fields(header[1:]) // behind the version: epoch, first, count, time
	say := func(message string) {
		if err := p.commands.Publish(ctx, channel, message).Err(); err != nil {
			t.Fatal(err)
		}
	}
	with := func(i int, field string) string {
		changed := slices.Clone(fields)
		changed[i] = field
		return header[:1] + strings.Join(changed, " ") + "\n" + body
	}
	p.step(t, ctx, "a message comes twice", func() { say(m.Payload) }, "pixel_replica_duplicate_messages_total")
	p.step(t, ctx, "a message of another epoch comes", func() { say(with(0, canvas.NewEpoch().String())) }, "pixel_replica_foreign_messages_total")
	p.step(t, ctx, "a message skips some", func() { say(with(1, "9"+fields[1])) }, "pixel_replica_gaps_total")
	p.step(t, ctx, "a message is rubbish", func() { say(header[:1] + "rubbish") }, "pixel_replica_unreadable_total", "pixel_store_subscription_events_total|unreadable")
	p.step(t, ctx, "an operation is beyond the canvas", func() {
		p.append(t, ctx, "main", 1, func(int) canvas.Op {
			return canvas.Op{Kind: canvas.Paint, Pixels: []canvas.Pixel{{X: 4000, Y: 1}}}
		})
	}, "pixel_replica_impossible_operations_total")
	p.step(t, ctx, "subscriptions break while somebody draws", func() {
		if err := p.commands.ClientKillByFilter(ctx, "TYPE", "pubsub").Err(); err != nil {
			t.Fatal(err)
		}
		draw(t, ctx, ada, []canvas.Pixel{{X: 4, Y: 3, Color: 3}})
	}, "pixel_store_subscription_events_total|lost", "pixel_replica_repaired_operations_total")
}

func (p *provoker) auditing(t *testing.T, ctx context.Context) {
	t.Helper()
	p.step(t, ctx, "time passes", func() {}, "pixel_replica_audits_total|equal", "pixel_replica_scrubs_total|sound")
}

// outage of Redis.
func (p *provoker) outage(t *testing.T, ctx context.Context, ada *client.Client) {
	t.Helper()
	if err := p.redis.Pause(); err != nil {
		t.Fatal(err)
	}
	p.step(t, ctx, "Redis hangs while people draw", func() {
		for i := range 12 {
			if _, err := ada.Draw(ctx, great(i).Pixels...); err != nil {
				t.Fatal(err)
			}
		}
		for range 60 {
			go func() { _, _ = get(ctx, "http://"+p.api.Addr+"/api/canvases") }()
		}
	}, "pixel_append_queue_operations", "pixel_append_queue_bytes", "pixel_append_queue_age_seconds", "pixel_append_refused_total|queue_full",
		"pixel_operations_refused_total", "pixel_append_retries_total", "pixel_replica_unreachable_canvases", "pixel_store_redis_up",
		"pixel_store_operations_total|unknown", "pixel_replica_head_checks_total|failed", "pixel_store_pool_timeouts_total")
	p.step(t, ctx, "Redis is back", func() {
		if err := p.redis.Resume(); err != nil {
			t.Fatal(err)
		}
	}, "pixel_replica_unreachable_canvases", "pixel_store_redis_up", "pixel_append_queue_operations")
	flush(t, ctx, ada)
}

// crowd on one of the gateways.
func (p *provoker) crowd(t *testing.T, ctx context.Context) {
	t.Helper()
	p.step(t, ctx, "far more people come to one gateway", func() {
		for range 30 {
			p.mustDial(t, ctx, p.a, "/ws", true).read()
		}
	}, "pixel_rebalanced_connections_total", "pixel_connection_closes_total|1012")
}

// endings: of a process that holds a lease, of a gateway, of the canvas.
func (p *provoker) endings(t *testing.T, ctx context.Context) {
	t.Helper()
	p.step(t, ctx, "the api that writes checkpoints dies", func() {
		for _, api := range processes(t, p.fleet, fleet.API) {
			if metric(t, ctx, api, "pixel_checkpoint_leases_held", `canvas="main"`) == 1 {
				if err := p.fleet.Signal(api.Pod, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
		}
	}, "pixel_checkpoint_leases_held")
	allReady(t, ctx, p.fleet)
	p.step(t, ctx, "Redis loses everything", func() {
		if err := p.commands.FlushAll(ctx).Err(); err != nil {
			t.Fatal(err)
		}
	}, "pixel_replica_head_checks_total|missing", "pixel_replica_epoch_changes_total", "pixel_store_epoch_changes_total", "pixel_rescues_total|written", "pixel_hub_pictures_total|epoch")
	soon(t, ctx, "all have found the canvas again", func() bool {
		return metric(t, ctx, p.b, "pixel_replica_unreachable_canvases") == 0
	})
	c := p.mustDial(t, ctx, p.b, "/ws", false)
	c.read()
	if err := p.redis.Pause(); err != nil {
		t.Fatal(err)
	}
	p.step(t, ctx, "a gateway is stopped while Redis hangs", func() {
		c.say(t, `{"type":"pixel_update","x":1,"y":1,"color":"#010203"}`)
		soon(t, ctx, "the operation waits", func() bool { return metric(t, ctx, p.b, "pixel_append_queue_operations") > 0 })
		if err := p.fleet.Signal(p.b.Pod, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}, "pixel_ready", "pixel_drain_lost_operations_total")
	if err := p.redis.Resume(); err != nil {
		t.Fatal(err)
	}
}
