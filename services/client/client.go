package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// Errors of clients. Those with which a client ends for good are ErrClosed,
// ErrNotFound, ErrReplaced, ErrPolicy and ErrHello (see [Client.Err]).
var (
	ErrClosed   = errors.New("client: closed")
	ErrNotFound = errors.New("client: there is no such canvas")
	ErrReplaced = errors.New("client: a newer connection has the same session")
	ErrPolicy   = errors.New("client: the gateway closed the connection because of abuse")
	ErrHello    = errors.New("client: the gateway refused the session")

	ErrOutboxFull    = errors.New("client: the outbox is full")
	ErrNumbersUsedUp = errors.New("client: the session has no more numbers for operations")
	ErrOperation     = errors.New("client: not an operation")
	ErrName          = errors.New("client: a name is valid UTF-8 without control characters")
	ErrNotConnected  = errors.New("client: not connected")
)

// Client follows one canvas and draws on it. See the package comment for what
// it guarantees. Its methods may be called from any goroutine.
type Client struct {
	opts   Options
	load   func(context.Context) (*canvas.Frozen, canvas.Position, error) // nil: none
	author uint32
	pace   pacer // of run alone

	cancel context.CancelFunc // set by Start
	done   chan struct{}      // closed when the goroutines have ended
	wake   chan struct{}      // there may be something to write

	// handling serialises the handling of frames and of loaded pictures, and
	// with it all callbacks. It is taken before mu.
	handling sync.Mutex

	mu       sync.Mutex
	started  bool
	err      error // why the client ended
	lastErr  error // of the last attempt or reload that failed
	link     *link // the present connection; nil while there is none
	ready    bool  // the present connection has told or sent all that was missing
	state    State
	spec     canvas.Spec
	pod      string
	tracker  tracker
	have     bool         // tracker holds a position (and grid its picture)
	grid     *canvas.Grid // nil: none (yet)
	outbox   outbox
	writing  bool // operations without numbers are on their way to the socket
	name     string
	nameDue  bool      // the gateway does not know name yet
	pingsDue int       // to be written
	pings    []pinging // without an answer
	lostAt   time.Time // since when something is missing; zero: nothing is
	stats    Stats
	changed  chan struct{} // closed at the next change that somebody waits for; nil: nobody waits
}

type pinging struct {
	at     time.Time
	answer chan time.Duration
}

// New returns a client that does nothing yet.
func New(o Options) (*Client, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	c := &Client{
		opts:    o,
		load:    o.Load,
		pace:    pacer{Backoff: o.Backoff, rand: o.Rand},
		done:    make(chan struct{}),
		wake:    make(chan struct{}, 1),
		tracker: tracker{pieces: o.Codec == JSON},
		outbox:  outbox{limit: o.MaxOutbox, last: o.LastOp, numbered: !o.Anonymous},
		name:    o.Name,
		stats:   newStats(),
	}
	if c.load == nil && o.API != "" {
		c.load = c.loadREST
	}
	if o.Codec == Binary || o.NoGrid {
		c.load = nil
	}
	if !o.Anonymous {
		c.author = uint32(o.Session.Author())
	}
	return c, nil
}

// Dial returns a client that is connected and has the picture, if it keeps
// one. ctx bounds the wait for that; the client then lives until Close.
func Dial(ctx context.Context, o Options) (*Client, error) {
	c, err := New(o)
	if err != nil {
		return nil, err
	}
	c.Start(context.WithoutCancel(ctx))
	if err := c.WaitReady(ctx); err != nil {
		c.mu.Lock()
		last := c.lastErr
		c.mu.Unlock()
		_ = c.Close()
		if last != nil && !errors.Is(err, last) {
			err = fmt.Errorf("%w (last: %w)", err, last)
		}
		return nil, err
	}
	return c, nil
}

// Start connects in the background, and goes on until ctx ends, Close is
// called or a gateway ends the client for good. Only the first call counts.
func (c *Client) Start(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.started || c.err != nil {
		return
	}
	c.started = true
	ctx, c.cancel = context.WithCancel(ctx)
	go c.run(ctx)
}

// Close ends the client and waits for its goroutines. Operations in the outbox
// are given up; see [Client.Flush]. It must not be called from a callback, and
// may be called more than once.
func (c *Client) Close() error {
	c.mu.Lock()
	switch {
	case c.started:
		c.cancel()
	case c.err == nil:
		c.err = ErrClosed
		close(c.done)
	}
	c.mu.Unlock()
	<-c.done
	return nil
}

// Done is closed when the client has ended and its goroutines are gone.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns why the client has ended, nil while it has not.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// LastError returns what last kept the client from connecting or from loading
// the picture, for messages to people; nil when nothing did.
func (c *Client) LastError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastErr
}

