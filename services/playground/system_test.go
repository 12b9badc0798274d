package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloud-pixel/playground/services/fleet"
)

// noRedis is an environment that names no Redis, whatever the tests run in.
func noRedis(name string) (string, bool) {
	if strings.HasPrefix(name, "REDIS_") {
		return "", false
	}
	return os.LookupEnv(name)
}

// message is what these tests read of a gateway's JSON.
type message struct {
	Type, Color, Pod string
	X, Y             int
}

// readUntil reads messages until the one that is wanted; the test fails after a
// time that only a fault can need, and tells what came instead.
func readUntil(t *testing.T, conn *websocket.Conn, wanted func(message) bool) message {
	t.Helper()
	var came []string
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for {
		_, data, err := conn.ReadMessage()
		if err != nil {
			t.Fatalf("%v, after\n%s", err, strings.Join(came, "\n"))
		}
		came = append(came, string(data))
		var m message
		if err := json.Unmarshal(data, &m); err != nil {
			t.Fatal(err)
		}
		if wanted(m) {
			return m
		}
	}
}

func painted(x, y int, color string) func(message) bool {
	return func(m message) bool {
		return m.Type == "pixel_updated" && m.X == x && m.Y == y && m.Color == color
	}
}

func connect(t *testing.T, url string) (*websocket.Conn, string) {
	t.Helper()
	conn, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(url, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, readUntil(t, conn, func(m message) bool { return m.Type == "connected" }).Pod
}

// fetch returns the body of a 200.
func fetch(t *testing.T, method, url, body string) string {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %d %s %v", method, url, resp.StatusCode, text, err)
	}
	return string(text)
}

// draw sends one pixel by REST and one by WebSocket, and sees both on a
// WebSocket and in what is stored.
func draw(t *testing.T, url string, from, to *websocket.Conn, byREST, bySocket string) {
	t.Helper()
	fetch(t, "PUT", url+"/api/pixel", fmt.Sprintf(`{"x":1,"y":2,"color":%q}`, strings.ToLower(byREST)))
	readUntil(t, to, painted(1, 2, byREST))
	if err := from.WriteJSON(map[string]any{"type": "pixel_update", "x": 3, "y": 4, "color": bySocket}); err != nil {
		t.Fatal(err)
	}
	readUntil(t, to, painted(3, 4, bySocket))
	if got := drawn(t, url); got != [2]string{byREST, bySocket} {
		t.Errorf("stored: %v", got)
	}
}

// drawn returns the colours where draw draws.
func drawn(t *testing.T, url string) (colors [2]string) {
	t.Helper()
	var canvas struct {
		Width, Height int
		Pixels        map[string]string
	}
	if err := json.Unmarshal([]byte(fetch(t, "GET", url+"/api/canvas", "")), &canvas); err != nil {
		t.Fatal(err)
	}
	if canvas.Width != 60 || canvas.Height != 40 || canvas.Pixels["0,0"] != "#FFFFFF" {
		t.Errorf("%d×%d, 0,0 %s", canvas.Width, canvas.Height, canvas.Pixels["0,0"])
	}
	return [2]string{canvas.Pixels["1,2"], canvas.Pixels["3,4"]}
}

// The whole system on a machine with nothing but Go.
func TestSystemInOneProcess(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	p := playSystem(t, Options{Width: 60, Height: 40}, system{services: services, store: startStore, env: noRedis})
	if page := fetch(t, "GET", p.state.URL+"/", ""); !strings.Contains(page, "<html") {
		t.Errorf("the page: %.200s", page)
	}
	for _, s := range services {
		for _, l := range s.links {
			fetch(t, "GET", p.state.URL+l.path, "")
		}
	}
	from, _ := connect(t, p.state.URL+"/ws")
	to, _ := connect(t, p.state.URL+"/")
	draw(t, p.state.URL, from, to, "#FF0000", "#00FF00")
	stopped := make(chan error, 1)
	go func() { stopped <- p.stop() }()
	for _, conn := range []*websocket.Conn{from, to} {
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		for {
			_, _, err := conn.ReadMessage()
			if err == nil {
				continue
			}
			if !websocket.IsCloseError(err, websocket.CloseServiceRestart) {
				t.Errorf("closed by %v", err)
			}
			conn.Close()
			break
		}
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// The shape of production, where each part is killed once: what was drawn
// stays, and drawing goes on.
func TestSystemOfProcesses(t *testing.T) {
	t.Setenv(realVariable, "1")
	p := playSystem(t, Options{Gateways: 2, APIs: 2, Width: 60, Height: 40}, system{services: services, store: startStore, env: noRedis})
	from, one := connect(t, p.state.URL+"/ws")
	to, other := connect(t, p.state.URL+"/ws")
	if one == other {
		t.Errorf("both connections are at %s", one)
	}
	draw(t, p.state.URL, from, to, "#FF0000", "#00FF00")

	victims := []int{p.state.Redis.PID}
	for _, process := range p.state.Processes {
		if strings.HasSuffix(process.Pod, "-0") {
			victims = append(victims, process.PID)
		}
	}
	for _, pid := range victims {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all are back", func() bool {
		now, err := fleet.ReadState(p.path)
		if err != nil {
			t.Fatal(err)
		}
		if len(now.Processes) != len(p.state.Processes) || now.Redis.PID == p.state.Redis.PID {
			return false
		}
		for _, process := range now.Processes {
			for _, pid := range victims {
				if process.PID == pid {
					return false
				}
			}
		}
		return true
	})
	eventually(t, "the api answers again", func() bool {
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(p.state.URL + "/api/canvas")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	if got := drawn(t, p.state.URL); got != [2]string{"#FF0000", "#00FF00"} {
		t.Errorf("after the kills: %v", got)
	}
	again, _ := connect(t, p.state.URL+"/ws")
	draw(t, p.state.URL, again, again, "#0000FF", "#FFFF00")
	for _, conn := range []*websocket.Conn{from, to, again} {
		conn.Close()
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(p.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state file stayed: %v", err)
	}
}
