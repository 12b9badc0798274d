package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/internal/gateway"
	"github.com/cloud-pixel/playground/services/protocol"
)

// heapBound is how much a gateway's heap may have grown, in bytes, after some
// hundreds of connections with bad input have ended. It is generous: one leaked
// frame for each of them would already be over it.
const heapBound = 8 << 20

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Rubbish of every kind has its exact answer; meanwhile two clients draw and
// notice nothing, and afterwards nothing of it is left.
func TestBadInput(t *testing.T) {
	server := redis(t, embedded.Options{})
	g := start(t, server.URL(), "a", nil)
	good := []*client.Client{
		connect(t, client.Options{Name: "good"}, g),
		connect(t, client.Options{Name: "good too", Codec: client.JSON}, g),
	}
	eventually(t, "two connections", func() bool { return g.metric(t, "pixel_connections") == 2 })
	goroutines, before := runtime.NumGoroutine(), heap()

	stop := make(chan struct{})
	var drawing sync.WaitGroup
	drawn := make([]uint64, len(good))
	for i, c := range good {
		drawing.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				var err error
				if drawn[i], err = c.Draw(t.Context(), canvas.Pixel{X: uint16(n % 50), Y: uint16(40 + i), Color: canvas.Color(n % 1000)}); err != nil {
					t.Error(err)
				}
				if err := c.Flush(deadline(t)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}

	codes := make(map[string]int)
	pixels := 0
	for _, row := range slices.Concat(badMessages(), badFrames(), badBinary()) {
		t.Run(row.name, func(t *testing.T) {
			var lines []string
			if row.binary {
				lines = []string{"Sec-WebSocket-Protocol: " + protocol.Subprotocol}
			}
			c, response := dialRaw(t, g, "/", lines...)
			if response.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("the handshake was answered with %s", response.Status)
			}
			got := c.answers(t, row.send, len(row.want))
			_ = c.Close()
			want := slices.Clone(row.want)
			for _, answer := range want {
				if code := codeOf(answer); code != "" {
					codes[code]++
				}
				if strings.HasPrefix(answer, "drawn") {
					pixels++
				}
			}
			slices.Sort(got) // what comes by way of the log has its own time
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("got  %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
			}
		})
	}
	close(stop)
	drawing.Wait()

	// The good ones.
	log, picture, head := readLog(t, openStore(t, server.URL()), "main")
	for i, c := range good {
		if err := c.WaitFor(deadline(t), head); err != nil {
			t.Fatal(err)
		}
		s := c.Stats()
		if s.Gaps+s.Duplicates+s.OutOfOrder+s.Resyncs != 0 || len(s.Disconnects) != 0 || len(s.Refused) != 0 || s.Acked != drawn[i] || drawn[i] == 0 {
			t.Errorf("good client %d noticed something: %+v", i, s)
		}
		if f := c.Grid(); f != nil && f.Hash() != picture.Hash() {
			t.Errorf("good client %d has another picture than the log", i)
		}
	}
	inLog := 0
	for _, e := range log {
		for _, o := range e.Ops {
			for _, p := range o.Pixels {
				if p.Color == badColor {
					inLog++
				}
			}
		}
	}
	if inLog != pixels {
		t.Errorf("the log has %d pixels of the bad clients, not %d", inLog, pixels)
	}

	// What is left.
	eventually(t, "the connections are gone", func() bool { return g.metric(t, "pixel_connections") == 2 })
	eventually(t, "the goroutines are gone", func() bool { return runtime.NumGoroutine() <= goroutines })
	if grown := heap() - before; grown > heapBound {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	for code, n := range codes {
		if counted := g.metric(t, "pixel_messages_refused_total", `"`+code+`"`); counted != float64(n) {
			t.Errorf("%d refusals with code %s, counted %v", n, code, counted)
		}
	}
	for _, code := range []string{"1002", "1009"} {
		if g.metric(t, "pixel_connection_closes_total", `"`+code+`"`) == 0 {
			t.Errorf("no close with %s was counted", code)
		}
	}
	if log := g.logs.String(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "level=WARN") {
		t.Errorf("bad input is nothing to wake anybody for:\n%s", log)
	}
}

// Who goes on sending rubbish is closed.
func TestRepeatedAbuse(t *testing.T) {
	server := redis(t, embedded.Options{})
	g := start(t, server.URL(), "a", nil)
	for _, row := range []struct {
		name, path, message string
		first               byte
		lines               []string
	}{
		{"JSON", "/", `nonsense`, textFrame, nil},
		{"binary", "/ws", "\x43\x01\x07", binaryFrame, []string{"Sec-WebSocket-Protocol: pixel.v1"}},
		{"views of nothing", "/", `{"type":"view"}`, textFrame, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, _ := dialRaw(t, g, row.path, row.lines...)
			got := c.answers(t, strings.Repeat(frame(row.first, row.message), 150), 1)
			if last := got[len(got)-1]; last != "close 1008" || len(got) < 101 || len(got) > 150 {
				t.Errorf("%d answers, the last %q", len(got), last)
			}
		})
	}
	t.Run("operations in spite of refusals", func(t *testing.T) {
		g := start(t, server.URL(), "b", func(o *gateway.Options) { o.MessagesPerSecond = 1 })
		c, _ := dialRaw(t, g, "/")
		var flood strings.Builder
		for n := range 10_000 {
			flood.WriteString(pixelAt("1", "1", fmt.Sprintf(`,"op":%d`, n+1)))
		}
		sent := make(chan struct{})
		go func() { // the gateway stops reading when nobody reads its answers
			defer close(sent)
			_, _ = io.WriteString(c, flood.String()) // fails when it is closed
		}()
		got := c.answers(t, "", 10_000)
		if last := got[len(got)-1]; last != "close 1008" {
			t.Errorf("%d answers, the last %q", len(got), last)
		}
		_ = c.Close()
		<-sent
	})
	// The bound is about what comes in a row: a hundred are forgiven.
	c, _ := dialRaw(t, g, "/")
	if got := c.answers(t, strings.Repeat(text("nonsense"), 100), 100); len(got) != 100 || got[99] != badFormat {
		t.Errorf("%d answers, the last %q", len(got), got[len(got)-1])
	}
}

