package gateway

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/config"
	"github.com/cloud-pixel/playground/services/internal/telemetry"
)

// Options of a gateway. The zero value of a limit turns it off, except where
// its comment says otherwise.
type Options struct {
	config.Listen
	// Listener is used instead of Addr when it is not nil.
	Listener  net.Listener
	Pod       string
	Log       config.Log
	Export    config.Telemetry
	Redis     config.Redis
	Canvases  config.Canvases
	Telemetry *telemetry.Telemetry // nil: made from Pod, Log and Export
	// OnReady is called when the gateway listens; debug is nil without a debug
	// address.
	OnReady func(addr, debug net.Addr)

	// Origins that may connect besides the gateway's own hostname.
	Origins []string
	// MaxMessage bounds a client's message, in bytes (at least 1 KiB).
	MaxMessage int64
	// MaxConnections bounds the connections of the gateway.
	MaxConnections int
	// MaxPerAddress bounds the connections of one address, RatePerAddress its
	// new ones per second.
	MaxPerAddress  int
	RatePerAddress float64
	// MessagesPerSecond and PixelsPerSecond bound what one connection sends.
	MessagesPerSecond, PixelsPerSecond float64
	// MaxOffences is how many bad or refused messages a connection may send in
	// a row before it is closed; one is forgiven each second.
	MaxOffences int
	// MaxQueuePerConnection and MaxQueue bound the bytes of operations that
	// wait for the log. MaxQueue 0 means the default of 16 MiB.
	MaxQueuePerConnection, MaxQueue int

	// HistoryOps is how many operations of each canvas are kept in memory for
	// clients that resume; 0 means the hub's default.
	HistoryOps int

	// MaxLog is how many entries the log of a canvas may hold (0: 1,000,000).
	// It should be the same at every gateway and api.
	MaxLog int64

	// PingInterval is the time between pings (never 0); a connection from which
	// nothing came for twice that is dead.
	PingInterval time.Duration
	// SlowTimeout is how long a client may leave its socket full.
	SlowTimeout time.Duration
	// HandshakeTimeout bounds the handshake, the loading of the canvas
	// included.
	HandshakeTimeout time.Duration
	// DrainSpread is the time over which connections are closed at a stop.
	DrainSpread time.Duration
	// BalanceAfter is how long connections must have been spread unevenly over
	// the gateways before the fullest send some away.
	BalanceAfter time.Duration
}

// OptionsFrom reads the options from the environment.
func OptionsFrom(r *config.Reader) Options {
	return Options{
		Listen:   config.ListenFrom(r, 3002),
		Pod:      r.Pod(),
		Log:      config.LogFrom(r),
		Export:   config.TelemetryFrom(r),
		Redis:    config.RedisFrom(r),
		Canvases: config.CanvasesFrom(r),

		Origins:               r.List("ALLOWED_ORIGINS", nil, "Origins that may connect besides the gateway's own hostname; `*` for all."),
		MaxMessage:            r.Bytes("MAX_MESSAGE_BYTES", 64<<10, "Greatest message of a client.", config.Min(int64(1<<10))),
		MaxConnections:        r.Int("MAX_CONNECTIONS", 20000, "Greatest number of connections. 0: no bound.", config.Min(0)),
		MaxPerAddress:         r.Int("MAX_CONNECTIONS_PER_ADDRESS", 50, "Greatest number of connections from one address. 0: no bound.", config.Min(0)),
		RatePerAddress:        r.Float("CONNECTION_RATE_PER_ADDRESS", 10, "New connections per second from one address. 0: no bound.", config.Min(0.0)),
		MessagesPerSecond:     r.Float("MESSAGES_PER_SECOND", 60, "Messages per second from one connection; twice that in a burst. 0: no bound.", config.Min(0.0)),
		PixelsPerSecond:       r.Float("PIXELS_PER_SECOND", 2000, "Pixels per second from one connection; a burst of 8,192 is let through. 0: no bound.", config.Min(0.0)),
		MaxOffences:           r.Int("MAX_OFFENCES", 100, "Bad or refused messages in a row after which a connection is closed; one is forgiven each second. 0: no bound.", config.Min(0)),
		MaxQueuePerConnection: int(r.Bytes("MAX_QUEUE_BYTES_PER_CONNECTION", 256<<10, "Operations of one connection that may wait for Redis.", config.Min(int64(1<<10)))),
		MaxQueue:              int(r.Bytes("MAX_QUEUE_BYTES", 32<<20, "Operations of all connections to a canvas that may wait for Redis.", config.Min(int64(64<<10)))),
		MaxLog:                r.Int64("LOG_MAX_ENTRIES", 1_000_000, "Entries that the log of a canvas may hold before writes are refused.", config.Min(int64(1))),
		PingInterval:          r.Duration("PING_INTERVAL", 30*time.Second, "Time between pings; a connection that says nothing for twice as long is dead.", config.Min(10*time.Millisecond)),
		SlowTimeout:           r.Duration("SLOW_CONSUMER_TIMEOUT", 15*time.Second, "How long a client may leave its socket full before it is closed.", config.Min(10*time.Millisecond)),
		HandshakeTimeout:      r.Duration("HANDSHAKE_TIMEOUT", 5*time.Second, "Bound on a WebSocket handshake.", config.Min(10*time.Millisecond)),
		DrainSpread:           r.Duration("DRAIN_SPREAD", 5*time.Second, "Time over which connections are closed at a stop."),
		BalanceAfter:          r.Duration("BALANCE_AFTER", time.Minute, "How long connections must have been spread unevenly over the gateways before the fullest send some away. 0: never."),
	}
}

// Validate returns what is wrong with the options.
func (o *Options) Validate() error {
	var errs []error
	if o.Pod == "" {
		errs = append(errs, errors.New("gateway: no pod name"))
	}
	if o.PingInterval <= 0 || o.SlowTimeout <= 0 || o.HandshakeTimeout <= 0 {
		errs = append(errs, errors.New("gateway: ping interval, slow-consumer time-out and handshake time-out must be positive"))
	}
	if o.DrainDelay+o.DrainSpread >= o.DrainTimeout {
		errs = append(errs, fmt.Errorf("gateway: DRAIN_DELAY (%v) and DRAIN_SPREAD (%v) leave nothing of DRAIN_TIMEOUT (%v)", o.DrainDelay, o.DrainSpread, o.DrainTimeout))
	}
	for _, c := range o.Canvases.AtStart {
		errs = append(errs, canvas.CheckID(c.ID), c.Spec.Validate())
	}
	return errors.Join(errs...)
}
