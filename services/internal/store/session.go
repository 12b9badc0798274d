package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// Session returns the last operation of a session that the log holds, zero when
// it holds none or has forgotten the session. An append tells the same of the
// sessions in its batch; this is for who must know before the first one.
func (s *Store) Session(ctx context.Context, id string, session protocol.Session) (state SessionState, err error) {
	defer s.metrics.observe(opRead, time.Now(), &err)
	if canvas.CheckID(id) != nil {
		return SessionState{}, ErrNotFound
	}
	keys := keysOf(id)
	tx := s.client.TxPipeline()
	text := tx.Get(ctx, keys.session(session))
	head := tx.Get(ctx, keys.head())
	last := tx.XRevRangeN(ctx, keys.log(), "+", "-", 1)
	if _, err := tx.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return SessionState{}, s.failed("session", err)
	}
	// As append.lua reads it: a state from beyond the head belongs to a log that
	// is gone, and where the key of the head is lost, the log knows.
	number, seq, _ := strings.Cut(text.Val(), " ")
	end := head.Val()
	if end == "" && len(last.Val()) > 0 {
		end, _, _ = strings.Cut(last.Val()[0].ID, "-")
	}
	numbers, err := parseNumbers([]string{orZero(number), orZero(seq), orZero(end)})
	if err != nil {
		return SessionState{}, err
	}
	if numbers[1] > numbers[2] {
		return SessionState{}, nil
	}
	return SessionState{Number: numbers[0], Seq: numbers[1]}, nil
}

func orZero(digits string) string {
	if digits == "" {
		return "0"
	}
	return digits
}
