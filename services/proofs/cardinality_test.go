package proofs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloud-pixel/playground/services/fleet"
	"github.com/cloud-pixel/playground/services/protocol"
)

// stranger is somebody whose every word is new, and most of them hostile.
type stranger struct{ n int }

func (s stranger) word(what string) string {
	forms := []string{
		"%s-%d", `%s"%d`, "%s\n%d", "%s{%d}", `%s\%d`, "%s=%d,", "<%s>%d", "%s\u202e%d", "%s'; DROP TABLE %d", "%s\x00%d", "日本%s%d", "%s/../%d",
	}
	return fmt.Sprintf(forms[s.n%len(forms)], what, s.n)
}

// knock comes by WebSocket under names of his own, says things of his own, and
// leaves with a code of his own.
func (s stranger) knock(ctx context.Context, addr string) error {
	query := url.Values{}
	switch s.n % 4 {
	case 0:
		query.Set("canvas", s.word("canvas"))
	case 1:
		query.Set("since", s.word("since"))
	case 2:
		query.Set(s.word("key"), s.word("value"))
	}
	header := http.Header{"User-Agent": {url.QueryEscape(s.word("agent"))}, "Traceparent": {url.QueryEscape(s.word("trace"))}}
	header.Set("X-Forwarded-For", fmt.Sprintf("10.%d.%d.%d", s.n>>16&255, s.n>>8&255, s.n&255))
	if s.n%5 == 0 {
		header.Set("Origin", fmt.Sprintf("https://%d.example", s.n))
	}
	d := websocket.Dialer{HandshakeTimeout: 20 * time.Second}
	if s.n%2 == 0 {
		d.Subprotocols = []string{protocol.Subprotocol}
	}
	ws, response, err := d.DialContext(ctx, "ws://"+addr+"/"+url.PathEscape(s.word("path"))+"?"+query.Encode(), header)
	if response != nil {
		_ = response.Body.Close()
	}
	if response != nil && err != nil {
		return nil // refused, as it should be
	}
	if err != nil {
		return err
	}
	defer ws.Close()
	if s.n%2 == 0 {
		name, _ := protocol.AppendClientBinary(nil, protocol.SetName{Name: s.word("name")})
		_ = ws.WriteMessage(websocket.BinaryMessage, append(name, byte(s.n), 1, byte(s.n))) // and a message of any type
	} else {
		text := func(v map[string]any) {
			b, _ := json.Marshal(v) // of strings and numbers
			_ = ws.WriteMessage(websocket.TextMessage, b)
		}
		text(map[string]any{"type": "set_username", "username": s.word("name")})
		text(map[string]any{"type": s.word("type")})
		text(map[string]any{"type": "telemetry", "kind": s.word("kind"), "millis": s.n, "vantage": s.word("vantage")})
		text(map[string]any{"type": "telemetry", "kind": "latency", "millis": s.n, "vantage": "k6"})
		text(map[string]any{"type": "pixel_update", "x": s.n % 90, "y": 1, "color": "#010203", "username": s.word("author"), "op": s.n})
	}
	if s.n%3 > 0 {
		_ = ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(3000+s.n%1999, s.word("bye")), time.Now().Add(time.Second))
	}
	// Until it is answered, or the gateway has thrown him out: what was sent has
	// been looked at then.
	_ = ws.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	for {
		if _, _, err := ws.ReadMessage(); err != nil {
			return nil
		}
	}
}

// ask asks for what does not exist, by methods that do not exist.
func (s stranger) ask(ctx context.Context, addr string) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	methods := []string{"GET", "PUT", "POST", "DELETE", "GET", fmt.Sprintf("M%d", s.n)}
	paths := []string{"/api/canvases/%s", "/api/canvases/%s/canvas", "/api/pixel/%s/1", "/%s", "/api/canvases/main/pixels/%s/2", "//%s"}
	// The request line is put together by hand: no library would send all of it.
	request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: h%d.example\r\nOrigin: https://%d.example\r\nConnection: close\r\n\r\n",
		methods[s.n%len(methods)], fmt.Sprintf(paths[s.n/7%len(paths)], url.PathEscape(s.word("path"))), s.n, s.n)
	if _, err := io.WriteString(c, request); err != nil {
		return err
	}
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	_, err = io.Copy(io.Discard, c)
	return err
}

// Ten thousand clients, each with a name, canvas, origin, path, method, header,
// message type and close code that nobody had before, add no series to what any
// process exposes.
func TestCardinality(t *testing.T) {
	ctx := limit(t)
	f := startFleet(t, ctx, fleet.Options{
		Gateways: 2, Redis: redisServer(t).URL(),
		Env: []string{"MAX_OFFENCES=0", "MAX_CANVASES=3", "LOG_LEVEL=error"},
	})
	state := allReady(t, ctx, f)
	var failed atomic.Int64
	visit := func(from, to int) {
		t.Helper()
		strangers := make(chan int)
		var all sync.WaitGroup
		for range 48 {
			all.Go(func() {
				for n := range strangers {
					s := stranger{n}
					gateway := state.Of(fleet.Gateway)[n/2%2]
					err := s.knock(ctx, gateway.Addr)
					for _, p := range state.Processes {
						if p.Service != fleet.Gateway || n%10 == 0 {
							err = errors.Join(err, s.ask(ctx, p.Addr))
						}
					}
					if err != nil {
						failed.Add(1)
					}
				}
			})
		}
		for n := from; n < to; n++ {
			strangers <- n
		}
		close(strangers)
		all.Wait()
	}
	series := func() map[string]bool {
		all := map[string]bool{}
		for _, p := range state.Processes {
			s, err := scrapeOf(ctx, p)
			if err != nil {
				t.Fatal(err)
			}
			for name := range s.series {
				all[p.Pod+" "+name] = true
			}
		}
		return all
	}
	const each = 840 // each way to be a stranger, in each combination: 12·7·5·2
	visit(0, each)
	before := series()
	const strangers = 10_000
	first := each + rand.IntN(1_000_000)*each
	visit(first, first+strangers)
	after := series()
	added := 0
	for name := range after {
		if !before[name] {
			if added++; added <= 20 {
				t.Errorf("there is a new series: %s", name)
			}
		}
	}
	for name := range after {
		if strings.Contains(name, fmt.Sprint(first)) {
			t.Errorf("a stranger's word is in %s", name)
		}
	}
	if n := failed.Load(); n > strangers/20 {
		t.Errorf("%d visits failed", n)
	}
	came := 0.0
	for _, p := range state.Of(fleet.Gateway) {
		came += metric(t, ctx, p, "pixel_handshakes_total")
	}
	if came < strangers {
		t.Errorf("only %v handshakes were counted", came)
	}
	t.Logf("%d series before and %d after %d strangers; %v handshakes, %d visits that broke off", len(before), len(after), strangers, came, failed.Load())
}
