package proofs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/fleet"
	"github.com/cloud-pixel/playground/services/internal/store"
)

// Settings of the soak's fleet, in operations: a log that is trimmed soon, but
// not before the test has read it, once in a round.
var soakRetention = pick(1000, 3000)

const soakCheckpoint = 500

// TestSoak runs everything at once, over and over: people draw, come, leave,
// lose their connections and fall asleep, scripts read and write by REST,
// somebody resets the canvas, an api is killed. Nothing may grow. SOAK gives
// its length, like SOAK=10m; in the short form it is a few rounds.
func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(pick("0s", "3m"))
	if text := os.Getenv("SOAK"); text != "" {
		length, err = time.ParseDuration(text)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), length+5*time.Minute)
	defer cancel()
	s := newSoak(t, ctx)
	start, sampled := time.Now(), time.Time{}
	for round := 1; round <= 8 || time.Since(start) < length; round++ {
		s.round(t, ctx, round)
		if round <= 8 || time.Since(sampled) > length/40 {
			sampled = time.Now()
			s.samples.take(t, ctx, s.fleet, s.store, s.length)
		}
	}
	s.finish(t, ctx)
	s.samples.show(t)
	s.samples.check(t, time.Since(start) >= 2*time.Minute)
}

type soak struct {
	fleet    *fleet.Fleet
	redis    string
	store    *redis.Client
	base     string
	gateways []string

	painters []drawn
	lines    wires // of the painters
	sleeper  *client.Client
	sleeping *wires // of the sleeper

	tail    *tail
	length  int64 // of the log after the last round, operations
	visits  int
	visited atomic.Int64 // operations of visitors
	samples samples
}

