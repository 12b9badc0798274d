package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/cloud-pixel/playground/bench/scenarios/faults"
	"github.com/cloud-pixel/playground/bench/scenarios/scenario"
	"github.com/cloud-pixel/playground/services/fleet"
)

// system is what is measured, and how it is left.
type system struct {
	target      scenario.Target
	description string
	stop        func() error
}

// startTime is how long a system may take to be ready.
const startTime = time.Minute

// reach finds a system or starts one. The caller stops it.
func reach(ctx context.Context, o options, say func(string, ...any)) (s *system, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	s = &system{stop: func() error { return nil }}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	switch _, missing := os.Stat(o.state); {
	case os.Getenv("WS_URL") != "" || os.Getenv("API_URL") != "":
		err = s.named(o)
	case o.state != "" && missing == nil && answers(ctx, o.state):
		err = s.attach(o.state)
	case o.state != "" && missing == nil:
		say("%s tells of a playground that does not run any more", o.state)
		err = s.start(ctx, o, say)
	case o.state != "" && !errors.Is(missing, fs.ErrNotExist):
		err = missing
	default:
		err = s.start(ctx, o, say)
	}
	if err != nil {
		return s, err
	}
	if o.kubernetes {
		s.target.Injector, err = faults.NewKubernetes(faults.KubernetesOptions{
			Kubeconfig: o.kubeconfig, Context: o.context, Namespace: o.namespace, Selectors: o.selectors,
		})
		if err != nil {
			return s, err
		}
	}
	if grafana := os.Getenv("GRAFANA_URL"); grafana != "" {
		s.target.Annotate = faults.Grafana(grafana, os.Getenv("GRAFANA_TOKEN"))
	}
	return s, s.size(ctx)
}

// named takes the system that the environment names.
func (s *system) named(o options) error {
	ws, api := os.Getenv("WS_URL"), os.Getenv("API_URL")
	if ws == "" || api == "" {
		return errors.New("WS_URL and API_URL belong together: both are needed")
	}
	for _, address := range []string{ws, api} {
		u, err := url.Parse(address)
		if err != nil {
			return err
		}
		ip := net.ParseIP(u.Hostname())
		if !o.remote && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return fmt.Errorf("%s is on another machine: load is sent there only with -remote, and it should be yours", address)
		}
	}
	s.target.URLs = strings.Split(ws, ",")
	s.target.API = strings.TrimRight(api, "/")
	s.target.APIs = []string{s.target.API}
	s.description = ws + " and " + api
	return nil
}

// answers tells whether anybody listens where a state file says so: who was
// killed leaves its file behind. What else is wrong with it attach tells.
func answers(ctx context.Context, path string) bool {
	state, err := fleet.ReadState(path)
	if err != nil {
		return true
	}
	u, err := url.Parse(state.URL)
	if err != nil {
		return true
	}
	conn, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return !errors.Is(err, syscall.ECONNREFUSED)
	}
	_ = conn.Close() // it was only a question
	return true
}

// attach takes a playground that runs.
func (s *system) attach(path string) error {
	f, err := fleet.Attach(path)
	if err != nil {
		return err
	}
	state, err := f.State()
	if err != nil {
		return err
	}
	return s.take(f, state, "the playground of "+path)
}

// start starts the shape of production.
func (s *system) start(ctx context.Context, o options, say func(string, ...any)) error {
	say("starting %d gateways, %d apis, %d frontends and Redis", o.gateways, o.apis, o.frontends)
	f, err := fleet.Start(fleet.Options{
		Program: o.playground, Gateways: o.gateways, APIs: o.apis, Frontends: o.frontends,
		Env: append([]string{"LOG_LEVEL=error"}, o.scenario.Env...), Log: os.Stderr,
	})
	if err != nil {
		return fmt.Errorf("%w (build it with `make build`)", err)
	}
	s.stop = f.Stop
	state, err := f.Ready(ctx, o.gateways, o.apis, o.frontends)
	if err != nil {
		return err
	}
	return s.take(f, state, "a playground that was started for this run")
}

// take notes what a state file tells.
func (s *system) take(f *fleet.Fleet, state fleet.State, what string) (err error) {
	t := &s.target
	if t.Gateways, err = state.GatewayURLs(); err != nil {
		return err
	}
	t.URLs = []string{"ws" + strings.TrimPrefix(state.URL, "http") + "/ws"}
	t.API = state.URL
	for _, p := range state.Of(fleet.API) {
		t.APIs = append(t.APIs, "http://"+p.Addr)
	}
	pids := map[int]bool{}
	for _, p := range state.Processes {
		pids[p.PID] = true
	}
	if len(pids) > 1 { // else everything is one process
		t.Injector = faults.NewLocal(f)
		t.Memory = func() (int64, error) { return memory(f) }
	}
	redis := "a Redis that runs"
	if state.Redis.PID != 0 {
		redis = "its own Redis"
	}
	s.description = fmt.Sprintf("%s: %d gateways, %d apis, %d frontends in %d processes behind one port, %s",
		what, len(t.Gateways), len(t.APIs), len(state.Of(fleet.Frontend)), len(pids), redis)
	return nil
}

// memory is what all services use.
func memory(f *fleet.Fleet) (sum int64, err error) {
	state, err := f.State()
	if err != nil {
		return 0, err
	}
	for _, p := range state.Processes {
		u, err := fleet.UsageOf(p.PID)
		if err != nil {
			return 0, err
		}
		sum += u.Memory
	}
	return sum, nil
}

// size asks how large the canvas is, again until the api is ready.
func (s *system) size(ctx context.Context) error {
	id := os.Getenv("CANVAS")
	if id == "" {
		id = "main"
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		err := s.askSize(ctx, client, s.target.API+"/api/canvases/"+id)
		if err == nil {
			return nil
		}
		timer := time.NewTimer(200 * time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("the size of canvas %q: %w", id, err)
		}
	}
}

func (s *system) askSize(ctx context.Context, client *http.Client, address string) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil) //nolint:gosec // who runs it names the system
	if err != nil {
		return err
	}
	answer, err := client.Do(q) //nolint:gosec // as above
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // only read from
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", address, answer.Status)
	}
	var size struct{ Width, Height int }
	if err := json.NewDecoder(answer.Body).Decode(&size); err != nil {
		return err
	}
	if size.Width < 1 || size.Height < 1 {
		return fmt.Errorf("%s tells no size", address)
	}
	s.target.Width, s.target.Height = size.Width, size.Height
	return nil
}

// machine describes this one.
func machine() string {
	name := runtime.GOOS + "/" + runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if left, right, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(left) == "model name" {
				name += ", " + strings.TrimSpace(right)
				break
			}
		}
	}
	return fmt.Sprintf("%s, %d processors, %s; clients and services share it where they are on one machine", name, runtime.NumCPU(), runtime.Version())
}
