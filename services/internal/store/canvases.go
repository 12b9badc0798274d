package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
)

// Create makes a canvas, or returns what is stored of it: the size and
// background that it was created with win over spec. The second result tells
// whether it was made now. A maximum, when not 0, bounds the number of all
// canvases ([ErrTooMany]); it does not concern one that exists.
func (s *Store) Create(ctx context.Context, id string, spec canvas.Spec, maximum int) (meta Meta, created bool, err error) {
	defer s.metrics.observe(opCreate, time.Now(), &err)
	if err := errors.Join(canvas.CheckID(id), spec.Validate()); err != nil {
		return Meta{}, false, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	exists, err := s.client.HExists(ctx, keysOf(id).meta(), "epoch").Result()
	if err != nil {
		return Meta{}, false, s.failed("create", err)
	}
	if exists {
		maximum = 0 // it only needs to be among those that are listed
	}
	place, err := registerScript.Run(ctx, s.client, []string{canvasesKey}, id, maximum).Int()
	if err != nil {
		return Meta{}, false, s.failed("create", err)
	}
	if place == 0 {
		return Meta{}, false, fmt.Errorf("%w: at most %d are allowed", ErrTooMany, maximum)
	}
	reply, err := s.run(ctx, createScript, keysOf(id).state(),
		spec.Width, spec.Height, spec.Background.String(), canvas.NewEpoch().String())
	if err != nil {
		return Meta{}, false, s.failed("create", err)
	}
	if len(reply) != 6 {
		return Meta{}, false, fmt.Errorf("%w: reply %q", ErrMalformed, reply)
	}
	meta, err = parseMeta(reply[1:])
	return meta, reply[0] == "1", err
}

// Meta returns what is stored about a canvas, or [ErrNotFound].
func (s *Store) Meta(ctx context.Context, id string) (meta Meta, err error) {
	defer s.metrics.observe(opMeta, time.Now(), &err)
	if canvas.CheckID(id) != nil {
		return Meta{}, ErrNotFound
	}
	values, err := s.client.HMGet(ctx, keysOf(id).meta(), metaFields...).Result()
	if err != nil {
		return Meta{}, s.failed("meta", err)
	}
	return metaOf(values)
}

// metaFields are the fields of meta in the order of parseMeta.
var metaFields = []string{"width", "height", "background", "epoch", "created"}

// metaOf reads the reply of an HMGET of metaFields.
func metaOf(values []any) (Meta, error) {
	fields := make([]string, len(values))
	for i, v := range values {
		fields[i], _ = v.(string) // nil: the field does not exist
	}
	if len(fields) != len(metaFields) || fields[3] == "" {
		return Meta{}, ErrNotFound
	}
	return parseMeta(fields)
}

func parseMeta(fields []string) (Meta, error) {
	var m Meta
	var err error
	fail := func(err error) (Meta, error) {
		return Meta{}, fmt.Errorf("%w: meta %q: %w", ErrMalformed, fields, err)
	}
	if m.Spec.Width, err = strconv.Atoi(fields[0]); err != nil {
		return fail(err)
	}
	if m.Spec.Height, err = strconv.Atoi(fields[1]); err != nil {
		return fail(err)
	}
	if m.Spec.Background, err = canvas.ParseColor(fields[2]); err != nil {
		return fail(err)
	}
	if m.Epoch, err = canvas.ParseEpoch(fields[3]); err != nil {
		return fail(err)
	}
	created, err := strconv.ParseInt(fields[4], 10, 64)
	if err != nil {
		return fail(err)
	}
	m.Created = time.UnixMilli(created)
	if err := m.Spec.Validate(); err != nil {
		return fail(err)
	}
	return m, nil
}

// Canvases returns the ids of all canvases, in the order of their creation. One
// whose creation was cut off may be among them though it has no meta yet.
func (s *Store) Canvases(ctx context.Context) (ids []string, err error) {
	defer s.metrics.observe(opCanvases, time.Now(), &err)
	ids, err = s.client.ZRange(ctx, canvasesKey, 0, -1).Result()
	return ids, s.failed("canvases", err)
}
