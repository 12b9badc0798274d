//go:build cluster

package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
)

const side = 64 // of the canvases of these tests, in cells

// crowd is a number of people on a canvas of their own, and scripts that use
// the REST side meanwhile.
type crowd struct {
	id, api string
	begin   uint64 // the canvas's head when they came
	people  []*person
	rest    *script
	stop    context.CancelFunc
	drawing sync.WaitGroup
}

// person is a client, what it drew, and what happened to it.
type person struct {
	*client.Client
	joined uint64

	mu     sync.Mutex
	drawn  int
	acked  int
	errors []string
	outs   []out
}

// out is a time without a connection.
type out struct {
	at   time.Time
	code int
	took time.Duration // until everything that was missed had come
	kind client.RecoveryKind
}

// canvases counts those of this run. The next run uses them again: there may be
// a limited number.
var canvases atomic.Int64

// gather connects so many people. Each draws every so often; 0: never.
func gather(t *testing.T, n int, every time.Duration) *crowd {
	t.Helper()
	ws, api, _ := addresses(t)
	c := &crowd{api: api, id: fmt.Sprintf("proof-%d", canvases.Add(1))}
	request(t, http.MethodPut, api+"/api/canvases/"+c.id, fmt.Sprintf(`{"width":%d,"height":%d}`, side, side))
	c.begin = c.head(t)
	ctx, stop := context.WithCancel(t.Context())
	c.stop = stop
	t.Cleanup(func() {
		stop()
		c.drawing.Wait()
		for _, p := range c.people {
			_ = p.Close()
		}
	})
	// A bounded number at a time, as browsers arrive.
	c.people = make([]*person, n)
	places := make(chan struct{}, 32)
	var joining sync.WaitGroup
	failures := make(chan error, n)
	for i := range n {
		joining.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			p, err := join(ctx, ws, c.id)
			if err != nil {
				failures <- err
				return
			}
			c.people[i] = p
		})
	}
	joining.Wait()
	close(failures)
	for err := range failures {
		t.Fatal(err)
	}
	if every > 0 {
		for i, p := range c.people {
			c.drawing.Go(func() { p.draw(ctx, i, every) })
		}
	}
	return c
}

func join(ctx context.Context, ws, id string) (*person, error) {
	p := &person{}
	call, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var err error
	p.Client, err = client.Dial(call, client.Options{
		URLs: []string{ws}, Canvas: id, MaxOutbox: 1 << 16,
		OnAck: func(client.Acked) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.acked++
		},
		OnRefused: func(r client.Refused) {
			if r.Final || r.Expired {
				p.mu.Lock()
				defer p.mu.Unlock()
				p.errors = append(p.errors, fmt.Sprintf("operation %d was refused: %v %s", r.Op, r.Code, r.Message))
			}
		},
		OnDisconnect: func(code int, _ string) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.outs = append(p.outs, out{at: time.Now(), code: code})
		},
		OnResume: func(r client.Recovery) {
			p.mu.Lock()
			defer p.mu.Unlock()
			if n := len(p.outs); n > 0 {
				p.outs[n-1].took, p.outs[n-1].kind = r.Took, r.Kind
			}
		},
	})
	if err != nil {
		return nil, err
	}
	p.joined = p.Position().Seq
	return p, nil
}

// draw paints until ctx ends, each person a column of colours of its own.
func (p *person) draw(ctx context.Context, i int, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_, err := p.Draw(ctx, canvas.Pixel{X: uint16((i*7 + n) % side), Y: uint16(n % (side - 1)), Color: canvas.Color(i<<16 | n&0xFFFF)})
		p.mu.Lock()
		if err == nil {
			p.drawn++
		} else if ctx.Err() == nil {
			p.errors = append(p.errors, err.Error())
		}
		p.mu.Unlock()
	}
}

// counts returns how many people are at each gateway.
func (c *crowd) counts() map[string]int {
	all := make(map[string]int)
	for _, p := range c.people {
		if p.State() == client.Live || p.State() == client.Draining {
			all[p.Pod()]++
		}
	}
	return all
}

