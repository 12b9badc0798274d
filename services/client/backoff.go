package client

import (
	"errors"
	"time"
)

// Backoff is how long a client waits before it tries to connect again: a
// random time between zero and Min·Factor^n, at most Max, after n failures in
// a row. Spreading over the whole interval ("full jitter") is what keeps the
// clients of a lost gateway from coming back all at once.
type Backoff struct {
	Min    time.Duration // default 100 ms
	Factor float64       // default 2
	Max    time.Duration // default 2 s
	// Stable is how long a connection must have lived for the count of
	// failures to begin anew; default 10 s.
	Stable time.Duration
}

func (b Backoff) validate() error {
	if b.Min < 0 || b.Max < 0 || b.Stable < 0 || b.Factor != 0 && b.Factor < 1 {
		return errors.New("client: Options.Backoff: a time is negative or the factor below 1")
	}
	return nil
}

func (b Backoff) withDefaults() Backoff {
	if b.Min == 0 {
		b.Min = 100 * time.Millisecond
	}
	if b.Factor == 0 {
		b.Factor = 2
	}
	if b.Max == 0 {
		b.Max = 2 * time.Second
	}
	if b.Stable == 0 {
		b.Stable = 10 * time.Second
	}
	return b
}

// pacer applies a Backoff to one sequence of attempts. It is not safe for
// concurrent use.
type pacer struct {
	Backoff
	rand    func() float64
	ceiling time.Duration // of the next wait; 0 means Min
}

// next returns the wait after an attempt whose connection lived for the given
// time, 0 when there was none.
func (p *pacer) next(lived time.Duration) time.Duration {
	if lived >= p.Stable || p.ceiling == 0 {
		p.ceiling = min(p.Min, p.Max)
	}
	wait := time.Duration(p.rand() * float64(p.ceiling))
	p.ceiling = time.Duration(min(float64(p.ceiling)*p.Factor, float64(p.Max)))
	return wait
}
