package observability

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// alertmanager is a real one with the committed configuration.
type alertmanager struct{ url string }

func startAlertmanager(t *testing.T, root string) alertmanager {
	t.Helper()
	program, err := exec.LookPath("prometheus-alertmanager") // its name in Debian
	if err != nil {
		program = tool(t, "alertmanager", "prometheus-alertmanager")
	}
	// The configuration names no port of ours, and nobody listens at its
	// receivers: what is sent fails, and is not what this looks at.
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	_ = free.Close()
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(program, "--config.file="+filepath.Join(root, "alertmanager", "alertmanager.yaml"),
		"--storage.path="+dir, "--web.listen-address="+addr, "--cluster.listen-address=")
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		_ = c.Wait()
		_ = log.Close()
		if t.Failed() {
			content, _ := os.ReadFile(log.Name())
			t.Logf("alertmanager:\n%s", content)
		}
	})
	a := alertmanager{"http://" + addr}
	await(t, "Alertmanager is ready", func() bool {
		_, err := a.do(t, http.MethodGet, "/-/ready", nil)
		return err == nil
	})
	return a
}

func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

func (a alertmanager) do(t *testing.T, method, path string, body any) ([]byte, error) {
	t.Helper()
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		content = bytes.NewReader(encoded)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, a.url+path, content)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, got)
	}
	return got, err
}

type labelled struct {
	Labels map[string]string `json:"labels"`
}

// fire makes exactly these alerts fire, and returns which of them are inhibited
// and to whom each is routed, by name/severity.
func (a alertmanager) fire(t *testing.T, alerts ...map[string]string) (inhibited []string, receivers map[string]string) {
	t.Helper()
	var post []labelled
	for _, labels := range alerts {
		post = append(post, labelled{labels})
	}
	if _, err := a.do(t, http.MethodPost, "/api/v2/alerts", post); err != nil {
		t.Fatal(err)
	}
	type shown struct {
		labelled
		Receivers []struct{ Name string }
		Status    struct{ InhibitedBy []string }
	}
	var got []shown
	// The inhibitor learns of alerts by itself, a moment after they are there.
	settled, last := 0, ""
	await(t, "Alertmanager shows the alerts", func() bool {
		content, err := a.do(t, http.MethodGet, "/api/v2/alerts", nil)
		if err != nil || json.Unmarshal(content, &got) != nil || len(got) < len(alerts) {
			return false
		}
		now := ""
		for _, g := range got {
			now += fmt.Sprint(g.Labels["alertname"], len(g.Status.InhibitedBy) > 0)
		}
		if now != last {
			settled, last = 0, now
		}
		settled++
		return settled > 3
	})
	receivers = map[string]string{}
	for _, g := range got {
		name := g.Labels["alertname"] + "/" + g.Labels["severity"]
		if len(g.Status.InhibitedBy) > 0 {
			inhibited = append(inhibited, name)
		}
		for _, r := range g.Receivers {
			receivers[name] += r.Name
		}
	}
	slices.Sort(inhibited)
	return inhibited, receivers
}

// TestAlertmanagerRoutesBySeverity: each rule's alert reaches just the receiver
// of its severity.
func TestAlertmanagerRoutesBySeverity(t *testing.T) {
	a := read(t)
	am := startAlertmanager(t, a.root)
	var all []map[string]string
	want := map[string]string{}
	for _, r := range a.built.Alerts() {
		labels := map[string]string{"alertname": r.Alert}
		for k, v := range r.Labels {
			labels[k] = v
		}
		all = append(all, labels)
		want[r.Alert+"/"+r.Labels["severity"]] = map[string]string{"critical": "pager", "warning": "tickets", "none": "watchdog"}[r.Labels["severity"]]
	}
	_, receivers := am.fire(t, all...)
	for name, to := range want {
		// Several objectives of one alert show its receiver as often.
		if strings.ReplaceAll(receivers[name], to, "") != "" || receivers[name] == "" {
			t.Errorf("%s goes to %q, want %s", name, receivers[name], to)
		}
	}
}

// TestAlertmanagerInhibits: what follows from a greater trouble is kept back,
// and nothing else is.
func TestAlertmanagerInhibits(t *testing.T) {
	a := read(t)
	alert := func(name, severity string, more ...string) map[string]string {
		labels := map[string]string{"alertname": name, "severity": severity}
		for i := 0; i < len(more); i += 2 {
			labels[more[i]] = more[i+1]
		}
		return labels
	}
	for name, c := range map[string]struct {
		fire []map[string]string
		want []string
	}{
		"Redis is down": {
			[]map[string]string{
				alert("RedisDown", "critical"), alert("RedisUnreachable", "warning", "job", "gateway", "pod", "gateway-0"),
				alert("AppendQueueSaturated", "warning", "pod", "gateway-0"), alert("DurabilityBudgetBurn", "critical", "slo", "durability"),
				alert("OperationsLost", "critical"), alert("ConvergenceMismatch", "critical"), alert("Watchdog", "none"),
				alert("TargetDown", "warning", "job", "redis"),
			},
			[]string{"AppendQueueSaturated/warning", "DurabilityBudgetBurn/critical", "RedisUnreachable/warning", "TargetDown/warning"},
		},
		"the greater of two of one name and objective": {
			[]map[string]string{
				alert("DeliveryBudgetBurn", "critical", "slo", "delivery"), alert("DeliveryBudgetBurn", "warning", "slo", "delivery"),
				alert("RecoveryBudgetBurn", "warning", "slo", "recovery"),
			},
			[]string{"DeliveryBudgetBurn/warning"},
		},
		"no api": {
			[]map[string]string{
				alert("ServiceDown", "critical", "job", "api"), alert("ReplicasMissing", "warning", "job", "api"),
				alert("TargetDown", "warning", "job", "api", "pod", "api-0"), alert("ApiAvailabilityBudgetBurn", "critical", "slo", "api-availability"),
				alert("SlowClients", "warning", "job", "gateway"),
			},
			[]string{"ApiAvailabilityBudgetBurn/critical", "ReplicasMissing/warning", "TargetDown/warning"},
		},
		"a process is missing, and another target is down": {
			[]map[string]string{
				alert("ReplicasMissing", "warning", "job", "gateway"), alert("TargetDown", "warning", "job", "gateway", "pod", "gateway-0"),
				alert("InputRefused", "warning", "job", "gateway"),
			},
			[]string{"TargetDown/warning"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			inhibited, _ := startAlertmanager(t, a.root).fire(t, c.fire...)
			if !slices.Equal(inhibited, c.want) {
				t.Errorf("inhibited are %v, want %v", inhibited, c.want)
			}
		})
	}
}

// TestDrillsExpectSilence: what a drill says is kept back is kept back by its
// alert in the real configuration.
func TestDrillsExpectSilence(t *testing.T) {
	a := read(t)
	for _, d := range a.drills {
		if len(d.Silent) == 0 {
			continue
		}
		t.Run(d.Alert, func(t *testing.T) {
			fire := []map[string]string{{"alertname": d.Alert, "severity": "critical", "job": "gateway"}}
			var want []string
			for _, name := range d.Silent {
				fire = append(fire, map[string]string{"alertname": name, "severity": "warning", "job": "gateway", "pod": "gateway-0"})
				want = append(want, name+"/warning")
			}
			slices.Sort(want)
			if inhibited, _ := startAlertmanager(t, a.root).fire(t, fire...); !slices.Equal(inhibited, want) {
				t.Errorf("inhibited are %v, want %v", inhibited, want)
			}
		})
	}
}
