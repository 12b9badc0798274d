package proofs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/fleet"
)

// apiUsers ask the apis all the time and hold each answer against what is known
// at that moment.
type apiUsers struct {
	t     *testing.T
	floor *atomic.Uint64 // what the log is known to have
	// phase is odd while Redis is away: then no answer may have data.
	phase atomic.Uint64

	answered, refused atomic.Uint64 // requests with data, and 503
	away              atomic.Uint64 // of the 503, those that began and ended in one outage

	mu      sync.Mutex
	written map[canvas.Color]bool // sent by REST: whether it was acknowledged
	stop    func()
}

// apiRoutes are routes that show the canvas.
var apiRoutes = []string{
	"/api/canvas", "/api/pixel/1/1", "/api/canvases/main", "/api/canvases/main/canvas", "/api/canvases/main/snapshot",
	"/api/canvases/main/image.png", "/api/canvases/main/pixels/1/1",
}

// useAPIs begins to read from, and write to, each api of a fleet.
func useAPIs(t *testing.T, ctx context.Context, f *fleet.Fleet, floor *atomic.Uint64) *apiUsers {
	t.Helper()
	s, err := f.State()
	if err != nil {
		t.Fatal(err)
	}
	u := &apiUsers{t: t, floor: floor, written: make(map[canvas.Color]bool)}
	using, end := context.WithCancel(ctx)
	var over sync.WaitGroup
	for i, p := range s.Of(fleet.API) {
		over.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for n := 0; using.Err() == nil; n++ {
				var err error
				if n%5 == 4 {
					err = u.write(using, "http://"+p.Addr, canvas.Color(0xF00000+i<<16+n))
				} else {
					err = u.read(using, "http://"+p.Addr+apiRoutes[n%len(apiRoutes)])
				}
				if err != nil && using.Err() == nil {
					t.Errorf("%s: %v", p.Pod, err)
					return
				}
				select {
				case <-using.Done():
				case <-tick.C:
				}
			}
		})
	}
	u.stop = sync.OnceFunc(func() { end(); over.Wait() })
	t.Cleanup(u.stop)
	return u
}

// outage says that Redis is away now, and back until the next call.
func (u *apiUsers) outage() { u.phase.Add(1) }

// read asks a route. An answer with data has all that the log was known to
// have when it was asked.
func (u *apiUsers) read(ctx context.Context, url string) error {
	known := u.floor.Load()
	status, header, err := u.ask(ctx, http.MethodGet, url, "")
	if err != nil || status != http.StatusOK {
		return err
	}
	text := header.Get("Pixel-Position")
	if text == "" {
		return nil // not all routes tell
	}
	at, err := canvas.ParsePosition(text)
	if err == nil && at.Seq < known {
		err = fmt.Errorf("%s: an old picture of %d, when the log had %d", url, at.Seq, known)
	}
	return err
}

// write paints one pixel in a colour that nobody else uses.
func (u *apiUsers) write(ctx context.Context, base string, c canvas.Color) error {
	u.mu.Lock()
	u.written[c] = false
	u.mu.Unlock()
	status, _, err := u.ask(ctx, http.MethodPut, base+"/api/pixel", fmt.Sprintf(`{"x":1,"y":1,"color":%q}`, c))
	if err == nil && status == http.StatusOK {
		u.mu.Lock()
		u.written[c] = true
		u.mu.Unlock()
	}
	return err
}

// ask makes a request: the answer is 200, or 503 that says when to come again,
// and nothing but 503 while Redis is away.
func (u *apiUsers) ask(ctx context.Context, method, url, body string) (int, http.Header, error) {
	before := u.phase.Load()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	resp, err := fresh.Do(r)
	if err != nil {
		return 0, nil, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return 0, nil, err
	}
	away := before%2 == 1 && u.phase.Load() == before
	switch {
	case resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") == "":
		err = fmt.Errorf("%s %s: 503 without Retry-After", method, url)
	case resp.StatusCode == http.StatusServiceUnavailable:
		u.refused.Add(1)
		if away {
			u.away.Add(1)
		}
	case resp.StatusCode != http.StatusOK:
		err = fmt.Errorf("%s %s: %s", method, url, resp.Status)
	case away:
		err = fmt.Errorf("%s %s: data at %s while Redis is away", method, url, resp.Header.Get("Pixel-Position"))
	default:
		u.answered.Add(1)
	}
	return resp.StatusCode, resp.Header, err
}

// awaitAway waits until n more requests were answered 503 for Redis is away.
func (u *apiUsers) awaitAway(ctx context.Context, n uint64) {
	u.t.Helper()
	want := u.away.Load() + n
	eventually(u.t, ctx, "the apis say that Redis is away", func() bool { return u.t.Failed() || u.away.Load() >= want })
}

// awaitAnswers waits until n more requests were answered with data.
func (u *apiUsers) awaitAnswers(ctx context.Context, n uint64) {
	u.t.Helper()
	want := u.answered.Load() + n
	eventually(u.t, ctx, "the apis answer", func() bool { return u.t.Failed() || u.answered.Load() >= want })
}

// check checks the log against what was written by REST: once what was
// acknowledged, at most once what was answered otherwise. Call it when they
// have stopped.
func (u *apiUsers) check(w *truth) {
	u.t.Helper()
	times := make(map[canvas.Color]int)
	for _, o := range w.ops() {
		if o.Name == "" {
			times[o.Pixels[0].Color]++
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for c, n := range times {
		acked, sent := u.written[c]
		if !sent || n != 1 {
			u.t.Errorf("a write by REST of colour %v is in the log %d times (sent: %v, acknowledged: %v)", c, n, sent, acked)
		}
	}
	for c, acked := range u.written {
		if acked && times[c] == 0 {
			u.t.Errorf("a write by REST of colour %v was acknowledged and is not in the log", c)
		}
	}
}
