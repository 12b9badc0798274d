package faults

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Services that can be named to an Injector.
const (
	Gateway = "gateway"
	API     = "api"
	Redis   = "redis"
)

// Kind says what was done.
type Kind string

// Kinds of faults.
const (
	Kill  Kind = "kill"  // at once, without a word
	Stop  Kind = "stop"  // in an orderly way: it drains, and another takes its place
	Pause Kind = "pause" // it does nothing for a while, and keeps its connections
)

// Event is one fault.
type Event struct {
	At     time.Time `json:"at"`
	Kind   Kind      `json:"kind"`
	Target string    `json:"target"` // pod
	// Recovered is when the target, or who took its place, was ready again;
	// zero until it is known.
	Recovered time.Time `json:"recovered,omitzero"`
}

// String tells what was done, for people.
func (e Event) String() string { return fmt.Sprintf("%s %s", e.Kind, e.Target) }

// Injector breaks the parts of one system. Its methods may be called from any
// goroutine.
type Injector interface {
	// Targets names what there is of a service now and is ready, in order.
	Targets(ctx context.Context, service string) ([]string, error)
	// Kill ends a target without a word. Something else starts it again.
	Kill(ctx context.Context, target string) error
	// Stop asks a target to stop in an orderly way. Something else starts
	// another one.
	Stop(ctx context.Context, target string) error
	// Pause stops a target from doing anything until resume is called, which
	// must be; it may be called more than once.
	Pause(ctx context.Context, target string) (resume func() error, err error)
	// Recovered waits until as many of the service are ready as before, and
	// the target is not the one that was broken. It must have been broken by
	// this injector.
	Recovered(ctx context.Context, service, target string) error
}

// ErrUnsupported is returned for what an injector cannot do.
var ErrUnsupported = errors.New("faults: not possible here")

// Chaos injects faults and keeps an account of them. Its methods may be called
// from any goroutine.
type Chaos struct {
	Injector
	// Annotate, unless nil, is called for each fault when it happens, and
	// again when it has recovered. Its error does not stop anything; the last
	// one is kept for Err.
	Annotate func(context.Context, Event) error

	mu      sync.Mutex
	events  []Event
	lastErr error
}

// Events returns what was done so far.
func (c *Chaos) Events() []Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Event(nil), c.events...)
}

// Err returns the last error of an annotation, nil if there was none.
func (c *Chaos) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastErr
}

// Kill ends a target without a word and waits until the system is whole again.
func (c *Chaos) Kill(ctx context.Context, service, target string) error {
	return c.inject(ctx, Kill, service, target, func() error { return c.Injector.Kill(ctx, target) })
}

// Stop stops a target in an orderly way and waits until the system is whole
// again.
func (c *Chaos) Stop(ctx context.Context, service, target string) error {
	return c.inject(ctx, Stop, service, target, func() error { return c.Injector.Stop(ctx, target) })
}

func (c *Chaos) inject(ctx context.Context, kind Kind, service, target string, do func() error) error {
	n := c.begin(ctx, kind, target)
	if err := do(); err != nil {
		return err
	}
	if err := c.Recovered(ctx, service, target); err != nil {
		return fmt.Errorf("faults: after %s %s: %w", kind, target, err)
	}
	c.end(ctx, n)
	return nil
}

// Pause stops a target for a time.
func (c *Chaos) Pause(ctx context.Context, target string, d time.Duration) error {
	n := c.begin(ctx, Pause, target)
	resume, err := c.Injector.Pause(ctx, target)
	if err != nil {
		return err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done(): // it must not stay paused
	}
	if err := resume(); err != nil {
		return err
	}
	c.end(ctx, n)
	return ctx.Err()
}

func (c *Chaos) begin(ctx context.Context, kind Kind, target string) int {
	e := Event{At: time.Now(), Kind: kind, Target: target}
	c.mu.Lock()
	c.events = append(c.events, e)
	n := len(c.events) - 1
	c.mu.Unlock()
	c.annotate(ctx, e)
	return n
}

func (c *Chaos) end(ctx context.Context, n int) {
	c.mu.Lock()
	c.events[n].Recovered = time.Now()
	e := c.events[n]
	c.mu.Unlock()
	c.annotate(ctx, e)
}

func (c *Chaos) annotate(ctx context.Context, e Event) {
	if c.Annotate == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, annotateTime)
	defer cancel()
	if err := c.Annotate(ctx, e); err != nil {
		c.mu.Lock()
		c.lastErr = err
		c.mu.Unlock()
	}
}

// annotateTime is how long a fault may be held up by being told of.
const annotateTime = time.Second
