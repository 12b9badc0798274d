package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"iter"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/httpkit"
	"github.com/cloud-pixel/playground/services/internal/replica"
	"github.com/cloud-pixel/playground/services/protocol"
)

// Forms of a whole picture.
const (
	formJSON     = "json"
	formPNG      = "png"
	formSnapshot = "snapshot"
)

const (
	// maxJSONCells is the greatest canvas that is served as JSON: about 20 MB.
	maxJSONCells = 1_000_000
	// maxImagePixels bounds an image, after scaling: the greatest canvas at
	// scale 1.
	maxImagePixels = canvas.MaxSide * canvas.MaxSide
	maxScale       = 16
	// heavyCells is how many cells (or pixels of an image) make a picture that
	// only few requests may work on at a time.
	heavyCells = 1 << 18
	// maxKept bounds what is kept of one canvas, in bytes.
	maxKept = 8 << 20
)

// Caching: JSON and snapshots are for programs that rely on reading what they
// wrote, so caches must ask each time. An image is for eyes: a shared cache may
// serve one for a second, and an older one while it gets the next.
const (
	cacheAsk   = "no-cache"
	cacheImage = "public, max-age=0, s-maxage=1, stale-while-revalidate=5"
)

// pictures has the encoded pictures of a canvas at its newest position, each
// made once and shared by all who ask.
type pictures struct {
	mu   sync.Mutex
	at   canvas.Position
	kept int
	made map[string]*picture
}

type picture struct {
	done  chan struct{} // closed when parts or err are there
	parts [][]byte
	err   error
}

// moment freezes the canvas and returns the picture of that name at that
// moment; mine tells that the caller has to make it. No picture is returned,
// nor has to be made, for a position that unless knows.
func (p *pictures) moment(c *replica.Canvas, name string, unless func(canvas.Position) bool) (f *canvas.Frozen, at canvas.Position, pic *picture, mine bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// Frozen under the lock, so that positions here never step back.
	f, at, _ = c.Replica.Freeze()
	if unless(at) {
		return f, at, nil, false
	}
	if at != p.at || p.made == nil {
		p.at, p.kept, p.made = at, 0, make(map[string]*picture)
	}
	if pic = p.made[name]; pic != nil {
		return f, at, pic, false
	}
	pic = &picture{done: make(chan struct{}), err: errUnavailable} // should making it panic
	p.made[name] = pic
	return f, at, pic, true
}

