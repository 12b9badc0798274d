package api

import (
	"context"
	"strings"
	"testing"

	"github.com/cloud-pixel/playground/services/internal/config"
)

func optionsOf(values env) (Options, error) {
	reader := config.NewReader(func(name string) (string, bool) { v, ok := values[name]; return v, ok })
	o := OptionsFrom(reader)
	return o, reader.Err()
}

func TestOptions(t *testing.T) {
	o, err := optionsOf(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, values := range map[string]env{
		"LOG_MAX_ENTRIES":       {"LOG_MAX_ENTRIES": "1000"},
		"LOG_RETENTION":         {"LOG_RETENTION": "2000000"},
		"CHECKPOINT_OPERATIONS": {"CHECKPOINT_OPERATIONS": "0"},
		"CHECKPOINT_INTERVAL":   {"CHECKPOINT_INTERVAL": "1ns"},
		"MAX_BODY_BYTES":        {"MAX_BODY_BYTES": "1"},
		"READ_TIMEOUT":          {"READ_TIMEOUT": "0s"},
		"REST_REQUESTS_BURST":   {"REST_REQUESTS_BURST": "0"},
		"CANVASES":              {"CANVASES": "Not A Name"},
	} {
		if _, err := optionsOf(values); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v: %v", values, err)
		}
	}
	// What is put together by hand is checked, too, before anything starts.
	if err := Run(context.Background(), Options{}); err == nil || !strings.Contains(err.Error(), "no pod name") {
		t.Errorf("%v", err)
	}
}

// A process that cannot listen says so and leaves nothing behind.
func TestAddressInUse(t *testing.T) {
	server := newRedis(t)
	p := run(t, server, nil)
	o, err := optionsOf(env{"REDIS_URL": server.URL(), "ADDR": strings.TrimPrefix(p.base, "http://"), "LOG_LEVEL": "error"})
	if err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("%v", err)
	}
}
