package proofs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/fleet"
	"github.com/cloud-pixel/playground/services/internal/store"
)

const mainCanvas = "main"

// truth is what Redis holds of a canvas, read without any service.
type truth struct {
	entries []*canvas.Entry // the whole log, from its beginning
	picture *canvas.Frozen  // what the log makes
	head    uint64
	epoch   canvas.Epoch
}

// readTruth reads the log from its first operation. The canvas must be quiet,
// and young enough that nothing was trimmed.
func readTruth(t *testing.T, ctx context.Context, redisURL string) *truth {
	t.Helper()
	s, err := store.Open(store.Options{URL: redisURL})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	meta, err := s.Meta(ctx, mainCanvas)
	if err != nil {
		t.Fatal(err)
	}
	grid := canvas.NewGrid(meta.Spec)
	all := &truth{epoch: meta.Epoch}
	for {
		entries, head, err := s.Read(ctx, mainCanvas, all.head, 500)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.First != all.head+1 {
				t.Fatalf("the log goes on at %d after %d", e.First, all.head)
			}
			for i := range e.Ops {
				grid.Apply(&e.Ops[i])
			}
			all.head = e.Last()
		}
		all.entries = append(all.entries, entries...)
		if all.head >= head {
			all.picture = grid.Freeze()
			return all
		}
	}
}

// checkStored compares the checkpoint that Redis holds, with the log behind
// it, with the picture that the log alone makes. It waits for the first one.
func (w *truth) checkStored(t *testing.T, ctx context.Context, redisURL string) {
	t.Helper()
	s, err := store.Open(store.Options{URL: redisURL})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var cp *store.Checkpoint
	eventually(t, ctx, "there is a checkpoint", func() bool {
		if cp, err = s.LoadCheckpoint(ctx, mainCanvas); err != nil {
			t.Fatalf("loading the checkpoint: %v", err)
		}
		return cp != nil
	})
	grid := cp.Grid.Thaw()
	for _, e := range w.entries {
		for i := range e.Ops {
			if e.First+uint64(i) > cp.Position.Seq {
				grid.Apply(&e.Ops[i])
			}
		}
	}
	if got := grid.Freeze(); got.Hash() != w.picture.Hash() {
		t.Errorf("checkpoint at %d and the log behind it make another picture than the log", cp.Position.Seq)
	}
}

// drawn is what a client sent with its numbers 1 … n.
type drawn struct {
	client *client.Client
	n      uint64
}

// checkOnce checks that the log holds each operation of each client exactly
// once and in order, and nothing else.
func (w *truth) checkOnce(t *testing.T, by []drawn) {
	t.Helper()
	last := map[uint32]uint64{} // by the lower half of the author's tag, which clients know
	for _, e := range w.entries {
		for _, o := range e.Ops {
			if o.Number != last[uint32(o.Author)]+1 {
				t.Errorf("author %x: operation %d follows %d in the log", o.Author, o.Number, last[uint32(o.Author)])
			}
			last[uint32(o.Author)] = o.Number
		}
	}
	if len(last) != len(by) {
		t.Errorf("%d authors in the log, want %d", len(last), len(by))
	}
	for i, d := range by {
		if got := last[d.client.Author()]; got != d.n {
			t.Errorf("client %d: the log ends at its operation %d of %d", i, got, d.n)
		}
	}
}

// checkClient waits until a client has everything, compares its picture, and
// checks that it saw neither gap nor repetition nor a step back.
func (w *truth) checkClient(t *testing.T, ctx context.Context, name string, c *client.Client) {
	t.Helper()
	if err := c.WaitFor(ctx, w.head); err != nil {
		t.Errorf("%s is at %v, the log at %d: %v (last error: %v)", name, c.Position(), w.head, err, c.LastError())
		return
	}
	if p := c.Position(); p.Epoch != w.epoch {
		t.Errorf("%s is at %v, of another epoch than %v", name, p, w.epoch)
	}
	if c.Grid().Hash() != w.picture.Hash() {
		t.Errorf("%s has another picture than the log", name)
	}
	if s := c.Stats(); s.Gaps != 0 || s.OutOfOrder != 0 || s.Duplicates != 0 || s.Overlaps != 0 || s.BadSnapshots != 0 || s.Expired != 0 || s.Outbox != 0 {
		t.Errorf("%s: %+v", name, s)
	}
}

// checkAPIs compares the picture of each api, asked at its own address.
func (w *truth) checkAPIs(t *testing.T, ctx context.Context, f *fleet.Fleet) {
	t.Helper()
	s, err := f.State()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range s.Of(fleet.API) {
		got, err := restPicture(ctx, "http://"+p.Addr, w.picture.Spec())
		if err != nil {
			t.Errorf("%s: %v", p.Pod, err)
		} else if got.Hash() != w.picture.Hash() {
			t.Errorf("%s has another picture than the log", p.Pod)
		}
	}
}

// checkGateways compares the picture that each gateway gives to who comes new,
// asked at its own address.
func (w *truth) checkGateways(t *testing.T, ctx context.Context, f *fleet.Fleet) {
	t.Helper()
	s, err := f.State()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range s.Of(fleet.Gateway) {
		c, err := client.Dial(ctx, client.Options{URLs: []string{"ws://" + p.Addr + "/ws"}})
		if err != nil {
			t.Errorf("%s: %v", p.Pod, err)
			continue
		}
		w.checkClient(t, ctx, "who is new at "+p.Pod, c)
		_ = c.Close()
	}
}

// restPicture returns the canvas as the original's route tells it.
func restPicture(ctx context.Context, base string, spec canvas.Spec) (*canvas.Frozen, error) {
	var answer struct {
		Width, Height int
		Pixels        map[string]string
	}
	text, err := get(ctx, base+"/api/canvas")
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, err
	}
	if answer.Width != spec.Width || answer.Height != spec.Height {
		return nil, fmt.Errorf("the api has a canvas of %d×%d", answer.Width, answer.Height)
	}
	grid := canvas.NewGrid(spec)
	for at, text := range answer.Pixels {
		var x, y int
		if _, err := fmt.Sscanf(at, "%d,%d", &x, &y); err != nil {
			return nil, err
		}
		c, err := canvas.ParseColor(text)
		if err != nil {
			return nil, err
		}
		grid.Set(x, y, c)
	}
	return grid.Freeze(), nil
}

// fresh asks on connections of its own: one to a process that was killed must
// not be used again.
var fresh = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func get(ctx context.Context, url string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := fresh.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return text, err
}
