//go:build cluster

package cluster

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// usage is what the pods of an app use together.
type usage struct {
	pods      int
	resident  float64 // bytes of the largest pod
	processor float64 // seconds of all
}

var sample = regexp.MustCompile(`(?m)^(process_resident_memory_bytes|process_cpu_seconds_total) (\S+)$`)

// use reads what the pods of an app tell about themselves, through the API
// server.
func use(t *testing.T, app string) usage {
	t.Helper()
	u := usage{}
	for _, p := range running(t, app) {
		u.pods++
		text := mustKubectl(t, "get", "--raw", fmt.Sprintf("/api/v1/namespaces/%s/pods/%s:9464/proxy/metrics", namespace, p.Name))
		for _, m := range sample.FindAllStringSubmatch(text, -1) {
			v, err := strconv.ParseFloat(m[2], 64)
			if err != nil {
				t.Fatal(err)
			}
			if m[1] == "process_cpu_seconds_total" {
				u.processor += v
			} else {
				u.resident = max(u.resident, v)
			}
		}
	}
	return u
}

// What pods use, for the table of sizes in docs/DEPLOYMENT.md.
func TestSizes(t *testing.T) {
	for _, load := range []struct {
		people, drawing int
		every           time.Duration
	}{
		{0, 0, 0},
		{2000, 0, 0},
		{2000, 20, time.Second},
		{200, 200, time.Second},
	} {
		t.Run(fmt.Sprintf("%d people, %d draw", load.people, load.drawing), func(t *testing.T) {
			settle(t)
			var c *crowd
			if load.people > 0 {
				c = gather(t, load.people, 0)
				for i, p := range c.people[:load.drawing] {
					c.drawing.Go(func() { p.draw(t.Context(), i, load.every) })
				}
			}
			pause(t, 5*time.Second)
			before := map[string]usage{}
			for name, app := range apps {
				before[name] = use(t, app)
			}
			const during = 20 * time.Second
			pause(t, during)
			text := ""
			for _, name := range []string{"gateway", "api", "frontend"} {
				u := use(t, apps[name])
				text += fmt.Sprintf("%s: %.0f MB at most, %.0f millicores each; ", name, u.resident/1e6, 1000*(u.processor-before[name].processor)/during.Seconds()/float64(u.pods))
			}
			report(t, "%s", text)
		})
	}
}
