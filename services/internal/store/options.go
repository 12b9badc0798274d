package store

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"go.opentelemetry.io/otel/trace"
)

// Options of a [Store]. The zero value of a field means its default.
type Options struct {
	// URL of Redis:
	//
	//	redis://host:port/db                        one server (rediss: over TLS)
	//	redis://host:port?cluster=true              a Cluster, by any of its nodes
	//	redis://host:port?addr=host:port            a Cluster, by several
	//	redis://host:port?master_name=m&addr=…      a Sentinel set
	//
	// Further parameters are those of go-redis. Time-outs and pool size of the
	// Options win over them.
	URL string
	// Username and Password for Redis, so that they need not stand in the URL.
	Username, Password string

	// LogCap is how many entries the log of a canvas may hold before appends
	// are refused with [ErrLogFull]. Default 1,000,000.
	LogCap int64
	// Retention is how many operations [Store.Trim] keeps in the log behind the
	// checkpoint. Default 100,000.
	Retention uint64

	// DialTimeout (default 2 s), ReadTimeout and WriteTimeout (default 3 s)
	// bound each step of a command.
	DialTimeout, ReadTimeout, WriteTimeout time.Duration
	// PoolSize is the greatest number of connections for commands (to each
	// node of a Cluster); subscriptions take one each beside them. Default 20.
	PoolSize int

	// Logger; default slog.Default().
	Logger *slog.Logger
	// Registerer of the metrics; nil registers none.
	Registerer prometheus.Registerer
	// TracerProvider makes the spans of commands that are sent within a sampled
	// span; nil makes none.
	TracerProvider trace.TracerProvider
}

func (o Options) withDefaults() Options {
	setDefault(&o.LogCap, 1_000_000)
	setDefault(&o.Retention, 100_000)
	setDefault(&o.DialTimeout, 2*time.Second)
	setDefault(&o.ReadTimeout, 3*time.Second)
	setDefault(&o.WriteTimeout, 3*time.Second)
	setDefault(&o.PoolSize, 20)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate returns an error that says what is wrong with the options, without
// secrets.
func (o Options) Validate() error {
	o = o.withDefaults()
	var errs []error
	if _, err := o.client(); err != nil {
		errs = append(errs, err)
	}
	if o.LogCap < 1 {
		errs = append(errs, fmt.Errorf("store: a log cap of %d entries; at least 1 is needed", o.LogCap))
	}
	for name, d := range map[string]time.Duration{
		"dial": o.DialTimeout, "read": o.ReadTimeout, "write": o.WriteTimeout,
	} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("store: a negative %s time-out", name))
		}
	}
	if o.PoolSize < 1 {
		errs = append(errs, fmt.Errorf("store: a pool of %d connections; at least 1 is needed", o.PoolSize))
	}
	return errors.Join(errs...)
}

// client returns a function that makes the client which the URL asks for.
func (o Options) client() (func() redis.UniversalClient, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		// The error of the parser repeats the URL, and that may hold a password.
		return nil, errors.New("store: the URL of Redis cannot be parsed")
	}
	if u.Scheme != "redis" && u.Scheme != "rediss" {
		return nil, fmt.Errorf("store: the URL of Redis begins with %q; want redis:// or rediss://", u.Scheme+"://")
	}
	q := u.Query()
	cluster := len(q["addr"]) > 0
	if text := q.Get("cluster"); text != "" {
		if cluster, err = strconv.ParseBool(text); err != nil {
			return nil, fmt.Errorf("store: cluster=%q in the URL of Redis is neither true nor false", text)
		}
		q.Del("cluster")
		u.RawQuery = q.Encode()
	}
	switch {
	case q.Get("master_name") != "":
		return o.sentinel(u)
	case cluster:
		return o.cluster(u)
	default:
		return o.single(u)
	}
}

// The three forms differ in the type of their options only. What they share:
// no retries, so that a caller learns of every failed try; contexts are obeyed;
// RESP2, which every server and proxy speaks; no dedicated pool for pipelines.

func (o Options) single(u *url.URL) (func() redis.UniversalClient, error) {
	c, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, fmt.Errorf("store: the URL of Redis: %w", err)
	}
	c.Protocol, c.ContextTimeoutEnabled, c.DisableIdentity = 2, true, true
	c.MaxRetries, c.DialerRetries, c.PipelinePoolSize = -1, 1, -1
	c.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	c.DialTimeout, c.ReadTimeout, c.WriteTimeout, c.PoolSize = o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolSize
	o.credentials(&c.Username, &c.Password)
	c.Dialer = dialer(c)
	return func() redis.UniversalClient { return redis.NewClient(c) }, nil
}

func (o Options) sentinel(u *url.URL) (func() redis.UniversalClient, error) {
	c, err := redis.ParseFailoverURL(u.String())
	if err != nil {
		return nil, fmt.Errorf("store: the URL of the Redis Sentinels: %w", err)
	}
	c.Protocol, c.ContextTimeoutEnabled, c.DisableIdentity = 2, true, true
	c.MaxRetries, c.DialerRetries, c.PipelinePoolSize = -1, 1, -1
	c.DialTimeout, c.ReadTimeout, c.WriteTimeout, c.PoolSize = o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolSize
	o.credentials(&c.Username, &c.Password)
	return func() redis.UniversalClient { return redis.NewFailoverClient(c) }, nil
}

func (o Options) cluster(u *url.URL) (func() redis.UniversalClient, error) {
	c, err := redis.ParseClusterURL(u.String())
	if err != nil {
		return nil, fmt.Errorf("store: the URL of the Redis Cluster: %w", err)
	}
	c.Protocol, c.ContextTimeoutEnabled, c.DisableIdentity = 2, true, true
	c.MaxRetries, c.DialerRetries, c.PipelinePoolSize = -1, 1, -1
	// The loop that follows redirections also repeats what timed out. Without
	// it a moved slot is an error (ErrUnavailable) that makes the client read
	// the map of slots again, and the next try goes to the right node.
	c.MaxRedirects = -1
	c.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	c.DialTimeout, c.ReadTimeout, c.WriteTimeout, c.PoolSize = o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolSize
	o.credentials(&c.Username, &c.Password)
	return func() redis.UniversalClient { return redis.NewClusterClient(c) }, nil
}

func (o Options) credentials(username, password *string) {
	if o.Username != "" {
		*username = o.Username
	}
	if o.Password != "" {
		*password = o.Password
	}
}
