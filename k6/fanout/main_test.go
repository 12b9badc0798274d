package fanout

import (
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/cloud-pixel/playground/k6/internal/fakegateway"
	"github.com/cloud-pixel/playground/services/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// options of a group on a server, whose clients come back at once.
func options(s *fakegateway.Server, codec client.Codec) Options {
	return Options{
		URLs: []string{"ws://fake/ws"}, Codec: codec, Backoff: client.Backoff{Min: time.Millisecond, Max: 5 * time.Millisecond},
		Dialer:     &websocket.Dialer{NetDialContext: s.DialContext, HandshakeTimeout: 5 * time.Second},
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: s.DialContext, DisableKeepAlives: true}},
	}
}
