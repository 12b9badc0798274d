package query

import (
	"slices"
	"testing"
	"time"
)

func TestMetricsNamesWhatIsRead(t *testing.T) {
	got, err := Metrics(`sum by (le) (rate(b_bucket{le="0.2"}[5m])) / on() group_left() {__name__="a"} and absent(c offset 5m)`)
	if err != nil || !slices.Equal(got, []string{"a", "b_bucket", "c"}) {
		t.Fatal(got, err)
	}
	for _, bad := range []string{`sum(`, `rate(a)`, `{__name__=~"a.*"}`, `{job="x"}`} {
		if names, err := Metrics(bad); err == nil {
			t.Errorf("%q passed with %v", bad, names)
		}
	}
}

func TestShortenDividesAllTimes(t *testing.T) {
	for text, want := range map[string]string{
		`rate(a[5m])`:                 `rate(a[10s])`,
		`rate(a[1m])`:                 `rate(a[5s])`, // the floor
		`rate(a[2s])`:                 `rate(a[2s])`, // never longer than it was
		`max_over_time(a[1h]) > 3600`: `max_over_time(a[2m]) > 3600`,
		`max_over_time(sum(rate(a[5m]))[1h:30s])`: `max_over_time(sum(rate(a[10s]))[2m:1s])`,
		`a - a offset 1h`:                         `a - a offset 2m`,
	} {
		got, err := Shorten(text, 30, 5*time.Second)
		if err != nil || got != want {
			t.Errorf("%s became %s (%v), want %s", text, got, err, want)
		}
	}
}

func TestGrafanaReplacesItsVariables(t *testing.T) {
	got := Grafana(`sum(rate(a{job="$job",pod=~"${pod:regex}"}[$__rate_interval]))`, "1m", ".+")
	if want := `sum(rate(a{job=".+",pod=~".+"}[1m]))`; got != want {
		t.Fatal(got)
	}
}
