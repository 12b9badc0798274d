package gateway_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/internal/embedded"
)

// Clients of two gateways draw at once, in both codecs; all see the same, and
// it is what the log says.
func TestEverybodySeesTheSame(t *testing.T) {
	server := redis(t, embedded.Options{})
	a, b := start(t, server.URL(), "a", nil), start(t, server.URL(), "b", nil)
	const clients, strokes = 8, 40
	var all []*client.Client
	for i := range clients {
		g := []*running{a, b}[i%2]
		o := client.Options{Name: fmt.Sprintf("painter %d", i)}
		if i >= clients-2 {
			o.Codec = client.JSON
		}
		all = append(all, connect(t, o, g))
	}
	var drawing sync.WaitGroup
	for i, c := range all {
		drawing.Go(func() {
			for n := range strokes {
				p := canvas.Pixel{X: uint16(n % 10), Y: uint16((n + i) % 10), Color: canvas.Color(i<<16 | n)}
				if _, err := c.Draw(deadline(t), p); err != nil {
					t.Error(err)
				}
			}
			if err := c.Flush(deadline(t)); err != nil {
				t.Error(err)
			}
		})
	}
	drawing.Wait()
	_, picture, head := readLog(t, openStore(t, server.URL()), "main")
	if head != clients*strokes {
		t.Errorf("the log has %d operations, not %d", head, clients*strokes)
	}
	for i, c := range all {
		if err := c.WaitFor(deadline(t), head); err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
		if f := c.Grid(); f != nil && f.Hash() != picture.Hash() {
			t.Errorf("client %d has another picture than the log", i)
		}
		if s := c.Stats(); s.Gaps != 0 || s.Duplicates != 0 || s.OutOfOrder != 0 {
			t.Errorf("client %d saw %d gaps, %d duplicates, %d out of order", i, s.Gaps, s.Duplicates, s.OutOfOrder)
		}
	}
}
