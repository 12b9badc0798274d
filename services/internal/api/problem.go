package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/cloud-pixel/playground/services/internal/httpkit"
	"github.com/cloud-pixel/playground/services/internal/replica"
	"github.com/cloud-pixel/playground/services/internal/store"
)

// problem is an error with its answer.
type problem struct {
	status  int
	message string
	retry   time.Duration // of Retry-After; 0: none
}

func (p *problem) Error() string { return p.message }

// The answers of the original, to the letter.
var (
	errNotConnected = &problem{http.StatusServiceUnavailable, "Redis not connected", time.Second}
	errBounds       = &problem{http.StatusBadRequest, "Coordinates out of bounds", 0}
	errColor        = &problem{http.StatusBadRequest, "Invalid color format. Use hex format like #FF0000", 0}
	errFormat       = &problem{http.StatusBadRequest, "Invalid data format", 0}
	errNoArray      = &problem{http.StatusBadRequest, "Pixels must be an array", 0}
)

// Further answers.
var (
	errJSON        = &problem{http.StatusBadRequest, "Invalid JSON", 0}
	errBody        = &problem{http.StatusBadRequest, "Cannot read the request body", 0}
	errBodySize    = &problem{http.StatusRequestEntityTooLarge, "Request body is too large", 0}
	errBodyTime    = &problem{http.StatusRequestTimeout, "Request body took too long", 0}
	errEncoding    = &problem{http.StatusUnsupportedMediaType, "Content-Encoding is not supported", 0}
	errNoCanvas    = &problem{http.StatusNotFound, "Canvas not found", 0}
	errUnavailable = &problem{http.StatusServiceUnavailable, "Canvas is not available", 5 * time.Second}
	errBusy        = &problem{http.StatusServiceUnavailable, "Too many canvases are in use", 5 * time.Second}
	errTooBusy     = &problem{http.StatusServiceUnavailable, "Too many pictures are being made", time.Second}
	errQueueFull   = &problem{http.StatusServiceUnavailable, "Too many writes are waiting", time.Second}
	errLogFull     = &problem{http.StatusServiceUnavailable, "The log is full", 5 * time.Second}
	errStopping    = &problem{http.StatusServiceUnavailable, "Server is shutting down", time.Second}
	errRejected    = &problem{http.StatusServiceUnavailable, "The write was rejected", 5 * time.Second}
)

// problemOf returns the answer to an error of the store, the pool or a
// replica. That the log cannot be reached, or not be caught up with in time,
// is one and the same to a client: its write is not known to be stored, or
// what it would read may be old.
func problemOf(err error) *problem {
	var p *problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, replica.ErrBehind):
		return errNotConnected // whatever the cause, it passes
	case errors.Is(err, store.ErrNotFound):
		return errNoCanvas
	case errors.Is(err, store.ErrVersion), errors.Is(err, store.ErrMalformed), errors.Is(err, store.ErrCorrupt):
		return errUnavailable
	case errors.Is(err, replica.ErrPoolFull):
		return errBusy
	case errors.Is(err, replica.ErrQueueFull):
		return errQueueFull
	case errors.Is(err, store.ErrLogFull):
		return errLogFull
	case errors.Is(err, replica.ErrClosed), errors.Is(err, replica.ErrStopped):
		return errStopping
	case errors.Is(err, store.ErrRejected):
		return errRejected
	}
	return errNotConnected
}

// fail answers with an error.
func (s *service) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	if p.status >= http.StatusInternalServerError && r.Context().Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
		s.log.Debug("a request failed", "status", p.status, "error", err)
	}
	if p.retry > 0 {
		httpkit.SetRetryAfter(w, p.retry)
	}
	w.Header().Del("ETag") // of what would have been
	w.Header().Set("Cache-Control", "no-store")
	httpkit.Error(w, p.status, p.message)
}