// Requests that do not become connections are answered in JSON.
func TestBadHandshakes(t *testing.T) {
	server := redis(t, embedded.Options{})
	g := start(t, server.URL(), "a", nil)
	upgrade := "Host: " + g.addr + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
	version, key := "Sec-WebSocket-Version: 13\r\n", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	epoch := strings.Repeat("0", 31) + "1"
	for _, row := range []struct {
		name, line, header string
		status             int
		problem            string // "": any
	}{
		{"no upgrade", "GET / HTTP/1.1", "Host: x\r\n", 426, "This is a WebSocket endpoint"},
		{"no upgrade at /ws", "GET /ws?canvas=main HTTP/1.1", "Host: x\r\n", 426, "This is a WebSocket endpoint"},
		{"upgrade to something else", "GET / HTTP/1.1", "Host: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n", 426, "This is a WebSocket endpoint"},
		{"another path", "GET /nothing HTTP/1.1", "Host: x\r\n", 404, "Not found"},
		{"a path with dots", "GET /../../etc/passwd HTTP/1.1", "Host: x\r\n", 404, "Not found"},
		{"an empty part", "GET //evil.example/ HTTP/1.1", "Host: x\r\n", 404, "Not found"},
		{"POST to health", "POST /health HTTP/1.1", "Host: x\r\nContent-Length: 0\r\n", 404, "Not found"},
		{"POST", "POST / HTTP/1.1", upgrade + version + key + "Content-Length: 0\r\n", 405, ""},
		{"no version", "GET / HTTP/1.1", upgrade + key, 400, ""},
		{"version 8", "GET / HTTP/1.1", upgrade + key + "Sec-WebSocket-Version: 8\r\n", 400, ""},
		{"no key", "GET / HTTP/1.1", upgrade + version, 400, ""},
		{"short key", "GET / HTTP/1.1", upgrade + version + "Sec-WebSocket-Key: x\r\n", 400, ""},
		{"foreign origin", "GET / HTTP/1.1", upgrade + version + key + "Origin: https://evil.example\r\n", 403, "Origin not allowed"},
		{"origin null", "GET / HTTP/1.1", upgrade + version + key + "Origin: null\r\n", 403, "Origin not allowed"},
		{"origin with our name inside", "GET / HTTP/1.1", upgrade + version + key + "Origin: http://127.0.0.1.evil.example\r\n", 403, "Origin not allowed"},
		{"two origins", "GET / HTTP/1.1", upgrade + version + key + "Origin: http://127.0.0.1\r\nOrigin: https://evil.example\r\n", 403, "Origin not allowed"},
		{"since without epoch", "GET /?since=1 HTTP/1.1", upgrade + version + key, 400, "Invalid epoch"},
		{"epoch without since", "GET /?epoch=" + epoch + " HTTP/1.1", upgrade + version + key, 400, "Invalid since"},
		{"epoch of other letters", "GET /?since=1&epoch=" + strings.Repeat("g", 32) + " HTTP/1.1", upgrade + version + key, 400, "Invalid epoch"},
		{"since is negative", "GET /?since=-1&epoch=" + epoch + " HTTP/1.1", upgrade + version + key, 400, "Invalid since"},
		{"since is 2^53", "GET /?since=9007199254740992&epoch=" + epoch + " HTTP/1.1", upgrade + version + key, 400, "Invalid since"},
		{"since is nonsense", "GET /?since=1e3&epoch=" + epoch + " HTTP/1.1", upgrade + version + key, 400, "Invalid since"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, response := ask(t, g, row.line+"\r\n"+row.header+"\r\n")
			defer func() { _ = response.Body.Close() }()
			var body struct{ Error string }
			if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
				t.Errorf("no JSON: %v", err)
			}
			if response.StatusCode != row.status || body.Error == "" || row.problem != "" && body.Error != row.problem {
				t.Errorf("%d %q, want %d %q", response.StatusCode, body.Error, row.status, row.problem)
			}
		})
	}
	for _, origin := range []string{"http://127.0.0.1", "https://127.0.0.1:3000"} {
		c, response := dialRaw(t, g, "/", "Origin: "+origin)
		if response.StatusCode != http.StatusSwitchingProtocols {
			t.Errorf("a page of this host, %s, gets %s", origin, response.Status)
		}
		_ = c.Close()
	}
	// A page cannot see the status of a failed handshake, but a close code.
	for _, id := range []string{"nowhere", "Main", "-main", "..%2F..%2Fmain", "main%00", strings.Repeat("a", 65), "main%7D:log"} {
		c, response := dialRaw(t, g, "/?canvas="+id)
		if response.StatusCode != http.StatusSwitchingProtocols {
			t.Errorf("canvas %q: %s", id, response.Status)
			continue
		}
		if got := c.answers(t, "", 1); len(got) != 1 || got[0] != fmt.Sprint("close ", protocol.CloseNotFound) {
			t.Errorf("canvas %q: %q", id, got)
		}
		_ = c.Close()
	}
	if c, response := dialRaw(t, g, "/", "Sec-WebSocket-Protocol: graphql-ws, pixel.v2"); response.Header.Get("Sec-WebSocket-Protocol") != "" {
		t.Errorf("an unknown subprotocol was taken")
	} else if got := c.answers(t, text(`{"type":"ping"}`), 1); !slices.Equal(got, []string{"pong"}) {
		t.Errorf("who asks for unknown subprotocols gets JSON; got %q", got)
	}
}

// Handshakes that stop half way hold nobody up and leave nothing.
func TestHalfHandshakes(t *testing.T) {
	server := redis(t, embedded.Options{})
	g := start(t, server.URL(), "a", nil)
	dialOld(t, g, "/").roundTrip(t)
	whole := "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	before := runtime.NumGoroutine()
	var half []net.Conn
	for i := range 50 {
		conn, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, whole[:len(whole)*i/50]); err != nil {
			t.Fatal(err)
		}
		half = append(half, conn)
	}
	dialOld(t, g, "/").roundTrip(t)
	// Others are gone as soon as the handshake is whole.
	for range 50 {
		conn, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, whole); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
	for _, conn := range half {
		_ = conn.Close()
	}
	eventually(t, "only the two whole connections are left", func() bool { return g.metric(t, "pixel_connections") == 2 })
	eventually(t, "the goroutines are gone", func() bool { return runtime.NumGoroutine() <= before+8 })
}