// cuts returns how many connections were lost so far, and how many people have
// none now.
func (c *crowd) cuts() (lost, away int) {
	for _, p := range c.people {
		p.mu.Lock()
		lost += len(p.outs)
		p.mu.Unlock()
		if s := p.State(); s != client.Live {
			away++
		}
	}
	return lost, away
}

// result is what a crowd has to tell in the end.
type result struct {
	Drawn, Acked     int
	Owed, Delivered  uint64 // operations to people
	Gaps, Repeated   uint64
	REST, RESTFailed int
	Outs             []out
}

func (r *result) String() string {
	s := fmt.Sprintf("%d operations drawn and acknowledged, %d of %d delivered, %d gaps, %d out of order", r.Acked, r.Delivered, r.Owed, r.Gaps, r.Repeated)
	if r.REST > 0 {
		s += fmt.Sprintf("; %d REST requests, %d failed", r.REST, r.RESTFailed)
	}
	if len(r.Outs) > 0 {
		s += fmt.Sprintf("; %d connections lost, back within p50 %v, p95 %v, at most %v", len(r.Outs),
			r.within(0.50).Round(time.Millisecond), r.within(0.95).Round(time.Millisecond), r.within(1).Round(time.Millisecond))
	}
	return s
}

// within returns the time within which a part of those who were out were back.
func (r *result) within(part float64) time.Duration {
	var took []time.Duration
	for _, o := range r.Outs {
		took = append(took, o.took)
	}
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[min(len(took)-1, int(part*float64(len(took))))]
}

// end stops the drawing and checks that nothing was lost, doubled or seen
// differently by anybody.
func (c *crowd) end(t *testing.T) *result {
	t.Helper()
	r := &result{}
	if c.rest != nil {
		c.rest.end()
	}
	c.stopDrawing()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i, p := range c.people {
		if err := p.Flush(ctx); err != nil {
			t.Fatalf("person %d: not everything was acknowledged: %v (%v)", i, err, p.LastError())
		}
	}
	head := c.head(t)
	colors := c.picture(t)
	for i, p := range c.people {
		if err := p.WaitFor(ctx, head); err != nil {
			t.Fatalf("person %d is at %v, not at %d: %v", i, p.Position(), head, err)
		}
		p.mu.Lock()
		r.Drawn, r.Acked = r.Drawn+p.drawn, r.Acked+p.acked
		for _, e := range p.errors {
			t.Errorf("person %d: %s", i, e)
		}
		r.Outs = append(r.Outs, p.outs...)
		for _, o := range p.outs {
			if o.kind == 0 {
				t.Errorf("person %d lost its connection (%d) and did not come back", i, o.code)
			}
		}
		p.mu.Unlock()
		s := p.Stats()
		r.Owed, r.Delivered = r.Owed+head-p.joined, r.Delivered+s.Ops
		r.Gaps, r.Repeated = r.Gaps+s.Gaps, r.Repeated+s.OutOfOrder
		grid := p.Grid()
		different := 0
		for y := range side {
			for x := range side {
				if want := colors[fmt.Sprintf("%d,%d", x, y)]; want != grid.At(x, y).String() {
					different++
				}
			}
		}
		if different > 0 {
			t.Errorf("person %d sees %d cells otherwise than the api", i, different)
		}
	}
	written := 0
	if c.rest != nil {
		r.REST, r.RESTFailed, written = c.rest.requests, len(c.rest.failures), c.rest.written
		for _, f := range c.rest.failures[:min(5, len(c.rest.failures))] {
			t.Errorf("REST: %s", f)
		}
	}
	if r.Drawn != r.Acked {
		t.Errorf("%d operations were drawn, %d acknowledged", r.Drawn, r.Acked)
	}
	if in := head - c.begin; in != uint64(r.Acked+written) {
		t.Errorf("the log has %d operations; %d were acknowledged and %d written by REST", in, r.Acked, written)
	}
	if r.Gaps != 0 || r.Repeated != 0 {
		t.Errorf("%d gaps, %d out of order", r.Gaps, r.Repeated)
	}
	if r.Delivered != r.Owed {
		t.Errorf("%d of %d operations were delivered", r.Delivered, r.Owed)
	}
	return r
}

