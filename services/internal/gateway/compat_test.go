package gateway_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/config"
	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/internal/gateway"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/protocol"
	"github.com/gorilla/websocket"
)

// These tests are clients of the original system. They know its messages and
// nothing else, and read the text of what comes, keys in their order.

// The first message is connected, once, whatever the path.
func TestOldClientIsGreeted(t *testing.T) {
	server := redis(t, embedded.Options{})
	g := start(t, server.URL(), "a", nil)
	greeting := regexp.MustCompile(`^\{"type":"connected","message":"Connected to Cloud Pixel Playground","clientId":"client_\d{13}_[0-9a-z]+"[,}]`)
	ids := make(map[any]bool)
	for _, path := range []string{"/", "/ws", "/any/path", "/socket.io/", "/a//b/../c", "/?room=7", "/health.html"} {
		c := dialOld(t, g, path)
		c.roundTrip(t)
		all := c.messages()
		if !greeting.MatchString(all[0].text) {
			t.Errorf("at %s the first message is %s", path, all[0].text)
		}
		if n := len(c.messages("connected")); n != 1 {
			t.Errorf("at %s there are %d messages of kind connected", path, n)
		}
		ids[all[0].fields["clientId"]] = true
	}
	if len(ids) != 7 {
		t.Errorf("7 connections have %d client ids", len(ids))
	}
}

// A drawn pixel goes to everybody on every gateway, the sender too.
func TestOldClientsSeeEachOther(t *testing.T) {
	server := redis(t, embedded.Options{})
	a, b := start(t, server.URL(), "a", nil), start(t, server.URL(), "b", nil)
	sender := dialOld(t, a, "/")
	everybody := []*oldClient{sender, dialOld(t, a, "/ws"), dialOld(t, b, "/")}
	for _, c := range everybody {
		c.await(t, 1, "connected")
	}
	anonymous := strings.Repeat("é", canvas.MaxName)
	for i, row := range []struct{ name, message, color, username string }{
		{"upper case", `{"type":"pixel_update","x":%d,"y":4,"color":"#ABCDEF"}`, "#ABCDEF", "Anonymous"},
		{"lower case", `{"type":"pixel_update","x":%d,"y":4,"color":"#abcdef"}`, "#ABCDEF", "Anonymous"},
		{"mixed case", `{"type":"pixel_update","x":%d,"y":4,"color":"#aB09eF"}`, "#AB09EF", "Anonymous"},
		{"a name", `{"type":"pixel_update","x":%d,"y":4,"color":"#000000","username":"Ada"}`, "#000000", "Ada"},
		{"an empty name", `{"type":"pixel_update","x":%d,"y":4,"color":"#000000","username":""}`, "#000000", "Anonymous"},
		{"the longest name", `{"type":"pixel_update","x":%d,"y":4,"color":"#000000","username":"` + anonymous + `"}`, "#000000", anonymous},
		{"extra fields", `{"type":"pixel_update","x":%d,"y":4,"color":"#FFFFFF","timestamp":1,"z":[{}],"clientId":"me"}`, "#FFFFFF", "Anonymous"},
		{"keys in another order, spaces", ` { "color" : "#123456" , "y" : 4 , "x" : %d , "type" : "pixel_update" } `, "#123456", "Anonymous"},
		{"whole numbers in other forms", `{"type":"pixel_update","x":%d.0,"y":0.4e1,"color":"#123456"}`, "#123456", "Anonymous"},
		{"markup in the name", `{"type":"pixel_update","x":%d,"y":4,"color":"#000001","username":"<b>\"'&"}`, "#000001", `<b>"'&`},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := time.Now().UnixMilli()
			sender.say(t, fmt.Sprintf(row.message, i))
			name, err := json.Marshal(row.username)
			if err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf(`{"type":"pixel_updated","x":%d,"y":4,"color":"%s","username":%s,"timestamp":`, i, row.color, name)
			for j, c := range everybody {
				m := c.await(t, i+1, "pixel_updated")[i]
				if !strings.HasPrefix(m.text, want) {
					t.Errorf("client %d got\n%s, want\n%s…", j, m.text, want)
				}
				at, _ := m.fields["timestamp"].(float64)
				if math.Abs(at-float64(before)) > float64(patience.Milliseconds()) || at != math.Trunc(at) {
					t.Errorf("timestamp %v around %d", m.fields["timestamp"], before)
				}
			}
		})
	}
	t.Run("binary frames", func(t *testing.T) {
		n := len(sender.messages("pixel_updated"))
		if err := sender.ws.WriteMessage(websocket.BinaryMessage, []byte(`{"type":"pixel_update","x":49,"y":49,"color":"#010203"}`)); err != nil {
			t.Fatal(err)
		}
		for _, c := range everybody {
			if m := c.await(t, n+1, "pixel_updated")[n]; m.fields["color"] != "#010203" {
				t.Errorf("got %s", m.text)
			}
		}
	})
	t.Run("each draws", func(t *testing.T) {
		for i, c := range everybody {
			n := len(sender.messages("pixel_updated"))
			c.say(t, fmt.Sprintf(`{"type":"pixel_update","x":%d,"y":48,"color":"#010203"}`, i))
			for _, other := range everybody {
				if m := other.await(t, n+1, "pixel_updated")[n]; m.fields["x"] != float64(i) || m.fields["y"] != 48.0 {
					t.Errorf("got %s", m.text)
				}
			}
		}
	})
	for i, c := range everybody {
		if unwanted := c.messages("ack", "error", "status", "position", "resync", "canvas_reset"); len(unwanted) > 0 {
			t.Errorf("client %d got what it cannot know: %s", i, texts(unwanted))
		}
	}
}

