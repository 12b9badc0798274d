package gateway_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/internal/gateway"
	"github.com/cloud-pixel/playground/services/internal/telemetry"
	"github.com/cloud-pixel/playground/services/protocol"
)

// At the most talkative level, too, the log tells of connections and of nothing
// that people draw, write or keep secret.
func TestLogsTellOfConnectionsOnly(t *testing.T) {
	out := &lines{}
	g := start(t, redis(t, embedded.Options{}).URL(), "gateway-0", func(o *gateway.Options) {
		o.Telemetry = telemetry.New("gateway", o.Pod, telemetry.WithLogger(telemetry.NewLogger(slog.LevelDebug, "json", out)))
	})
	session := protocol.NewSession()
	c := connect(t, client.Options{Session: session, Name: "Zaphod Beeblebrox"}, g)
	ctx := deadline(t)
	if _, err := c.Draw(ctx, canvas.Pixel{X: 37, Y: 41, Color: 0xABC123}); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the connection is logged", func() bool {
		return strings.Contains(out.String(), "connection ended")
	})
	logs := out.String()
	for _, secret := range []string{session.Hex(), fmt.Sprintf("%d", [16]byte(session)), "Zaphod", "ABC123", "abc123", fmt.Sprint(0xABC123)} {
		if strings.Contains(logs, secret) {
			t.Errorf("%q is in the log:\n%s", secret, logs)
		}
	}
	seen := make(map[string]map[string]any)
	for line := range strings.Lines(logs) {
		var l map[string]any
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("not JSON: %s", line)
		}
		seen[l["msg"].(string)] = l
	}
	for message, keys := range map[string][]string{
		"connection opened": {"time", "level", "service", "pod", "client", "canvas", "codec", "resumption"},
		"connection ended":  {"time", "level", "service", "pod", "client", "canvas", "code", "seconds"},
	} {
		for _, key := range keys {
			if _, ok := seen[message][key]; !ok {
				t.Errorf("%q has no %s: %v", message, key, seen[message])
			}
		}
	}
	if seen["connection opened"]["client"] != seen["connection ended"]["client"] {
		t.Error("the two lines of one connection name different clients")
	}
}
