package scenario

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/cloud-pixel/playground/bench/scenarios/fanout"
	"github.com/cloud-pixel/playground/services/canvas"
)

var concurrent = Scenario{
	Name:    "concurrent",
	Summary: "20 clients paint the same 10 pixels at the same moments: races, and whether everybody agrees with the log in the end",
	Prepare: func(s *Settings) func(context.Context, *Run) error {
		n := s.Int("NUM_CLIENTS", 20, 2, 1000, "Clients.")
		each := s.Int("PIXELS_PER_CLIENT", 100, 1, 10_000, "Pixels that each client paints.")
		targets := s.Int("TARGET_PIXELS", 10, 1, 1000, "Cells that they paint.")
		volleys := s.Rate("VOLLEY_RATE", 10, 1000, false, "How often per second all paint at the same moment.")
		return func(ctx context.Context, r *Run) error {
			if targets > r.Width*r.Height {
				return fmt.Errorf("TARGET_PIXELS is %d, but the canvas has %d cells", targets, r.Width*r.Height)
			}
			g, err := r.NewGroup()
			if err != nil {
				return err
			}
			if err := g.Join(ctx, n, time.Second); err != nil {
				return err
			}
			// Who paints which cell is drawn by lot, always the same.
			lot := rand.New(rand.NewPCG(1, 2))
			cells := fanout.Spread(r.Width, r.Height)
			r.Say("%d clients paint %d pixels each on %d cells, all at once %v times a second", n, each, targets, volleys)
			err = r.draw(ctx, fanout.Plan{
				Rate: volleys * float64(n), Volley: n, Writes: n * each,
				Cell: func(int) (uint16, uint16) { return cells(lot.IntN(targets)) },
			})
			if err != nil {
				return err
			}
			if err := r.Settle(ctx); err != nil {
				return err
			}
			r.races()
			return r.againstTheLog(ctx)
		}
	},
}

// raceWindow is how far apart two writes of different clients to one cell may
// be for the original's count of races; see docs/REPRODUCTION.md.
const raceWindow = 100 * time.Millisecond

// races counts writes that raced with another client's for the same cell.
func (r *Run) races() {
	type cell struct{ x, y uint16 }
	byCell := map[cell][]fanout.Write{}
	r.Group.Writes(func(w fanout.Write) { byCell[cell{w.X, w.Y}] = append(byCell[cell{w.X, w.Y}], w) })
	var races, nearby uint64
	for _, all := range byCell {
		slices.SortStableFunc(all, func(a, b fanout.Write) int { return cmp.Compare(a.Due, b.Due) })
		for i, w := range all {
			overlaps, near := false, false
			for j := i - 1; j >= 0 && w.Due-all[j].Due <= int64(time.Minute); j-- {
				if all[j].Member == w.Member {
					continue
				}
				// Neither knew that the other's was in the log when it was due.
				overlaps = overlaps || all[j].Acked == 0 || all[j].Acked > w.Due
				near = near || w.Due-all[j].Due <= int64(raceWindow)
			}
			if overlaps {
				races++
			}
			if near {
				nearby++
			}
		}
	}
	r.Own.Count("pixel_races", "writes that were due while another client's write to the same cell was under way", races)
	r.Own.Count("pixel_races_in_100ms", "writes that were due within 100 ms of another client's write to the same cell", nearby)
}

// againstTheLog compares the final colour of every cell that was painted, and
// the write of it that the api finds in the log, with the highest position at
// which clients saw a write of it.
func (r *Run) againstTheLog(ctx context.Context) error {
	type cell struct{ x, y uint16 }
	last := map[cell]fanout.Write{}
	unseen := uint64(0)
	r.Group.Writes(func(w fanout.Write) {
		if w.Seq == 0 {
			unseen++
		} else if at := (cell{w.X, w.Y}); w.Seq > last[at].Seq {
			last[at] = w
		}
	})
	id := r.Canvas
	if id == "" {
		id = "main"
	}
	good, all := uint64(0), uint64(0)
	for _, api := range r.APIs {
		for at, w := range last {
			color, seq, err := lastWrite(ctx, fmt.Sprintf("%s/api/canvases/%s/pixels/%d/%d", api, id, at.x, at.y))
			if err != nil {
				return err
			}
			all++
			if color == w.Color.String() && seq == w.Seq {
				good++
			} else {
				r.Note("cell (%d, %d): %s says %s at %d, clients saw %v at %d last", at.x, at.y, api, color, seq, w.Color, w.Seq)
			}
		}
	}
	r.Own.Rate("pixel_consistent", "cells whose final colour, at each api, is that of the last write in the log", good, all)
	r.Own.Count("pixel_unseen", "writes that no client saw in the log", unseen)
	r.Own.Gauge("pixel_cells", "cells that were painted", float64(len(last)))
	return nil
}

// lastWrite asks an api for a cell and who painted it.
func lastWrite(ctx context.Context, url string) (color string, seq uint64, err error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", 0, err
	}
	q.Close = true // no connection stays behind
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		return "", 0, err
	}
	defer answer.Body.Close() //nolint:errcheck // only read from
	if answer.StatusCode != http.StatusOK {
		return "", 0, fmt.Errorf("%s: %s", url, answer.Status)
	}
	var cell struct {
		Color     string
		LastWrite *struct{ Seq uint64 }
	}
	if err := json.NewDecoder(answer.Body).Decode(&cell); err != nil {
		return "", 0, fmt.Errorf("%s: %w", url, err)
	}
	if _, err := canvas.ParseColor(cell.Color); err != nil {
		return "", 0, fmt.Errorf("%s: %w", url, err)
	}
	if cell.LastWrite == nil {
		return cell.Color, 0, nil
	}
	return cell.Color, cell.LastWrite.Seq, nil
}
