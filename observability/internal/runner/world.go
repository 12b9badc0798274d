package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cloud-pixel/playground/observability/internal/fault"
	"github.com/cloud-pixel/playground/observability/internal/load"
	"github.com/cloud-pixel/playground/observability/internal/render"
	"github.com/cloud-pixel/playground/observability/internal/stack"
	"github.com/cloud-pixel/playground/services/fleet"
)

// Times of drills: the rules' windows are so many times shorter, but no range
// is shorter than floor.
const (
	factor   = 30
	floor    = 5 * time.Second
	interval = time.Second
	// longest is the longest window of a burn rate: that of six hours, but not
	// those of days, which would see nothing but the start of the run.
	longest = 15 * time.Minute
)

// short is how the stack's other times are shortened.
var short = stack.Short{Factor: factor, Interval: interval, Group: 4 * time.Second}

// world is what a run breaks.
type world struct {
	stack   *stack.Stack
	webhook *stack.Webhook
	redis   *redis.Client // past the proxy
	data    string        // folder of Redis

	toRedis    *fault.Proxy
	toGateways []*fault.Proxy // of the canary
	toAPI      *fault.Proxy   // of the canary

	mu    sync.Mutex
	rules map[*fault.Proxy][]*rule // in force
	byPID map[int]string           // who is who, by process id

	stops []func() error
}

// rule is one in force, for those whom it is for.
type rule struct {
	owners func(string) bool
	rule   fault.Rule
}

// start starts a world. Stop it in any case.
func start(ctx context.Context, o Options, r Run) (w *world, err error) {
	dir, err := os.MkdirTemp(o.Dir, strings.ReplaceAll(r.Name, " ", "-")+"-")
	if err != nil {
		return nil, err
	}
	limits, err := r.limits()
	if err != nil {
		return nil, err
	}
	rules, err := render.Short(o.Root, render.Shorter{Factor: factor, Floor: floor, Longest: longest, Limits: limits})
	if err != nil {
		return nil, err
	}
	env, err := r.env()
	if err != nil {
		return nil, err
	}
	w = &world{webhook: stack.NewWebhook(nil), rules: map[*fault.Proxy][]*rule{}, byPID: map[int]string{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.stop())
		}
	}()
	if err := w.folder(dir); err != nil {
		return w, err
	}
	w.stack, err = stack.New(ctx, stack.Options{
		Root: o.Root, Build: o.Build, Playground: filepath.Join(o.Build, "drill", "playground"),
		Dir: dir, Free: true, Env: env, Rules: rules, Short: &short, Traces: r.traces(), RedisData: w.data, Webhook: w.webhook,
	})
	if err != nil {
		return w, err
	}
	w.later(w.stack.Stop)
	if err := w.stack.StartAlertmanager(ctx); err != nil {
		return w, err
	}
	if r.traces() {
		if err := w.stack.StartTraces(ctx); err != nil {
			return w, err
		}
	}
	if err := w.stack.StartRedis(ctx); err != nil {
		return w, err
	}
	w.redis = redis.NewClient(&redis.Options{Addr: w.stack.Addr("redis"), MaxRetries: -1})
	w.later(w.redis.Close)
	if w.toRedis, err = w.proxy(ctx, w.stack.Addr("redis"), true); err != nil {
		return w, err
	}
	if err := w.stack.StartServices(ctx, "redis://"+w.toRedis.Addr()); err != nil {
		return w, err
	}
	if err := w.stack.StartExporters(ctx); err != nil {
		return w, err
	}
	if err := w.stack.StartPrometheus(ctx); err != nil {
		return w, err
	}
	if err := w.startCanary(ctx); err != nil {
		return w, err
	}
	urls, err := w.gateways()
	if err != nil {
		return w, err
	}
	stop, err := load.Paint(ctx, urls, load.Normal)
	if err != nil {
		return w, err
	}
	w.later(stop)
	w.later(load.Read(ctx, "http://"+w.stack.Addr("playground"), 4))
	return w, nil
}

