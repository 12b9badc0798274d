package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/replica"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/internal/tracing"
	"github.com/cloud-pixel/playground/services/protocol"
)

// sessionTTL is how long Redis remembers this process's last operation on a
// canvas: far longer than any write is tried again.
const sessionTTL = time.Hour

// Bodies of requests that draw. Only the document uses them: what is sent is
// read by hand, because entries that are no pixels are skipped.
type (
	pixelRequest struct {
		_     struct{} `additionalProperties:"true"`
		X     int      `json:"x"`
		Y     int      `json:"y"`
		Color string   `json:"color" pattern:"^#[0-9A-Fa-f]{6}$" example:"#FF0000"`
	}
	pixelsRequest struct {
		_      struct{}       `additionalProperties:"true"`
		Pixels []pixelRequest `json:"pixels" doc:"Entries that are no pixels of the canvas are skipped; of several for one cell the last wins."`
	}
)

// Bodies of answers. The order of the keys is the original's.
type (
	pixelWritten struct {
		Success   bool   `json:"success"`
		X         int    `json:"x"`
		Y         int    `json:"y"`
		Color     string `json:"color"`
		Timestamp int64  `json:"timestamp" doc:"The log's time of the write, in ms since 1970."`
	}
	pixelsWritten struct {
		Success   bool  `json:"success"`
		Updated   int   `json:"updated" doc:"The number of cells."`
		Timestamp int64 `json:"timestamp" doc:"The log's time of the write, in ms since 1970."`
	}
	resetDone struct {
		Success bool   `json:"success"`
		Message string `json:"message"`
	}
)

// pixelOf reads an entry {x, y, color}. A coordinate that is a number but no
// integer is no cell.
func pixelOf(value []byte, spec canvas.Spec) (canvas.Pixel, error) {
	v := pick(value, "x", "y", "color")
	name, isText := text(v[2])
	if !isNumber(v[0]) || !isNumber(v[1]) || !isText {
		return canvas.Pixel{}, errFormat
	}
	x, okX := protocol.ParseInteger(v[0])
	y, okY := protocol.ParseInteger(v[1])
	if !okX || !okY || x < 0 || y < 0 || x >= int64(spec.Width) || y >= int64(spec.Height) {
		return canvas.Pixel{}, errBounds
	}
	c, err := canvas.ParseColor(name)
	if err != nil {
		return canvas.Pixel{}, errColor
	}
	return canvas.Pixel{X: uint16(x), Y: uint16(y), Color: c}, nil
}

// putPixel paints one pixel.
func (s *service) putPixel(w http.ResponseWriter, r *http.Request, id string) (int, pixelWritten, error) {
	body, err := s.body(w, r)
	if err != nil {
		return 0, pixelWritten{}, err
	}
	var done pixelWritten
	err = s.write(r.Context(), id, func(ctx context.Context, c *replica.Canvas) error {
		p, err := pixelOf(body, c.Replica.Spec())
		if err != nil {
			return err
		}
		at, err := s.submit(ctx, r, c, canvas.Op{Kind: canvas.Paint, Pixels: []canvas.Pixel{p}})
		if err != nil {
			return err
		}
		w.Header().Set("Pixel-Position", at.position.String())
		done = pixelWritten{true, int(p.X), int(p.Y), p.Color.String(), at.time}
		return nil
	})
	return http.StatusOK, done, err
}

// putPixels paints many pixels; entries that are none are skipped.
func (s *service) putPixels(w http.ResponseWriter, r *http.Request, id string) (int, pixelsWritten, error) {
	body, err := s.body(w, r)
	if err != nil {
		return 0, pixelsWritten{}, err
	}
	var done pixelsWritten
	err = s.write(r.Context(), id, func(ctx context.Context, c *replica.Canvas) error {
		list := pick(body, "pixels")[0]
		if len(list) == 0 || list[0] != '[' {
			return errNoArray
		}
		pixels := lastOfEach(list, c.Replica.Spec())
		if len(pixels) == 0 {
			done = pixelsWritten{true, 0, time.Now().UnixMilli()}
			return c.Replica.Sync(ctx) // a service without its log does not say "success"
		}
		var ops []canvas.Op
		for len(pixels) > 0 {
			n := min(len(pixels), canvas.MaxPixels)
			ops = append(ops, canvas.Op{Kind: canvas.Paint, Pixels: pixels[:n:n]})
			pixels, done.Updated = pixels[n:], done.Updated+n
		}
		at, err := s.submit(ctx, r, c, ops...)
		if err != nil {
			return err
		}
		w.Header().Set("Pixel-Position", at.position.String())
		done.Success, done.Timestamp = true, at.time
		return nil
	})
	return http.StatusOK, done, err
}