func newSoak(t *testing.T, ctx context.Context) *soak {
	t.Helper()
	server := redisServer(t)
	s := &soak{redis: server.URL(), sleeping: &wires{narrow: true}}
	s.fleet = startFleet(t, ctx, fleet.Options{
		Gateways: 2, APIs: 2, Frontends: 1, Redis: s.redis, Canvas: "64x64",
		Env: []string{
			fmt.Sprint("LOG_RETENTION=", soakRetention), fmt.Sprint("CHECKPOINT_OPERATIONS=", soakCheckpoint),
			"CHECKPOINT_INTERVAL=1s", "SLOW_CONSUMER_TIMEOUT=2s",
		},
	})
	s.base = baseURL(t, s.fleet)
	state, err := s.fleet.State()
	if err != nil {
		t.Fatal(err)
	}
	if s.gateways, err = state.GatewayURLs(); err != nil {
		t.Fatal(err)
	}
	s.store = redis.NewClient(&redis.Options{
		Addr: server.Addr(), MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { _ = s.store.Close() })
	dialer := s.lines.dialer()
	for i := range 8 {
		o := client.Options{URLs: s.gateways, Dialer: dialer, Name: fmt.Sprintf("painter %d", i)}
		if i%2 == 1 {
			o.Codec, o.API = client.JSON, s.base
		}
		s.painters = append(s.painters, drawn{client: connect(t, ctx, o)})
	}
	s.sleeper = connect(t, ctx, client.Options{URLs: s.gateways, Dialer: s.sleeping.dialer(), IdleTimeout: -1})
	s.tail = newTail(t, ctx, s.redis)
	return s
}

// round does a little of everything and waits until it has settled.
func (s *soak) round(t *testing.T, ctx context.Context, round int) {
	t.Helper()
	switch round % 8 {
	case 1: // for several rounds
		s.sleeping.hold()
	case 7: // the kernel's buffers have grown: a new connection has small ones
		s.sleeping.cut()
	}
	var busy sync.WaitGroup
	for i := range s.painters {
		busy.Go(func() { s.paint(t, ctx, &s.painters[i], i) })
	}
	for range 2 {
		first := s.visits
		s.visits += 5
		busy.Go(func() {
			for n := range 5 {
				if err := visit(ctx, s.gateways[n%2], strings.TrimSuffix(strings.TrimPrefix(s.gateways[n%2], "ws://"), "/ws"), first+n, &s.visited); err != nil {
					t.Errorf("visit %d: %v", first+n, err)
				}
			}
		})
	}
	busy.Go(func() { s.script(t, ctx, round) })
	if round%3 == 0 {
		s.lines.cut()
	}
	if round%7 == 5 {
		if err := s.fleet.Signal(s.victim(t), syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	busy.Wait()
	if round%8 == 6 {
		s.sleeping.release()
	}
	for _, p := range s.painters {
		flush(t, ctx, p.client)
	}
	if _, err := s.fleet.Ready(ctx, 2, 2, 1); err != nil {
		t.Fatal(err)
	}
	if t.Failed() {
		t.FailNow()
	}
	s.tail.follow(t, ctx)
	for _, p := range s.painters {
		if err := p.client.WaitFor(ctx, s.tail.head); err != nil {
			t.Fatal(err)
		}
	}
	// The checkpoint may be late by what it is renewed for, and an entry is
	// dropped as a whole.
	soon(t, ctx, "the log is trimmed", func() bool {
		s.length = s.tail.length(t, ctx)
		return s.length <= int64(soakRetention+2*soakCheckpoint)
	})
}

// paint draws a few operations, strokes where the codec has them.
func (s *soak) paint(t *testing.T, ctx context.Context, p *drawn, i int) {
	for n := range 40 {
		stroke := scatter(make([]canvas.Pixel, 1+39*((i+1)%2)), 60) // the last rows are the script's
		if _, err := p.client.Draw(ctx, stroke...); err != nil {
			t.Error(err)
			return
		}
		p.n++
		if n%10 == 9 {
			if err := p.client.Flush(ctx); err != nil {
				t.Error(err)
				return
			}
		}
	}
}

// victim is the api that is killed now and then. The others' memory is looked
// at.
func (s *soak) victim(t *testing.T) string {
	t.Helper()
	apis := processes(t, s.fleet, fleet.API)
	return apis[len(apis)-1].Pod
}

// script is somebody's program: it writes a pixel, reads it back and sometimes
// makes the canvas blank. While an api is killed it tries again.
func (s *soak) script(t *testing.T, ctx context.Context, round int) {
	color := canvas.Color(round).String()
	persist := func(method, path, body string) (text []byte) {
		for ctx.Err() == nil {
			var err error
			if text, err = request(ctx, method, s.base+path, body); err == nil {
				return text
			}
		}
		t.Errorf("%s %s: %v", method, path, ctx.Err())
		return nil
	}
	if round%5 == 0 {
		persist(http.MethodPost, "/api/canvas/reset", "")
	}
	persist(http.MethodPut, "/api/pixel", fmt.Sprintf(`{"x":1,"y":63,"color":%q}`, color))
	for range 2 { // the apis take turns
		var got struct{ Color string }
		if err := json.Unmarshal(persist(http.MethodGet, "/api/pixel/1/63", ""), &got); err != nil || got.Color != color {
			t.Errorf("the script wrote %s and read %q, %v", color, got.Color, err)
		}
	}
	persist(http.MethodGet, "/api/canvas", "")
	persist(http.MethodGet, "/", "")
}

func request(ctx context.Context, method, url, body string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
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

// finish checks that everybody has the same.
func (s *soak) finish(t *testing.T, ctx context.Context) {
	t.Helper()
	s.sleeping.release()
	if err := s.sleeper.WaitFor(ctx, s.tail.head); err != nil {
		t.Errorf("the sleeper: %v", err)
	}
	// Whatever is complete shows with the next operation.
	draw(t, ctx, s.painters[0].client, []canvas.Pixel{{Color: 1}})
	s.painters[0].n++
	s.tail.follow(t, ctx)
	if s.tail.length(t, ctx) == int64(s.tail.head) {
		t.Error("nothing was trimmed")
	}
	w := s.tail.truth()
	for i, p := range s.painters {
		if got := s.tail.last[p.client.Author()]; got != p.n {
			t.Errorf("painter %d: the log ends at its operation %d of %d", i, got, p.n)
		}
		w.checkClient(t, ctx, fmt.Sprintf("painter %d", i), p.client)
	}
	w.checkClient(t, ctx, "the sleeper", s.sleeper)
	w.checkClient(t, ctx, "a newcomer", connect(t, ctx, client.Options{URLs: s.gateways}))
	w.checkStored(t, ctx, s.redis)
	w.checkAPIs(t, ctx, s.fleet)
	t.Logf("%d operations, %d visits, %d connections of the painters, %d of the sleeper", w.head, s.visits, s.lines.dialed(), s.sleeping.dialed())
}

// tail follows a log as it grows, since its beginning will be trimmed.
type tail struct {
	store *store.Store
	grid  *canvas.Grid
	epoch canvas.Epoch
	head  uint64
	last  map[uint32]uint64 // number of the last operation, by author
	// recent are the entries that a checkpoint may lack.
	recent []*canvas.Entry
}

func newTail(t *testing.T, ctx context.Context, redisURL string) *tail {
	t.Helper()
	s, err := store.Open(store.Options{URL: redisURL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	meta, err := s.Meta(ctx, mainCanvas)
	if err != nil {
		t.Fatal(err)
	}
	return &tail{store: s, grid: canvas.NewGrid(meta.Spec), epoch: meta.Epoch, last: make(map[uint32]uint64)}
}

// follow reads to the end, and checks that numbers have no hole.
func (l *tail) follow(t *testing.T, ctx context.Context) {
	t.Helper()
	for {
		entries, head, err := l.store.Read(ctx, mainCanvas, l.head, 500)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.First != l.head+1 {
				t.Fatalf("the log goes on at %d after %d", e.First, l.head)
			}
			for i := range e.Ops {
				o := &e.Ops[i]
				l.grid.Apply(o)
				if author := uint32(o.Author); o.Number != l.last[author]+1 {
					t.Errorf("author %x: operation %d follows %d in the log", o.Author, o.Number, l.last[author])
				} else {
					l.last[author] = o.Number
				}
			}
			l.head = e.Last()
		}
		l.recent = append(l.recent, entries...)
		if most := 2 * soakRetention; len(l.recent) > 2*most {
			l.recent = append([]*canvas.Entry(nil), l.recent[len(l.recent)-most:]...)
		}
		if l.head >= head {
			return
		}
	}
}

// length returns how many operations the log holds.
func (l *tail) length(t *testing.T, ctx context.Context) int64 {
	t.Helper()
	_, oldest, err := l.store.LogInfo(ctx, mainCanvas)
	if err != nil {
		t.Fatal(err)
	}
	return int64(l.head + 1 - oldest)
}

func (l *tail) truth() *truth {
	return &truth{entries: l.recent, picture: l.grid.Freeze(), head: l.head, epoch: l.epoch}
}
