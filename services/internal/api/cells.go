package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/replica"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/protocol"
)

type (
	// pixelRead is a cell as the original shows it.
	pixelRead struct {
		X     int    `json:"x"`
		Y     int    `json:"y"`
		Color string `json:"color"`
	}
	// pixelStory is a cell with its last write.
	pixelStory struct {
		X         int        `json:"x"`
		Y         int        `json:"y"`
		Color     string     `json:"color"`
		LastWrite *lastWrite `json:"lastWrite" doc:"Null when it is not known: nobody painted the cell yet, or longer ago than the log reaches back."`
	}
	lastWrite struct {
		Username  string `json:"username" doc:"The name that the author showed."`
		Timestamp int64  `json:"timestamp" doc:"The log's time, in ms since 1970."`
		Seq       uint64 `json:"seq" doc:"The position of the write in the log."`
		Reset     bool   `json:"reset" doc:"Whether the write was a reset of the whole canvas."`
	}
)

// anonymous is how authors without a name are shown.
const anonymous = "Anonymous"

// cell returns the cell that the path names.
func cell(r *http.Request, spec canvas.Spec) (x, y int, err error) {
	x, okX := coordinate(r.PathValue("x"))
	y, okY := coordinate(r.PathValue("y"))
	if !okX || !okY || !spec.Contains(x, y) {
		return 0, 0, errBounds
	}
	return x, y, nil
}

// coordinate reads a decimal integer, or any number of JSON whose value is one.
func coordinate(s string) (int, bool) {
	if n, err := strconv.Atoi(s); err == nil {
		return n, true
	}
	if !json.Valid([]byte(s)) {
		return 0, false
	}
	n, ok := protocol.ParseInteger([]byte(s))
	return int(n), ok
}

// getPixel answers with the colour of a cell.
func (s *service) getPixel(w http.ResponseWriter, r *http.Request, id string) (int, pixelRead, error) {
	var p pixelRead
	err := s.read(r.Context(), id, func(_ context.Context, c *replica.Canvas) error {
		x, y, err := cell(r, c.Replica.Spec())
		if err != nil {
			return err
		}
		color, at := c.Replica.At(x, y)
		p = pixelRead{x, y, color.String()}
		w.Header().Set("Pixel-Position", at.String())
		return nil
	})
	return http.StatusOK, p, err
}

// getStory answers with the colour of a cell and its last write.
func (s *service) getStory(w http.ResponseWriter, r *http.Request) (int, pixelStory, error) {
	var p pixelStory
	err := s.read(r.Context(), r.PathValue("id"), func(ctx context.Context, c *replica.Canvas) error {
		x, y, err := cell(r, c.Replica.Spec())
		if err != nil {
			return err
		}
		color, at := c.Replica.At(x, y)
		last, err := s.lastWrite(ctx, c, at, x, y)
		if err != nil {
			return err
		}
		p = pixelStory{X: x, Y: y, Color: color.String()}
		w.Header().Set("Pixel-Position", at.String())
		if last.seq > 0 {
			p.LastWrite = &lastWrite{last.name, last.time, last.seq, last.reset}
			if last.name == "" {
				p.LastWrite.Username = anonymous
			}
		}
		return nil
	})
	return http.StatusOK, p, err
}

// lastWrite returns the last write of a cell; its seq is 0 when none is known.
func (s *service) lastWrite(ctx context.Context, c *replica.Canvas, at canvas.Position, x, y int) (written, error) {
	known, after, floor, err := attachedTo(c).writes.lookup(ctx, at, c.Replica.Position, x, y)
	if err != nil {
		return written{}, err
	}
	source := "memory"
	if floor > after {
		source = "log"
		select {
		case s.scans <- struct{}{}:
		case <-ctx.Done():
			return written{}, ctx.Err()
		}
		found, err := s.search(ctx, c.ID, after, floor, x, y)
		<-s.scans
		// That was the log of this history only if the epoch is still the same
		// now that all is read.
		if err == nil {
			err = c.Replica.Sync(ctx)
		}
		if err != nil {
			return written{}, err
		}
		switch {
		case c.Replica.Position().Epoch != at.Epoch:
			known = written{}
		case found.seq > 0:
			known = found.written
		case !found.complete:
			known = written{} // a write between may have been missed
		}
	}
	if known.seq == 0 {
		source = "unknown"
	}
	s.metrics.lookups.WithLabelValues(source).Inc()
	return known, nil
}

const (
	// searchChunk is how many operations one step of a search covers, and
	// maxSearch how far it goes back: a request must not read a whole log.
	searchChunk = 1024
	maxSearch   = 16 * searchChunk
)

// found is the outcome of a search; complete tells that it covered all of what
// was asked for.
type found struct {
	written
	complete bool
}

// search goes back through the log from floor for what wrote a cell after the
// given position.
func (s *service) search(ctx context.Context, id string, after, floor uint64, x, y int) (found, error) {
	lowest := after
	if floor-after > maxSearch {
		lowest = floor - maxSearch
	}
	for end := floor; end > lowest; {
		begin := lowest
		if end-lowest > searchChunk {
			begin = end - searchChunk
		}
		entries, err := s.between(ctx, id, begin, end)
		trimmed := errors.Is(err, store.ErrTrimmed)
		if trimmed {
			_, oldest, infoErr := s.store.LogInfo(ctx, id)
			if infoErr != nil {
				return found{}, infoErr
			}
			if oldest == 0 || oldest > end {
				return found{}, nil
			}
			entries, err = s.between(ctx, id, oldest-1, end)
		}
		if errors.Is(err, store.ErrTrimmed) {
			return found{}, nil // trimmed once more, meanwhile: it is as old as that
		}
		if err != nil {
			return found{}, err
		}
		if w, ok := lastIn(entries, end, x, y); ok {
			return found{w, true}, nil
		}
		if trimmed {
			return found{}, nil
		}
		end = begin
	}
	return found{complete: lowest == after}, nil
}

// between reads the operations (begin, end] from the log; the last entry may
// have more.
func (s *service) between(ctx context.Context, id string, begin, end uint64) ([]*canvas.Entry, error) {
	var all []*canvas.Entry
	for begin < end {
		entries, _, err := s.store.Read(ctx, id, begin, int(min(end-begin, 128)))
		if err != nil {
			return nil, err
		}
		if len(entries) == 0 {
			break
		}
		all = append(all, entries...)
		begin = entries[len(entries)-1].Last()
	}
	return all, nil
}

// lastIn returns the last write of a cell in entries, up to a position.
func lastIn(entries []*canvas.Entry, end uint64, x, y int) (written, bool) {
	for _, e := range slices.Backward(entries) {
		for i := range slices.Backward(e.Ops) {
			o, seq := &e.Ops[i], e.First+uint64(i)
			if seq > end {
				continue
			}
			hit := o.Kind == canvas.Reset || slices.ContainsFunc(o.Pixels, func(p canvas.Pixel) bool {
				return int(p.X) == x && int(p.Y) == y
			})
			if hit {
				return written{seq: seq, time: e.Time, name: o.Name, reset: o.Kind == canvas.Reset}, true
			}
		}
	}
	return written{}, false
}
