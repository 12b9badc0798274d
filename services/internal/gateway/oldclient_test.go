package gateway_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// oldClient is a client of the original system: plain JSON over a plain
// WebSocket, without any of what came later. It keeps every message as it came.
type oldClient struct {
	ws   *websocket.Conn
	done chan struct{} // closed when the connection has ended

	mu     sync.Mutex
	got    []oldMessage
	pings  int
	closed *websocket.CloseError // nil: it broke, or is open
}

// oldMessage is a message as text and as an old client reads it.
type oldMessage struct {
	text   string
	fields map[string]any
}

func (m oldMessage) kind() string {
	kind, _ := m.fields["type"].(string)
	return kind
}

// dialOld connects at a path (with query) of the gateway.
func dialOld(t *testing.T, g *running, path string) *oldClient {
	t.Helper()
	dialer := websocket.Dialer{HandshakeTimeout: patience}
	ws, response, err := dialer.DialContext(deadline(t), "ws://"+g.addr+path, nil)
	if err != nil {
		t.Fatalf("connecting at %s: %v (%v)\n%s", path, err, response, g.logs)
	}
	c := &oldClient{ws: ws, done: make(chan struct{})}
	answer := ws.PingHandler()
	ws.SetPingHandler(func(payload string) error {
		c.mu.Lock()
		c.pings++
		c.mu.Unlock()
		return answer(payload)
	})
	go c.read(t)
	t.Cleanup(c.leave)
	return c
}

func (c *oldClient) read(t *testing.T) {
	defer close(c.done)
	for {
		kind, frame, err := c.ws.ReadMessage()
		if err != nil {
			var closed *websocket.CloseError
			if errors.As(err, &closed) {
				c.mu.Lock()
				c.closed = closed
				c.mu.Unlock()
			}
			return
		}
		m := oldMessage{text: string(frame)}
		if kind != websocket.TextMessage || json.Unmarshal(frame, &m.fields) != nil {
			t.Errorf("an old client got frame %d %q", kind, frame)
		}
		c.mu.Lock()
		c.got = append(c.got, m)
		c.mu.Unlock()
	}
}

// leave closes the connection and waits for its end.
func (c *oldClient) leave() {
	_ = c.ws.Close()
	<-c.done
}

func (c *oldClient) say(t *testing.T, text string) {
	t.Helper()
	if err := c.ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		t.Fatalf("sending %s: %v", text, err)
	}
}

// messages returns what came so far, only of the given kinds if there are any.
func (c *oldClient) messages(kinds ...string) []oldMessage {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(kinds) == 0 {
		return slices.Clone(c.got)
	}
	var some []oldMessage
	for _, m := range c.got {
		if slices.Contains(kinds, m.kind()) {
			some = append(some, m)
		}
	}
	return some
}

// await waits until n messages of a kind have come and returns all of them.
func (c *oldClient) await(t *testing.T, n int, kind string) []oldMessage {
	t.Helper()
	var got []oldMessage
	for end := time.Now().Add(patience); ; {
		if got = c.messages(kind); len(got) >= n {
			return got
		}
		select {
		case <-c.done:
			if got = c.messages(kind); len(got) >= n {
				return got
			}
			t.Fatalf("the connection ended (%v) with %d of %d messages of kind %s", c.end(), len(got), n, kind)
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("%d of %d messages of kind %s came; all: %s", len(got), n, kind, texts(c.messages()))
		}
		time.Sleep(time.Millisecond)
	}
}

// roundTrip sends a ping and waits for its answer: what the gateway answers to
// everything before has come by then.
func (c *oldClient) roundTrip(t *testing.T) {
	t.Helper()
	n := len(c.messages("pong"))
	c.say(t, `{"type":"ping"}`)
	c.await(t, n+1, "pong")
}

// end returns the close frame with which the connection ended.
func (c *oldClient) end() *websocket.CloseError {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func texts(all []oldMessage) string {
	lines := make([]string, len(all))
	for i, m := range all {
		lines[i] = m.text
	}
	return strings.Join(lines, "\n")
}

// get asks the gateway by plain HTTP.
func get(t *testing.T, url string, header http.Header) (int, http.Header, map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(deadline(t), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		request.Header = header
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := (&http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var body map[string]any
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
		t.Errorf("GET %s: the answer is no JSON object: %v", url, err)
	}
	return response.StatusCode, response.Header, body
}
