package api

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cloud-pixel/playground/services/internal/config"
)

// wholeCanvas describes the JSON of all pixels, which is not made from a type.
func wholeCanvas() *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, Required: []string{"width", "height", "pixels"},
		Properties: map[string]*huma.Schema{
			"width":  {Type: huma.TypeInteger},
			"height": {Type: huma.TypeInteger},
			"pixels": {Type: huma.TypeObject, Description: "The colour of every cell, by `x,y`.", AdditionalProperties: &huma.Schema{Type: huma.TypeString}},
		},
	}
}

// addLegacy adds the routes that clients and scripts of the first version of
// this service call. They speak of the canvas "main". Paths, bodies and status
// codes never change.
func (s *service) addLegacy(e *endpoints) {
	const main = config.MainCanvas
	stream(e, endpoint{
		method: http.MethodGet, path: "/api/canvas", id: "getMainCanvas",
		summary: "All pixels of the main canvas", errors: []int{http.StatusRequestEntityTooLarge},
		statuses: []int{http.StatusOK, http.StatusNotModified}, headers: []string{"Pixel-Position", "ETag"},
		description: "A canvas of more than 1,000,000 cells is not served as JSON; see its snapshot.",
	}, "application/json", wholeCanvas(), func(w http.ResponseWriter, r *http.Request) error { return s.getJSON(w, r, main) })
	answer(e, endpoint{
		method: http.MethodGet, path: "/api/pixel/{x}/{y}", id: "getMainPixel",
		summary: "One pixel of the main canvas", errors: []int{http.StatusBadRequest}, headers: []string{"Pixel-Position"},
	}, func(w http.ResponseWriter, r *http.Request) (int, pixelRead, error) { return s.getPixel(w, r, main) })
	answer(e, endpoint{
		method: http.MethodPut, path: "/api/pixel", id: "putMainPixel",
		summary: "Paint one pixel of the main canvas", body: pixelRequest{}, errors: []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge},
		headers: []string{"Pixel-Position"},
	}, func(w http.ResponseWriter, r *http.Request) (int, pixelWritten, error) { return s.putPixel(w, r, main) })
	answer(e, endpoint{
		method: http.MethodPut, path: "/api/pixels", id: "putMainPixels",
		summary: "Paint many pixels of the main canvas", body: pixelsRequest{}, errors: []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge},
		headers: []string{"Pixel-Position"},
	}, func(w http.ResponseWriter, r *http.Request) (int, pixelsWritten, error) {
		return s.putPixels(w, r, main)
	})
	answer(e, endpoint{
		method: http.MethodPost, path: "/api/canvas/reset", id: "resetMainCanvas",
		summary: "Make the main canvas blank", guarded: true, headers: []string{"Pixel-Position"},
	}, func(w http.ResponseWriter, r *http.Request) (int, resetDone, error) {
		return s.reset(w, r, main, "Canvas reset to white")
	})
}
