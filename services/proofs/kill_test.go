package proofs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/fleet"
)

// Forty people draw while gateways and apis are killed, one after the other:
// everything is in the log exactly once, everybody is back, nobody was told
// anything but what the log has, and all pictures are the same.
func TestKilledGatewayLosesNothing(t *testing.T) {
	ctx := limit(t)
	random := rand.New(rand.NewPCG(seed(t), 0))
	redis := redisServer(t)
	var logs lines
	f := startFleet(t, ctx, fleet.Options{
		Gateways: 4, APIs: 3, Frontends: 2, Redis: redis.URL(), Canvas: gatheringCanvas, Log: &logs,
		// Checkpoints all the time; and in the short form clients draw as fast
		// as they are acknowledged.
		Env: append(pick(
			[]string{"CHECKPOINT_INTERVAL=100ms", "MESSAGES_PER_SECOND=0", "PIXELS_PER_SECOND=0"},
			[]string{"CHECKPOINT_INTERVAL=1s"},
		), "LOG_FORMAT=json"),
	})
	people := gather(t, ctx, f, 40)
	people.start(ctx, pick(pace{window: 4}, pace{every: 50 * time.Millisecond}))
	var rest restWriter
	var writing sync.WaitGroup
	writing.Go(func() { rest.run(ctx, baseURL(t, f), people.enough) })

	pods := []string{"gateway-0", "gateway-1", "gateway-2", "gateway-3", "api-0", "api-1", "api-2"}
	victims := random.Perm(len(pods)) // each once, then anybody
	counted, killed, pids := map[string]int{}, map[string]int{}, map[string]int{}
	beat := time.NewTicker(time.Second)
	defer beat.Stop()
	kills := pick(6, 60)
	for n := range kills {
		if full {
			<-beat.C
		} else {
			people.await(t, ctx, 400)
		}
		if n == len(victims) {
			victims = append(victims, random.IntN(len(pods)))
		}
		pod := pods[victims[n]]
		s, err := f.Await(ctx, pod+" is back", func(s fleet.State) bool {
			p, up := s.Pod(pod)
			return up && p.PID != pids[pod] // the state may still tell of the one that was killed
		})
		if err != nil {
			t.Fatal(err)
		}
		p, _ := s.Pod(pod)
		count(t, ctx, p, counted)
		if err := f.Signal(pod, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		pids[pod], killed[pod] = p.PID, killed[pod]+1
	}
	people.await(t, ctx, 400)
	if err := people.stop(); err != nil {
		t.Fatal(err)
	}
	writing.Wait()

	if _, err := f.Ready(ctx, 4, 3, 2); err != nil {
		t.Fatal(err)
	}
	s := allReady(t, ctx, f)
	people.check(t, ctx, f, redis.URL(), rest.drew)
	rest.check(t)
	cuts := map[string]int{}
	for _, w := range people.all {
		for _, c := range w.cuts {
			cuts[c.pod]++
			// Balancing may close a connection too, and says so.
			if c.code != 1012 && (c.code != 1006 || killed[c.pod] == 0) {
				t.Errorf("%s lost a connection to %s by %d %q; killed were %v", w.name, c.pod, c.code, c.reason, killed)
			}
		}
	}
	// Whatever ended was killed here, and nothing ended by itself.
	ended := map[string]int{}
	for _, l := range logs.of("ended, starting it again") {
		if l.Cause != "signal: killed" {
			t.Errorf("%s ended by itself: %s", l.Pod, l.Cause)
		}
		ended[l.Pod]++
	}
	if !maps.Equal(ended, killed) {
		t.Errorf("killed were %v, started again %v", killed, ended)
	}

	for _, p := range s.Of(fleet.Gateway) {
		count(t, ctx, p, counted)
	}
	e := sum(people.all)
	t.Logf("%d processes killed: %v", kills, killed)
	t.Logf("%v", e)
	t.Logf("connections lost by gateway: %v", cuts)
	from := func(place string) int { return counted[fmt.Sprintf("resumes_total{from=%q}", place)] }
	t.Logf("as far as gateways lived to tell: %d resumed from memory, %d from the log, %d by a whole picture; of what was sent again the log had %d",
		from("memory"), from("log"), from("snapshot"), counted["append_duplicates_total"])
	t.Logf("recovered within 500 ms: %.0f %% of all; %.0f %% of those cut off for the first time, who do not hold back yet",
		within(500*time.Millisecond, e.took), within(500*time.Millisecond, e.first))
	t.Logf("%v", &rest)
	if e.cuts == 0 || e.again == 0 {
		t.Error("no kill met a client with operations on their way: nothing was proven")
	}
}

// count adds what a gateway has counted so far; what it counts between this and
// its end is lost.
func count(t *testing.T, ctx context.Context, p fleet.Process, into map[string]int) {
	t.Helper()
	if p.Service != fleet.Gateway {
		return
	}
	text, err := get(ctx, "http://"+p.Addr+"/metrics")
	if err != nil {
		t.Fatalf("%s: %v", p.Pod, err)
	}
	for _, m := range counters.FindAllSubmatch(text, -1) {
		n, err := strconv.ParseFloat(string(m[2]), 64)
		if err != nil {
			t.Fatal(err)
		}
		into[string(m[1])] += int(n)
	}
}

var counters = regexp.MustCompile(`(?m)^pixel_(resumes_total\{from="\w+"\}|append_duplicates_total) (\S+)$`)

// restWriter paints pixels of the last row by REST and reads each back,
// through whichever api has its turn. Each has a colour of its own.
type restWriter struct {
	written  map[canvas.Color]bool // answered; false: unknown, the connection broke or nobody served
	logged   map[canvas.Color]int
	read     int
	mistakes []string
}

const restColors canvas.Color = 127 << 17

func (w *restWriter) run(ctx context.Context, base string, enough <-chan struct{}) {
	w.written, w.logged = map[canvas.Color]bool{}, map[canvas.Color]int{}
	tick := time.NewTicker(pick(time.Millisecond, 10*time.Millisecond))
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-enough:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		color, x := restColors|canvas.Color(n), n%gatheringWidth
		err := put(ctx, base+"/api/pixel", fmt.Sprintf(`{"x":%d,"y":%d,"color":%q}`, x, gatheringHeight-1, color))
		w.written[color] = err == nil
		if err == nil {
			w.readBack(ctx, base, x, color)
		}
	}
}

