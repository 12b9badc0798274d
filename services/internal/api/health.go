package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/cloud-pixel/playground/services/internal/httpkit"
	"github.com/cloud-pixel/playground/services/internal/store"
)

// errDraining: the process was told to stop.
var errDraining = errors.New("draining")

// errNoRedis: Redis has not answered yet.
var errNoRedis = errors.New("no answer of Redis yet")

const (
	pingEvery   = time.Second
	pingTimeout = 2 * time.Second
)

// health knows whether the process may get requests, and whether Redis is
// there. The two differ: a process that has caught up once stays ready when
// Redis goes away, for taking all processes out of service would leave nobody
// to tell.
type health struct {
	ping     func(context.Context) error
	caughtUp func() error // nil when the canvases of the configuration are loaded
	log      *slog.Logger

	connected atomic.Bool // the last ping was answered
	reached   atomic.Bool // one was, ever
	unusable  atomic.Bool // Redis answers, but must not be used
	draining  atomic.Bool
	told      bool // the first outcome; owned by run
}

// run asks Redis every second until the context ends: requests for the state
// must not wait, nor load Redis.
func (h *health) run(ctx context.Context) {
	ticker := time.NewTicker(pingEvery)
	defer ticker.Stop()
	for {
		h.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (h *health) look(ctx context.Context) {
	call, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	err := h.ping(call)
	if ctx.Err() != nil {
		return // the error is the process's end
	}
	if err == nil {
		h.reached.Store(true)
	}
	h.unusable.Store(errors.Is(err, store.ErrUnusable))
	defer func() { h.told = true }()
	switch was := h.connected.Swap(err == nil); {
	case err == nil && !was:
		h.log.Info("Redis is connected")
	case err != nil && (was || !h.told):
		h.log.Warn("Redis is not connected", "error", err)
	}
}

// ready returns nil when the process may get requests.
func (h *health) ready() error {
	switch {
	case h.draining.Load():
		return errDraining
	case !h.reached.Load() && h.unusable.Load():
		return store.ErrUnusable
	case !h.reached.Load():
		return errNoRedis
	}
	return h.caughtUp()
}

// javaScriptTime is the form of toISOString.
const javaScriptTime = "2006-01-02T15:04:05.000Z"

// serve answers /health as the original does.
func (h *health) serve(w http.ResponseWriter, _ *http.Request) {
	redis := "disconnected"
	if h.connected.Load() {
		redis = "connected"
	}
	httpkit.WriteJSON(w, http.StatusOK, struct {
		Status    string `json:"status"`
		Redis     string `json:"redis"`
		Timestamp string `json:"timestamp"`
	}{"ok", redis, time.Now().UTC().Format(javaScriptTime)})
}
