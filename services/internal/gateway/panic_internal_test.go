package gateway

import (
	"log/slog"
	"net"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/cloud-pixel/playground/services/internal/hub"
	"github.com/cloud-pixel/playground/services/protocol"
)

// A defect in handling what one client sent ends its connection, with the code
// that says so, is counted, and goes no further.
func TestPanicEndsOneConnection(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	g := &Gateway{metrics: newMetrics(prometheus.NewRegistry()), logger: slog.New(slog.DiscardHandler)}
	c := &conn{gateway: g, socket: &socket{Conn: here}, out: hub.NewConn(nil, hub.JSON)} // without a WebSocket
	if code := g.readSafely(c); code != 0 {
		t.Errorf("code %d", code)
	}
	if n := testutil.ToFloat64(g.metrics.panics); n != 1 {
		t.Errorf("%v panics counted", n)
	}
	if code := c.closedBy.Load(); code != protocol.CloseInternal {
		t.Errorf("closed by %d", code)
	}
}
