package proofs

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/fleet"
)

// access is one write or read of one cell.
type access struct {
	cell  int
	write bool
	color canvas.Color // written
}

// cellModel is what a cell promises to be: a register. No colour is written
// twice, so each read names the write that it saw.
var cellModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		by := map[int][]porcupine.Operation{}
		for _, o := range history {
			cell := o.Input.(access).cell
			by[cell] = append(by[cell], o)
		}
		var all [][]porcupine.Operation
		for _, part := range by {
			all = append(all, part)
		}
		return all
	},
	Init: func() any { return canvas.White },
	Step: func(state, input, output any) (bool, any) {
		if a := input.(access); a.write {
			return true, a.color
		}
		return state == output, state
	},
	DescribeOperation: func(input, output any) string {
		a := input.(access)
		if a.write {
			return fmt.Sprintf("cell %d := %v", a.cell, a.color)
		}
		return fmt.Sprintf("cell %d is %v", a.cell, output)
	},
	DescribeState: func(state any) string { return state.(canvas.Color).String() },
}

// unknown is the end of a call whose outcome nobody knows: it may take effect
// at any time, or never.
const unknown = math.MaxInt64

// settled returns the history with what is known of such calls. A write that
// nobody ever saw can as well be left out. One that was seen took effect before
// the first read that saw it had ended.
func settled(history []porcupine.Operation) (rest []porcupine.Operation) {
	first := map[canvas.Color]int64{} // end of the first read that saw it
	for _, o := range history {
		if a := o.Input.(access); !a.write {
			seen := o.Output.(canvas.Color)
			if end, ok := first[seen]; !ok || o.Return < end {
				first[seen] = o.Return
			}
		}
	}
	for _, o := range history {
		if a := o.Input.(access); a.write && o.Return == unknown {
			end, seen := first[a.color]
			if !seen {
				continue
			}
			o.Return = max(end, o.Call) // seen before it was written: no order will do
		}
		rest = append(rest, o)
	}
	return rest
}

// The check itself: it accepts what a register may do and nothing else.
func TestRegisterHistories(t *testing.T) {
	const a, b = canvas.Color(1), canvas.Color(2)
	write := func(c canvas.Color, from, to int64) porcupine.Operation {
		return porcupine.Operation{Input: access{write: true, color: c}, Call: from, Return: to}
	}
	read := func(c canvas.Color, from, to int64) porcupine.Operation {
		return porcupine.Operation{Input: access{}, Output: c, Call: from, Return: to}
	}
	for _, row := range []struct {
		name    string
		history []porcupine.Operation
		right   bool
	}{
		{"blank at first", []porcupine.Operation{read(canvas.White, 1, 2)}, true},
		{"read after write", []porcupine.Operation{write(a, 1, 2), read(a, 3, 4)}, true},
		{"an old read", []porcupine.Operation{write(a, 1, 2), read(canvas.White, 3, 4)}, false},
		{"during a write", []porcupine.Operation{write(a, 1, 9), read(canvas.White, 2, 3), read(a, 4, 5)}, true},
		{"back again", []porcupine.Operation{write(a, 1, 9), read(a, 2, 3), read(canvas.White, 4, 5)}, false},
		{"unknown, never seen", []porcupine.Operation{write(a, 1, unknown), read(canvas.White, 5, 6)}, true},
		{"unknown, seen late", []porcupine.Operation{write(a, 1, unknown), write(b, 2, 3), read(b, 4, 5), read(a, 6, 7)}, true},
		{"unknown, seen and gone", []porcupine.Operation{write(a, 1, unknown), read(a, 2, 3), read(canvas.White, 4, 5)}, false},
		{"unknown, seen twice", []porcupine.Operation{write(a, 1, unknown), write(b, 2, 3), read(a, 4, 5), read(b, 6, 7)}, false},
		{"seen before it was sent", []porcupine.Operation{read(a, 1, 2), write(a, 3, unknown)}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := porcupine.CheckOperations(cellModel, settled(row.history)); got != row.right {
				t.Errorf("linearizable: %v", got)
			}
		})
	}
}

// register is a workload on a few cells and the history of it.
type register struct {
	fleet *fleet.Fleet
	width int
	cells int
	start time.Time

	colors atomic.Int64
	http   *http.Client

	mu       sync.Mutex
	history  []porcupine.Operation
	unknowns int // writes of unknown outcome
	failed   int // calls that were not answered with success
}

func (r *register) now() int64 { return int64(time.Since(r.start)) }

func (r *register) color() canvas.Color { return canvas.Color(r.colors.Add(1)) }

