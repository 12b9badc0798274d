package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cloud-pixel/playground/services/canvas"
)

// Read returns the operations after position since, in at most limit entries,
// and the log's head at the same moment. The first entry is cut so that it
// begins with since+1. No entries and no error: there is nothing after since.
//
// [ErrTrimmed]: the log does not reach back that far; load the checkpoint.
// [ErrVersion], [ErrMalformed]: an entry cannot be decoded; those before it are
// returned with the error. Entries may be of several epochs: the log goes on
// where an epoch begins.
func (s *Store) Read(ctx context.Context, id string, since uint64, limit int) (entries []*canvas.Entry, head uint64, err error) {
	defer s.metrics.observe(opRead, time.Now(), &err)
	if canvas.CheckID(id) != nil {
		return nil, 0, ErrNotFound
	}
	if limit < 1 {
		return nil, 0, fmt.Errorf("%w: a read of %d entries", ErrInvalid, limit)
	}
	keys := keysOf(id)
	// No upper bound: the last entry may hold operations on both sides of one.
	// And one transaction: were head read apart, "nothing, though head is
	// greater" would not prove that the log is trimmed.
	tx := s.client.TxPipeline()
	exists := tx.HExists(ctx, keys.meta(), "epoch")
	last := tx.Get(ctx, keys.head())
	messages := tx.XRangeN(ctx, keys.log(), decimal(since+1)+"-0", "+", int64(limit))
	if _, err := tx.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, 0, s.failed("read", err)
	}
	if !exists.Val() {
		return nil, 0, ErrNotFound
	}
	if text, err := last.Result(); err == nil {
		if head, err = strconv.ParseUint(text, 10, 53); err != nil {
			return nil, 0, fmt.Errorf("%w: head: %w", ErrMalformed, err)
		}
	}
	next := since + 1
	for _, m := range messages.Val() {
		e, err := decodeMessage(m)
		if err != nil {
			return entries, head, err
		}
		if e.First > next {
			if len(entries) > 0 {
				return entries, head, fmt.Errorf("%w: entry %s begins at %d, after a hole from %d", ErrMalformed, m.ID, e.First, next)
			}
			return nil, head, ErrTrimmed
		}
		if e = e.After(next - 1); e != nil {
			entries = append(entries, e)
			next = e.Last() + 1
		}
	}
	if len(entries) > 0 {
		head = max(head, next-1) // the key may be lost; the log is not
	} else if head > since {
		return nil, head, ErrTrimmed
	}
	return entries, head, nil
}

// LogInfo returns the number of entries of the log and the first position that
// it holds, 0 when it is empty.
func (s *Store) LogInfo(ctx context.Context, id string) (length int64, oldest uint64, err error) {
	defer s.metrics.observe(opLogInfo, time.Now(), &err)
	if canvas.CheckID(id) != nil {
		return 0, 0, ErrNotFound
	}
	tx := s.client.TxPipeline()
	n := tx.XLen(ctx, keysOf(id).log())
	first := tx.XRangeN(ctx, keysOf(id).log(), "-", "+", 1)
	if _, err := tx.Exec(ctx); err != nil {
		return 0, 0, s.failed("log info", err)
	}
	if len(first.Val()) == 0 {
		return n.Val(), 0, nil
	}
	e, err := decodeMessage(first.Val()[0])
	if err != nil {
		return n.Val(), 0, err
	}
	return n.Val(), e.First, nil
}

// Trim drops what the stored checkpoint holds, except for the retention, and
// returns the number of entries that it dropped. Without a checkpoint that this
// release can read it drops nothing.
func (s *Store) Trim(ctx context.Context, id string) (removed int64, err error) {
	defer s.metrics.observe(opTrim, time.Now(), &err)
	if canvas.CheckID(id) != nil {
		return 0, ErrNotFound
	}
	removed, err = trimScript.Run(ctx, s.client, keysOf(id).state(), checkpointVersion, decimal(s.opt.Retention)).Int64()
	return removed, s.failed("trim", err)
}

// decodeMessage reads an entry of the stream and checks that it stands where
// its id says.
func decodeMessage(m redis.XMessage) (*canvas.Entry, error) {
	record, ok := m.Values["e"].(string)
	if !ok {
		return nil, fmt.Errorf("%w: entry %s has no field e", ErrMalformed, m.ID)
	}
	e, err := decodeRecord([]byte(record))
	if err != nil {
		return nil, fmt.Errorf("entry %s: %w", m.ID, err)
	}
	if last, _, _ := strings.Cut(m.ID, "-"); last != decimal(e.Last()) {
		return nil, fmt.Errorf("%w: entry %s ends at %d", ErrMalformed, m.ID, e.Last())
	}
	return e, nil
}
