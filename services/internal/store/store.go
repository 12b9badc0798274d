package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Store is the canvases in one Redis. It is safe for concurrent use.
type Store struct {
	opt     Options
	client  redis.UniversalClient
	cluster *redis.ClusterClient // the client, when it is one of a Cluster
	log     *slog.Logger
	metrics *metrics
	publish string // the command

	endTracing func() error // nil without

	untold sync.Once // warned that the server does not tell its configuration

	podsMu sync.Mutex
	told   map[string]time.Time // when users of a pod of this process were written
}

// Open makes a store. It does not connect: the first command does, and each
// that finds no connection tries anew.
func Open(o Options) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	dial, err := o.client()
	if err != nil {
		return nil, err
	}
	redis.SetLogger(clientLog{o.Logger})
	s := &Store{opt: o, client: dial(), log: o.Logger, publish: "PUBLISH", told: make(map[string]time.Time)}
	if c, ok := s.client.(*redis.ClusterClient); ok {
		s.cluster, s.publish = c, "SPUBLISH"
	}
	if o.TracerProvider != nil {
		if s.endTracing, err = traceCommands(s.client, o.TracerProvider); err != nil {
			return nil, errors.Join(err, s.client.Close())
		}
	}
	if s.metrics, err = newMetrics(o.Registerer, s.client.PoolStats); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// Close closes all connections. Subscriptions must have been closed before.
func (s *Store) Close() error {
	s.metrics.unregister()
	return s.close()
}

func (s *Store) close() error {
	err := s.client.Close()
	if s.endTracing != nil {
		err = errors.Join(err, s.endTracing())
	}
	if err != nil {
		return fmt.Errorf("store: close: %w", err)
	}
	return nil
}

// Ping returns nil when Redis is reachable and may be used. It may not
// ([ErrUnusable]) when it evicts keys for want of memory, since those would be
// canvases. A server that does not tell its configuration is believed to be
// right, with a warning once.
func (s *Store) Ping(ctx context.Context) (err error) {
	defer s.metrics.observe(opPing, time.Now(), &err)
	if s.cluster != nil {
		return s.failed("ping", s.cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
			return s.ping(ctx, c)
		}))
	}
	return s.failed("ping", s.ping(ctx, s.client))
}

func (s *Store) ping(ctx context.Context, c redis.Cmdable) error {
	if err := c.Ping(ctx).Err(); err != nil {
		return err
	}
	config, err := c.ConfigGet(ctx, "maxmemory-policy").Result()
	var reply redis.Error
	switch policy := config["maxmemory-policy"]; {
	case errors.As(err, &reply) && !isUnavailable(reply.Error()), err == nil && policy == "":
		s.untold.Do(func() {
			s.log.Warn("Redis does not tell its maxmemory-policy; it must be noeviction", "error", err)
		})
		return nil
	case err != nil:
		return err
	case policy != "noeviction":
		return fmt.Errorf("%w: its maxmemory-policy is %q, which may evict canvases; set it to noeviction", ErrUnusable, policy)
	}
	return nil
}

// failed turns an error of the client into one of this package. An error that
// Redis itself answered means that the command did not take place; every other
// one is passed on and leaves that open.
func (s *Store) failed(what string, err error) error {
	var reply redis.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &reply) && isUnavailable(reply.Error()):
		return fmt.Errorf("%w: %s: %w", ErrUnavailable, what, err)
	case errors.As(err, &reply):
		return fmt.Errorf("%w: %s: %w", ErrRejected, what, err)
	}
	return fmt.Errorf("store: %s: %w", what, err)
}

// unavailable are the first words of answers that say "not now".
var unavailable = []string{
	"LOADING", "MASTERDOWN", "READONLY", "NOREPLICAS", "MISCONF", "BUSY",
	"CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK",
	"NOAUTH", "WRONGPASS", "ERR max number of clients",
}

func isUnavailable(reply string) bool {
	for _, word := range unavailable {
		if strings.HasPrefix(reply, word) {
			return true
		}
	}
	return false
}

// run runs a script whose reply is a list of texts.
func (s *Store) run(ctx context.Context, script *redis.Script, keys []string, args ...any) ([]string, error) {
	return script.Run(ctx, s.client, keys, args...).StringSlice()
}

// clientLog takes what the client library logs (for all its clients: the last
// opened store's logger gets it). It all becomes an error of some call, too.
type clientLog struct{ log *slog.Logger }

func (l clientLog) Printf(ctx context.Context, format string, v ...any) {
	if l.log.Enabled(ctx, slog.LevelDebug) {
		l.log.DebugContext(ctx, "Redis client: "+fmt.Sprintf(format, v...))
	}
}
