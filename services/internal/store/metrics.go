package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/cloud-pixel/playground/services/internal/telemetry"
)

// operation is a method of the store, as metrics name it.
type operation string

const (
	opPing           operation = "ping"
	opCreate         operation = "create"
	opMeta           operation = "meta"
	opCanvases       operation = "canvases"
	opAppend         operation = "append"
	opCheck          operation = "check"
	opRead           operation = "read"
	opLogInfo        operation = "log_info"
	opTrim           operation = "trim"
	opLoadCheckpoint operation = "load_checkpoint"
	opSaveCheckpoint operation = "save_checkpoint"
	opCheckpointMark operation = "checkpoint_mark"
	opLease          operation = "lease"
	opHeartbeat      operation = "heartbeat"
	opActive         operation = "active"
	opCursors        operation = "cursors"
)

var operations = []operation{
	opPing, opCreate, opMeta, opCanvases, opAppend, opCheck, opRead, opLogInfo, opTrim,
	opLoadCheckpoint, opSaveCheckpoint, opCheckpointMark, opLease, opHeartbeat, opActive, opCursors,
}

// Outcomes of an operation. Apart from ok they name the error.
const (
	outcomeOK          = "ok"
	outcomeStale       = "stale"
	outcomeRefused     = "refused"     // not found, trimmed, full, conflict, too many
	outcomeUnreadable  = "unreadable"  // version, malformed, corrupt
	outcomeRejected    = "rejected"    // by Redis, with an error
	outcomeUnavailable = "unavailable" // Redis cannot now
	outcomeUnknown     = "unknown"     // time-outs, lost connections
	outcomeCanceled    = "canceled"    // by the caller
)

var outcomes = []string{
	outcomeOK, outcomeStale, outcomeRefused, outcomeUnreadable,
	outcomeRejected, outcomeUnavailable, outcomeUnknown, outcomeCanceled,
}

// metrics of a store. All children are resolved when it is made.
type metrics struct {
	duration map[operation]prometheus.Observer
	outcome  map[operation]map[string]prometheus.Counter
	up       prometheus.Gauge

	batchBytes      prometheus.Histogram
	checkpointTiles prometheus.Counter

	restarted, rolledBack             prometheus.Counter
	confirmed, live, lost, unreadable prometheus.Counter
	registerer                        prometheus.Registerer
	registered                        []prometheus.Collector
}

// newMetrics makes the metrics and registers them where registerer is not nil.
func newMetrics(registerer prometheus.Registerer, pool func() *redis.PoolStats) (*metrics, error) {
	m := &metrics{
		registerer: registerer,
		duration:   make(map[operation]prometheus.Observer, len(operations)),
		outcome:    make(map[operation]map[string]prometheus.Counter, len(operations)),
	}
	// Around 1 ms, where a healthy Redis nearby answers, and up to the time-outs.
	duration := prometheus.NewHistogramVec(telemetry.HistogramOpts("pixel_store_operation_duration_seconds",
		"Time that an operation of the store took, one or more commands to Redis, whatever its outcome.",
		[]float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 3}), []string{"operation"})
	outcome := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pixel_store_operations_total",
		Help: "Operations of the store, by outcome: ok, stale (another epoch), refused (not found, trimmed, full …), unreadable, rejected (by Redis), unavailable (Redis cannot now), unknown (time-outs, lost connections), canceled.",
	}, []string{"operation", "outcome"})
	epochs := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pixel_store_epoch_changes_total",
		Help: "Signs of lost operations that this process met: the server was restarted and may have lost some (restarted), or the log is behind what was seen (rolled_back).",
	}, []string{"reason"})
	events := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pixel_store_subscription_events_total",
		Help: "Events of live subscriptions: confirmed, live (a message), lost (the connection), unreadable (a message).",
	}, []string{"event"})
	for _, op := range operations {
		m.duration[op] = duration.WithLabelValues(string(op))
		m.outcome[op] = make(map[string]prometheus.Counter, len(outcomes))
		for _, o := range outcomes {
			m.outcome[op][o] = outcome.WithLabelValues(string(op), o)
		}
	}
	m.restarted, m.rolledBack = epochs.WithLabelValues("restarted"), epochs.WithLabelValues("rolled_back")
	m.confirmed, m.live = events.WithLabelValues("confirmed"), events.WithLabelValues("live")
	m.lost, m.unreadable = events.WithLabelValues("lost"), events.WithLabelValues("unreadable")

	m.up = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pixel_store_redis_up",
		Help: "Whether Redis answered the last operation (1) or not (0).",
	})
	m.batchBytes = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "pixel_store_append_batch_bytes",
		Help:    "Size of the operations of an append.",
		Buckets: prometheus.ExponentialBuckets(64, 4, 7),
	})
	m.checkpointTiles = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pixel_store_checkpoint_tiles_written_total",
		Help: "Tiles written with checkpoints.",
	})
	connections := func(state string, value func(*redis.PoolStats) uint32) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "pixel_store_pool_connections",
			Help:        "Connections to Redis for commands, by whether they are in use.",
			ConstLabels: prometheus.Labels{"state": state},
		}, func() float64 { return float64(value(pool())) })
	}
	err := m.register(
		duration, outcome, epochs, events, m.up, m.batchBytes, m.checkpointTiles,
		connections("idle", func(p *redis.PoolStats) uint32 { return p.IdleConns }),
		connections("used", func(p *redis.PoolStats) uint32 { return p.TotalConns - p.IdleConns }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "pixel_store_pool_timeouts_total",
			Help: "Operations that got no connection in time.",
		}, func() float64 { return float64(pool().Timeouts) }),
	)
	return m, err
}

func (m *metrics) register(all ...prometheus.Collector) error {
	if m.registerer == nil {
		return nil
	}
	for _, c := range all {
		if err := m.registerer.Register(c); err != nil {
			m.unregister()
			return fmt.Errorf("store: metrics: %w", err)
		}
		m.registered = append(m.registered, c)
	}
	return nil
}

func (m *metrics) unregister() {
	for _, c := range m.registered {
		m.registerer.Unregister(c)
	}
	m.registered = nil
}

// observe records an operation that began at start and ended with *err.
func (m *metrics) observe(op operation, start time.Time, err *error) {
	m.duration[op].Observe(time.Since(start).Seconds())
	outcome := outcomeOf(*err)
	m.outcome[op][outcome].Inc()
	switch outcome {
	case outcomeCanceled: // says nothing about Redis
	case outcomeUnavailable, outcomeUnknown:
		m.up.Set(0)
	default:
		m.up.Set(1)
	}
}

func outcomeOf(err error) string {
	var stale *StaleError
	switch {
	case err == nil:
		return outcomeOK
	case errors.As(err, &stale):
		return outcomeStale
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrTrimmed), errors.Is(err, ErrLogFull), errors.Is(err, ErrConflict),
		errors.Is(err, ErrTooMany), errors.Is(err, ErrUnusable), errors.Is(err, ErrInvalid):
		return outcomeRefused
	case errors.Is(err, ErrVersion), errors.Is(err, ErrMalformed), errors.Is(err, ErrCorrupt):
		return outcomeUnreadable
	case errors.Is(err, ErrRejected):
		return outcomeRejected
	case errors.Is(err, ErrUnavailable):
		return outcomeUnavailable
	case errors.Is(err, context.Canceled):
		return outcomeCanceled
	}
	return outcomeUnknown
}
