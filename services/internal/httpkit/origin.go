package httpkit

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// OriginAllowed tells whether a request may come from the page that sent it:
// a browser names that page's origin, so that no foreign page can act in its
// user's name. Without an Origin it is no browser, and allowed. The page may
// come from the same hostname as this request, on any port, or from the list,
// whose entries are origins (https://example.org), hostnames (any scheme and
// port) or "*" for all.
func OriginAllowed(r *http.Request, allowed []string) bool {
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return true
	}
	origin := origins[0]
	if len(origins) > 1 {
		return false
	}
	if slices.Contains(allowed, "*") {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false // "null" among them: a sandboxed or local page
	}
	if strings.EqualFold(u.Hostname(), hostname(r.Host)) {
		return true
	}
	return slices.ContainsFunc(allowed, func(a string) bool {
		return strings.EqualFold(strings.TrimSuffix(a, "/"), origin) || strings.EqualFold(a, u.Hostname())
	})
}

func hostname(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}
