package store

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// A subscription that has heard nothing for pingAfter asks whether Redis is
	// there, and connects anew when it has heard nothing for silentAfter: a
	// connection whose other end has vanished gives no error.
	pingAfter   = time.Second
	silentAfter = 3 * time.Second

	retryFirst = 50 * time.Millisecond
	retryMost  = time.Second

	// maxQueuedEvents bounds what waits for a slow reader here; the rest waits
	// in the connection, until Redis closes it for its output buffer.
	maxQueuedEvents = 64
)

// Subscription delivers what is published of one canvas, for as long as it
// lives over any number of connections.
//
// Nothing is guaranteed of an operation here, neither that it comes nor that it
// comes once: the log is the truth. What is guaranteed is that nothing gets
// lost without a sign: after [Confirmed] everything that is published comes,
// in order, until [Lost].
type Subscription struct {
	events chan Event
	cancel context.CancelFunc
	done   sync.WaitGroup

	// delivering is set while the reader of events is waited for: what Redis
	// says meanwhile is not heard.
	delivering atomic.Bool
	heard      atomic.Int64 // when, in ns since base
	base       time.Time
}

// Subscribe begins a subscription to a canvas, by SUBSCRIBE or, on a Cluster,
// SSUBSCRIBE. It returns at once; [Confirmed] comes when Redis has confirmed
// it. It ends with Close or with ctx.
func (s *Store) Subscribe(ctx context.Context, id string) *Subscription {
	ctx, cancel := context.WithCancel(ctx)
	sub := &Subscription{events: make(chan Event, maxQueuedEvents), cancel: cancel, base: time.Now()}
	sub.done.Go(func() {
		defer close(sub.events)
		s.follow(ctx, id, sub)
	})
	return sub
}

// Events returns the channel of events. It is closed when the subscription has
// ended. Somebody must read it: a reader that stops for long makes Redis close
// the connection.
func (sub *Subscription) Events() <-chan Event { return sub.events }

// Close ends the subscription and waits until all that belongs to it has ended.
func (sub *Subscription) Close() error {
	sub.cancel()
	sub.done.Wait()
	return nil
}

// follow keeps connections up, one after another.
func (s *Store) follow(ctx context.Context, id string, sub *Subscription) {
	wait := retryFirst
	for ctx.Err() == nil {
		confirmed, err := s.listen(ctx, id, sub)
		if ctx.Err() != nil {
			return
		}
		if confirmed {
			wait = retryFirst
			s.metrics.lost.Inc()
			s.log.Warn("Live subscription lost", "canvas", id, "error", err)
			sub.deliver(ctx, Event{Kind: Lost, Err: err})
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		wait = min(2*wait, retryMost)
	}
}

var errUnsubscribed = errors.New("store: the server ended the subscription")

// listen delivers what comes over one connection until it breaks, and tells
// whether the subscription was confirmed on it.
func (s *Store) listen(ctx context.Context, id string, sub *Subscription) (confirmed bool, err error) {
	channel := keysOf(id).channel()
	sub.hear()
	var ps *redis.PubSub
	if s.cluster != nil {
		ps = s.cluster.SSubscribe(ctx, channel)
	} else {
		ps = s.client.Subscribe(ctx, channel)
	}
	// The client would connect again by itself; closing the PubSub on the first
	// error leaves no doubt which connection a confirmation belongs to. It is
	// also what ends a Receive, which does not look at its context.
	watched, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		defer func() { _ = ps.Close() }() // its error says that it was closed
		sub.watch(watched, ps)
	})
	defer watch.Wait()
	defer stop()

	for {
		message, err := ps.Receive(ctx)
		if err != nil {
			return confirmed, err
		}
		sub.hear()
		switch m := message.(type) {
		case *redis.Subscription:
			if m.Kind != "subscribe" && m.Kind != "ssubscribe" {
				// The server has ended it: the slot of the canvas moved to
				// another node. The connection would live on in silence.
				return confirmed, errUnsubscribed
			}
			if confirmed {
				continue
			}
			confirmed = true
			s.metrics.confirmed.Inc()
			sub.deliver(ctx, Event{Kind: Confirmed})
		case *redis.Message:
			sub.deliver(ctx, s.event(m.Payload))
		}
	}
}

func (s *Store) event(payload string) Event {
	now := time.Now()
	e, err := decodeRecord([]byte(payload))
	if err != nil {
		s.metrics.unreadable.Inc()
		return Event{Kind: Unreadable, Err: err}
	}
	s.metrics.live.Inc()
	return Event{Kind: Live, Entry: e, At: now}
}

// deliver hands an event to the reader, however long that takes.
func (sub *Subscription) deliver(ctx context.Context, e Event) {
	sub.delivering.Store(true)
	select {
	case sub.events <- e:
	case <-ctx.Done():
	}
	sub.hear()
	sub.delivering.Store(false)
}

func (sub *Subscription) hear() { sub.heard.Store(int64(time.Since(sub.base))) }

func (sub *Subscription) silence() time.Duration {
	return time.Since(sub.base) - time.Duration(sub.heard.Load())
}

// watch returns when the connection is to be closed.
func (sub *Subscription) watch(ctx context.Context, ps *redis.PubSub) {
	ticker := time.NewTicker(pingAfter)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if sub.delivering.Load() || sub.silence() < pingAfter {
			continue
		}
		if sub.silence() > silentAfter {
			return
		}
		ping, cancel := context.WithTimeout(ctx, pingAfter)
		err := ps.Ping(ping)
		cancel()
		if err != nil {
			return
		}
	}
}
