package fanout

import (
	"context"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
)

// This file is for clients that draw what they like (Options.Free).

// Add lets one more client join and returns it when it is there, or was given
// up after JoinTimeout. It tells h, unless nil, what happens.
func (g *Group) Add(ctx context.Context, h *Handlers) (*Member, error) {
	m, err := g.enter(ctx, h)
	if err != nil {
		return nil, err
	}
	if err := g.await(ctx, m); err != nil {
		return nil, err
	}
	return m, nil
}

// Draw lets a client paint in one operation, due now, and returns the
// operation's number. Errors are those of [client.Client.Draw].
func (g *Group) Draw(m *Member, pixels ...canvas.Pixel) (uint64, error) {
	due := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	pod := g.podNumber(m.pod)
	// It must be known before it can arrive anywhere.
	g.book.mu.Lock()
	defer g.book.mu.Unlock()
	op, err := m.Client.Draw(context.Background(), pixels...)
	if err != nil {
		return 0, err
	}
	k, err := g.book.add(m.id, pod, due.Sub(g.book.begin), pixels[0].X, pixels[0].Y)
	if err != nil {
		return op, nil //nolint:nilerr // it is drawn, but no more writes can be told apart
	}
	if g.opts.Codec == client.Binary {
		g.book.name(identity{author: m.Author(), number: op}, k)
	} else {
		g.book.name(identity{pixel: pixels[0]}, k)
	}
	g.numbers[author{m.id, op}] = k
	return op, nil
}

// Part lets a client go on purpose, when its writes are acknowledged and it has
// what was drawn until now, or after LeaveTimeout.
func (g *Group) Part(ctx context.Context, m *Member) {
	g.mu.Lock()
	for i := range g.slots {
		if g.slots[i] == m {
			g.slots = append(g.slots[:i:i], g.slots[i+1:]...)
			break
		}
	}
	g.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, g.opts.LeaveTimeout)
	defer cancel()
	m.leave(ctx)
}
