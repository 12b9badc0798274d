package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// cursorsVersion begins each message on the channel of cursors. Another one is
// ignored: what comes here is worth nothing a moment later.
const cursorsVersion = 1

// maxCursors bounds what one message may make a gateway hold.
const maxCursors = 4096

// PublishCursors tells all gateways where people point on a canvas. Nothing of
// it is kept: who does not follow at this moment never learns of it.
func (s *Store) PublishCursors(ctx context.Context, id string, m protocol.Cursors) (err error) {
	defer s.metrics.observe(opCursors, time.Now(), &err)
	channel, message := keysOf(id).cursors(), encodeCursors(m)
	if s.cluster != nil {
		err = s.cluster.SPublish(ctx, channel, message).Err()
	} else {
		err = s.client.Publish(ctx, channel, message).Err()
	}
	return s.failed("publish cursors", err)
}

// FollowCursors calls deliver with what PublishCursors tells, by any gateway,
// until the context ends; it may miss messages, and does while Redis is away.
// deliver is called by this goroutine and must not wait.
func (s *Store) FollowCursors(ctx context.Context, id string, deliver func(protocol.Cursors)) {
	wait := retryFirst
	for ctx.Err() == nil {
		if s.listenToCursors(ctx, id, deliver) {
			wait = retryFirst
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

// listenToCursors delivers until the connection breaks, and tells whether it
// heard anything.
func (s *Store) listenToCursors(ctx context.Context, id string, deliver func(protocol.Cursors)) (heard bool) {
	channel := keysOf(id).cursors()
	var ps *redis.PubSub
	if s.cluster != nil {
		ps = s.cluster.SSubscribe(ctx, channel)
	} else {
		ps = s.client.Subscribe(ctx, channel)
	}
	// A Receive does not look at its context; closing ends it.
	stop := context.AfterFunc(ctx, func() { _ = ps.Close() })
	defer func() {
		if stop() {
			_ = ps.Close()
		}
	}()
	for last := time.Now(); ; {
		message, err := ps.ReceiveTimeout(ctx, pingAfter)
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout() && ctx.Err() == nil:
			// A connection whose other end has vanished gives no error.
			if time.Since(last) > silentAfter || ps.Ping(ctx) != nil {
				return heard
			}
			continue
		case err != nil:
			return heard
		}
		last, heard = time.Now(), true
		switch m := message.(type) {
		case *redis.Subscription:
			if m.Kind != "subscribe" && m.Kind != "ssubscribe" {
				return heard // see errUnsubscribed
			}
		case *redis.Message:
			if cursors, err := decodeCursors([]byte(m.Payload)); err == nil {
				deliver(cursors)
			}
		}
	}
}

// encodeCursors: version u8, count uvarint, count × (author u32 little-endian,
// x uvarint, y uvarint, name string), then author u32 of each who is gone.
func encodeCursors(m protocol.Cursors) []byte {
	b := append(make([]byte, 0, 16+24*len(m.Here)+4*len(m.Gone)), cursorsVersion)
	b = binary.AppendUvarint(b, uint64(len(m.Here)))
	for _, c := range m.Here {
		b = binary.LittleEndian.AppendUint32(b, c.Author)
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(c.X)), uint64(c.Y))
		b = append(binary.AppendUvarint(b, uint64(len(c.Name))), c.Name...)
	}
	for _, author := range m.Gone {
		b = binary.LittleEndian.AppendUint32(b, author)
	}
	return b
}

func decodeCursors(b []byte) (m protocol.Cursors, err error) {
	if len(b) == 0 || b[0] != cursorsVersion {
		return m, fmt.Errorf("%w: cursors", ErrVersion)
	}
	b = b[1:]
	bad := false
	number := func(most uint64) uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > most {
			bad, b = true, nil
			return 0
		}
		b = b[n:]
		return v
	}
	author := func() (a uint32) {
		if len(b) < 4 {
			bad, b = true, nil
			return 0
		}
		a, b = binary.LittleEndian.Uint32(b), b[4:]
		return a
	}
	for n := number(maxCursors); n > 0 && !bad; n-- {
		c := protocol.CursorAt{Author: author(), X: uint16(number(canvas.MaxSide - 1)), Y: uint16(number(canvas.MaxSide - 1))}
		size := number(1 << 10)
		if bad = bad || size > uint64(len(b)); bad {
			break
		}
		c.Name, b = string(b[:size]), b[size:]
		m.Here = append(m.Here, c)
	}
	for len(b) > 0 && len(m.Gone) < maxCursors {
		m.Gone = append(m.Gone, author())
	}
	if bad || len(b) > 0 {
		return protocol.Cursors{}, fmt.Errorf("%w: cursors", ErrMalformed)
	}
	return m, nil
}
