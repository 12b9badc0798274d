package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/cloud-pixel/playground/services/fleet"
)

func TestOneProcess(t *testing.T) {
	p := play(t, Options{})
	for path, service := range map[string]string{"/": "frontend", "/app.js": "frontend", "/api/canvas": "api", "/apis": "frontend", "/health": "frontend"} {
		a, code, err := ask("GET", p.state.URL+path, "")
		if err != nil || code != 200 || a.Service != service || a.PID != os.Getpid() {
			t.Errorf("%s: %d %+v %v, want the %s", path, code, a, err, service)
		}
	}
	conn, a, err := dialWS(p.state.URL + "/ws")
	if err != nil || a.Service != "gateway" {
		t.Fatalf("%+v %v", a, err)
	}
	defer conn.Close()
	for _, want := range []string{"Pixel playground is ready", "http://localhost:", "/api/docs", "nowhere", "gateway-0", "/metrics"} {
		if !strings.Contains(p.out.String(), want) {
			t.Errorf("%q is not in what people are told:\n%s", want, p.out)
		}
	}
	stopped := make(chan error, 1)
	go func() { stopped <- p.stop() }()
	if _, _, err := conn.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseServiceRestart) {
		t.Errorf("the gateway did not close its connection in an orderly way: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(p.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state file stayed: %v", err)
	}
}

// Without processes to start again, a service that ends takes the rest along.
func TestOneProcessEndsWithItsService(t *testing.T) {
	t.Setenv("FAKE_BROKEN", "api-0")
	err := Run(t.Context(), Options{Addr: anyPort}, system{services: fakes, store: noStore, out: io.Discard, log: os.Stderr, env: os.LookupEnv})
	if err == nil || !strings.Contains(err.Error(), "api ended: broken on purpose") {
		t.Error(err)
	}
}

func TestProcesses(t *testing.T) {
	p := play(t, Options{Gateways: 2, APIs: 3})
	if n := len(p.state.Processes); n != 6 {
		t.Fatalf("%d processes: %+v", n, p.state.Processes)
	}
	pods, pids := map[string]int{}, map[int]bool{}
	for range 9 {
		a, _, err := ask("GET", p.state.URL+"/api", "")
		if err != nil {
			t.Fatal(err)
		}
		pods[a.Pod]++
		pids[a.PID] = true
	}
	if len(pods) != 3 || pods["api-0"] != 3 || pods["api-1"] != 3 || len(pids) != 3 || pids[os.Getpid()] {
		t.Errorf("answers by pod: %v, by pid: %v", pods, pids)
	}
	for _, process := range p.state.Processes {
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + process.DebugAddr + "/debug/build")
		if err != nil {
			t.Errorf("%s: %v", process.Pod, err)
			continue
		}
		resp.Body.Close()
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	for _, process := range p.state.Processes {
		if alive(process.PID) {
			t.Errorf("%s still runs as %d", process.Pod, process.PID)
		}
	}
}

// A gateway that is killed leaves the others to serve, and comes back with the
// same name and address.
func TestKilledProcessComesBack(t *testing.T) {
	p := play(t, Options{Gateways: 2})
	before := p.state.Processes[2]
	if before.Pod != "gateway-0" && before.Pod != "gateway-1" {
		t.Fatalf("%+v", p.state.Processes)
	}
	// Twice at the address of before: the wait starts anew, and so does the
	// address. It is another one only when some other program of the machine has
	// been given the port meanwhile.
	for same, kills := 0, 0; same < 2; kills++ {
		if kills == 5 {
			t.Fatalf("came back %d times, %d of them at the address of before", kills, same)
		}
		if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the state shows the new process", func() bool {
			// Whatever happens, there is somebody to connect to.
			conn, _, err := dialWS(p.state.URL + "/")
			if err != nil {
				t.Fatalf("while one gateway is away: %v", err)
			}
			conn.Close()
			now, err := fleet.ReadState(p.path)
			if err != nil {
				t.Fatal(err)
			}
			for _, process := range now.Processes {
				if process.Pod == before.Pod && process.PID != before.PID {
					if process.Addr == before.Addr && process.DebugAddr == before.DebugAddr {
						same++
					} else if log, err := os.ReadFile(p.log); err != nil || !strings.Contains(string(log), "address already in use") {
						t.Errorf("came back at %+v, was at %+v, %v", process, before, err)
					}
					before = process
					return true
				}
			}
			return false
		})
		eventually(t, "the new process gets connections", func() bool {
			conn, a, err := dialWS(p.state.URL + "/ws")
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
			return a.PID == before.PID
		})
	}
}

// Children end with their parent, even when it has no time to tell them.
func TestChildrenDieWithTheirParent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), parentVariable+"="+path)
	parent.Stderr = os.Stderr
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var s fleet.State
	eventually(t, "the children listen", func() bool {
		s, _ = fleet.ReadState(path) // not there yet
		return len(s.Processes) == 4
	})
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it was killed
	for _, process := range s.Processes {
		eventually(t, process.Pod+" has ended", func() bool { return !alive(process.PID) })
	}
}

