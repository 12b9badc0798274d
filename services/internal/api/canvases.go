package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/sync/errgroup"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/replica"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/protocol"
)

type (
	canvasMeta struct {
		ID         string    `json:"id"`
		Width      int       `json:"width"`
		Height     int       `json:"height"`
		Background string    `json:"background" example:"#FFFFFF"`
		Created    time.Time `json:"created"`
	}
	canvasState struct {
		ID         string    `json:"id"`
		Width      int       `json:"width"`
		Height     int       `json:"height"`
		Background string    `json:"background" example:"#FFFFFF"`
		Created    time.Time `json:"created"`

		Epoch string `json:"epoch" doc:"The history that the positions belong to: compare it for equality only."`
		Seq   uint64 `json:"seq" doc:"How many operations the canvas has had."`
	}
	canvasList struct {
		Canvases []canvasMeta `json:"canvases" nullable:"false"`
	}
	canvasRequest struct {
		_          struct{} `additionalProperties:"true"`
		Width      int      `json:"width,omitempty" minimum:"1" maximum:"4096" doc:"In cells. The default is that of the service, as for the others."`
		Height     int      `json:"height,omitempty" minimum:"1" maximum:"4096"`
		Background string   `json:"background,omitempty" pattern:"^#[0-9A-Fa-f]{6}$"`
	}
)

func metaOf(id string, m store.Meta) canvasMeta {
	return canvasMeta{id, m.Spec.Width, m.Spec.Height, m.Spec.Background.String(), m.Created.UTC()}
}

// addCanvases adds the routes that name their canvas.
func (s *service) addCanvases(e *endpoints) {
	id := func(r *http.Request) string { return r.PathValue("id") }
	notFound := []int{http.StatusNotFound}
	badOrNotFound := []int{http.StatusBadRequest, http.StatusNotFound}
	answer(e, endpoint{
		method: http.MethodGet, path: "/api/canvases", id: "listCanvases", summary: "All canvases",
	}, s.listCanvases)
	answer(e, endpoint{
		method: http.MethodGet, path: "/api/canvases/{id}", id: "getCanvas", summary: "A canvas and where it stands",
		errors: notFound, headers: []string{"Pixel-Position"},
	}, s.getCanvas)
	answer(e, endpoint{
		method: http.MethodPut, path: "/api/canvases/{id}", id: "createCanvas", summary: "Create a canvas", body: canvasRequest{},
		statuses: []int{http.StatusOK, http.StatusCreated}, headers: []string{"Location"},
		errors:      []int{http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge},
		description: "201 when it was made, 200 when it exists as asked for, 409 when it exists in another form or there are as many canvases as may be. The size and the background of a canvas never change.",
	}, s.createCanvas)
	stream(e, endpoint{
		method: http.MethodGet, path: "/api/canvases/{id}/canvas", id: "getCanvasPixels", summary: "All pixels as JSON",
		statuses: []int{http.StatusOK, http.StatusNotModified}, errors: []int{http.StatusNotFound, http.StatusRequestEntityTooLarge},
		headers:     []string{"Pixel-Position", "ETag"},
		description: "A canvas of more than 1,000,000 cells is not served as JSON; see its snapshot.",
	}, "application/json", wholeCanvas(), func(w http.ResponseWriter, r *http.Request) error { return s.getJSON(w, r, id(r)) })
	stream(e, endpoint{
		method: http.MethodGet, path: "/api/canvases/{id}/snapshot", id: "getCanvasSnapshot", summary: "All pixels in binary",
		statuses: []int{http.StatusOK, http.StatusNotModified}, errors: notFound, headers: []string{"Pixel-Position", "ETag"},
		description: "The messages of a snapshot, one after another, as the WebSocket subprotocol pixel.v1 has them: its beginning, then its bands.",
	}, "application/octet-stream", &huma.Schema{Type: huma.TypeString, Format: "binary"}, s.getSnapshot)
	one, most := 1.0, float64(maxScale)
	stream(e, endpoint{
		method: http.MethodGet, path: "/api/canvases/{id}/image.png", id: "getCanvasImage", summary: "The canvas as an image",
		statuses: []int{http.StatusOK, http.StatusNotModified}, errors: badOrNotFound, headers: []string{"Pixel-Position", "ETag"},
		query: []*huma.Param{{
			Name: "scale", In: "query", Description: "The side of a cell in pixels.",
			Schema: &huma.Schema{Type: huma.TypeInteger, Minimum: &one, Maximum: &most, Default: 1},
		}},
	}, "image/png", &huma.Schema{Type: huma.TypeString, Format: "binary"}, s.getImage)
	answer(e, endpoint{
		method: http.MethodGet, path: "/api/canvases/{id}/pixels/{x}/{y}", id: "getPixel", summary: "One pixel and who painted it last",
		errors: badOrNotFound, headers: []string{"Pixel-Position"},
	}, s.getStory)
	answer(e, endpoint{
		method: http.MethodPut, path: "/api/canvases/{id}/pixels", id: "putPixels", summary: "Paint many pixels", body: pixelsRequest{},
		errors: append(badOrNotFound, http.StatusRequestEntityTooLarge), headers: []string{"Pixel-Position"},
	}, func(w http.ResponseWriter, r *http.Request) (int, pixelsWritten, error) {
		return s.putPixels(w, r, id(r))
	})
	answer(e, endpoint{
		method: http.MethodPost, path: "/api/canvases/{id}/reset", id: "resetCanvas", summary: "Make a canvas blank",
		errors: notFound, guarded: true, headers: []string{"Pixel-Position"},
	}, func(w http.ResponseWriter, r *http.Request) (int, resetDone, error) {
		return s.reset(w, r, id(r), "Canvas reset")
	})
}

