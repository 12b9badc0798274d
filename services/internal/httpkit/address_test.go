package httpkit

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func prefixes(s string) []netip.Prefix {
	var all []netip.Prefix
	for word := range strings.FieldsSeq(s) {
		all = append(all, netip.MustParsePrefix(word))
	}
	return all
}

func TestClientIPAndLimits(t *testing.T) {
	const private = "10.0.0.0/8 127.0.0.0/8 fd00::/8"
	for _, c := range []struct {
		name, peer string
		header     http.Header
		trusted    string
		want       string
		limits     bool
	}{
		{"direct", "203.0.113.7:1234", nil, "", "203.0.113.7", true},
		{"direct, IPv6 with zone", "[fe80::1%eth0]:1", nil, "", "fe80::1", true},
		{"IPv4 within IPv6", "[::ffff:203.0.113.7]:1", nil, "", "203.0.113.7", true},
		{"unknown proxy", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"203.0.113.7"}}, "", "10.0.0.1", false},
		{"unknown proxy, Forwarded", "10.0.0.1:1", http.Header{"Forwarded": {"for=203.0.113.7"}}, "", "10.0.0.1", false},
		{"unknown proxy, X-Real-IP", "10.0.0.1:1", http.Header{"X-Real-Ip": {"203.0.113.7"}}, "", "10.0.0.1", false},
		{"public client that plays a proxy", "203.0.113.7:1", http.Header{"X-Forwarded-For": {"1.2.3.4"}, "X-Real-Ip": {"1.2.3.4"}}, "", "203.0.113.7", true},
		{"public IPv6 client that plays a proxy", "[2001:db8::1]:1", http.Header{"Forwarded": {"for=1.2.3.4"}}, "", "2001:db8::1", true},
		{"public client that plays a proxy, IPv4 within IPv6", "[::ffff:203.0.113.7]:1", http.Header{"X-Forwarded-For": {"1.2.3.4"}}, "", "203.0.113.7", true},
		{"just outside the shared space", "100.128.0.1:1", http.Header{"X-Forwarded-For": {"1.2.3.4"}}, "", "100.128.0.1", true},
		{"unknown proxy, loopback", "127.0.0.1:1", http.Header{"X-Forwarded-For": {"1.2.3.4"}}, "", "127.0.0.1", false},
		{"unknown proxy, IPv6 loopback", "[::1]:1", http.Header{"X-Forwarded-For": {"1.2.3.4"}}, "", "::1", false},
		{"unknown proxy, unique local", "[fd00::2]:1", http.Header{"X-Forwarded-For": {"1.2.3.4"}}, "", "fd00::2", false},
		{"unknown proxy, link-local", "169.254.1.1:1", http.Header{"X-Forwarded-For": {"1.2.3.4"}}, "", "169.254.1.1", false},
		{"unknown proxy, IPv6 link-local", "[fe80::1%eth0]:1", http.Header{"X-Forwarded-For": {"1.2.3.4"}}, "", "fe80::1", false},
		{"unknown proxy, shared space", "100.64.0.1:1", http.Header{"X-Forwarded-For": {"1.2.3.4"}}, "", "100.64.0.1", false},
		{"unknown proxy, private within IPv6", "[::ffff:10.0.0.1]:1", http.Header{"X-Forwarded-For": {"1.2.3.4"}}, "", "10.0.0.1", false},
		{"one proxy", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"203.0.113.7"}}, private, "203.0.113.7", true},
		{"two proxies", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"203.0.113.7, 10.9.9.9"}}, private, "203.0.113.7", true},
		{"two lines", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"1.2.3.4, 203.0.113.7", "10.9.9.9"}}, private, "203.0.113.7", true},
		{"client lies", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"1.2.3.4,203.0.113.7"}}, private, "203.0.113.7", true},
		{"client lies about a proxy", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"10.1.1.1,203.0.113.7"}}, private, "203.0.113.7", true},
		{"header from a stranger", "203.0.113.7:1", http.Header{"X-Forwarded-For": {"1.2.3.4"}}, private, "203.0.113.7", true},
		{"with port", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"203.0.113.7:5555"}}, private, "203.0.113.7", true},
		{"IPv6 in brackets", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"[2001:db8::1]"}}, private, "2001:db8::1", true},
		{"IPv6 proxy", "[fd00::2]:1", http.Header{"X-Forwarded-For": {"2001:db8::1"}}, private, "2001:db8::1", true},
		{"rubbish", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"203.0.113.7, unknown"}}, private, "10.0.0.1", false},
		{"empty entries", "10.0.0.1:1", http.Header{"X-Forwarded-For": {",,"}}, private, "10.0.0.1", false},
		{"probe", "10.0.0.1:1", nil, private, "10.0.0.1", false},
		{"only proxies", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"10.0.0.3, 10.0.0.2"}}, private, "10.0.0.3", false},
		{"endless", "10.0.0.1:1", http.Header{"X-Forwarded-For": {"203.0.113.7" + strings.Repeat(",10.0.0.2", 1000)}}, private, "10.0.0.2", false},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: c.header}
		trusted := prefixes(c.trusted)
		if got := ClientIP(r, trusted).String(); got != c.want {
			t.Errorf("%s: client %s, want %s", c.name, got, c.want)
		}
		if got := LimitsApply(r, trusted); got != c.limits {
			t.Errorf("%s: limits %t", c.name, got)
		}
	}
}

func TestOriginAllowed(t *testing.T) {
	for _, c := range []struct {
		host, origin string
		allowed      []string
		want         bool
	}{
		{"localhost:3002", "", nil, true},
		{"localhost:3002", "http://localhost:3000", nil, true},
		{"Example.org", "https://example.org", nil, true},
		{"[::1]:3002", "http://[::1]:3000", nil, true},
		{"example.org", "https://evil.example", nil, false},
		{"example.org", "https://example.org.evil.example", nil, false},
		{"example.org", "https://evil-example.org", nil, false},
		{"example.org", "null", nil, false},
		{"example.org", "null", []string{"*"}, true},
		{"example.org", "://", nil, false},
		{"example.org", "https://app.example", []string{"https://app.example/"}, true},
		{"example.org", "http://app.example", []string{"https://app.example"}, false},
		{"example.org", "https://app.example:8443", []string{"app.example"}, true},
	} {
		r := &http.Request{Host: c.host, Header: http.Header{}}
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		if got := OriginAllowed(r, c.allowed); got != c.want {
			t.Errorf("%q from %q with %q: %t", c.host, c.origin, c.allowed, got)
		}
	}
	two := &http.Request{Host: "a", Header: http.Header{"Origin": {"http://a", "http://b"}}}
	if OriginAllowed(two, nil) {
		t.Error("two origins were accepted")
	}
}
