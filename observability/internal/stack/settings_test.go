package stack

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cloud-pixel/playground/services/fleet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Every address of the configuration files is one that something listens at.
func TestRelocate(t *testing.T) {
	at := map[string]string{}
	for part := range fixed {
		at[part] = "elsewhere:" + part
	}
	for _, path := range []string{"prometheus/prometheus.yaml", "alertmanager/alertmanager.yaml", "collector/collector.yaml"} {
		content, err := os.ReadFile(filepath.Join("../..", path))
		if err != nil {
			t.Fatal(err)
		}
		made, err := relocate(content, at)
		if err != nil || strings.Contains(string(made), "127.0.0.1:") {
			t.Errorf("%s: %v\n%s", path, err, made)
		}
	}
	if _, err := relocate([]byte("url: http://127.0.0.1:1"), at); err == nil {
		t.Error("an address that nobody knows is taken")
	}
}

func TestShorten(t *testing.T) {
	made, err := shorten([]byte("scrape_interval: 5s\nroute: {group_wait: 10s, repeat_interval: 12h, routes: [{group_interval: 5m}]}\nother: 5s\n"),
		Short{Factor: 30, Interval: time.Second, Group: 2 * time.Second})
	want := "scrape_interval: 1s\nroute: {group_wait: 2s, repeat_interval: 24m, routes: [{group_interval: 10s}]}\nother: 5s\n"
	if err != nil || string(made) != want {
		t.Errorf("%v\n%s", err, made)
	}
	if _, err := shorten([]byte("group_wait: soon"), Short{Factor: 30}); err == nil {
		t.Error("a time that is none is taken")
	}
}

// The file of targets follows the playground's state and what is added.
func TestTargets(t *testing.T) {
	dir := t.TempDir()
	f := &targets{path: filepath.Join(dir, "targets.json"), state: filepath.Join(dir, "state.json"), extra: map[string]target{}}
	labels := func() string {
		t.Helper()
		if err := f.write(); err != nil {
			t.Fatal(err)
		}
		var all []target
		content, err := os.ReadFile(f.path)
		if err == nil {
			err = json.Unmarshal(content, &all)
		}
		if err != nil {
			t.Fatal(err)
		}
		var words []string
		for _, one := range all {
			words = append(words, one.Labels["job"]+" "+one.Labels["pod"]+" "+one.Targets[0])
		}
		return strings.Join(words, ", ")
	}
	if got := labels(); got != "" {
		t.Errorf("without a playground there is %q", got)
	}
	if err := fleet.WriteState(f.state, fleet.State{Processes: []fleet.Process{{Service: "api", Pod: "api-0", Addr: "a:1"}}}); err != nil {
		t.Fatal(err)
	}
	f.set("canary", "canary-0", "c:1")
	if got := labels(); got != "api api-0 a:1, canary canary-0 c:1" {
		t.Error(got)
	}
	f.drop("canary-0")
	if got := labels(); got != "api api-0 a:1" {
		t.Error(got)
	}
}

func TestWebhook(t *testing.T) {
	w := NewWebhook(nil)
	_, more := w.Arrivals()
	answer := httptest.NewRecorder()
	w.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/pager", strings.NewReader(
		`{"alerts":[{"status":"firing","labels":{"alertname":"A"},"annotations":{"summary":"s","runbook_url":"r"}},{"status":"resolved","labels":{"alertname":"B"}}]}`)))
	<-more
	all, _ := w.Arrivals()
	if len(all) != 2 || !all[0].Firing || all[1].Firing || all[0].Receiver != "pager" || all[0].Labels["alertname"] != "A" || all[0].Summary != "s" || all[0].Runbook != "r" {
		t.Errorf("%+v", all)
	}
	answer = httptest.NewRecorder()
	if w.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/pager", strings.NewReader("no"))); answer.Code != http.StatusBadRequest {
		t.Error(answer.Code)
	}
}

// A program is started, stopped and started again, and what ends by itself is
// told with its log.
func TestProcess(t *testing.T) {
	p := &Process{Name: "sleep", path: "/bin/sh", args: []string{"-c", "exec sleep 1000"}, log: filepath.Join(t.TempDir(), "log")}
	if p.PID() != 0 || p.Stop() != nil {
		t.Error("it runs before it was started")
	}
	for range 2 {
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		if p.PID() == 0 {
			t.Error("it does not run")
		}
		if err := p.Stop(); err != nil || p.PID() != 0 {
			t.Error(err)
		}
	}
	p.args = []string{"-c", "exit 3"}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	<-p.Ended()
	if err := p.Signal(0); err == nil || !strings.Contains(err.Error(), "does not run") {
		t.Error(err)
	}
	p.path = "/nowhere"
	if err := p.Start(); err == nil {
		t.Error("a program that does not exist was started")
	}
}

func TestFindSaysHowToGetIt(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := find(t.TempDir(), "jaeger"); err == nil || !strings.Contains(err.Error(), "make tools") {
		t.Error(err)
	}
}