// Draw takes an operation that paints 1 to canvas.MaxPixels pixels (JSON codec:
// exactly one) and returns its number (Anonymous: 0). It never waits: the
// operation is sent as soon as the connection allows, and stays in the outbox
// until it is acknowledged or refused for good. It returns [ErrOutboxFull],
// [ErrOperation] or the error with which the client ended, and then no number
// is used. Concurrent calls are numbered in the order in which they get there.
//
// Whether the pixels are on the canvas is for the gateway to say.
func (c *Client) Draw(ctx context.Context, pixels ...canvas.Pixel) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	most := canvas.MaxPixels
	if c.opts.Codec == JSON {
		most = 1
	}
	if len(pixels) == 0 || len(pixels) > most {
		return 0, fmt.Errorf("%w: %d pixels; 1 to %d allowed", ErrOperation, len(pixels), most)
	}
	for _, p := range pixels {
		if p.Color > 0xFFFFFF {
			return 0, fmt.Errorf("%w: colour %#x has more than 24 bits", ErrOperation, uint32(p.Color))
		}
	}
	d := protocol.Draw{Pixels: slices.Clone(pixels)}
	if c.opts.Trace != nil {
		d.Trace = c.opts.Trace(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	number, err := c.outbox.add(d, time.Now())
	if err == nil {
		c.wakeWriter()
	}
	return number, err
}

// SetName changes the name that others see, trimmed and cut to
// canvas.MaxName characters; an empty one makes anonymous.
func (c *Client) SetName(name string) error {
	name, ok := protocol.CleanName(name, true)
	if !ok {
		return ErrName
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	c.name, c.nameDue = name, true
	c.wakeWriter()
	return nil
}

// Ping measures the time to the gateway and back through both programs. It
// returns [ErrNotConnected] when there is no connection, or it is lost.
func (c *Client) Ping(ctx context.Context) (time.Duration, error) {
	c.mu.Lock()
	if c.link == nil {
		c.mu.Unlock()
		return 0, ErrNotConnected
	}
	p := pinging{at: time.Now(), answer: make(chan time.Duration, 1)}
	c.pings = append(c.pings, p)
	c.pingsDue++
	c.wakeWriter()
	c.mu.Unlock()
	select {
	case took, ok := <-p.answer:
		if !ok {
			return 0, ErrNotConnected
		}
		return took, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Flush waits until no operation is in the outbox: all are in the log or
// refused (Anonymous: written to a socket).
func (c *Client) Flush(ctx context.Context) error {
	return c.until(ctx, func() bool { return c.outbox.len() == 0 && !c.writing })
}

// WaitFor waits until everything up to position seq was applied. In the JSON
// codec an operation of several pixels may still be coming in.
func (c *Client) WaitFor(ctx context.Context, seq uint64) error {
	return c.until(ctx, func() bool { return c.have && c.tracker.at.Seq >= seq })
}

// WaitReady waits until the client is connected and has what it follows: the
// picture, if it keeps one, else the position.
func (c *Client) WaitReady(ctx context.Context) error {
	return c.until(ctx, func() bool { return c.ready })
}

// until waits for a condition, which is looked at under the lock.
func (c *Client) until(ctx context.Context, holds func() bool) error {
	for {
		c.mu.Lock()
		if holds() {
			c.mu.Unlock()
			return nil
		}
		if err := c.err; err != nil {
			c.mu.Unlock()
			return err
		}
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// notify wakes whoever waits in until. The caller holds mu.
func (c *Client) notify() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// wakeWriter lets the writer look for something to write.
func (c *Client) wakeWriter() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Grid returns the picture as it is now, nil when the client has none (yet).
func (c *Client) Grid() *canvas.Frozen {
	f, _ := c.Picture()
	return f
}

// Picture returns the picture and the position at which it stands, as one.
func (c *Client) Picture() (*canvas.Frozen, canvas.Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.grid == nil {
		return nil, c.tracker.at
	}
	return c.grid.Freeze(), c.tracker.at
}

// Position returns the position of what was applied last. It may go back when
// a JSON client has resumed: before an operation of which it may have had a
// part only.
func (c *Client) Position() canvas.Position {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tracker.at
}

// State returns what the connection is doing.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Spec returns the size and background of the canvas as the gateway told them
// (the JSON codec does not tell the background), zero before it has.
func (c *Client) Spec() canvas.Spec {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spec
}

// Pod returns the name of the gateway of the last connection.
func (c *Client) Pod() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pod
}

// Author returns the public tag, its lower half, that this client's operations
// carry in updates; 0 when Anonymous.
func (c *Client) Author() uint32 { return c.author }

// Stats returns the counters as they are now.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats.clone()
	s.Outbox = c.outbox.len()
	return s
}
