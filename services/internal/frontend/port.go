package frontend

import (
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// A URL may leave out the host and name a port alone, as :30002/ws: the host is
// the one by which the page itself was reached. That is what a cluster without
// an ingress needs, whose nodes have as many names as there are ways to them.

// isPort tells whether a URL is of that form.
func isPort(s string) bool { return strings.HasPrefix(s, ":") }

func validPort(s string) bool {
	port, path, found := strings.Cut(s[1:], "/")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return false
	}
	_, err = url.Parse("/" + path)
	return !found || err == nil
}

// resolve returns the URL as the page needs it that came by this request. A
// host that no browser sends leaves the page with its own origin.
func resolve(s, scheme string, r *http.Request) string {
	if !isPort(s) {
		return s
	}
	if !safeHost(r.Host) {
		return ""
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = strings.Trim(r.Host, "[]") // no port
	}
	port, path, rooted := strings.Cut(s[1:], "/")
	u := scheme + "://" + net.JoinHostPort(host, port)
	if rooted {
		u += "/" + path
	}
	return u
}
