package fanout

import (
	"context"
	"net"
	"net/http"
)

// useNetwork lets the group's REST calls go over a network of the test's own.
func (g *Group) useNetwork(dial func(context.Context, string, string) (net.Conn, error)) {
	g.http.Transport = &http.Transport{DialContext: dial, DisableKeepAlives: true}
}
