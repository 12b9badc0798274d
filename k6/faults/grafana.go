package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Grafana returns a function for Chaos.Annotate that marks faults in Grafana's
// dashboards, as annotations with the tags "chaos", kind and target. token is
// a service account's; empty: none is sent.
// (https://grafana.com/docs/grafana/latest/developers/http_api/annotations/)
func Grafana(url, token string) func(context.Context, Event) error {
	address := strings.TrimRight(url, "/") + "/api/annotations"
	return func(ctx context.Context, e Event) error {
		text, at := e.String(), e.At
		if !e.Recovered.IsZero() {
			text, at = fmt.Sprintf("%s: recovered after %s", e, e.Recovered.Sub(e.At).Round(time.Millisecond)), e.Recovered
		}
		body, err := json.Marshal(map[string]any{
			"time": at.UnixMilli(), "text": text, "tags": []string{"chaos", string(e.Kind), e.Target},
		})
		if err != nil {
			return err
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
		if err != nil {
			return fmt.Errorf("faults: annotation: %w", err)
		}
		r.Header.Set("Content-Type", "application/json")
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return fmt.Errorf("faults: annotation: %w", err)
		}
		defer answer.Body.Close() //nolint:errcheck // only read from
		if answer.StatusCode != http.StatusOK {
			why, _ := io.ReadAll(io.LimitReader(answer.Body, 300)) // best effort, for people
			return fmt.Errorf("faults: annotation: Grafana answers %s: %s", answer.Status, why)
		}
		return nil
	}
}