// lastOfEach returns the last pixel of an array for each cell, in the order in
// which the cells were first named.
func lastOfEach(array []byte, spec canvas.Spec) []canvas.Pixel {
	var pixels []canvas.Pixel
	place := make(map[uint32]int)
	for value := range elements(array) {
		p, err := pixelOf(value, spec)
		if err != nil {
			continue
		}
		cell := uint32(p.Y)<<16 | uint32(p.X)
		if i, known := place[cell]; known {
			pixels[i] = p
			continue
		}
		place[cell] = len(pixels)
		pixels = append(pixels, p)
	}
	return pixels
}

// reset gives every cell the background's colour.
func (s *service) reset(w http.ResponseWriter, r *http.Request, id, message string) (int, resetDone, error) {
	if err := s.mayReset(w, r); err != nil {
		return 0, resetDone{}, err
	}
	err := s.write(r.Context(), id, func(ctx context.Context, c *replica.Canvas) error {
		at, err := s.submit(ctx, r, c, canvas.Op{Kind: canvas.Reset, Color: c.Replica.Spec().Background})
		if err == nil {
			w.Header().Set("Pixel-Position", at.position.String())
			s.log.InfoContext(ctx, "a canvas was reset", "canvas", id, "position", at.position.String())
		}
		return err
	})
	return http.StatusOK, resetDone{true, message}, err
}

// mayReset checks the token. Hashes are compared, so that the time taken tells
// nothing, not even the length.
func (s *service) mayReset(w http.ResponseWriter, r *http.Request) error {
	if s.o.ResetToken == "" {
		return nil
	}
	given := r.Header.Get("X-Reset-Token")
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		given = strings.TrimSpace(token)
	}
	if given == "" {
		w.Header().Set("WWW-Authenticate", `Bearer realm="canvas reset"`)
		return &problem{http.StatusUnauthorized, "Reset token required", 0}
	}
	have, want := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(s.o.ResetToken))
	if subtle.ConstantTimeCompare(have[:], want[:]) != 1 {
		return &problem{http.StatusForbidden, "Invalid reset token", 0}
	}
	return nil
}

// appended says where in the log a write stands.
type appended struct {
	position canvas.Position
	time     int64 // ms since 1970, by the log
}

// submit brings operations into the log, in order, and waits until they are
// there. An error other than of time means that at least one certainly is not.
func (s *service) submit(ctx context.Context, r *http.Request, c *replica.Canvas, ops ...canvas.Op) (appended, error) {
	trace := tracing.FromContext(ctx) // of the request's span
	if trace == (canvas.Trace{}) {
		trace, _ = protocol.ParseTraceparent(r.Header.Get("traceparent"))
	}
	p := &pendingWrite{left: len(ops), done: make(chan struct{})}
	pixels := 0
	for i := range ops {
		ops[i].Author, ops[i].Trace, ops[i].Received = s.author, trace, time.Now().UnixMicro()
		pixels += len(ops[i].Pixels)
		sub := &replica.Submission{AppendOp: store.AppendOp{Session: s.session, TTL: sessionTTL, Op: ops[i]}, Owner: p}
		if err := c.Writer.Submit(sub, func() uint64 { return s.numbers.Add(1) }); err != nil {
			p.Refused(sub, err)
		}
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		s.metrics.writes.WithLabelValues(writeUnknown).Add(float64(len(ops)))
		return appended{}, ctx.Err()
	}
	if p.err != nil {
		s.metrics.writes.WithLabelValues(writeRefused).Add(float64(len(ops)))
		return appended{}, p.err
	}
	s.metrics.writes.WithLabelValues(writeDone).Add(float64(len(ops)))
	s.metrics.pixels.Add(float64(pixels))
	s.noteActive(ctx, c)
	return p.at, nil
}

// pendingWrite waits for what becomes of its operations.
type pendingWrite struct {
	mu   sync.Mutex
	left int
	at   appended
	err  error         // the first
	done chan struct{} // closed when nothing is left; at and err are final then
}

// Appended implements [replica.Owner].
func (p *pendingWrite) Appended(s *replica.Submission, state store.SessionState, at *store.Appended) {
	p.settle(func() {
		p.at = appended{canvas.Position{Epoch: at.Position.Epoch, Seq: state.Seq}, at.Time}
	})
}

// Refused implements [replica.Owner].
func (p *pendingWrite) Refused(_ *replica.Submission, err error) {
	p.settle(func() {
		if p.err == nil {
			p.err = err
		}
	})
}

func (p *pendingWrite) settle(note func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	note()
	if p.left--; p.left == 0 {
		close(p.done)
	}
}

// noteEvery is how often a canvas that is written to is noted as active.
const noteEvery = time.Minute

// noteActive has all apis keep checkpoints of a canvas that is written to.
// That it fails costs nothing: the log has the write, and the next tries again.
func (s *service) noteActive(ctx context.Context, c *replica.Canvas) {
	a := attachedTo(c)
	last, now := a.noted.Load(), time.Now().UnixNano()
	if now-last < int64(noteEvery) || !a.noted.CompareAndSwap(last, now) {
		return
	}
	if err := s.store.NoteActive(ctx, c.ID); err != nil {
		a.noted.CompareAndSwap(now, last)
	}
}
