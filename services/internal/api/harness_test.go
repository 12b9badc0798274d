package api

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/cloud-pixel/playground/services/internal/config"
	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/internal/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait for something that must happen.
const patience = 20 * time.Second

// newRedis starts a redis-server of the test's own.
func newRedis(t *testing.T) *embedded.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	server, err := embedded.StartRedis(ctx, embedded.Options{AppendFsync: "always"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// commands returns a client for what only an operator does to Redis.
func commands(t *testing.T, server *embedded.Server) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// process is one api.
type process struct {
	t         *testing.T
	base      string
	client    *http.Client
	telemetry *telemetry.Telemetry
	stop      func() error // once: the second call returns the first's result
}

type env map[string]string

// begin starts an api with settings on top of the tests' own, and returns when
// it listens.
func begin(t *testing.T, server *embedded.Server, settings env) *process {
	t.Helper()
	values := env{
		"REDIS_URL": server.URL(), "DRAIN_DELAY": "0s", "POD_NAME": "api-test",
		"REST_REQUESTS_PER_SECOND": "0", "RESCUE_DIR": t.TempDir(),
	}
	for name, value := range settings {
		values[name] = value
	}
	reader := config.NewReader(func(name string) (string, bool) { v, ok := values[name]; return v, ok })
	o := OptionsFrom(reader)
	if err := reader.Err(); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.Listener = listener
	o.Telemetry = telemetry.New("api", o.Pod, telemetry.WithLogger(slog.New(slog.DiscardHandler)))
	listening := make(chan struct{})
	o.OnReady = func(net.Addr, net.Addr) { close(listening) }

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, o) }()
	transport := &http.Transport{}
	p := &process{t: t, base: "http://" + listener.Addr().String(), client: &http.Client{Transport: transport}, telemetry: o.Telemetry}
	var result error
	stopped := false
	p.stop = func() error {
		if !stopped {
			stopped = true
			transport.CloseIdleConnections()
			cancel()
			result = <-ended
		}
		return result
	}
	t.Cleanup(func() {
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-listening:
	case err := <-ended:
		ended <- err
		t.Fatalf("the api ended at once: %v", err)
	}
	return p
}

// run starts an api and returns when it is ready.
func run(t *testing.T, server *embedded.Server, settings env) *process {
	t.Helper()
	p := begin(t, server, settings)
	eventually(t, "the api is ready", func() bool { return p.get("/readyz").status == http.StatusOK })
	return p
}

type reply struct {
	status int
	body   string
	header http.Header
}

func (p *process) get(path string, header ...string) reply {
	p.t.Helper()
	return p.do(http.MethodGet, path, "", header...)
}

func (p *process) put(path, body string, header ...string) reply {
	p.t.Helper()
	return p.do(http.MethodPut, path, body, header...)
}

// do sends a request; header are names and values in turn.
func (p *process) do(method, path, body string, header ...string) reply {
	p.t.Helper()
	r, err := p.try(method, path, body, header...)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// try is do for goroutines other than the test's.
func (p *process) try(method, path, body string, header ...string) (reply, error) {
	request, err := http.NewRequest(method, p.base+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := p.client.Do(request)
	if err != nil {
		return reply{}, err
	}
	all, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, string(all), response.Header}, errors.Join(err, response.Body.Close())
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !condition() {
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("it never came to pass that %s", what)
		}
	}
}

// equal compares an answer with status and body.
func equal(t *testing.T, got reply, status int, body string) {
	t.Helper()
	if got.status != status || strings.TrimSuffix(got.body, "\n") != body {
		t.Errorf("got %d %s\nwant %d %s", got.status, got.body, status, body)
	}
}