// settle publishes what was made, and forgets what is too great to be kept or
// was not made at all: those who wait for it have it all the same.
func (p *pictures) settle(at canvas.Position, name string, pic *picture) {
	size := 0
	for _, part := range pic.parts {
		size += len(part)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at == at && p.made[name] == pic {
		if p.kept += size; p.kept > maxKept || pic.err != nil {
			p.kept -= size
			delete(p.made, name)
		}
	}
	close(pic.done)
}

// rendering says how a picture is served.
type rendering struct {
	form        string
	name        string // in the cache: the form and what else it depends on
	contentType string
	gzip        bool // the parts are compressed
	varies      bool // with what the client accepts
	caching     string
	cost        int // cells or pixels
	make        func(f *canvas.Frozen, at canvas.Position) ([][]byte, error)
}

// serve answers with a picture that the canvas shows now.
func (s *service) serve(ctx context.Context, w http.ResponseWriter, r *http.Request, c *replica.Canvas, how rendering) error {
	all := attachedTo(c).pictures
	known := r.Header.Get("If-None-Match")
	f, at, pic, mine := all.moment(c, how.name, func(at canvas.Position) bool { return matches(known, how.etag(at)) })
	h := w.Header()
	h.Set("Pixel-Position", at.String())
	h.Set("ETag", how.etag(at))
	h.Set("Cache-Control", how.caching)
	if how.varies {
		h.Add("Vary", "Accept-Encoding")
	}
	if pic == nil {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	source := "cache"
	if mine {
		source = "made"
		s.render(all, pic, how, f, at)
	}
	s.metrics.pictures.WithLabelValues(how.form, source).Inc()
	select {
	case <-pic.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if pic.err != nil {
		return pic.err
	}
	size := 0
	for _, part := range pic.parts {
		size += len(part)
	}
	h.Set("Content-Type", how.contentType)
	if how.gzip {
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Length", strconv.Itoa(size))
	h.Set("X-Content-Type-Options", "nosniff")
	for _, part := range pic.parts {
		if _, err := w.Write(part); err != nil {
			return nil // the client has gone: nobody to tell
		}
	}
	return nil
}

// etag is strong: the position and the name decide every byte.
func (how *rendering) etag(at canvas.Position) string {
	return fmt.Sprintf(`"%s-%d-%s"`, at.Epoch, at.Seq, how.name)
}

// render makes a picture. It does not end with the request that began it:
// others may wait for the same.
func (s *service) render(all *pictures, pic *picture, how rendering, f *canvas.Frozen, at canvas.Position) {
	defer all.settle(at, how.name, pic)
	if how.cost > heavyCells {
		wait, cancel := context.WithTimeout(context.Background(), s.o.ReadTimeout)
		defer cancel()
		select {
		case s.heavy <- struct{}{}:
			defer func() { <-s.heavy }()
		case <-wait.Done():
			pic.err = errTooBusy
			return
		}
	}
	pic.parts, pic.err = how.make(f, at)
}

// matches tells whether an If-None-Match names the tag.
func matches(header, etag string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
			return true
		}
	}
	return false
}

// getJSON answers with all pixels as the original does.
func (s *service) getJSON(w http.ResponseWriter, r *http.Request, id string) error {
	return s.read(r.Context(), id, func(ctx context.Context, c *replica.Canvas) error {
		cells := c.Replica.Spec().Cells()
		if cells > maxJSONCells {
			return &problem{http.StatusRequestEntityTooLarge, fmt.Sprintf("The canvas has more than %d cells; use /api/canvases/%s/snapshot", maxJSONCells, id), 0}
		}
		how := rendering{
			form: formJSON, name: formJSON, contentType: "application/json; charset=utf-8", caching: cacheAsk, cost: cells,
			make: func(f *canvas.Frozen, _ canvas.Position) (parts [][]byte, err error) {
				for part := range encodeJSON(f, math.MaxInt) {
					parts = append(parts, part)
				}
				return parts, nil
			},
		}
		if cells > heavyCells {
			s.streamJSON(w, r, c, how)
			return nil
		}
		how.varies = true
		if httpkit.AcceptsGzip(r.Header.Values("Accept-Encoding")) {
			how.gzip, how.name = true, formJSON+"-gzip"
			how.make = func(f *canvas.Frozen, _ canvas.Position) ([][]byte, error) { return compressJSON(f) }
		}
		return s.serve(ctx, w, r, c, how)
	})
}

// compressJSON returns the JSON of a picture, compressed. A picture lives as
// long as nobody draws, so the fastest level is the right one.
func compressJSON(f *canvas.Frozen) ([][]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	for part := range encodeJSON(f, math.MaxInt) {
		if _, err := w.Write(part); err != nil {
			return nil, err
		}
	}
	err = w.Close()
	return [][]byte{b.Bytes()}, err
}

// streamJSON writes the JSON of a great canvas while it is made: nobody would
// keep 20 MB for each client that reads slowly.
func (s *service) streamJSON(w http.ResponseWriter, r *http.Request, c *replica.Canvas, how rendering) {
	f, at, _ := c.Replica.Freeze()
	h := w.Header()
	h.Set("Pixel-Position", at.String())
	h.Set("ETag", how.etag(at))
	h.Set("Cache-Control", how.caching)
	if matches(r.Header.Get("If-None-Match"), how.etag(at)) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	s.metrics.pictures.WithLabelValues(how.form, "made").Inc()
	h.Set("Content-Type", how.contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodHead {
		return
	}
	for part := range encodeJSON(f, jsonPart) {
		if _, err := w.Write(part); err != nil {
			return // the client has gone: nobody to tell
		}
	}
}

// jsonPart is the size of the pieces of a document that is streamed, in bytes.
const jsonPart = 32 << 10

// encodeJSON yields {"width":…,"height":…,"pixels":{"x,y":"#RRGGBB",…}} with
// all pixels, row by row, in pieces of at most the given size. A piece is
// valid until the next.
func encodeJSON(f *canvas.Frozen, size int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		spec := f.Spec()
		const cell = len(`"1234,1234":"#RRGGBB",}}`)
		b := make([]byte, 0, min(64+cell*spec.Cells(), size))
		b = append(b, `{"width":`...)
		b = strconv.AppendInt(b, int64(spec.Width), 10)
		b = append(b, `,"height":`...)
		b = strconv.AppendInt(b, int64(spec.Height), 10)
		b = append(b, `,"pixels":{`...)
		for y := range spec.Height {
			for x := range spec.Width {
				if len(b) > size-cell {
					if !yield(b) {
						return
					}
					b = b[:0]
				}
				if x+y > 0 {
					b = append(b, ',')
				}
				b = append(b, '"')
				b = strconv.AppendInt(b, int64(x), 10)
				b = append(b, ',')
				b = strconv.AppendInt(b, int64(y), 10)
				b = append(b, `":"`...)
				b = append(f.At(x, y).Append(b), '"')
			}
		}
		yield(append(b, "}}"...))
	}
}

// getSnapshot answers with the messages of a snapshot, as a connection by the
// binary protocol gets them.
func (s *service) getSnapshot(w http.ResponseWriter, r *http.Request) error {
	return s.read(r.Context(), r.PathValue("id"), func(ctx context.Context, c *replica.Canvas) error {
		return s.serve(ctx, w, r, c, rendering{
			form: formSnapshot, name: formSnapshot, contentType: "application/octet-stream", caching: cacheAsk,
			cost: c.Replica.Spec().Cells(),
			make: func(f *canvas.Frozen, at canvas.Position) ([][]byte, error) {
				return protocol.EncodeSnapshot(f, at), nil
			},
		})
	})
}

// getImage answers with a PNG whose cells are squares of scale × scale pixels.
func (s *service) getImage(w http.ResponseWriter, r *http.Request) error {
	scale := 1
	if given := r.URL.Query().Get("scale"); given != "" {
		var err error
		if scale, err = strconv.Atoi(given); err != nil || scale < 1 || scale > maxScale {
			return &problem{http.StatusBadRequest, fmt.Sprintf("Scale must be an integer from 1 to %d", maxScale), 0}
		}
	}
	return s.read(r.Context(), r.PathValue("id"), func(ctx context.Context, c *replica.Canvas) error {
		pixels := c.Replica.Spec().Cells() * scale * scale
		if pixels > maxImagePixels {
			return &problem{http.StatusBadRequest, fmt.Sprintf("At this scale the image would have more than %d pixels", maxImagePixels), 0}
		}
		return s.serve(ctx, w, r, c, rendering{
			form: formPNG, name: formPNG + strconv.Itoa(scale), contentType: "image/png", caching: cacheImage, cost: pixels,
			make: func(f *canvas.Frozen, _ canvas.Position) ([][]byte, error) {
				var b bytes.Buffer
				err := encodePNG(&b, f, scale)
				return [][]byte{b.Bytes()}, err
			},
		})
	})
}