// The name is the message's, else the one that was set, else Anonymous.
func TestOldClientNames(t *testing.T) {
	server := redis(t, embedded.Options{})
	c := dialOld(t, start(t, server.URL(), "a", nil), "/")
	set := func(value string) string { return `{"type":"set_username","username":` + value + `}` }
	for i, row := range []struct{ message, drawnBy string }{
		{``, "Anonymous"},
		{set(`"Ada"`), "Ada"},
		{set(`"  Bob\t"`), "Bob"},
		{set(`"12345678901234567890x"`), "12345678901234567890"},
		{set(`"ααααααααααααααααααααω"`), "αααααααααααααααααααα"},
		{set(`""`), "αααααααααααααααααααα"},
		{set(`42`), "αααααααααααααααααααα"},
		{set(`null`), "αααααααααααααααααααα"},
		{set(`["Eve"]`), "αααααααααααααααααααα"},
		{set(`{"toString":"Eve"}`), "αααααααααααααααααααα"},
		{`{"type":"set_username"}`, "αααααααααααααααααααα"},
		{set(`"<img src=x>"`), "<img src=x>"},
		{set(`"   "`), "Anonymous"},
	} {
		if row.message != "" {
			c.say(t, row.message)
		}
		c.say(t, `{"type":"pixel_update","x":1,"y":1,"color":"#000000"}`)
		c.say(t, `{"type":"pixel_update","x":1,"y":1,"color":"#000000","username":"Guest"}`)
		got := c.await(t, 2*i+2, "pixel_updated")
		if own, other := got[2*i].fields["username"], got[2*i+1].fields["username"]; own != row.drawnBy || other != "Guest" {
			t.Errorf("after %s the names are %q and %q, want %q and Guest", row.message, own, other, row.drawnBy)
		}
	}
	if errors := c.messages("error"); len(errors) > 0 {
		t.Errorf("got %s", texts(errors))
	}
}

// Ping has an answer, and so has what is no message; the connection stays.
func TestOldClientAnswers(t *testing.T) {
	server := redis(t, embedded.Options{})
	c := dialOld(t, start(t, server.URL(), "a", nil), "/")
	const format = `{"type":"error","message":"Invalid message format"`
	const pixel = `{"type":"error","message":"Invalid pixel data"`
	const unknown = `{"type":"error","message":"Unknown message type"`
	for i, row := range []struct{ message, answer string }{
		{`{"type":"pin`, format}, {`hello`, format}, {``, format}, {`null`, format}, {`{"type":"ping"}}`, format},
		{`42`, unknown}, {`[1]`, unknown}, {`"ping"`, unknown}, {`true`, unknown}, {`{}`, unknown}, {`{"type":"dance"}`, unknown}, {`{"type":7}`, unknown},
		{`{"type":"pixel_update"}`, pixel},
		{`{"type":"pixel_update","x":-1,"y":0,"color":"#000000"}`, pixel},
		{`{"type":"pixel_update","x":50,"y":0,"color":"#000000"}`, pixel},
		{`{"type":"pixel_update","x":0,"y":50,"color":"#000000"}`, pixel},
		{`{"type":"pixel_update","x":"1","y":0,"color":"#000000"}`, pixel},
		{`{"type":"pixel_update","x":1,"y":0,"color":"red"}`, pixel},
		{`{"type":"pixel_update","x":1,"y":0,"color":"#00000"}`, pixel},
		{`{"type":"pixel_update","x":1,"y":0,"color":"#00000G"}`, pixel},
		{`{"type":"pixel_update","x":1,"y":0,"color":"000000"}`, pixel},
		{`{"type":"pixel_update","x":1.5,"y":0,"color":"#000000"}`, pixel},
		{`{"type":"pixel_update","x":1,"y":0,"color":"#000000","username":7}`, pixel},
		{`{"type":"pixel_update","x":1,"y":0,"color":"#000000","username":"123456789012345678901"}`, pixel},
	} {
		c.say(t, row.message)
		c.roundTrip(t)
		if got := c.messages("error"); len(got) != i+1 || !strings.HasPrefix(got[i].text, row.answer) {
			t.Fatalf("to %s came %s, want %s", row.message, texts(got[min(i, len(got)):]), row.answer)
		}
	}
	pong := regexp.MustCompile(`^\{"type":"pong","timestamp":\d{13}[,}]`)
	for _, m := range c.messages("pong") {
		if !pong.MatchString(m.text) {
			t.Errorf("got %s", m.text)
		}
	}
	if drawn := c.messages("pixel_updated"); len(drawn) > 0 {
		t.Errorf("drawn all the same: %s", texts(drawn))
	}
}

