package config

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// Listen says where a service listens, and how it stops.
type Listen struct {
	// Addr of the service, host:port; an empty host means every interface.
	Addr string
	// MetricsAddr moves /metrics away from Addr; empty leaves it there.
	MetricsAddr string
	// DebugAddr has pprof and the like; empty means that nobody has.
	DebugAddr string
	// TrustedProxies are the addresses whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	// DrainDelay is how long the service goes on accepting once it is told to
	// stop: until then some balancer still sends.
	DrainDelay time.Duration
	// DrainTimeout bounds the whole stop.
	DrainTimeout time.Duration
}

// ListenFrom reads ADDR (or PORT), METRICS_ADDR, DEBUG_ADDR, TRUSTED_PROXIES,
// DRAIN_DELAY and DRAIN_TIMEOUT. Port is the default of PORT.
func ListenFrom(r *Reader, port int) Listen {
	l := Listen{
		Addr:        r.Addr("ADDR", "", "Address to listen on, host:port. Stands above PORT."),
		MetricsAddr: r.Addr("METRICS_ADDR", "", "Address of /metrics. Empty: the service's own."),
		DebugAddr:   r.Addr("DEBUG_ADDR", "", "Address of pprof and other views of the process's inside. Empty: none. Never open it to the world."),
	}
	number := r.Int("PORT", port, "Port to listen on, on every interface.", Between(0, 65535))
	if l.Addr == "" {
		l.Addr = ":" + strconv.Itoa(number)
	}
	l.TrustedProxies = r.Prefixes("TRUSTED_PROXIES", "Networks of proxies whose X-Forwarded-For is believed, as 10.0.0.0/8 or a single address. Empty: none, and limits per address are off for what a proxy with a private address forwards; a public peer is always limited by its own.")
	l.DrainDelay = r.Duration("DRAIN_DELAY", 2*time.Second, "How long the service accepts new requests after it was told to stop.")
	l.DrainTimeout = r.Duration("DRAIN_TIMEOUT", 20*time.Second, "Bound on stopping; what is not done by then is cut off.", Min(time.Millisecond))
	if l.DrainDelay >= l.DrainTimeout {
		r.Fail("DRAIN_DELAY=%s leaves nothing of DRAIN_TIMEOUT=%s", FormatDuration(l.DrainDelay), FormatDuration(l.DrainTimeout))
	}
	return l
}

// Addr reads host:port or :port.
func (r *Reader) Addr(name, def, help string) string {
	return read(r, Var{name, "address", def, help}, def, func(s string) (string, error) {
		_, port, err := net.SplitHostPort(s)
		if err != nil {
			return "", errors.New("is not an address (for example :3000 or 127.0.0.1:3000)")
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return "", errors.New("has no port from 0 to 65535")
		}
		return s, nil
	}, nil)
}

// Prefixes reads networks (10.0.0.0/8) and addresses, separated by commas.
func (r *Reader) Prefixes(name, help string) []netip.Prefix {
	return read(r, Var{name, "list", "", help}, nil, func(s string) ([]netip.Prefix, error) {
		var all []netip.Prefix
		for _, word := range splitList(s) {
			p, err := parsePrefix(word)
			if err != nil {
				return nil, errors.New("has " + strconv.Quote(word) + ", which is neither a network like 10.0.0.0/8 nor an address")
			}
			all = append(all, p)
		}
		return all, nil
	}, nil)
}

// parsePrefix gives IPv4 networks written the IPv6 way (::ffff:10.0.0.0/104)
// their short form, because that is how addresses are compared.
func parsePrefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, err
		}
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err == nil && p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), err
}

// Pod reads POD_NAME, the name of this process among its equals. The default
// is the host's name and random letters, so that two processes on one host
// never share a name: the store keeps one heartbeat for each.
func (r *Reader) Pod() string {
	r.declare(Var{"POD_NAME", "text", "", "Name of this process among its equals. Empty: the host's name and random letters."})
	if name, ok := r.get("POD_NAME"); ok {
		if err := checkPod(name); err != nil {
			r.Fail("POD_NAME=%q %w", name, err)
		}
		return name
	}
	host, err := os.Hostname()
	if err != nil || checkPod(host) != nil {
		host = "local"
	}
	var random [3]byte
	rand.Read(random[:]) // never fails
	return host[:min(len(host), 56)] + "-" + hex.EncodeToString(random[:])
}

// A pod's name becomes part of keys and labels.
func checkPod(name string) error {
	if len(name) > 63 {
		return errors.New("is longer than 63 characters")
	}
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"
	if strings.Trim(name, allowed) != "" {
		return errors.New("has characters other than letters, digits, '-', '.' and '_'")
	}
	return nil
}

// Log says what is logged, and how.
type Log struct {
	Level slog.Level
	// Format is json or text.
	Format string
}

// LogFrom reads LOG_LEVEL and LOG_FORMAT.
func LogFrom(r *Reader) Log {
	var l Log
	level := r.OneOf("LOG_LEVEL", "info", "Least important lines to log.", "debug", "info", "warn", "error")
	_ = l.Level.UnmarshalText([]byte(level)) // OneOf lets only levels pass
	l.Format = r.OneOf("LOG_FORMAT", "json", "Form of the log.", "json", "text")
	return l
}