// listed bounds the questions about single canvases that are under way at once.
const listed = 16

func (s *service) listCanvases(_ http.ResponseWriter, r *http.Request) (int, canvasList, error) {
	ctx, cancel := context.WithTimeout(r.Context(), s.o.ReadTimeout)
	defer cancel()
	ids, err := s.store.Canvases(ctx)
	if err != nil {
		return 0, canvasList{}, err
	}
	all := make([]*canvasMeta, len(ids))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(listed)
	for i, id := range ids {
		group.Go(func() error {
			m, err := s.store.Meta(ctx, id)
			if errors.Is(err, store.ErrNotFound) {
				return nil // its creation was cut off
			}
			meta := metaOf(id, m)
			all[i] = &meta
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return 0, canvasList{}, err
	}
	list := canvasList{Canvases: []canvasMeta{}}
	for _, m := range all {
		if m != nil {
			list.Canvases = append(list.Canvases, *m)
		}
	}
	return http.StatusOK, list, nil
}

func (s *service) getCanvas(w http.ResponseWriter, r *http.Request) (int, canvasState, error) {
	id := r.PathValue("id")
	var state canvasState
	err := s.read(r.Context(), id, func(ctx context.Context, c *replica.Canvas) error {
		meta, err := s.store.Meta(ctx, id)
		if err != nil {
			return err
		}
		at := c.Replica.Position()
		w.Header().Set("Pixel-Position", at.String())
		m := metaOf(id, meta)
		state = canvasState{m.ID, m.Width, m.Height, m.Background, m.Created, at.Epoch.String(), at.Seq}
		return nil
	})
	return http.StatusOK, state, err
}

func (s *service) createCanvas(w http.ResponseWriter, r *http.Request) (int, canvasMeta, error) {
	id := r.PathValue("id")
	if err := canvas.CheckID(id); err != nil {
		return 0, canvasMeta{}, &problem{http.StatusBadRequest, "Canvas id must have 1 to 64 characters a-z, 0-9 or '-', and not start with '-'", 0}
	}
	body, err := s.body(w, r)
	if err != nil {
		return 0, canvasMeta{}, err
	}
	spec, asked, err := specOf(body, s.o.Canvases.Default)
	if err != nil {
		return 0, canvasMeta{}, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.o.ReadTimeout)
	defer cancel()
	meta, created, err := s.store.Create(ctx, id, spec, s.o.Canvases.Max)
	switch {
	case errors.Is(err, store.ErrTooMany):
		return 0, canvasMeta{}, &problem{http.StatusConflict, fmt.Sprintf("There are %d canvases already", s.o.Canvases.Max), 0}
	case err != nil:
		return 0, canvasMeta{}, err
	case created:
		s.log.InfoContext(ctx, "a canvas was created", "canvas", id, "width", meta.Spec.Width, "height", meta.Spec.Height)
		w.Header().Set("Location", "/api/canvases/"+id)
		return http.StatusCreated, metaOf(id, meta), nil
	case !asked.fits(meta.Spec):
		return 0, canvasMeta{}, &problem{http.StatusConflict, "The canvas exists with another size or background", 0}
	}
	return http.StatusOK, metaOf(id, meta), nil
}

// askedSpec is what a request says of a canvas; nil for what it leaves open.
type askedSpec struct {
	width, height *int
	background    *canvas.Color
}

func (a askedSpec) fits(spec canvas.Spec) bool {
	return (a.width == nil || *a.width == spec.Width) && (a.height == nil || *a.height == spec.Height) &&
		(a.background == nil || *a.background == spec.Background)
}

// specOf reads {width, height, background}; what is missing is as in spec.
func specOf(body []byte, spec canvas.Spec) (canvas.Spec, askedSpec, error) {
	var asked askedSpec
	if len(body) > 0 && body[0] != '{' {
		return spec, asked, errFormat
	}
	v := pick(body, "width", "height", "background")
	for i, side := range []struct {
		to    *int
		asked **int
	}{{&spec.Width, &asked.width}, {&spec.Height, &asked.height}} {
		if v[i] == nil {
			continue
		}
		n, ok := protocol.ParseInteger(v[i])
		if !ok || n < 1 || n > canvas.MaxSide {
			return spec, asked, &problem{http.StatusBadRequest, fmt.Sprintf("Width and height must be integers from 1 to %d", canvas.MaxSide), 0}
		}
		value := int(n)
		*side.to, *side.asked = value, &value
	}
	if v[2] != nil {
		name, _ := text(v[2])
		c, err := canvas.ParseColor(name)
		if err != nil {
			return spec, asked, errColor
		}
		spec.Background, asked.background = c, &c
	}
	return spec, asked, nil
}
