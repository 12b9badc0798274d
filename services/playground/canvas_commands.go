package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/archive"
)

// export writes the picture at the head to the file.
func (c *canvasCommand) export(ctx context.Context) error {
	if _, err := os.Lstat(c.file); err == nil && !c.force && c.file != "-" {
		return fmt.Errorf("%w: %s; -force replaces it", archive.ErrExists, c.file) // before the work
	}
	v, err := archive.Load(ctx, c.store, c.id)
	if err != nil {
		return err
	}
	a := archive.New(v, time.Now())
	if c.file == "-" {
		err = archive.Write(c.out, a)
	} else {
		err = archive.Save(c.file, a, c.force)
	}
	if err != nil {
		return err
	}
	c.say(c.err, "exported  canvas %s, %s", c.id, describe(v.Picture, v.Position))
	return nil
}

// restore draws the file's picture on the canvas.
func (c *canvasCommand) restore(ctx context.Context) error {
	a, err := c.open()
	if err != nil {
		return err
	}
	c.say(c.out, "file      of canvas %s, %s", a.Canvas, describe(a.Picture, a.Position))
	const step = 256
	said := uint64(0)
	r, err := archive.Restore(ctx, c.store, a, archive.RestoreOptions{
		Canvas: c.id, MaxCanvases: c.max, Replace: c.replace,
		Progress: func(done, all uint64) {
			if done >= said+step && done < all {
				said = done
				c.say(c.out, "          %d of %d operations", done, all)
			}
		},
	})
	switch {
	case errors.Is(err, archive.ErrNotBlank):
		return fmt.Errorf("%w: somebody has drawn on %q; -replace draws the file over it", err, c.id)
	case errors.Is(err, archive.ErrSize):
		return fmt.Errorf("%w; import it as another canvas by -id, which is made with the picture's size", err)
	case errors.Is(err, archive.ErrBroken) && !c.replace:
		return fmt.Errorf("%w; -replace draws the file all the same, and mends the canvas", err)
	case err != nil && r == nil:
		return err
	}
	switch {
	case r.Broken != nil:
		c.say(c.out, "before    %v", r.Broken)
	case r.Created:
		c.say(c.out, "before    there was no canvas %s", c.id)
	default:
		c.say(c.out, "before    canvas %s, %s", c.id, describe(r.Before.Picture, r.Before.Position))
	}
	switch {
	case r.Appended == 0:
		c.say(c.out, "imported  nothing: the canvas looks so already")
	case r.Continued:
		c.say(c.out, "imported  %d more operations, after those of an import that was interrupted", r.Appended)
	default:
		c.say(c.out, "imported  %d operations", r.Appended)
	}
	if r.After != nil {
		c.say(c.out, "after     canvas %s, %s", c.id, describe(r.After.Picture, r.After.Position))
	}
	switch {
	case err != nil:
		return err
	case r.Difference != nil:
		c.say(c.out, "verified  others drew meanwhile (%d operations), so it is not the file's picture any more: %v", r.Others, r.Difference)
	default:
		c.say(c.out, "verified  the canvas shows the file's picture")
	}
	return nil
}

// errFaults: an audit found some.
var errFaults = errors.New("something is wrong")

// verify audits the canvas, and compares the file with it.
func (c *canvasCommand) verify(ctx context.Context) error {
	var a *archive.Archive
	if c.file != "" {
		var err error
		if a, err = c.open(); err != nil {
			return err
		}
	}
	r, err := archive.Audit(ctx, c.store, c.id, a)
	if err != nil {
		return err
	}
	for _, f := range r.Findings {
		verdict := "ok"
		if f.Fault {
			verdict = "FAULT"
		}
		c.say(c.out, "%-6s %-11s %s", verdict, f.Subject, f.Text)
	}
	if n := len(r.Faults()); n > 0 {
		return fmt.Errorf("%w with canvas %q: %d of %d findings", errFaults, c.id, n, len(r.Findings))
	}
	return nil
}

func describe(f *canvas.Frozen, at canvas.Position) string {
	return fmt.Sprintf("%d×%d, at %v, hash %016x", f.Spec().Width, f.Spec().Height, at, f.Hash())
}
