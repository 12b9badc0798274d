package main

import (
	"context"
	"fmt"
	"time"

	"github.com/cloud-pixel/playground/bench/internal/swarm"
	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
)

// checker finds out whether everybody has the same picture in the end. With
// the playground it is a client of the product's own, which follows the canvas
// from the beginning; with the reference, which keeps no picture, it only
// compares those that the connections have made.
type checker struct {
	o      options
	s      *system
	client *client.Client // nil: none
}

func newChecker(ctx context.Context, o options, s *system) (*checker, error) {
	k := &checker{o: o, s: s}
	if o.system == reference {
		return k, nil
	}
	c := client.Options{URLs: s.urls[:1]}
	if o.codec == "json" && len(s.apis) > 0 {
		c.Codec, c.API = client.JSON, s.apis[0]
	}
	var err error
	if k.client, err = client.Dial(ctx, c); err != nil {
		return nil, fmt.Errorf("the client that checks the picture: %w", err)
	}
	return k, nil
}

func (k *checker) close() {
	if k.client != nil {
		_ = k.client.Close() // nothing is on its way
	}
}

// compare compares all pictures.
func (k *checker) compare(ctx context.Context, w *swarm.Swarm, r *Result) error {
	pictures := w.Pictures()
	if k.client == nil {
		for i := range pictures {
			r.Pictures++
			if pictures[i] == nil || !agree(pictures[0], pictures[i]) {
				r.Unequal++
			}
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	_, head := w.Acked()
	if err := k.client.WaitFor(ctx, head); err != nil {
		r.Problem = fmt.Sprintf("the client that checks the picture: %v, last: %v", err, k.client.LastError())
		r.Unequal++
		return nil
	}
	want, at := k.client.Picture()
	if stats := k.client.Stats(); stats.Gaps > 0 {
		r.Gaps += stats.Gaps
	}
	for _, p := range pictures {
		r.Pictures++
		if p == nil || !fits(p, want) {
			r.Unequal++
		}
	}
	// Each api has the same picture, too.
	for _, api := range k.s.apis {
		c, err := client.Dial(ctx, client.Options{URLs: k.s.urls[:1], Codec: client.JSON, API: api})
		if err != nil {
			return fmt.Errorf("the picture of %s: %w", api, err)
		}
		got, stands := c.Picture()
		r.Pictures++
		if got.Hash() != want.Hash() || stands.Seq < at.Seq {
			r.Unequal++
		}
		if err := c.Close(); err != nil {
			return err
		}
	}
	return nil
}

// fits tells whether every cell that a connection has painted has the colour
// of the picture.
func fits(p swarm.Picture, want *canvas.Frozen) bool {
	width := want.Spec().Width
	for i, c := range p {
		if c != 0 && want.At(i%width, i/width) != c-1 {
			return false
		}
	}
	return true
}

// agree tells whether two connections that joined before the first write have
// painted the same.
func agree(a, b swarm.Picture) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}
