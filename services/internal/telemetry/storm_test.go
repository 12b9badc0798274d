package telemetry_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-pixel/playground/services/internal/telemetry"
)

// In a storm few lines are written, and none is lost from the count.
func TestStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		storm := telemetry.NewStorm(telemetry.NewLogger(slog.LevelInfo, "json", &out), 10, 20)
		const events = 5000
		for range events {
			storm.Info(t.Context(), "connection opened", slog.String("canvas", "main"))
		}
		time.Sleep(time.Second)
		storm.Info(t.Context(), "connection opened", slog.String("canvas", "main"))
		lines, suppressed := 0, 0
		for line := range strings.Lines(out.String()) {
			var l struct{ Suppressed int }
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatal(err)
			}
			lines, suppressed = lines+1, suppressed+l.Suppressed
		}
		if lines != 21 || lines+suppressed != events+1 {
			t.Errorf("%d lines tell of %d suppressed ones; want 21 lines, %d events together", lines, suppressed, events+1)
		}
	})
}

func TestStormObeysTheLevel(t *testing.T) {
	var out strings.Builder
	telemetry.NewStorm(telemetry.NewLogger(slog.LevelWarn, "json", &out), 10, 20).Info(t.Context(), "connection opened")
	if out.Len() > 0 {
		t.Error(out.String())
	}
}
