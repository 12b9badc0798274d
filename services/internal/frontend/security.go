package frontend

import (
	"net/http"
	"net/url"
)

// secure sets the headers that keep the page to itself, and to the places that
// it is told.
//
// The policy lets nothing run or style the page but its own files: there is no
// inline script or style, and Trusted Types forbid even our own code to make
// markup out of text, so a name can never become an element. The one policy of
// theirs that may exist, pixel-worker, lets the page name its service worker.
func secure(p places, next http.Handler) http.Handler {
	const policy = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'; " +
		"require-trusted-types-for 'script'; trusted-types pixel-worker; connect-src 'self'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connect := ""
		if safeHost(r.Host) {
			// Not every browser takes 'self' for the WebSockets of the same host.
			connect = " ws://" + r.Host + " wss://" + r.Host
		}
		for _, origin := range origins(p.resolve(r)) {
			connect += " " + origin
		}
		h := w.Header()
		h.Set("Content-Security-Policy", policy+connect)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=(), display-capture=()")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// documentHeaders say something of pages and workers only, or are said already:
// scripts, styles and images of a page are under that page's policy, the same
// for everybody, and have their release in their address. There are some fifty
// of them, and by HTTP/1.1 each would carry half a kilobyte that nobody reads.
var documentHeaders = []string{
	"Content-Security-Policy", "X-Frame-Options", "Referrer-Policy", "Permissions-Policy", "Cross-Origin-Opener-Policy",
	"Cross-Origin-Resource-Policy", releaseHeader,
}

// safeHost tells whether a host, with or without port, has only characters of
// names and addresses: it becomes part of the policy, where ";" begins another
// directive, and comes from whoever sent the request.
func safeHost(host string) bool {
	for _, c := range []byte(host) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '_', c == ':', c == '[', c == ']':
		default:
			return false
		}
	}
	return host != ""
}

// origins returns what the policy must name for the page to use the URLs. The
// page turns http into ws where it opens a WebSocket.
func origins(p places) []string {
	var all []string
	add := func(raw string, schemes map[string]string) {
		u, err := url.Parse(raw)
		if err != nil || u.Host == "" {
			return // a path: the page's own origin
		}
		all = append(all, schemes[u.Scheme]+"://"+u.Host)
	}
	add(p.ws, map[string]string{"ws": "ws", "http": "ws", "wss": "wss", "https": "wss"})
	add(p.api, map[string]string{"http": "http", "https": "https"})
	add(p.traces, map[string]string{"http": "http", "https": "https"})
	return all
}
