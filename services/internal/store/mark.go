package store

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
)

// Mark says what a checkpoint's picture is without carrying it.
type Mark struct {
	Position canvas.Position
	Hash     uint64 // of the picture: canvas.Frozen.Hash
	Time     int64  // of the log's entry at Position, ms since the Unix epoch
}

// CheckpointMark returns the mark of the stored checkpoint, or nil when there
// is none. It is cheap: replicas compare themselves with it.
func (s *Store) CheckpointMark(ctx context.Context, id string) (m *Mark, err error) {
	defer s.metrics.observe(opLoadCheckpoint, time.Now(), &err)
	if canvas.CheckID(id) != nil {
		return nil, ErrNotFound
	}
	values, err := s.client.HMGet(ctx, keysOf(id).checkpoint(), "v", "epoch", "seq", "time", "hash").Result()
	if err != nil {
		return nil, s.failed("checkpoint mark", err)
	}
	var text [5]string
	for i, v := range values {
		text[i], _ = v.(string)
	}
	if text[0] == "" {
		return nil, nil
	}
	if text[0] != checkpointVersion {
		return nil, fmt.Errorf("%w: checkpoint %.20q", ErrVersion, text[0])
	}
	m = &Mark{}
	if m.Position.Epoch, err = canvas.ParseEpoch(text[1]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	numbers, err := parseNumbers(text[2:4])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	m.Position.Seq, m.Time = numbers[0], int64(numbers[1])
	if m.Hash, err = strconv.ParseUint(text[4], 16, 64); err != nil {
		return nil, fmt.Errorf("%w: hash %.20q", ErrCorrupt, text[4])
	}
	return m, nil
}
