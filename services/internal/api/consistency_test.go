package api

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"

	"github.com/cloud-pixel/playground/services/canvas"
)

// A read that begins after a write was answered sees it, or a later one of the
// same cell, on every api.
func TestReadAfterWrite(t *testing.T) {
	server := newRedis(t)
	apis := []*process{run(t, server, nil), run(t, server, nil)}
	const writers, rounds = 4, 60
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1))
			for n := range rounds {
				x, y := w, random.IntN(50) // no other writer has this column
				color := canvas.Color(w<<16 | n).String()
				by, other := apis[random.IntN(2)], apis[random.IntN(2)]
				body := fmt.Sprintf(`{"x":%d,"y":%d,"color":"%s"}`, x, y, color)
				path := "/api/pixel"
				if n%3 == 0 {
					path, body = "/api/pixels", `{"pixels":[`+body+`]}`
				}
				if got, err := by.try(http.MethodPut, path, body); err != nil || got.status != 200 {
					t.Errorf("write: %d %s %v", got.status, got.body, err)
					return
				}
				got, err := other.try(http.MethodGet, fmt.Sprintf("/api/pixel/%d/%d", x, y), "")
				if want := fmt.Sprintf(`{"x":%d,"y":%d,"color":"%s"}`, x, y, color); err != nil || got.body != want {
					t.Errorf("wrote %s, then read %d %s %v", want, got.status, got.body, err)
					return
				}
			}
		})
	}
	all.Wait()
	// At one position all have the same.
	grid, at := apis[0].snapshot("main")
	same, there := apis[1].snapshot("main")
	if at != there || grid.Hash() != same.Hash() || at.Seq != writers*rounds {
		t.Errorf("%v with %x, %v with %x", at, grid.Hash(), there, same.Hash())
	}
}

// A created canvas is there, and a reset is seen, on every api at once.
func TestReadAfterCreateAndReset(t *testing.T) {
	server := newRedis(t)
	p, q := run(t, server, nil), run(t, server, nil)
	for n := range 10 {
		id := fmt.Sprintf("canvas-%d", n)
		if got := p.put("/api/canvases/"+id, `{"width":2,"height":1}`); got.status != 201 {
			t.Fatalf("%d %s", got.status, got.body)
		}
		q.put("/api/canvases/"+id+"/pixels", `{"pixels":[{"x":1,"y":0,"color":"#000001"}]}`)
		equal(t, p.get("/api/canvases/"+id+"/canvas"), 200, `{"width":2,"height":1,"pixels":{"0,0":"#FFFFFF","1,0":"#000001"}}`)
		p.do(http.MethodPost, "/api/canvases/"+id+"/reset", "")
		equal(t, q.get("/api/canvases/"+id+"/canvas"), 200, `{"width":2,"height":1,"pixels":{"0,0":"#FFFFFF","1,0":"#FFFFFF"}}`)
	}
}
