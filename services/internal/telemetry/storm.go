package telemetry

import (
	"context"
	"log/slog"
	"sync/atomic"

	"golang.org/x/time/rate"
)

// Storm logs events of which there may be thousands at a time, such as
// connections that come and go: all of them in quiet times, and in a storm as
// many a second as people can read. A line that follows suppressed ones says how
// many those were, so that lines and suppressed ones add up to the events. Safe
// for concurrent use.
type Storm struct {
	log        *slog.Logger
	limit      *rate.Limiter
	suppressed atomic.Int64
}

// NewStorm returns a storm that logs perSecond events, and burst of them at once.
func NewStorm(log *slog.Logger, perSecond float64, burst int) *Storm {
	return &Storm{log: log, limit: rate.NewLimiter(rate.Limit(perSecond), burst)}
}

// Info logs an event, or counts it as suppressed.
func (s *Storm) Info(ctx context.Context, message string, attributes ...slog.Attr) {
	if !s.log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	if !s.limit.Allow() {
		s.suppressed.Add(1)
		return
	}
	if n := s.suppressed.Swap(0); n > 0 {
		attributes = append(attributes, slog.Int64("suppressed", n))
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, message, attributes...)
}