// Who is here comes as stats, then user_list, after joins, renames and leaves,
// for all gateways together.
func TestOldClientsKnowWhoIsHere(t *testing.T) {
	t.Parallel() // most of its time is waiting
	server := redis(t, embedded.Options{})
	a, b := start(t, server.URL(), "a", nil), start(t, server.URL(), "b", nil)
	first := dialOld(t, a, "/")
	stats := regexp.MustCompile(`^\{"type":"stats","activeUsers":\d+,"timestamp":\d{13}[,}]`)
	list := regexp.MustCompile(`^\{"type":"user_list","users":\[.*\],"timestamp":\d{13}[,}]`)
	last := func(c *oldClient) (active any, users any) {
		told := c.messages("stats", "user_list")
		if len(told) < 2 || len(told)%2 != 0 {
			return nil, nil
		}
		for i, m := range told {
			form := []*regexp.Regexp{stats, list}[i%2]
			if !form.MatchString(m.text) {
				t.Fatalf("message %d of presence is %s", i, m.text)
			}
		}
		return told[len(told)-2].fields["activeUsers"], told[len(told)-1].fields["users"]
	}
	expect := func(what string, c *oldClient, active int, users ...string) {
		t.Helper()
		eventually(t, what, func() bool {
			n, names := last(c)
			return n == float64(active) && fmt.Sprint(names) == fmt.Sprint(users)
		})
	}
	expect("alone", first, 1)
	second := dialOld(t, b, "/")
	expect("a second one, anonymous, counts but has no name", first, 2)
	expect("the second one hears it too", second, 2)
	second.say(t, `{"type":"set_username","username":"Zoe"}`)
	first.say(t, `{"type":"set_username","username":"Ada"}`)
	expect("both have names", first, 2, "Ada", "Zoe")
	second.say(t, `{"type":"set_username","username":"Bob"}`)
	expect("a rename", first, 2, "Ada", "Bob")
	expect("a rename, seen by oneself", second, 2, "Ada", "Bob")
	second.leave()
	expect("one left", first, 1, "Ada")
	first.say(t, `{"type":"set_username","username":" "}`)
	expect("anonymous again", first, 1)
}

