package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
)

// positionHeader says at which position a picture from the REST service
// stands, as "epoch/seq".
const positionHeader = "Pixel-Position"

// mainCanvas is the canvas of the original's routes.
const mainCanvas = "main"

// startReload begins to load the picture, which must be at target or later:
// the updates behind target come over the connection. It replaces a reload
// towards another position. The caller holds handling.
func (l *link) startReload(target canvas.Position) {
	if l.stopReload != nil {
		if l.target == target {
			return
		}
		l.stopReload()
	}
	// What was kept so far came before the position that counts now.
	l.awaiting, l.target, l.buffered = true, target, nil
	ctx, cancel := context.WithCancel(l.ctx)
	l.stopReload = cancel
	l.running.Go(func() {
		defer cancel()
		picture, at, err := l.c.reload(ctx, target)
		l.c.handling.Lock()
		defer l.c.handling.Unlock()
		if err != nil || ctx.Err() != nil {
			return // the connection or the target is another one by now
		}
		l.stopReload = nil
		l.adopt(picture.Thaw(), at, Reloaded, time.Now())
	})
}

// reload loads the picture until it is one at target or later, or ctx ends.
// An api that is behind, or has not heard of the epoch yet, is asked again.
func (c *Client) reload(ctx context.Context, target canvas.Position) (*canvas.Frozen, canvas.Position, error) {
	pace := pacer{Backoff: c.opts.Backoff, rand: c.opts.Rand}
	for {
		picture, at, err := c.load(ctx)
		if err == nil && at.Epoch == target.Epoch && at.Seq >= target.Seq {
			c.mu.Lock()
			c.stats.Reloads++
			c.mu.Unlock()
			return picture, at, nil
		}
		if err == nil {
			err = fmt.Errorf("client: the picture by REST stands at %v, before %v", at, target)
		}
		c.mu.Lock()
		c.stats.ReloadErrors++
		c.lastErr = err
		c.mu.Unlock()
		if err := sleep(ctx, pace.next(0)); err != nil {
			return nil, canvas.Position{}, err
		}
	}
}

// loadREST is the default of Options.Load.
func (c *Client) loadREST(ctx context.Context) (*canvas.Frozen, canvas.Position, error) {
	fail := func(err error) (*canvas.Frozen, canvas.Position, error) {
		return nil, canvas.Position{}, fmt.Errorf("client: loading the canvas: %w", err)
	}
	address := c.opts.API + "/api/canvas"
	if c.opts.Canvas != "" && c.opts.Canvas != mainCanvas {
		address = c.opts.API + "/api/canvases/" + c.opts.Canvas + "/canvas"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fail(err)
	}
	response, err := c.opts.HTTPClient.Do(request)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fail(errors.New(response.Status))
	}
	at, err := canvas.ParsePosition(response.Header.Get(positionHeader))
	if err != nil {
		return fail(err)
	}
	grid, err := readPicture(response.Body)
	if err != nil {
		return fail(err)
	}
	return grid.Freeze(), at, nil
}

// readPicture reads {"width":w,"height":h,"pixels":{"x,y":"#RRGGBB", …}}. It
// goes through it token by token, since as one value a large canvas would take
// many times its size. The size must come before the pixels, as it does.
func readPicture(r io.Reader) (*canvas.Grid, error) {
	d := json.NewDecoder(r)
	spec := canvas.Spec{Background: canvas.White}
	var grid *canvas.Grid
	if err := expectDelim(d, '{'); err != nil {
		return nil, err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		switch key {
		case "width":
			err = d.Decode(&spec.Width)
		case "height":
			err = d.Decode(&spec.Height)
		case "pixels":
			if err = spec.Validate(); err == nil {
				grid = canvas.NewGrid(spec)
				err = readPixels(d, grid)
			}
		default:
			var skipped json.RawMessage
			err = d.Decode(&skipped)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := expectDelim(d, '}'); err != nil { // else the body was cut off
		return nil, err
	}
	if grid == nil {
		return nil, errors.New("the picture has no pixels")
	}
	return grid, nil
}

func readPixels(d *json.Decoder, grid *canvas.Grid) error {
	if err := expectDelim(d, '{'); err != nil {
		return err
	}
	spec := grid.Spec()
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		value, err := d.Token()
		if err != nil {
			return err
		}
		place, _ := key.(string)
		text, _ := value.(string)
		left, right, _ := strings.Cut(place, ",")
		x, errX := strconv.Atoi(left)
		y, errY := strconv.Atoi(right)
		color, errColor := canvas.ParseColor(text)
		if errX != nil || errY != nil || errColor != nil || !spec.Contains(x, y) {
			return fmt.Errorf("the picture has no cell %.20q of colour %.20q", place, text)
		}
		grid.Set(x, y, color)
	}
	return expectDelim(d, '}')
}

func expectDelim(d *json.Decoder, want json.Delim) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	if t != want {
		return fmt.Errorf("%v where the picture should have %v", t, want)
	}
	return nil
}

// sleep waits for a time or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
