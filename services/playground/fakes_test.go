package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/cloud-pixel/playground/services/fleet"
	"github.com/cloud-pixel/playground/services/internal/config"
	"github.com/cloud-pixel/playground/services/internal/httpkit"
)

// parentVariable makes the test program a playground of fake services that
// the test can kill; its value is the state file.
const parentVariable = "PLAYGROUND_TEST_PARENT"

// realVariable makes the children the real services instead of fakes.
const realVariable = "PLAYGROUND_TEST_REAL"

// TestMain: children of the playground are this program again.
func TestMain(m *testing.M) {
	if name := os.Getenv(childVariable); name != "" {
		if os.Getenv(realVariable) != "" {
			os.Exit(child(name, services))
		}
		os.Exit(child(name, fakes))
	}
	if path := os.Getenv(parentVariable); path != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		o := Options{Addr: anyPort, Gateways: 2, State: path}
		sys := system{services: fakes, store: noStore, out: io.Discard, log: os.Stderr, env: os.LookupEnv}
		if err := Run(ctx, o, sys); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func noStore(context.Context, Options, func(string) (string, bool)) (*store, error) {
	return &store{
		env: []string{"REDIS_URL=redis://127.0.0.1:1"}, where: "nowhere",
		state: func() fleet.Redis { return fleet.Redis{URL: "redis://127.0.0.1:1"} },
		close: func() error { return nil },
	}, nil
}

// fakes are services that tell who they are, and what they were asked.
var fakes = []service{
	{name: "gateway", prepare: fake("gateway")},
	{name: "api", prepare: fake("api"), links: []link{{"api docs", "/api/docs"}}},
	{name: "frontend", prepare: fake("frontend")},
}

type answer struct {
	Service, Pod, Host, Body string
	PID                      int
	Forwarded                string
}

func fake(name string) func(*config.Reader, func(addr, debug net.Addr)) func(context.Context) error {
	return func(r *config.Reader, ready func(addr, debug net.Addr)) func(context.Context) error {
		listen, pod := config.ListenFrom(r, 0), r.Pod()
		redis := r.String("REDIS_URL", "", "")
		broken := r.String("FAKE_BROKEN", "", "")
		r.Int("FAKE_NUMBER", 1, "")
		return func(ctx context.Context) error {
			if broken == pod {
				return errors.New("broken on purpose")
			}
			if !strings.HasPrefix(redis, "redis://") {
				return fmt.Errorf("REDIS_URL=%q", redis)
			}
			f := &fakeServer{name: name, pod: pod, open: make(map[*websocket.Conn]bool)}
			return httpkit.Serve(ctx, httpkit.Server{
				Addr: listen.Addr, DebugAddr: listen.DebugAddr, Handler: f, OnReady: ready,
				Drain: []func(context.Context) error{f.drain}, DrainTimeout: listen.DrainTimeout,
			})
		}
	}
}

type fakeServer struct {
	name, pod string
	mu        sync.Mutex
	draining  bool
	open      map[*websocket.Conn]bool
	handlers  sync.WaitGroup // of the open ones
}

// opened keeps the connection until closed is called, unless the server drains.
func (f *fakeServer) opened(conn *websocket.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.draining {
		return false
	}
	f.open[conn] = true
	f.handlers.Add(1)
	return true
}

func (f *fakeServer) closed(conn *websocket.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, conn)
	f.handlers.Done()
}

func (f *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a := answer{f.name, f.pod, r.Host, string(body), os.Getpid(), r.Header.Get("X-Forwarded-For")}
	if !websocket.IsWebSocketUpgrade(r) {
		httpkit.WriteJSON(w, http.StatusOK, a)
		return
	}
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	// Before the first message: a test that has read it may stop the server.
	if !f.opened(conn) {
		return
	}
	defer f.closed(conn)
	if conn.WriteJSON(a) != nil {
		return
	}
	for { // echo
		kind, data, err := conn.ReadMessage()
		if err != nil || conn.WriteMessage(kind, data) != nil {
			return
		}
	}
}

func (f *fakeServer) drain(context.Context) error {
	f.mu.Lock()
	f.draining = true
	for conn := range f.open {
		_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseServiceRestart, "retry=0"), time.Now().Add(time.Second))
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	}
	f.mu.Unlock()
	f.handlers.Wait()
	return nil
}

// playground is a running one.
type playground struct {
	t     *testing.T
	state fleet.State
	path  string // of the state file
	log   string // the file of the log
	out   *syncBuffer
	stop  func() error
}

type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// play starts a playground of fakes and waits until it is ready.
func play(t *testing.T, o Options) *playground {
	t.Helper()
	return playSystem(t, o, system{services: fakes, store: noStore, env: os.LookupEnv})
}

func playSystem(t *testing.T, o Options, sys system) *playground {
	t.Helper()
	p := &playground{t: t, path: filepath.Join(t.TempDir(), "state.json"), out: &syncBuffer{}}
	o.Addr, o.State = anyPort, p.path
	ctx, cancel := context.WithCancel(context.Background())
	ready, result := make(chan fleet.State, 1), make(chan error, 1)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	p.log = log.Name()
	t.Cleanup(func() {
		if text, _ := os.ReadFile(p.log); t.Failed() {
			t.Logf("the log:\n%s", text)
		}
		_ = log.Close()
	})
	sys.out, sys.log, sys.ready = p.out, log, func(s fleet.State) { ready <- s }
	go func() { result <- Run(ctx, o, sys) }()
	p.stop = sync.OnceValue(func() error { cancel(); return <-result })
	t.Cleanup(func() { _ = p.stop() }) // tests that care about the error stop it themselves
	select {
	case p.state = <-ready:
	case err := <-result:
		result <- err
		t.Fatalf("ended before it was ready: %v", err)
	}
	return p
}

// ask asks on a connection of its own.
func ask(method, url, body string) (answer, int, error) {
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, 0, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		return answer{}, 0, err
	}
	defer resp.Body.Close()
	var a answer
	return a, resp.StatusCode, json.NewDecoder(resp.Body).Decode(&a)
}

// dialWS opens a WebSocket and returns who answered.
func dialWS(url string) (*websocket.Conn, answer, error) {
	conn, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(url, "http"), nil)
	if err != nil {
		return nil, answer{}, err
	}
	var a answer
	if err := errors.Join(conn.SetReadDeadline(time.Now().Add(patience)), conn.ReadJSON(&a)); err != nil {
		return nil, a, errors.Join(err, conn.Close())
	}
	return conn, a, nil
}

// patience is a time that only a fault can need.
const patience = 30 * time.Second

// eventually polls until the condition holds; the test fails when that takes
// longer than patience.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

// alive tells whether a process runs; one that has ended but was not waited
// for does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return syscall.Kill(pid, 0) == nil && !errors.Is(err, os.ErrNotExist)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}
