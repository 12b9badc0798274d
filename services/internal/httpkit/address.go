package httpkit

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// maxHops bounds the walk through X-Forwarded-For: no real chain of proxies is
// longer, and the header comes from strangers.
const maxHops = 32

// ClientIP returns the address of the client. It is the peer's, unless the
// peer is a trusted proxy: then X-Forwarded-For is walked from right to left
// over trusted proxies, and the first other address is the client's. What
// stands further left was written by whoever sent it. The zero Addr comes back
// only for a RemoteAddr that is no address (not from a TCP server).
func ClientIP(r *http.Request, trusted []netip.Prefix) netip.Addr {
	client, ok := parseAddr(r.RemoteAddr)
	if !ok || !contains(trusted, client) {
		return client
	}
	hops := 0
	for _, line := range slices.Backward(r.Header.Values("X-Forwarded-For")) {
		for line != "" {
			if hops++; hops > maxHops {
				return client
			}
			i := strings.LastIndexByte(line, ',')
			addr, ok := parseAddr(strings.TrimSpace(line[i+1:]))
			if !ok {
				return client // a trusted proxy wrote something else: go no further
			}
			client = addr
			if !contains(trusted, client) {
				return client
			}
			line = line[:max(i, 0)]
		}
	}
	return client
}

// LimitsApply tells whether [ClientIP] is the address of one client, so that a
// limit per address hits nobody else.
//
// With trusted proxies it is, unless the address is itself a trusted one: a
// probe, or a proxy that does not say for whom it asks. Without any, a header
// of a proxy from a peer that is not on the public internet means that many
// clients may share the peer's address. A peer with a public address is a
// client, whatever it writes into its headers.
func LimitsApply(r *http.Request, trusted []netip.Prefix) bool {
	if len(trusted) > 0 {
		client := ClientIP(r, trusted)
		return client.IsValid() && !contains(trusted, client)
	}
	if peer, ok := parseAddr(r.RemoteAddr); ok && isPublic(peer) {
		return true
	}
	return r.Header.Get("Forwarded") == "" && r.Header.Get("X-Forwarded-For") == "" && r.Header.Get("X-Real-Ip") == ""
}

// carrierNAT is the address space that providers share between customers (RFC
// 6598), and that clusters use, too.
var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")

func isPublic(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate() && !carrierNAT.Contains(a)
}

// parseAddr reads an address with or without a port. IPv4 has one form only,
// and zones are dropped: they mean nothing beyond this host.
func parseAddr(s string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return a.Unmap().WithZone(""), err == nil
}

func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// limitKey is what counts as one client: an IPv4 address, or the /64 that one
// IPv6 client has whole.
func limitKey(a netip.Addr) netip.Addr {
	if a.Is6() {
		p, _ := a.Prefix(64) // 64 bits fit every IPv6 address
		return p.Addr()
	}
	return a
}