// folder makes one for Redis' files: in memory where the system has such a
// place, so that the faults are ours and not those of a busy disk.
func (w *world) folder(dir string) error {
	if info, err := os.Stat("/dev/shm"); err != nil || !info.IsDir() {
		w.data = filepath.Join(dir, "redis")
		return nil
	}
	parent, err := os.MkdirTemp("/dev/shm", "pixel-drill-")
	if err != nil {
		return err
	}
	w.later(func() error { return os.RemoveAll(parent) })
	w.data = filepath.Join(parent, "redis")
	return nil
}

// startCanary starts the canary behind proxies of its own.
func (w *world) startCanary(ctx context.Context) error {
	now, err := fleet.ReadState(w.stack.State)
	if err != nil {
		return err
	}
	var urls []string
	for _, g := range now.Of(fleet.Gateway) {
		p, err := w.proxy(ctx, g.Addr, false)
		if err != nil {
			return err
		}
		w.toGateways = append(w.toGateways, p)
		urls = append(urls, "ws://"+p.Addr()+"/ws")
	}
	if w.toAPI, err = w.proxy(ctx, w.stack.Addr("playground"), false); err != nil {
		return err
	}
	return w.stack.StartCanary(ctx, urls, "http://"+w.toAPI.Addr())
}

func (w *world) proxy(ctx context.Context, to string, redis bool) (*fault.Proxy, error) {
	var owner func(net.Conn) string
	if redis {
		owner = w.owner
	}
	p, err := fault.NewProxy(ctx, to, redis, owner)
	if err == nil {
		w.later(p.Close)
	}
	return p, err
}

// owner returns the pod whose connection it is.
func (w *world) owner(client net.Conn) string {
	now, err := fleet.ReadState(w.stack.State)
	w.mu.Lock()
	if err == nil {
		for _, p := range now.Processes {
			w.byPID[p.PID] = p.Pod
		}
	}
	all := maps.Clone(w.byPID)
	w.mu.Unlock()
	return fault.Owner(all, client)
}

// obey puts a rule in force on a proxy, for the owners that are meant, until
// the returned function is called.
func (w *world) obey(p *fault.Proxy, owners func(string) bool, f fault.Rule) func() error {
	one := &rule{owners, f}
	change := func(next func([]*rule) []*rule) {
		w.mu.Lock()
		w.rules[p] = next(slices.Clone(w.rules[p]))
		all := w.rules[p]
		w.mu.Unlock()
		p.Obey(func(owner string) fault.Rule {
			var sum fault.Rule
			for _, r := range all {
				if r.owners(owner) {
					sum.Delay = max(sum.Delay, r.rule.Delay)
					sum.Cut = sum.Cut || r.rule.Cut
					sum.DropMessages = sum.DropMessages || r.rule.DropMessages
				}
			}
			return sum
		})
	}
	change(func(all []*rule) []*rule { return append(all, one) })
	return func() error {
		change(func(all []*rule) []*rule { return slices.DeleteFunc(all, func(r *rule) bool { return r == one }) })
		return nil
	}
}

// gateways returns the WebSocket addresses of all gateways.
func (w *world) gateways() ([]string, error) {
	now, err := fleet.ReadState(w.stack.State)
	if err != nil {
		return nil, err
	}
	return now.GatewayURLs()
}

// create makes a canvas.
func (w *world) create(ctx context.Context, id string, side int) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+w.stack.Addr("playground")+"/api/canvases/"+id,
		bytes.NewReader(fmt.Appendf(nil, `{"width":%d,"height":%d}`, side, side)))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // of no use
	if answer.StatusCode >= http.StatusBadRequest {
		said, _ := io.ReadAll(io.LimitReader(answer.Body, 1024))
		return fmt.Errorf("runner: canvas %s: %s: %s", id, answer.Status, said)
	}
	return nil
}

func (w *world) later(stop func() error) { w.stops = append(w.stops, stop) }

// stop ends everything, the last one first.
func (w *world) stop() error {
	var failed error
	for _, stop := range slices.Backward(w.stops) {
		failed = errors.Join(failed, stop())
	}
	w.stops = nil
	return failed
}
