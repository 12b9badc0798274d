package faults

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func await(t *testing.T, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to that")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestGrafana(t *testing.T) {
	type annotation struct {
		Time int64
		Text string
		Tags []string
	}
	var got []annotation
	var token string
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var a annotation
		if r.Method != http.MethodPost || r.URL.Path != "/grafana/api/annotations" || json.NewDecoder(r.Body).Decode(&a) != nil {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		got, token = append(got, a), r.Header.Get("Authorization")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"message":"so it is"}`))
	}))
	defer http.DefaultClient.CloseIdleConnections()
	defer server.Close()

	annotate := Grafana(server.URL+"/grafana/", "secret")
	e := Event{At: time.UnixMilli(1_000_000), Kind: Kill, Target: "gateway-1"}
	if err := annotate(t.Context(), e); err != nil {
		t.Error(err)
	}
	e.Recovered = time.UnixMilli(1_001_500)
	if err := annotate(t.Context(), e); err != nil {
		t.Error(err)
	}
	if len(got) != 2 || got[0].Time != 1_000_000 || got[0].Text != "kill gateway-1" || got[1].Time != 1_001_500 ||
		!strings.Contains(got[1].Text, "1.5s") || strings.Join(got[0].Tags, " ") != "chaos kill gateway-1" || token != "Bearer secret" {
		t.Errorf("%+v with %q", got, token)
	}
	status = http.StatusForbidden
	if err := annotate(t.Context(), e); err == nil || !strings.Contains(err.Error(), "403") || strings.Contains(err.Error(), "secret") {
		t.Errorf("refused: %v", err)
	}
}
