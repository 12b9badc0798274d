package canary

import (
	"context"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/cloud-pixel/playground/observability/internal/tree"
	"github.com/cloud-pixel/playground/services/fleet"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

func TestOptionsAreChecked(t *testing.T) {
	good := Options{Gateways: []string{"ws://a/ws"}, API: "http://a", Canvas: "canary", Every: time.Second, Timeout: time.Second}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Options){
		"no gateway":     func(o *Options) { o.Gateways = nil },
		"a bad gateway":  func(o *Options) { o.Gateways = []string{"http://a"} },
		"a bad api":      func(o *Options) { o.API = "a:3001" },
		"a bad canvas":   func(o *Options) { o.Canvas = "No" },
		"no interval":    func(o *Options) { o.Every = 0 },
		"no time at all": func(o *Options) { o.Timeout = 0 },
		"many, too many": func(o *Options) { o.Gateways = make([]string, size) },
	} {
		o := good
		change(&o)
		if o.Validate() == nil {
			t.Errorf("%s passed", name)
		}
	}
}

// TestCanaryTellsWhoIsGone runs the canary on the real services: all attempts
// succeed by gateway; a gateway that hangs shows as time-outs of itself.
func TestCanaryTellsWhoIsGone(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	program := filepath.Join(t.TempDir(), "playground")
	root, err := tree.Root()
	if err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./services/playground")
	build.Dir = filepath.Dir(root) // a module of its own
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f, err := fleet.Start(fleet.Options{Program: program, Gateways: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	})
	state, err := f.Ready(ctx, 2, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	urls, err := state.GatewayURLs()
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewPedanticRegistry()
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- Run(running, Options{Gateways: urls, API: state.URL, Canvas: "canary", Every: 50 * time.Millisecond, Timeout: 2 * time.Second, Registerer: registry})
	}()
	count := func(gateway, check, outcome string) float64 {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				has := map[string]string{}
				for _, l := range m.GetLabel() {
					has[l.GetName()] = l.GetValue()
				}
				if f.GetName() == "pixel_canary_probes_total" && has["gateway"] == gateway && has["check"] == check && has["outcome"] == outcome {
					return m.GetCounter().GetValue()
				}
			}
		}
		return 0
	}
	await := func(what string, holds func() bool) {
		t.Helper()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for !holds() {
			select {
			case <-ctx.Done():
				t.Fatalf("never: %s", what)
			case err := <-ended:
				t.Fatalf("the canary ended: %v", err)
			case <-tick.C:
			}
		}
	}
	pods := state.Of(fleet.Gateway)
	for _, pod := range pods {
		await(pod.Pod+" draws and connects", func() bool {
			return count(pod.Pod, "draw", "ok") >= 3 && count(pod.Pod, "connect", "ok") >= 1
		})
	}
	await("REST works", func() bool { return count("api", "write", "ok") >= 3 && count("api", "read", "ok") >= 3 })
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
	if err := f.Signal(pods[0].Pod, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	await("the gateway that hangs is told", func() bool { return count(pods[0].Pod, "draw", "timeout") >= 1 })
	if err := f.Signal(pods[0].Pod, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	was := count(pods[0].Pod, "draw", "ok")
	await("it is well again", func() bool { return count(pods[0].Pod, "draw", "ok") > was+2 })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
