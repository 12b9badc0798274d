package gateway

import (
	"time"

	"github.com/cloud-pixel/playground/services/protocol"
)

// What clients measure by themselves goes into histograms, as they say it. It
// costs nobody else anything if they lie, but it must not drown what the others
// say: so there is a bound on the values and on how many come from one
// connection. What is over it is left out and counted, without an answer: a
// client has nothing to send again.
const (
	// reportsPerSecond and reportsBurst bound what one connection reports.
	reportsPerSecond = 1
	reportsBurst     = 10
	// maxReport is the longest time that counts. A page that slept for a night
	// and came back tells nothing of this system.
	maxReport = 10 * time.Minute
)

// report takes a measurement.
func (c *conn) report(now time.Time, m protocol.Telemetry, inTime bool) {
	outcomes := c.gateway.metrics.reports[m.Measure]
	took := time.Duration(m.Millis) * time.Millisecond
	if inTime {
		_, inTime = take(c.reports, now, 1)
	}
	switch {
	case !inTime:
		outcomes[reportLimited].Inc()
	case took > maxReport:
		outcomes[reportRange].Inc()
	default:
		outcomes[reportAccepted].Inc()
		c.gateway.metrics.reported[m.Measure][m.Vantage].Observe(took.Seconds())
	}
}
