package telemetry_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/cloud-pixel/playground/services/internal/telemetry"
)

func TestLogNamesServiceAndPod(t *testing.T) {
	var out strings.Builder
	log := telemetry.NewLogger(slog.LevelInfo, "json", &out)
	tel := telemetry.New("gateway", "gateway-0", telemetry.WithLogger(log))
	tel.Logger.Debug("not shown")
	tel.Logger.Info("hello", "n", 1)
	var line map[string]any
	if err := json.Unmarshal([]byte(out.String()), &line); err != nil {
		t.Fatalf("not one line of JSON: %q", out.String())
	}
	if line["service"] != "gateway" || line["pod"] != "gateway-0" || line["msg"] != "hello" {
		t.Error(line)
	}
}

func TestText(t *testing.T) {
	var out strings.Builder
	telemetry.NewLogger(slog.LevelInfo, "text", &out).Info("hello")
	if !strings.Contains(out.String(), "msg=hello") {
		t.Error(out.String())
	}
}

// Two services of one process have registries of their own.
func TestRegistry(t *testing.T) {
	for _, service := range []string{"gateway", "api"} {
		tel := telemetry.New(service, "p")
		for name, want := range map[string]int{"pixel_build_info": 1, "go_goroutines": 1, "process_start_time_seconds": 1} {
			if n, err := testutil.GatherAndCount(tel.Registry, name); err != nil || n != want {
				t.Errorf("%s: %d, %v", name, n, err)
			}
		}
		if problems, err := testutil.GatherAndLint(tel.Registry, "pixel_build_info"); err != nil || len(problems) > 0 {
			t.Error(problems, err)
		}
	}
}
