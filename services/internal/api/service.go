package api

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/replica"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/internal/tracing"
	"github.com/cloud-pixel/playground/services/protocol"
)

// service is what handlers share.
type service struct {
	o       Options
	store   *store.Store
	pool    *replica.Pool
	metrics *metrics
	log     *slog.Logger
	health  *health

	// All writes of this process are operations of one session: numbered, so
	// that a write whose outcome is unknown can be tried again. What waits
	// when the process dies is lost; its client was not answered.
	session protocol.Session
	author  canvas.AuthorID
	numbers atomic.Uint64

	heavy chan struct{} // held by who makes a great picture
	scans chan struct{} // held by who searches the log
}

// maxHeavy and maxScans keep requests from taking the processor and Redis
// from what everybody waits for.
const (
	maxHeavy = 2
	maxScans = 2
)

// attached is what the api keeps beside a canvas in memory; it observes the
// canvas's replica.
type attached struct {
	writes   *lastWrites
	pictures *pictures
	traces   traces
	noted    atomic.Int64 // when the canvas was noted as active, ns since 1970
}

func (a *attached) Restarted(at canvas.Position, spec canvas.Spec, recent []*canvas.Entry) {
	a.writes.restart(at, spec, recent)
	a.traces.clear()
}
func (a *attached) Applied(e *canvas.Entry, span *tracing.Span) {
	a.writes.apply(e)
	a.traces.add(e)
	span.End()
}
func (a *attached) Reachable(bool) {}
func (a *attached) Stopped(error)  {} // the pool's canvas tells its readers

func (s *service) observe(c *replica.Canvas) replica.Observer {
	a := &attached{writes: newLastWrites(maxWrites), pictures: &pictures{}}
	c.Attached = a
	return a
}

func attachedTo(c *replica.Canvas) *attached { return c.Attached.(*attached) }

// read calls f with a canvas whose grid has everything that was in the log
// when read was called.
func (s *service) read(ctx context.Context, id string, f func(ctx context.Context, c *replica.Canvas) error) error {
	return s.use(ctx, id, func(ctx context.Context, c *replica.Canvas) error {
		if err := c.Replica.Sync(ctx); err != nil {
			return err
		}
		return f(ctx, c)
	})
}

// write calls f with a canvas whose log could be reached lately. It does not
// wait for the grid: what is written does not depend on what is there.
func (s *service) write(ctx context.Context, id string, f func(ctx context.Context, c *replica.Canvas) error) error {
	return s.use(ctx, id, func(ctx context.Context, c *replica.Canvas) error {
		// A write that is known to have no chance must not wait in the queue:
		// it would be stored long after its client was told that it was not.
		if !c.Replica.Reachable() {
			if err := c.Replica.Sync(ctx); err != nil {
				s.metrics.writes.WithLabelValues(writeUnusable).Inc()
				return err
			}
		}
		return f(ctx, c)
	})
}

func (s *service) use(ctx context.Context, id string, f func(ctx context.Context, c *replica.Canvas) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.o.ReadTimeout)
	defer cancel()
	c, err := s.pool.Get(ctx, id)
	if err != nil {
		return err
	}
	defer c.Release()
	return f(ctx, c)
}

// body reads a request's body as one JSON value, nil when it is empty. Its
// declared type does not matter: scripts send JSON with any.
func (s *service) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, errEncoding
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.o.MaxBody))
	var tooLarge *http.MaxBytesError
	var timeout net.Error
	switch {
	case errors.As(err, &tooLarge):
		return nil, errBodySize
	case errors.As(err, &timeout) && timeout.Timeout():
		return nil, errBodyTime
	case err != nil:
		return nil, errBody
	}
	value, ok := document(raw)
	if !ok {
		return nil, errJSON
	}
	return value, nil
}
