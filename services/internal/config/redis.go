package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Redis says where the store is and how long to wait for it. It may hold
// passwords: print it only through its String or LogValue, which hide them.
type Redis struct {
	// URL of the server, Sentinel set or cluster. Never empty when it comes
	// from [RedisFrom]. It may contain a password.
	URL string
	// Username and Password stand above those in the URL unless empty.
	Username, Password string
	// DialTimeout bounds the making of a connection, Timeout each read and
	// write on it.
	DialTimeout, Timeout time.Duration
}

// RedisFrom reads REDIS_URL, or REDIS_HOST and REDIS_PORT, and what goes with
// them.
func RedisFrom(r *Reader) Redis {
	c := Redis{URL: r.Secret("REDIS_URL", "Redis server, Sentinel set or cluster: `redis://[user:password@]host:port[/db]`, `rediss://` for TLS. Stands above REDIS_HOST and REDIS_PORT.")}
	host := r.String("REDIS_HOST", "localhost", "Host of the Redis server.")
	port := r.Int("REDIS_PORT", 6379, "Port of the Redis server.", Between(1, 65535))
	c.Username = r.String("REDIS_USERNAME", "", "User of Redis' access control list.")
	c.Password = r.Secret("REDIS_PASSWORD", "Password of Redis.")
	c.DialTimeout = r.Duration("REDIS_DIAL_TIMEOUT", 2*time.Second, "Bound on making a connection to Redis.", Min(time.Millisecond))
	c.Timeout = r.Duration("REDIS_TIMEOUT", 2*time.Second, "Bound on each read from and write to Redis.", Min(time.Millisecond))
	if c.URL == "" {
		c.URL = "redis://" + net.JoinHostPort(host, strconv.Itoa(port))
	} else if err := checkRedisURL(c.URL); err != nil {
		r.fail(fmt.Errorf("REDIS_URL (not shown, it may hold a password) %w", err))
	}
	return c
}

// The errors of url.Parse quote what they parsed, so they are not passed on.
func checkRedisURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return errors.New("is not a URL")
	case u.Scheme == "unix":
		return nil
	case u.Scheme != "redis" && u.Scheme != "rediss":
		return errors.New("does not start with redis://, rediss:// or unix://")
	case u.Host == "":
		return errors.New("names no host")
	}
	return nil
}

// String returns the address without any user and password.
func (c Redis) String() string {
	u, err := url.Parse(c.URL)
	if err != nil {
		return "redis (address hidden)"
	}
	u.User = nil
	q := u.Query() // of a Sentinel set or cluster: more addresses, and maybe passwords
	for key := range q {
		if strings.Contains(strings.ToLower(key), "password") {
			q.Del(key)
		}
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// GoString keeps %#v from printing the passwords.
func (c Redis) GoString() string { return "config.Redis{" + c.String() + "}" }

// LogValue keeps slog from printing the passwords.
func (c Redis) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON keeps JSON from holding the passwords.
func (c Redis) MarshalJSON() ([]byte, error) { return []byte(strconv.Quote(c.String())), nil }
