package config

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cloud-pixel/playground/services/canvas"
)

// MainCanvas is the id of the canvas that exists from the start and that
// clients get when they name none.
const MainCanvas = "main"

// Canvas is one canvas that is created at the start unless it exists.
type Canvas struct {
	ID   string
	Spec canvas.Spec
}

// Canvases says which canvases exist from the start. What is stored already
// keeps its size, whatever stands here.
type Canvases struct {
	// Default is the size of the main canvas and of those made without one.
	Default canvas.Spec
	// AtStart are all canvases to create at the start, the main one first.
	AtStart []Canvas
	// Max is the greatest number of canvases that may exist.
	Max int
}

// CanvasesFrom reads CANVAS_WIDTH, CANVAS_HEIGHT, CANVASES and MAX_CANVASES.
func CanvasesFrom(r *Reader) Canvases {
	c := Canvases{Default: canvas.Spec{Background: canvas.White}}
	c.Default.Width = r.Int("CANVAS_WIDTH", 50, "Width of new canvases, in cells. What is stored keeps its size.", Between(1, canvas.MaxSide))
	c.Default.Height = r.Int("CANVAS_HEIGHT", 50, "Height of new canvases, in cells.", Between(1, canvas.MaxSide))
	names := r.List("CANVASES", nil, "Canvases to create at the start besides `main`, each `id` or `id:WIDTHxHEIGHT`.")
	c.Max = r.Int("MAX_CANVASES", 64, "Greatest number of canvases that may exist.", Min(1))
	c.AtStart = []Canvas{{ID: MainCanvas, Spec: c.Default}}
	seen := map[string]bool{}
	for _, name := range names {
		one, err := parseCanvas(name, c.Default)
		switch {
		case err != nil:
			r.fail(fmt.Errorf("CANVASES: %q %w", name, err))
		case seen[one.ID]:
			r.fail(fmt.Errorf("CANVASES: %q is named twice", one.ID))
		case one.ID == MainCanvas:
			c.AtStart[0] = one
		default:
			c.AtStart = append(c.AtStart, one)
		}
		seen[one.ID] = true
	}
	if len(c.AtStart) > c.Max {
		r.fail(fmt.Errorf("CANVASES names %d canvases with `main`, but MAX_CANVASES=%d", len(c.AtStart), c.Max))
	}
	return c
}

func parseCanvas(s string, def canvas.Spec) (Canvas, error) {
	id, size, sized := strings.Cut(s, ":")
	c := Canvas{ID: id, Spec: def}
	if canvas.CheckID(id) != nil {
		return c, fmt.Errorf("is not a name of 1 to 64 characters a-z, 0-9 or '-' that does not start with '-'")
	}
	if !sized {
		return c, nil
	}
	var err error
	c.Spec.Width, c.Spec.Height, err = ParseSize(size)
	return c, err
}

// ParseSize reads WIDTHxHEIGHT, for example 50x50. Its errors end the sentence
// "… value …".
func ParseSize(s string) (width, height int, err error) {
	w, h, ok := strings.Cut(strings.ToLower(s), "x")
	width, errW := strconv.Atoi(w)
	height, errH := strconv.Atoi(h)
	if !ok || errW != nil || errH != nil {
		return 0, 0, fmt.Errorf("does not give a size as WIDTHxHEIGHT, for example 50x50")
	}
	if (canvas.Spec{Width: width, Height: height}).Validate() != nil {
		return 0, 0, fmt.Errorf("does not give a size from 1x1 to %dx%d", canvas.MaxSide, canvas.MaxSide)
	}
	return width, height, nil
}