func (r *register) note(by int, a access, call int64, seen canvas.Color, end int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := porcupine.Operation{ClientId: by, Input: a, Call: call, Return: end}
	if !a.write {
		o.Output = seen
	} else if end == unknown {
		r.unknowns++
	}
	r.history = append(r.history, o)
}

func (r *register) fail() {
	r.mu.Lock()
	r.failed++
	r.mu.Unlock()
}

func (r *register) counts() (done, failed int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.history), r.failed
}

func (r *register) place(cell int) (x, y int) { return cell % r.width, cell / r.width }

// call sends a request to an api, whichever. ok tells that it was answered
// with success.
func (r *register) call(ctx context.Context, random *rand.Rand, method, path, body string) (text []byte, ok bool) {
	s, err := r.fleet.State()
	apis := s.Of(fleet.API)
	if err != nil || len(apis) == 0 {
		return nil, false
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+apis[random.IntN(len(apis))].Addr+path, strings.NewReader(body))
	if err != nil {
		return nil, false
	}
	response, err := r.http.Do(request)
	if err != nil {
		return nil, false
	}
	defer response.Body.Close()
	text, err = io.ReadAll(response.Body)
	return text, err == nil && response.StatusCode == http.StatusOK
}

// work reads and writes by REST until the context ends.
func (r *register) work(t *testing.T, ctx context.Context, by int) {
	random := rand.New(rand.NewPCG(uint64(by), 7))
	for ctx.Err() == nil {
		var ok bool
		switch n := random.IntN(20); {
		case n < 8:
			ok = r.writeCells(random, by, 1)
		case n < 9:
			ok = r.writeCells(random, by, 1+random.IntN(r.cells))
		case n < 19:
			ok = r.readCell(t, random, by)
		default:
			ok = r.readAll(t, random, by)
		}
		if !ok {
			r.fail()
			select { // an api that is gone answers at once
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
}

// callTime bounds a request; an api answers far earlier.
const callTime = 20 * time.Second

func (r *register) writeCells(random *rand.Rand, by, n int) bool {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	var all []access
	var list []string
	for _, cell := range random.Perm(r.cells)[:n] {
		a := access{cell: cell, write: true, color: r.color()}
		x, y := r.place(cell)
		all, list = append(all, a), append(list, fmt.Sprintf(`{"x":%d,"y":%d,"color":"%s"}`, x, y, a.color))
	}
	path, body := "/api/pixel", list[0]
	if n > 1 {
		path, body = "/api/pixels", `{"pixels":[`+strings.Join(list, ",")+`]}`
	}
	call := r.now()
	_, ok := r.call(ctx, random, http.MethodPut, path, body)
	end := r.now()
	if !ok {
		end = unknown
	}
	for _, a := range all {
		r.note(by, a, call, 0, end)
	}
	return ok
}

func (r *register) readCell(t *testing.T, random *rand.Rand, by int) bool {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	a := access{cell: random.IntN(r.cells)}
	x, y := r.place(a.cell)
	call := r.now()
	text, ok := r.call(ctx, random, http.MethodGet, fmt.Sprintf("/api/pixel/%d/%d", x, y), "")
	end := r.now()
	if !ok {
		return false
	}
	var answer struct{ Color string }
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Errorf("a pixel: %v: %s", err, text)
		return false
	}
	c, err := canvas.ParseColor(answer.Color)
	if err != nil {
		t.Errorf("a pixel: %v: %s", err, text)
	}
	r.note(by, a, call, c, end)
	return true
}

// readAll reads the whole canvas, which is a read of each cell.
func (r *register) readAll(t *testing.T, random *rand.Rand, by int) bool {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	call := r.now()
	text, ok := r.call(ctx, random, http.MethodGet, "/api/canvas", "")
	end := r.now()
	if !ok {
		return false
	}
	var answer struct{ Pixels map[string]string }
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Errorf("the canvas: %v: %.80s", err, text)
		return false
	}
	for cell := range r.cells {
		x, y := r.place(cell)
		c, err := canvas.ParseColor(answer.Pixels[fmt.Sprintf("%d,%d", x, y)])
		if err != nil {
			t.Errorf("the canvas: %v", err)
			return false
		}
		r.note(by, access{cell: cell}, call, c, end)
	}
	return true
}

// paint writes through a gateway, one operation at a time. An operation takes
// effect between the call and its acknowledgement; nothing is ever unknown.
func (r *register) paint(t *testing.T, ctx context.Context, by int, url string) {
	random := rand.New(rand.NewPCG(uint64(by), 8))
	acked := make(chan time.Time, 1)
	codec := []client.Codec{client.Binary, client.JSON}[by%2]
	c, err := client.Dial(ctx, client.Options{
		URLs: []string{url}, Codec: codec, NoGrid: true,
		OnAck: func(a client.Acked) { acked <- a.Arrived },
	})
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	for ctx.Err() == nil {
		a := access{cell: random.IntN(r.cells), write: true, color: r.color()}
		x, y := r.place(a.cell)
		call := r.now()
		if _, err := c.Draw(context.WithoutCancel(ctx), canvas.Pixel{X: uint16(x), Y: uint16(y), Color: a.color}); err != nil {
			t.Error(err)
			return
		}
		select {
		case at := <-acked:
			r.note(by, a, call, 0, int64(at.Sub(r.start)))
		case <-c.Done():
			t.Errorf("a client has ended: %v", c.Err())
			return
		case <-time.After(callTime):
			r.note(by, a, call, 0, unknown)
			t.Errorf("a client's operation is not answered: %v, %+v", c.LastError(), c.Stats())
			return
		}
	}
}

// check checks the history, and shows one that no register has.
func (r *register) check(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	history := settled(r.history)
	t.Logf("%d reads and writes of %d cells, %d writes of unknown outcome; %d calls failed", len(history), r.cells, r.unknowns, r.failed)
	result, info := porcupine.CheckOperationsVerbose(cellModel, history, 2*time.Minute)
	if result == porcupine.Ok {
		return
	}
	// It has to outlive the test.
	picture := filepath.Join(os.TempDir(), fmt.Sprintf("linearizability-%d.html", time.Now().UnixNano()))
	if err := porcupine.VisualizePath(cellModel, info, picture); err != nil {
		t.Error(err)
	}
	t.Errorf("reads and writes by REST are not those of a register (%s); see %s", result, picture)
}

// However many apis answer, and whatever happens to them, to Redis and to live
// messages: each cell is one register. A read never shows less than an answered write, or
// than an earlier read, by whichever api.
func TestLinearizable(t *testing.T) {
	ctx := limit(t)
	redis := redisServer(t)
	// With a live message lost here and there an api must not believe that it
	// has everything.
	proxy := startProxy(t, redis.Addr(), seed(t))
	const apis, width = 3, 16
	f := startFleet(t, ctx, fleet.Options{
		Gateways: 2, APIs: apis, Redis: proxy.url(), Canvas: "16x16",
		Env: []string{"REST_REQUESTS_PER_SECOND=0", "MESSAGES_PER_SECOND=0", "PIXELS_PER_SECOND=0", "READ_TIMEOUT=300ms"},
	})
	transport := &http.Transport{MaxIdleConnsPerHost: 32}
	defer transport.CloseIdleConnections()
	r := &register{fleet: f, width: width, cells: 6, start: time.Now(), http: &http.Client{Transport: transport}}

	working, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	for by := range 6 {
		all.Go(func() { r.work(t, working, by) })
	}
	for by := range 2 {
		all.Go(func() { r.paint(t, working, 6+by, wsURL(t, f)) })
	}
	defer all.Wait()
	defer stop()

	more := pick(150, 3000) // reads and writes between two faults
	goOn := func() {
		t.Helper()
		n, _ := r.counts()
		eventually(t, ctx, "calls are answered", func() bool { now, _ := r.counts(); return now >= n+more })
	}
	goOn()
	for round := range pick(3, 12) {
		proxy.afflict(liveFaults{drop: .6, repeat: .1, delay: .2})
		goOn()
		// An api is killed in the middle of whatever it does.
		s, err := f.Ready(ctx, 2, apis, 1)
		if err != nil {
			t.Fatal(err)
		}
		victim := s.Of(fleet.API)[round%apis]
		if err := f.Signal(victim.Pod, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		goOn()
		if _, err := f.Await(ctx, "the api is started again", func(s fleet.State) bool {
			p, ok := s.Pod(victim.Pod)
			return ok && p.PID != victim.PID
		}); err != nil {
			t.Fatal(err)
		}
		// Redis stops for so long that calls fail: what was sent to it may
		// take effect when it goes on.
		if err := redis.Pause(); err != nil {
			t.Fatal(err)
		}
		_, failed := r.counts()
		eventually(t, ctx, "calls fail while Redis is paused", func() bool { _, now := r.counts(); return now >= failed+6 })
		if err := redis.Resume(); err != nil {
			t.Fatal(err)
		}
		proxy.afflict(liveFaults{})
		goOn()
	}
	stop()
	all.Wait()
	r.check(t)
}
