package proofs

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/fleet"
	"github.com/cloud-pixel/playground/services/internal/archive"
	"github.com/cloud-pixel/playground/services/protocol"
)

// lodger draws on a row of its own until the log takes no more, and goes on
// drawing into its outbox then.
type lodger struct {
	*client.Client
	row int
	n   uint64

	mu      sync.Mutex
	acked   uint64
	refused map[protocol.Code]int
	final   int
	news    chan struct{} // closed at the next answer
}

func lodge(t *testing.T, ctx context.Context, row int, o client.Options) *lodger {
	t.Helper()
	l := &lodger{row: row, refused: make(map[protocol.Code]int), news: make(chan struct{})}
	o.Name = fmt.Sprintf("lodger %d", row)
	o.OnAck = func(client.Acked) { l.answer(func() { l.acked++ }) }
	o.OnRefused = func(r client.Refused) {
		l.answer(func() {
			l.refused[r.Code]++
			if r.Final {
				l.final++
			}
		})
	}
	l.Client = connect(t, ctx, o)
	return l
}

func (l *lodger) answer(note func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	note()
	close(l.news)
	l.news = make(chan struct{})
}

// until waits for answers that satisfy a condition, which is looked at under
// the lock.
func (l *lodger) until(ctx context.Context, holds func() bool) error {
	for {
		l.mu.Lock()
		ok, news := holds(), l.news
		so := fmt.Sprintf("%d of %d operations acknowledged, refused %v", l.acked, l.n, l.refused)
		l.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", so, ctx.Err())
		}
	}
}

// draw draws one operation on the lodger's row.
func (l *lodger) draw(ctx context.Context) error {
	l.n++
	_, err := l.Draw(ctx, l.pixel(l.n))
	return err
}

func (l *lodger) pixel(n uint64) canvas.Pixel {
	return canvas.Pixel{X: uint16(n % 30), Y: uint16(l.row), Color: canvas.Color(uint64(l.row)<<16 | n)}
}

// fill draws one operation after the other, each in an entry of its own, until
// one is refused because the log is full; then some more. A log that takes more
// than it may hold is an error.
func (l *lodger) fill(ctx context.Context, most uint64, more int) error {
	for begun, full := l.n, false; !full; {
		if l.n-begun > most {
			return fmt.Errorf("the log has taken %d operations of this client, one after the other, and may have %d entries", l.n-begun, most)
		}
		if err := l.draw(ctx); err != nil {
			return err
		}
		if err := l.until(ctx, func() bool { full = l.refused[protocol.CodeLogFull] > 0; return full || l.acked == l.n }); err != nil {
			return err
		}
	}
	for range more {
		if err := l.draw(ctx); err != nil {
			return err
		}
	}
	return nil
}

// The log is at its cap, and no api is there to make room: writes are refused
// by that name and nothing is dropped from the log, however often they come
// again. When the apis are back everything gets through, once.
func TestFullLog(t *testing.T) {
	ctx := limit(t)
	server := redisServer(t)
	const limitOfLog, retention = 60, 10
	f := startFleet(t, ctx, fleet.Options{
		Gateways: 2, APIs: 2, Redis: server.URL(), Canvas: "30x20",
		Env: append(often(retention), fmt.Sprintf("LOG_MAX_ENTRIES=%d", limitOfLog)),
	})
	k := newKeeper(t, server)
	var all []*lodger
	for i := range pick(4, 16) {
		o := client.Options{URLs: []string{wsURL(t, f)}}
		if i%2 == 1 {
			o.Codec, o.API = client.JSON, baseURL(t, f)
		}
		all = append(all, lodge(t, ctx, i, o))
	}
	apis := func(sig syscall.Signal) {
		for _, pod := range []string{"api-0", "api-1"} {
			if err := f.Signal(pod, sig); err != nil {
				t.Error(err)
			}
		}
	}
	var expected []func(*canvas.Grid)
	for _, l := range all {
		expected = append(expected, func(g *canvas.Grid) {
			for n := range l.n {
				p := l.pixel(n + 1)
				g.Set(int(p.X), int(p.Y), p.Color)
			}
		})
	}
	drawn := func() (n uint64) {
		for _, l := range all {
			n += l.n
		}
		return n
	}

	for range pick(1, 10) {
		for _, l := range all {
			for range 5 {
				must(t, l.draw(ctx))
			}
			must(t, l.Flush(ctx))
		}
		eventually(t, ctx, "everything is in the checkpoint", func() bool { return k.stored(t, ctx) == drawn() })
		apis(syscall.SIGSTOP)
		t.Cleanup(func() { apis(syscall.SIGCONT) }) // else a failed test could not stop them
		stored, oldest := k.stored(t, ctx), k.oldest(t, ctx)

		var filling sync.WaitGroup
		for _, l := range all {
			l.mu.Lock()
			clear(l.refused)
			l.mu.Unlock()
			filling.Go(func() {
				if err := l.fill(ctx, limitOfLog, 20); err != nil {
					t.Errorf("client %d: %v", l.row, err)
				}
			})
		}
		filling.Wait()
		if t.Failed() {
			return
		}
		// Clients come again as they are told, and are refused again.
		for _, l := range all {
			must(t, l.until(ctx, func() bool { return l.refused[protocol.CodeLogFull] > 2 }))
			l.mu.Lock()
			if len(l.refused) != 1 || l.final > 0 {
				t.Errorf("client %d was refused for %v, %d times for good", l.row, l.refused, l.final)
			}
			l.mu.Unlock()
		}
		length, first, err := k.LogInfo(ctx, mainCanvas)
		must(t, err)
		if length != limitOfLog || first != oldest {
			t.Errorf("the full log has %d entries from %d on; it had begun at %d and may have %d", length, first, oldest, limitOfLog)
		}
		if first > stored+1 {
			t.Errorf("the log begins at %d, the checkpoint has what is up to %d", first, stored)
		}
		if now := k.stored(t, ctx); now != stored {
			t.Fatalf("the apis were stopped, and the checkpoint went from %d to %d", stored, now)
		}

		apis(syscall.SIGCONT)
		for _, l := range all {
			if err := l.Flush(ctx); err != nil {
				t.Fatalf("client %d: %v", l.row, l.until(ctx, func() bool { return false }))
			}
		}
		// Each operation was acknowledged, so it is in the log; and the log has
		// no more operations than were drawn: each is there once.
		view, err := archive.Load(ctx, k, mainCanvas)
		must(t, err)
		grid := canvas.NewGrid(view.Picture.Spec())
		for _, paint := range expected {
			paint(grid)
		}
		k.truth = &truth{epoch: view.Position.Epoch, head: view.Position.Seq, picture: grid.Freeze()}
		if k.head != drawn() {
			t.Errorf("the log has %d operations, %d were drawn", k.head, drawn())
		}
		k.whole(t, ctx, "after the log was full")
		for _, l := range all {
			k.checkClient(t, ctx, fmt.Sprintf("client %d", l.row), l.Client)
		}
	}
	k.everywhere(t, ctx, f)
}
