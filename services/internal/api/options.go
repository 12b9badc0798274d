package api

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/config"
	"github.com/cloud-pixel/playground/services/internal/telemetry"
)

// Options of the api. See [OptionsFrom] for the defaults.
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
	// OnReady is called when the api listens; debug is nil without a debug
	// address.
	OnReady func(addr, debug net.Addr)

	// Origins whose pages may read answers; "*": all.
	Origins []string
	// ResetToken guards resets; empty: everybody may.
	ResetToken string
	// RequestsPerSecond bounds the requests of one address to /api/ routes; 0:
	// no bound. Burst of them are let through at once.
	RequestsPerSecond float64
	Burst             int
	// MaxBody bounds a request's body, in bytes.
	MaxBody int64
	// ReadTimeout bounds the wait for the log before a read or write is
	// answered with 503.
	ReadTimeout time.Duration

	// Retention is how many operations the log keeps behind the checkpoint.
	Retention uint64
	// MaxLog is how many entries the log of a canvas may hold; then writes are
	// refused until a checkpoint lets it be trimmed.
	MaxLog int64
	// CheckpointInterval and CheckpointOperations: a checkpoint that is behind
	// by either is renewed.
	CheckpointInterval   time.Duration
	CheckpointOperations uint64
	// RescueDir takes the last picture of a canvas that Redis lost. Empty:
	// pixel-rescue in the folder for temporary files.
	RescueDir string
}

// OptionsFrom reads the options from the environment.
func OptionsFrom(r *config.Reader) Options {
	o := Options{
		Listen:   config.ListenFrom(r, 3001),
		Pod:      r.Pod(),
		Log:      config.LogFrom(r),
		Export:   config.TelemetryFrom(r),
		Redis:    config.RedisFrom(r),
		Canvases: config.CanvasesFrom(r),

		Origins:           r.List("CORS_ORIGINS", []string{"*"}, "Origins whose pages may read the api's answers; `*` for all."),
		ResetToken:        r.Secret("RESET_TOKEN", "Token that resetting a canvas asks for (`Authorization: Bearer …` or `X-Reset-Token`). Empty: everybody may reset."),
		RequestsPerSecond: r.Float("REST_REQUESTS_PER_SECOND", 1000, "Requests per second to the api from one address. 0: no bound."),
		Burst:             r.Int("REST_REQUESTS_BURST", 2000, "Requests of one address that are let through at once.", config.Min(1)),
		MaxBody:           r.Bytes("MAX_BODY_BYTES", 1<<20, "Greatest body of a request to the api.", config.Min(int64(1<<10))),
		ReadTimeout:       r.Duration("READ_TIMEOUT", 2*time.Second, "How long a request to the api waits for the log before it is answered with 503.", config.Min(10*time.Millisecond)),

		Retention:            uint64(r.Int64("LOG_RETENTION", 100_000, "Operations that the log of a canvas keeps behind its checkpoint.", config.Min(int64(1)))),
		MaxLog:               r.Int64("LOG_MAX_ENTRIES", 1_000_000, "Entries that the log of a canvas may hold before writes are refused.", config.Min(int64(1))),
		CheckpointInterval:   r.Duration("CHECKPOINT_INTERVAL", 5*time.Second, "A checkpoint that is behind for so long is renewed.", config.Min(10*time.Millisecond)),
		CheckpointOperations: uint64(r.Int64("CHECKPOINT_OPERATIONS", 10_000, "A checkpoint that is behind by so many operations is renewed.", config.Min(int64(1)))),
		RescueDir:            r.String("RESCUE_DIR", "", "Folder for the last picture of a canvas that Redis lost. Empty: `pixel-rescue` in the folder for temporary files."),
	}
	// Every entry has at least one operation, so the retention alone may fill
	// the log: trimming could then never make room again.
	if o.MaxLog > 0 && o.Retention+o.CheckpointOperations >= uint64(o.MaxLog) {
		r.Fail("LOG_MAX_ENTRIES=%d must be greater than LOG_RETENTION=%d and CHECKPOINT_OPERATIONS=%d together", o.MaxLog, o.Retention, o.CheckpointOperations)
	}
	return o
}

// Validate returns what is wrong with the options.
func (o *Options) Validate() error {
	var errs []error
	refuse := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("api: "+format, args...))
		}
	}
	refuse(o.Pod == "", "no pod name")
	refuse(o.Redis.URL == "", "no Redis")
	refuse(o.MaxBody < 1, "a body of at most %d bytes", o.MaxBody)
	refuse(o.ReadTimeout <= 0, "a read time-out of %v", o.ReadTimeout)
	refuse(o.RequestsPerSecond < 0, "%v requests per second", o.RequestsPerSecond)
	refuse(o.CheckpointInterval <= 0, "a checkpoint interval of %v", o.CheckpointInterval)
	refuse(o.CheckpointOperations < 1, "a checkpoint every %d operations", o.CheckpointOperations)
	refuse(o.Retention < 1, "a retention of %d operations", o.Retention)
	refuse(o.MaxLog < 1 || o.Retention+o.CheckpointOperations >= uint64(max(o.MaxLog, 0)),
		"a log of at most %d entries is no more than the retention (%d) and a checkpoint's operations (%d)", o.MaxLog, o.Retention, o.CheckpointOperations)
	refuse(len(o.Canvases.AtStart) == 0 || o.Canvases.AtStart[0].ID != config.MainCanvas, "the canvas %q is not among those that exist from the start", config.MainCanvas)
	for _, c := range o.Canvases.AtStart {
		errs = append(errs, canvas.CheckID(c.ID), c.Spec.Validate())
	}
	return errors.Join(errs...)
}
