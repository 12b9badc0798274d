package proofs

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/fleet"
)

// herd is many clients that lose their connections at the same time.
type herd struct {
	line    wires
	members []*member
}

// member is a client of the herd.
type member struct {
	*client.Client
	name string
	grid bool

	mu   sync.Mutex
	at   time.Time // when it was back the last time
	back []client.RecoveryKind
}

func (m *member) resumed(r client.Recovery) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at = time.Now()
	m.back = append(m.back, r.Kind)
}

// recoveries returns how the client came back, each time it did, and when it
// did last.
func (m *member) recoveries() ([]client.RecoveryKind, time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.back), m.at
}

// gatherHerd connects n clients, every second one in JSON, every tenth with a
// picture.
func gatherHerd(t *testing.T, ctx context.Context, f *fleet.Fleet, n int) *herd {
	t.Helper()
	s, err := f.State()
	if err != nil {
		t.Fatal(err)
	}
	urls, err := s.GatewayURLs()
	if err != nil {
		t.Fatal(err)
	}
	h := &herd{members: make([]*member, n)}
	dialer := h.line.dialer()
	var next atomic.Int64
	var dialing sync.WaitGroup
	for range 16 {
		dialing.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				m := &member{grid: i%10 < 2}
				o := client.Options{URLs: urls, NoGrid: !m.grid, Dialer: dialer, OnResume: m.resumed}
				if i%2 == 1 {
					o.Codec, o.API = client.JSON, baseURL(t, f)
				}
				m.name = fmt.Sprintf("%v client %d", o.Codec, i)
				c, err := client.Dial(ctx, o)
				if err != nil {
					t.Error(err)
					return
				}
				m.Client, h.members[i] = c, m
			}
		})
	}
	dialing.Wait()
	t.Cleanup(func() {
		for _, m := range h.members {
			if m != nil {
				_ = m.Close()
			}
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	return h
}

// returned tells whether all of the affected are back; before is how often each
// had come back.
func returned(affected []*member, before map[*member]int) bool {
	for _, m := range affected {
		if back, _ := m.recoveries(); len(back) == before[m] {
			return false
		}
	}
	return true
}

// A herd that loses all its connections at once is back soon, with all that it
// missed, and Redis and the apis hardly notice.
func TestThunderingHerd(t *testing.T) {
	for _, row := range []struct {
		name string
		// strike takes connections away and returns the clients that had them.
		strike func(t *testing.T, f *fleet.Fleet, h *herd) []*member
	}{
		{"the network is gone", func(t *testing.T, _ *fleet.Fleet, h *herd) []*member {
			t.Helper()
			if n := h.line.cut(); n != len(h.members) {
				t.Errorf("%d connections of %d clients were cut", n, len(h.members))
			}
			return h.members
		}},
		{"a gateway is killed", func(t *testing.T, f *fleet.Fleet, h *herd) (affected []*member) {
			t.Helper()
			pod := processes(t, f, fleet.Gateway)[0].Pod
			for _, m := range h.members {
				if m.Pod() == pod {
					affected = append(affected, m)
				}
			}
			if err := f.Signal(pod, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			return affected
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			ctx := limit(t)
			redis := redisServer(t)
			f := startFleet(t, ctx, fleet.Options{Gateways: 2, APIs: 1, Redis: redis.URL(), Canvas: "64x64"})
			h := gatherHerd(t, ctx, f, pick(200, 2000))
			// Those who draw: some of the herd, and some who keep their
			// connections, so that there is something to miss.
			var all []drawn
			for i := range 4 {
				o := client.Options{URLs: []string{wsURL(t, f)}, NoGrid: true, Codec: bothCodecs[i%2]}
				all = append(all, drawn{client: connect(t, ctx, o)})
			}
			for _, m := range h.members[:8] {
				all = append(all, drawn{client: m.Client})
			}
			stop := make(chan struct{})
			var drawing sync.WaitGroup
			var painted atomic.Int64
			for i := range all {
				drawing.Go(func() {
					tick := time.NewTicker(pick[time.Duration](50, 500) * time.Millisecond) // what each draws, all get
					defer tick.Stop()
					for {
						select {
						case <-stop:
							return
						case <-tick.C:
						}
						n := all[i].n
						point := canvas.Pixel{X: uint16(i), Y: uint16(n % 64), Color: canvas.Color(i<<16 | int(n))}
						if _, err := all[i].client.Draw(ctx, point); err != nil {
							t.Error(err)
							return
						}
						all[i].n++
						painted.Add(1)
					}
				})
			}
			more := func(n int64) {
				t.Helper()
				until := painted.Load() + n
				soon(t, ctx, "people draw", func() bool { return painted.Load() >= until })
			}
			more(50)

			before := make(map[*member]int)
			for _, m := range h.members {
				back, _ := m.recoveries()
				before[m] = len(back)
			}
			m := watchRedis(t, ctx, redis.Addr())
			more(50)
			idle := m.tally(m.take(t, ctx))
			asked := apiCalls(t, ctx, f)
			_ = m.take(t, ctx)
			struck := time.Now()
			affected := row.strike(t, f, h)
			soon(t, ctx, "everybody is back", func() bool { return returned(affected, before) })
			took := time.Since(struck)
			during := m.tally(m.take(t, ctx))
			more(50)

			times := make([]time.Duration, 0, len(affected))
			kinds := make(map[client.RecoveryKind]int)
			for _, m := range affected {
				back, at := m.recoveries()
				times = append(times, at.Sub(struck))
				for _, kind := range back[before[m]:] {
					kinds[kind]++
				}
			}
			slices.Sort(times)
			t.Logf("%d clients back: p50 %v, p95 %v, all %v; by %v; Redis: %+v in %v, before it %+v",
				len(times), times[len(times)/2], times[len(times)*95/100], times[len(times)-1], kinds, during, took, idle)
			if len(kinds) != 1 || kinds[client.FromMemory] == 0 {
				t.Errorf("clients came back by %v, want all from memory", kinds)
			}
			// A gateway that was killed loads the canvas again, once. What runs
			// anyway are the looks at the head, about one each second for each
			// process.
			if during.reads >= 20 {
				t.Errorf("%d reads of the canvas in Redis for %d clients: %v", during.reads, len(times), during.what)
			}
			if anyway := 3 * 2 * (1 + int(took/time.Second)); during.checks >= 20+anyway {
				t.Errorf("%d looks at the log for %d clients", during.checks, len(times))
			}
			if full && times[len(times)-1] > 5*time.Second {
				t.Errorf("the last of %d clients was back after %v", len(times), times[len(times)-1])
			}
			if n := apiCalls(t, ctx, f) - asked; n != 0 {
				t.Errorf("the apis were asked %v times", n)
			}

			close(stop)
			drawing.Wait()
			for _, d := range all {
				flush(t, ctx, d.client)
			}
			w := readTruth(t, ctx, redis.URL())
			w.checkOnce(t, all)
			for _, m := range h.members {
				if m.grid {
					w.checkClient(t, ctx, m.name, m.Client)
				} else if err := m.WaitFor(ctx, w.head); err != nil {
					t.Errorf("%s is at %v, the log at %d: %v", m.name, m.Position(), w.head, err)
				}
			}
			w.checkAPIs(t, ctx, f)
		})
	}
}