// readBack reads the cell until an api answers: then it must be with what was
// written, since nobody else paints there.
func (w *restWriter) readBack(ctx context.Context, base string, x int, want canvas.Color) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var got struct{ Color string }
		text, err := get(ctx, fmt.Sprintf("%s/api/pixel/%d/%d", base, x, gatheringHeight-1))
		if err == nil {
			err = json.Unmarshal(text, &got)
		}
		if err == nil {
			w.read++
			if got.Color != want.String() {
				w.mistakes = append(w.mistakes, fmt.Sprintf("%v was written and then %s read", want, got.Color))
			}
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// drew notes an operation of the log that was drawn by REST.
func (w *restWriter) drew(o canvas.Op) error {
	if len(o.Pixels) != 1 || o.Pixels[0].Y != gatheringHeight-1 {
		return fmt.Errorf("nobody drew %+v", o)
	}
	c := o.Pixels[0].Color
	if _, tried := w.written[c]; !tried {
		return fmt.Errorf("nobody wrote %v", c)
	}
	w.logged[c]++
	return nil
}

func (w *restWriter) check(t *testing.T) {
	t.Helper()
	for _, m := range w.mistakes {
		t.Error(m)
	}
	for c, answered := range w.written {
		if n := w.logged[c]; n > 1 || answered && n == 0 {
			t.Errorf("a write by REST of %v (answered: %t) is in the log %d times", c, answered, n)
		}
	}
}

func (w *restWriter) String() string {
	unknown, there := 0, 0
	for c, answered := range w.written {
		if !answered {
			unknown++
			there += w.logged[c]
		}
	}
	return fmt.Sprintf("%d writes by REST, %d read back; the outcome of %d was not told, %d of those are in the log", len(w.written), w.read, unknown, there)
}

func put(ctx context.Context, url, body string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := fresh.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// lines keeps what processes log. Safe for concurrent use.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// logLine is what tests read of a line.
type logLine struct{ Level, Msg, Pod, Cause string }

// of returns the lines with a message. What is no JSON, such as the trace of a
// panic, is left out.
func (l *lines) of(message string) []logLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []logLine
	for _, text := range bytes.Split(l.text.Bytes(), []byte("\n")) {
		var line logLine
		if json.Unmarshal(text, &line) == nil && line.Msg == message {
			found = append(found, line)
		}
	}
	return found
}