// stopDrawing lets people look on only. Their connections stay.
func (c *crowd) stopDrawing() {
	c.stop()
	c.drawing.Wait()
}

// head asks the api where the canvas is.
func (c *crowd) head(t *testing.T) uint64 {
	t.Helper()
	_, header := request(t, http.MethodGet, c.api+"/api/canvases/"+c.id+"/canvas", "")
	_, seq, _ := strings.Cut(header.Get("Pixel-Position"), "/")
	head, err := strconv.ParseUint(seq, 10, 64)
	if err != nil {
		t.Fatalf("Pixel-Position %q: %v", header.Get("Pixel-Position"), err)
	}
	return head
}

// picture asks the api for the canvas.
func (c *crowd) picture(t *testing.T) map[string]string {
	t.Helper()
	body, _ := request(t, http.MethodGet, c.api+"/api/canvases/"+c.id+"/canvas", "")
	var v struct {
		Pixels map[string]string `json:"pixels"`
	}
	if err := json.Unmarshal(body, &v); err != nil || len(v.Pixels) != side*side {
		t.Fatalf("%d cells: %v", len(v.Pixels), err)
	}
	return v.Pixels
}

// request asks until it is answered: it is not what is measured.
func request(t *testing.T, method, url, body string) ([]byte, http.Header) {
	t.Helper()
	var answer []byte
	var header http.Header
	last := ""
	eventually(t, time.Minute, method+" "+url+" is answered", func() bool {
		r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := short.Do(r)
		if err != nil {
			if e := err.Error(); e != last {
				t.Log(e)
				last = e
			}
			return false
		}
		defer resp.Body.Close()
		answer, err = io.ReadAll(resp.Body)
		header = resp.Header
		return err == nil && resp.StatusCode < 300
	})
	return answer, header
}

var short = &http.Client{Timeout: 5 * time.Second}

// script writes and reads by REST, on connections that it keeps, one request
// after the other.
type script struct {
	requests, written int
	failures          []string
	stop              context.CancelFunc
	done              chan struct{}
}

// startREST begins to write and read every so often.
func (c *crowd) startREST(t *testing.T, every time.Duration) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	s := &script{stop: stop, done: make(chan struct{})}
	c.rest = s
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 4}}
	go func() {
		defer close(s.done)
		defer client.CloseIdleConnections()
		tick := time.NewTicker(every)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			x, color := n%side, fmt.Sprintf("#%06X", 0xFF0000|n&0xFFFF)
			base := c.api + "/api/canvases/" + c.id + "/pixels"
			if s.try(client, http.MethodPut, base, fmt.Sprintf(`{"pixels":[{"x":%d,"y":%d,"color":%q}]}`, x, side-1, color), "") {
				s.written++
				// Whichever api answers has seen it.
				s.try(client, http.MethodGet, fmt.Sprintf("%s/%d/%d", base, x, side-1), "", color)
			}
		}
	}()
}

func (s *script) end() {
	s.stop()
	<-s.done
}

// try makes a request that the end of the load does not cut off.
func (s *script) try(c *http.Client, method, url, body, want string) bool {
	s.requests++
	at := time.Now()
	failed := func(why string) bool {
		s.failures = append(s.failures, fmt.Sprintf("%s at %s after %v: %s", method, at.Format("15:04:05.000"), time.Since(at).Round(time.Millisecond), why))
		return false
	}
	r, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	if err != nil {
		return failed(err.Error())
	}
	resp, err := c.Do(r)
	if err != nil {
		return failed(err.Error())
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return failed(err.Error())
	case resp.StatusCode != http.StatusOK:
		return failed(resp.Status + " " + string(answer))
	case !strings.Contains(string(answer), want):
		return failed("it was written before, and is not there: " + string(answer))
	}
	return true
}

// share tells how people are spread, each gateway's part in percent.
func share(counts map[string]int) string {
	total := 0
	for _, n := range counts {
		total += n
	}
	var parts []string
	for _, pod := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%.1f %%", 100*float64(counts[pod])/float64(total)))
	}
	return strings.Join(parts, ", ")
}
