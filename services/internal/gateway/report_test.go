package gateway_test

import (
	"fmt"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/internal/gateway"
	"github.com/cloud-pixel/playground/services/protocol"
)

// What clients measure becomes histograms by vantage, in both codecs; what is
// too long or too much is left out, counted, and never answered.
func TestReports(t *testing.T) {
	g := start(t, redis(t, embedded.Options{}).URL(), "a", func(o *gateway.Options) { o.MaxOffences = 1 })
	const latency, recovery = "pixel_end_to_end_latency_seconds", "pixel_recovery_duration_seconds"
	reports := func(labels ...string) float64 { return g.metric(t, "pixel_telemetry_reports_total", labels...) }

	old := dialOld(t, g, "/")
	old.say(t, `{"type":"telemetry","kind":"latency","millis":40}`)
	old.say(t, `{"type":"telemetry","kind":"latency","millis":600000,"vantage":"k6"}`)
	old.say(t, `{"type":"telemetry","kind":"latency","millis":600001,"vantage":"k6"}`)
	old.say(t, `{"type":"telemetry","kind":"recovery","millis":0,"vantage":"prober"}`)
	old.say(t, `{"type":"ping"}`)
	old.await(t, 1, "pong")

	dialer := websocket.Dialer{HandshakeTimeout: patience, Subprotocols: []string{protocol.Subprotocol}}
	ws, _, err := dialer.DialContext(deadline(t), "ws://"+g.addr+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	send := func(messages ...protocol.ClientMessage) {
		t.Helper()
		var frame []byte
		for _, m := range messages {
			if frame, err = protocol.AppendClientBinary(frame, m); err != nil {
				t.Fatal(err)
			}
		}
		if err := ws.WriteMessage(websocket.BinaryMessage, frame); err != nil {
			t.Fatal(err)
		}
	}
	// A flood in one frame: of these, the burst and no more.
	flood := make([]protocol.ClientMessage, 500)
	for i := range flood {
		flood[i] = protocol.Telemetry{Measure: protocol.MeasureRecovery, Vantage: protocol.VantageOther, Millis: 250}
	}
	send(flood...)
	send(protocol.Ping{})
	answers := 0
	for pong := false; !pong; {
		_, frame, err := ws.ReadMessage()
		if err != nil {
			t.Fatalf("a client that reports too much is sent away: %v", err)
		}
		err = protocol.DecodeServerBinary(frame, func(m protocol.ServerMessage) error {
			switch m.(type) {
			case protocol.Error:
				answers++
			case protocol.Pong:
				pong = true
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if answers > 0 || len(old.messages("error")) > 0 {
		t.Error("reports are answered by errors")
	}

	for what, got := range map[string][2]float64{
		"latency, browser":    {g.metric(t, latency, "browser"), 1},
		"latency, k6":         {g.metric(t, latency, "k6"), 1},
		"latency, prober":     {g.metric(t, latency, "prober"), 0},
		"recovery, prober":    {g.metric(t, recovery, "prober"), 1},
		"recovery, browser":   {g.metric(t, recovery, "browser"), 0},
		"accepted, latency":   {reports("accepted", "latency"), 2},
		"out of range":        {reports("out_of_range"), 1},
		"messages":            {g.metric(t, "pixel_messages_received_total", "telemetry"), 504},
		"refused":             {g.metric(t, "pixel_messages_refused_total"), 0},
		"all reports of them": {reports("recovery"), 501},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: %v, want %v", what, got[0], got[1])
		}
	}
	// The burst, and what a slow machine's clock lets through besides.
	if n := g.metric(t, recovery, "other"); n < 10 || n > 100 || n != reports("accepted", "recovery")-1 {
		t.Errorf("%v of 500 reports of one connection went into the histogram", n)
	}
	sum := fmt.Sprint(g.histogram(t, latency, "browser").GetSampleSum())
	if sum != "0.04" {
		t.Errorf("40 ms are %s s", sum)
	}
}

// Each operation that could be read has one of the outcomes that are counted.
func TestOperationsBalance(t *testing.T) {
	g := start(t, redis(t, embedded.Options{}).URL(), "a", func(o *gateway.Options) { o.MessagesPerSecond = 1 })
	c := dialOld(t, g, "/?since=0&epoch=00000000000000000000000000000000")
	const each = 60 // the burst is 20
	for i := range each {
		c.say(t, fmt.Sprintf(`{"type":"pixel_update","x":%d,"y":0,"color":"#010203","op":%d}`, i%50, i+1))
	}
	for range each {
		c.say(t, `{"type":"pixel_update","x":1,"y":1,"color":"#010203"}`)
	}
	c.say(t, `{"type":"pixel_update","x":99,"y":1,"color":"#010203"}`) // never read as one
	received := func() float64 { return g.metric(t, "pixel_operations_received_total") }
	settled := func() float64 {
		return g.metric(t, "pixel_operations_acknowledged_total") + g.metric(t, "pixel_operations_refused_total") +
			g.metric(t, "pixel_operations_repeated_total")
	}
	eventually(t, "all operations are settled", func() bool { return received() == 2*each && settled() == 2*each })
	if n := g.metric(t, "pixel_operations_refused_total", "rate_limited"); n < each || n == 2*each {
		t.Errorf("%v operations were refused for their rate", n)
	}
	if n := g.metric(t, "pixel_append_operations_total"); n != g.metric(t, "pixel_operations_acknowledged_total") || n != g.metric(t, "pixel_pixels_received_total") {
		t.Errorf("%v operations are in the log", n)
	}
}
