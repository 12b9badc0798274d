package archive

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/protocol"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if server != nil {
		if err := server.Close(); err != nil {
			fmt.Println(err)
			code = 1
		}
	}
	if err := goleak.Find(); err != nil {
		fmt.Println(err)
		code = 1
	}
	os.Exit(code)
}

var server *embedded.Server // shared by tests, which do not run in parallel

// env is an empty Redis, a store on it, and a way past the store.
type env struct {
	*store.Store
	raw *redis.Client
}

func newEnv(t *testing.T, o store.Options) *env {
	t.Helper()
	if server == nil {
		s, err := embedded.StartRedis(context.WithoutCancel(t.Context()), embedded.Options{})
		if err != nil {
			t.Fatal(err)
		}
		server = s
	}
	o.URL = server.URL()
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	e := &env{Store: s, raw: redis.NewClient(&redis.Options{Addr: server.Addr(), DisableIdentity: true})}
	t.Cleanup(func() {
		_ = s.Close()
		_ = e.raw.Close()
	})
	e.do(t, "FLUSHALL")
	return e
}

// do sends a command past the store.
func (e *env) do(t *testing.T, args ...any) any {
	t.Helper()
	v, err := e.raw.Do(t.Context(), args...).Result()
	if err != nil {
		t.Fatalf("%v: %v", args[:1], err)
	}
	return v
}

const id = "main"

var spec = canvas.Spec{Width: 300, Height: 260, Background: canvas.White}

func (e *env) create(t *testing.T, s canvas.Spec) store.Meta {
	t.Helper()
	meta, _, err := e.Create(t.Context(), id, s, 0)
	if err != nil {
		t.Fatal(err)
	}
	return meta
}

// painter appends random pixels, one operation an entry.
type painter struct {
	e       *env
	session protocol.Session
	number  uint64
	random  *rand.Rand
}

func (e *env) painter() *painter {
	return &painter{e: e, session: protocol.NewSession(), random: rand.New(rand.NewPCG(1, 2))}
}

func (p *painter) paint(t *testing.T, n int) {
	t.Helper()
	meta, err := p.e.Meta(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		p.number++
		pixels := make([]canvas.Pixel, 1+p.random.IntN(3))
		for i := range pixels {
			pixels[i] = canvas.Pixel{
				X: uint16(p.random.IntN(meta.Spec.Width)), Y: uint16(p.random.IntN(meta.Spec.Height)),
				Color: canvas.Color(p.random.IntN(1 << 24)),
			}
		}
		op := canvas.Op{Kind: canvas.Paint, Pixels: pixels, Author: p.session.Author(), Number: p.number}
		if _, err := p.e.Append(t.Context(), id, canvas.Position{Epoch: meta.Epoch},
			[]store.AppendOp{{Session: p.session, TTL: time.Hour, Op: op}}); err != nil {
			t.Fatal(err)
		}
	}
}

// checkpoint stores the picture as it is now, and trims the log.
func (e *env) checkpoint(t *testing.T) *View {
	t.Helper()
	v := e.load(t)
	if err := e.SaveCheckpoint(t.Context(), id, &store.Checkpoint{Position: v.Position, Time: v.Time, Grid: v.Picture}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Trim(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	return v
}

func (e *env) load(t *testing.T) *View {
	t.Helper()
	v, err := Load(t.Context(), e, id)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// audit expects no fault.
func (e *env) audit(t *testing.T, a *Archive) *Report {
	t.Helper()
	r, err := Audit(t.Context(), e, id, a)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Faults()) > 0 {
		t.Errorf("faults: %+v", r.Faults())
	}
	return r
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }
