package gateway_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/internal/gateway"
	"github.com/cloud-pixel/playground/services/protocol"
)

// answers reads what a raw JSON connection is told about its operations, up to
// and including the answer that is wanted, or an acknowledgement of more.
func answers(t *testing.T, ws *websocket.Conn, last string) (all []string) {
	t.Helper()
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	for {
		_, text, err := ws.ReadMessage()
		if err != nil {
			t.Fatalf("%v after %v", err, all)
		}
		var m struct {
			Type, Code string
			Op         uint64
		}
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		switch m.Type {
		case "ack":
			all = append(all, fmt.Sprintf("ack %d", m.Op))
		case "error":
			all = append(all, fmt.Sprintf("%s %d", m.Code, m.Op))
		}
		if len(all) > 0 && all[len(all)-1] == last {
			return all
		}
		var wanted uint64
		if _, err := fmt.Sscanf(last, "ack %d", &wanted); err == nil && m.Type == "ack" && m.Op > wanted {
			return all
		}
	}
}

func numberedPixel(op, x int) string {
	return fmt.Sprintf(`{"type":"pixel_update","x":%d,"y":0,"color":"#010203","op":%d}`, x, op)
}

func dialSession(t *testing.T, g *running, s protocol.Session, messages ...string) *websocket.Conn {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+g.addr+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() })
	for _, m := range append([]string{fmt.Sprintf(`{"type":"hello","session":%q}`, s.Hex())}, messages...) {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	return ws
}

// The answers of a first connection are lost with it. The client sends all
// again; an acknowledgement must not cover operation 2 before the client heard
// that it was refused for good, though the log already holds operation 3.
func TestAcknowledgementWaitsForALostRefusal(t *testing.T) {
	g := start(t, redis(t, embedded.Options{}).URL(), "a", nil)
	s := protocol.NewSession()
	const outside = 10_000
	first := dialSession(t, g, s, numberedPixel(1, 1), numberedPixel(2, outside), numberedPixel(3, 3))
	answers(t, first, "ack 3")
	_ = first.Close()

	again := dialSession(t, g, s, numberedPixel(1, 1))
	if got := answers(t, again, "ack 1"); len(got) != 1 || got[0] != "ack 1" {
		t.Errorf("answers %v", got)
	}
	for _, m := range []string{numberedPixel(2, outside), numberedPixel(3, 3)} {
		if err := again.WriteMessage(websocket.TextMessage, []byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	if got := answers(t, again, "ack 3"); strings.Join(got, ", ") != "out_of_bounds 2, ack 3" {
		t.Errorf("answers %v", got)
	}
}

// While Redis does not answer, nobody knows what becomes of an operation: it is
// not acknowledged, however long that takes.
func TestNothingIsAcknowledgedEarly(t *testing.T) {
	server := redis(t, embedded.Options{})
	g := start(t, server.URL(), "a", nil)
	ws := dialSession(t, g, protocol.NewSession(), numberedPixel(1, 1))
	answers(t, ws, "ack 1")
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	// What is out of bounds is answered at once, so it bounds the time.
	for _, m := range []string{numberedPixel(2, 2), numberedPixel(3, 10_000)} {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	if got := answers(t, ws, "out_of_bounds 3"); len(got) != 1 {
		t.Errorf("without Redis: %v", got)
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	answers(t, ws, "ack 2")
}

// A repetition of an operation that was accepted is not refused for coming too
// fast: the refusal would hold up everything after it.
func TestRepetitionBlocksNothing(t *testing.T) {
	g := start(t, redis(t, embedded.Options{}).URL(), "a", func(o *gateway.Options) { o.MessagesPerSecond = 1 })
	var burst []string
	for op := 1; op <= 15; op++ {
		burst = append(burst, numberedPixel(op, op))
	}
	ws := dialSession(t, g, protocol.NewSession(), burst...)
	answers(t, ws, "ack 15")
	for range 30 { // beyond the burst that is let through
		if err := ws.WriteMessage(websocket.TextMessage, []byte(numberedPixel(15, 15))); err != nil {
			t.Fatal(err)
		}
	}
	if err := ws.WriteMessage(websocket.TextMessage, []byte(numberedPixel(16, 16))); err != nil {
		t.Fatal(err)
	}
	got := answers(t, ws, "rate_limited 16")
	for _, a := range got {
		if a == "rate_limited 15" {
			t.Errorf("answers %v", got)
		}
	}
}