// In the order in which everybody sees them, timestamps never go back.
func TestOldClientTimestamps(t *testing.T) {
	server := redis(t, embedded.Options{})
	a, b := start(t, server.URL(), "a", nil), start(t, server.URL(), "b", nil)
	const each = 100
	var clients []*oldClient
	for i := range 4 {
		clients = append(clients, dialOld(t, []*running{a, b}[i%2], "/"))
		clients[i].await(t, 1, "connected")
	}
	var drawing sync.WaitGroup
	for i, c := range clients {
		drawing.Go(func() {
			for n := range each {
				message := fmt.Sprintf(`{"type":"pixel_update","x":%d,"y":%d,"color":"#%06X"}`, n%5, n%7, i<<8|n)
				if err := c.ws.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	drawing.Wait()
	var order []string
	for i, c := range clients {
		all := c.await(t, len(clients)*each, "pixel_updated")
		previous := 0.0
		var mine []string
		for _, m := range all {
			if at := m.fields["timestamp"].(float64); at < previous {
				t.Errorf("client %d: %v came after %v", i, at, previous)
			} else {
				previous = at
			}
			mine = append(mine, m.text)
		}
		if order == nil {
			order = mine
		} else if !slices.Equal(order, mine) {
			t.Errorf("client %d saw another order, or other timestamps", i)
		}
	}
}

// The gateway pings, and at a stop it closes with 1012.
func TestOldClientPingAndStop(t *testing.T) {
	t.Parallel() // most of its time is waiting
	server := redis(t, embedded.Options{})
	g := start(t, server.URL(), "a", func(o *gateway.Options) { o.PingInterval = 10 * time.Millisecond })
	c := dialOld(t, g, "/")
	eventually(t, "three pings", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.pings >= 3
	})
	c.roundTrip(t)
	g.stop(t)
	<-c.done
	if end := c.end(); end == nil || end.Code != websocket.CloseServiceRestart || !regexp.MustCompile(`^retry=\d+$`).MatchString(end.Text) {
		t.Errorf("the gateway stopped, and the connection ended with %v", end)
	}
}

func TestOldHealth(t *testing.T) {
	server := redis(t, embedded.Options{})
	g := start(t, server.URL(), "a", nil)
	named, anonymous := dialOld(t, g, "/"), dialOld(t, g, "/")
	named.say(t, `{"type":"set_username","username":"Ada"}`)
	named.roundTrip(t)
	anonymous.roundTrip(t)
	status, _, body := get(t, "http://"+g.addr+"/health", nil)
	if status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	for key, want := range map[string]any{
		"status": "ok", "connections": 2.0, "users": []any{"Ada", "Anonymous"},
		"redis": "connected", "activeConnections": 2.0, "activeUsers": 2.0,
	} {
		if fmt.Sprint(body[key]) != fmt.Sprint(want) {
			t.Errorf("%s is %v, want %v", key, body[key], want)
		}
	}
	if at, err := time.Parse("2006-01-02T15:04:05.000Z", fmt.Sprint(body["timestamp"])); err != nil || time.Since(at).Abs() > time.Hour {
		t.Errorf("timestamp %v: %v", body["timestamp"], err)
	}
}

// A reset comes as one pixel_updated for each cell: what an old client
// understands. Only a canvas of more than 10,000 cells gets the new message.
func TestOldClientReset(t *testing.T) {
	server := redis(t, embedded.Options{})
	g := start(t, server.URL(), "a", func(o *gateway.Options) {
		o.Canvases.AtStart = []config.Canvas{
			{ID: "main", Spec: canvas.Spec{Width: 100, Height: 100, Background: canvas.White}},
			{ID: "larger", Spec: canvas.Spec{Width: 101, Height: 100, Background: canvas.White}},
		}
	})
	small, larger := dialOld(t, g, "/"), dialOld(t, g, "/?canvas=larger")
	small.await(t, 1, "connected")
	larger.await(t, 1, "connected")
	s := openStore(t, server.URL())
	for _, id := range []string{"main", "larger"} {
		appendOps(t, s, id, canvas.Op{Kind: canvas.Reset, Color: 0x00FF00})
	}
	cells := make(map[string]int)
	for _, m := range small.await(t, 10_000, "pixel_updated") {
		cells[fmt.Sprintf("%v %v %v", m.fields["x"], m.fields["y"], m.fields["color"])]++
	}
	if len(cells) != 10_000 || cells["0 0 #00FF00"] != 1 || cells["99 99 #00FF00"] != 1 {
		t.Errorf("%d different cells came", len(cells))
	}
	reset := larger.await(t, 1, "canvas_reset")[0]
	if want := `{"type":"canvas_reset","color":"#00FF00",`; !strings.HasPrefix(reset.text, want) {
		t.Errorf("got %s, want %s…", reset.text, want)
	}
	if n := len(small.messages("canvas_reset")) + len(larger.messages("pixel_updated")); n != 0 {
		t.Errorf("%d messages too many", n)
	}
}

// appendOps writes operations to the log from outside, each under its number
// in a session of their own.
func appendOps(t *testing.T, s *store.Store, id string, ops ...canvas.Op) {
	t.Helper()
	ctx := deadline(t)
	meta, err := s.Meta(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	session := protocol.NewSession()
	batch := make([]store.AppendOp, len(ops))
	for i, o := range ops {
		o.Author, o.Number = session.Author(), uint64(i+1)
		batch[i] = store.AppendOp{Session: session, TTL: time.Hour, Op: o}
	}
	for len(batch) > 0 {
		n := min(len(batch), store.MaxBatchOps)
		if _, err := s.Append(ctx, id, canvas.Position{Epoch: meta.Epoch}, batch[:n]); err != nil {
			t.Fatal(err)
		}
		batch = batch[n:]
	}
}