func TestWaitingIsTold(t *testing.T) {
	sup := newSupervisor(nil, &board{}, nil, true, nil)
	sup.expect(instance{pod: "gateway-0"})
	sup.expect(instance{pod: "api-0"})
	sup.note("api-0", nil)
	sup.note("gateway-0", errors.New("is not ready: not caught up"))
	if w := sup.waiting(); len(w) != 1 || w["gateway-0"] != "is not ready: not caught up" {
		t.Error(w)
	}
	sup.note("gateway-0", nil)
	<-sup.ready
	sup.note("gateway-0", errors.New("later")) // was ready once: no more news
	if w := sup.waiting(); len(w) != 0 {
		t.Error(w)
	}
}

func TestMistakesAreToldAtOnce(t *testing.T) {
	sys := system{services: fakes, store: noStore, out: io.Discard, log: os.Stderr, env: os.LookupEnv}
	l, err := net.Listen("tcp", anyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := Run(t.Context(), Options{Addr: l.Addr().String()}, sys); err == nil || !strings.Contains(err.Error(), "is in use") || !strings.Contains(err.Error(), "-addr") {
		t.Errorf("port in use: %v", err)
	}
	state := filepath.Join(t.TempDir(), "none", "state.json")
	if err := Run(t.Context(), Options{Addr: anyPort, State: state}, sys); err == nil || !strings.Contains(err.Error(), "state file") {
		t.Errorf("state file that cannot be written: %v", err)
	}
	t.Setenv("FAKE_NUMBER", "many")
	var mistake *settingsError
	if err := Run(t.Context(), Options{Addr: anyPort}, sys); !errors.As(err, &mistake) || !strings.Contains(err.Error(), `FAKE_NUMBER="many"`) {
		t.Errorf("wrong setting: %v", err)
	}
	if code := child("nobody", fakes); code != 2 {
		t.Errorf("unknown service: %d", code)
	}
}

func TestSettings(t *testing.T) {
	sys := system{env: func(name string) (string, bool) {
		v, ok := map[string]string{"LOG_LEVEL": "debug", "POD_NAME": "mine", "PIXELS_PER_SECOND": ""}[name]
		return v, ok
	}}
	look := lookupIn(append(sys.settings(Options{Width: 9, Height: 8}), "POD_NAME=x"), sys.env)
	for name, want := range map[string]string{
		"LOG_LEVEL": "debug", "POD_NAME": "x", "PIXELS_PER_SECOND": "0", "CANVAS_WIDTH": "9", "DRAIN_DELAY": "0s", "ADDR": anyPort, "NONE": "",
	} {
		if got, _ := look(name); got != want {
			t.Errorf("%s=%q, want %q", name, got, want)
		}
	}
}

func TestStore(t *testing.T) {
	env := func(pairs ...string) func(string) (string, bool) {
		return lookupIn(pairs, func(string) (string, bool) { return "", false })
	}
	for _, c := range []struct {
		o    Options
		env  func(string) (string, bool)
		want string
	}{
		{Options{Redis: "redis://a:1"}, env("REDIS_HOST=b"), "redis://a:1"},
		{Options{}, env("REDIS_URL=redis://u:hunter2@b:2"), "redis://b:2"},
		{Options{}, env("REDIS_HOST=c"), "redis://c:6379"},
	} {
		s, err := startStore(t.Context(), c.o, c.env)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := s.state(); got.URL != c.want || got.PID != 0 || s.where != c.want {
			t.Errorf("%+v, want %s", got, c.want)
		}
	}
	if _, err := startStore(t.Context(), Options{}, env("REDIS_URL=nonsense")); err == nil {
		t.Error("a URL that is none was accepted")
	}
	t.Setenv("PATH", t.TempDir()) // no redis-server here
	s, err := startStore(t.Context(), Options{Addr: anyPort}, env())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(s.where, "memory") || s.state().PID != 0 {
		t.Errorf("%s %+v", s.where, s.state())
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
	if _, err := startStore(t.Context(), Options{Addr: anyPort, Gateways: 4}, env()); err == nil || !strings.Contains(err.Error(), "install redis-server") {
		t.Errorf("processes without a real Redis: %v", err)
	}
}

// A Redis of ours that is killed comes back at its address.
func TestKilledRedisComesBack(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatal("this test needs redis-server: install it")
	}
	s, err := startStore(t.Context(), Options{Addr: anyPort, Gateways: 1}, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	changed, kept := make(chan struct{}, 1), make(chan struct{})
	go func() { defer close(kept); s.keep(ctx, discardLog, func() { changed <- struct{}{} }) }()
	before := s.state()
	if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-changed
	if now := s.state(); now.PID == before.PID || now.PID == 0 || now.URL != before.URL {
		t.Errorf("%+v, was %+v", now, before)
	}
	cancel()
	<-kept
	if err := s.close(); err != nil {
		t.Error(err)
	}
}
