package model

import (
	"fmt"
	"sort"
	"strings"
	"sync"

	"github.com/cloud-pixel/playground/services/client"
)

// tally counts over all examples what came to pass in them: what never did, was
// not tried.
type tally struct {
	mu     sync.Mutex
	counts map[string]uint64
}

func newTally() *tally { return &tally{counts: map[string]uint64{}} }

func (c *tally) add(what string, n uint64) {
	c.mu.Lock()
	c.counts[what] += n
	c.mu.Unlock()
}

func (c *tally) examples(actions int) {
	c.add("examples", 1)
	c.add("actions", uint64(actions-1)) // the first line tells the settings
}

func (c *tally) client(s client.Stats) {
	c.add("operations acknowledged", s.Acked)
	c.add("operations sent again", s.Resent)
	c.add("ranges received", s.Ranges)
	c.add("pictures received", s.Snapshots)
	c.add("pictures loaded", s.Reloads)
	for kind, n := range s.Recoveries {
		c.add("recoveries: "+kind.String(), n)
	}
	for code, n := range s.Refused {
		c.add(fmt.Sprintf("refused: %v", code), n)
	}
}

// gateway counts what a gateway did that ends now.
func (c *tally) gateway(g *gatewayProcess) {
	for what, of := range map[string][2]string{
		"appends tried again":      {"pixel_append_retries_total", ""},
		"operations found twice":   {"pixel_append_duplicates_total", ""},
		"operations repaired":      {"pixel_replica_repaired_operations_total", ""},
		"duplicates dropped":       {"pixel_replica_duplicate_messages_total", ""},
		"gaps in live messages":    {"pixel_replica_gaps_total", ""},
		"epochs that have changed": {"pixel_replica_epoch_changes_total", ""},
		"resumed from memory":      {"pixel_resumes_total", "memory"},
		"resumed from the log":     {"pixel_resumes_total", "log"},
		"resumed with a picture":   {"pixel_resumes_total", "snapshot"},
		"clients that were slow":   {"pixel_hub_slow_consumers_total", ""},
		"sockets that were full":   {"pixel_hub_blocked_writes_total", ""},
		"conflated ranges":         {"pixel_hub_conflated_ranges_total", ""},
		"pictures for lag":         {"pixel_hub_pictures_total", "lag"},
	} {
		if n, err := g.metric(of[0], of[1]); err == nil {
			c.add(what, uint64(n))
		} else {
			c.add(err.Error(), 1)
		}
	}
}

func (c *tally) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var lines []string
	for what, n := range c.counts {
		lines = append(lines, fmt.Sprintf("%s: %d", what, n))
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}
