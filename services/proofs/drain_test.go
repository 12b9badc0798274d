package proofs

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/fleet"
)

// drainSpread is the time over which gateways close their connections in these
// tests: in the full form the default.
var drainSpread = pick(500*time.Millisecond, 5*time.Second)

// Forty people draw while each gateway in turn is told to stop: its clients are
// sent away one group after the other while everybody else goes on; nothing is
// lost, and the gateway that comes back is used.
func TestGatewaysDrainInTurn(t *testing.T) {
	ctx := limit(t)
	redis := redisServer(t)
	var logs lines
	f := startFleet(t, ctx, fleet.Options{
		Gateways: 4, APIs: 2, Frontends: 1, Redis: redis.URL(), Canvas: gatheringCanvas, Log: &logs,
		Env: append(pick([]string{"DRAIN_DELAY=300ms", "CHECKPOINT_INTERVAL=100ms"}, nil), "DRAIN_SPREAD="+drainSpread.String(), "LOG_FORMAT=json"),
	})
	people := gather(t, ctx, f, 40)
	people.journal = &journal{}
	people.start(ctx, pace{every: 50 * time.Millisecond})
	people.await(t, ctx, 400)
	var before string
	for i := range 4 {
		pod := fmt.Sprintf("gateway-%d", i)
		there := people.at(pod)
		people.journal.begin()
		stopGateway(t, ctx, f, pod)
		eventually(t, ctx, "those who were at "+pod+" draw again", func() bool { return people.journal.settled(len(there)) })
		checkExit(t, &logs, pod)
		people.journal.check(t, pod, there)
		if i > 0 && len(people.at(before)) == 0 {
			t.Errorf("nobody came to %s after it was started again", before)
		}
		before = pod
		awaitTurns(t, ctx, f)
		people.await(t, ctx, 100)
	}
	// Nobody was sent away since the last one is back.
	came := map[string]int{}
	for range 8 {
		came[connect(t, ctx, client.Options{URLs: []string{wsURL(t, f)}}).Pod()]++
	}
	if came[before] == 0 {
		t.Errorf("of 8 newcomers none came to %s, which was started again: %v", before, came)
	}
	if err := people.stop(); err != nil {
		t.Fatal(err)
	}
	people.check(t, ctx, f, redis.URL(), nil)
	if lost := logs.of("operations were lost in a drain"); len(lost) != 0 {
		t.Errorf("%d connections lost operations", len(lost))
	}
	t.Log(sum(people.all))
}

// stopGateway tells a gateway to stop and waits until it has ended and another
// process has its name.
func stopGateway(t *testing.T, ctx context.Context, f *fleet.Fleet, pod string) {
	t.Helper()
	old := terminate(t, f, pod)
	if _, err := f.Await(ctx, pod+" is back", func(s fleet.State) bool {
		p, up := s.Pod(pod)
		return up && p.PID != old
	}); err != nil {
		t.Fatal(err)
	}
}

// terminate tells a process to stop and returns its id.
func terminate(t *testing.T, f *fleet.Fleet, pod string) int {
	t.Helper()
	s, err := f.State()
	if err != nil {
		t.Fatal(err)
	}
	p, _ := s.Pod(pod)
	if err := f.Signal(pod, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	return p.PID
}

// checkExit looks up with which status the process of a pod has ended: the
// program that has started it says so.
func checkExit(t *testing.T, logs *lines, pod string) {
	t.Helper()
	ends := 0
	for _, l := range logs.of("ended, starting it again") {
		if l.Pod != pod {
			continue
		}
		if ends++; l.Cause != "without an error" { // exit status 0
			t.Errorf("%s ended: %s", pod, l.Cause)
		}
	}
	if ends != 1 {
		t.Errorf("%s has ended %d times, not once", pod, ends)
	}
}

// at returns those who are connected to a gateway. Everybody must be connected.
func (g *gathering) at(pod string) (there []*witness) {
	for _, w := range g.all {
		if w.Pod() == pod {
			there = append(there, w)
		}
	}
	return there
}

// journal has what happened to a gathering during one drain.
type journal struct {
	mu    sync.Mutex
	trips []*trip // in the order of departure
	acked int     // operations, of everybody: the journal's clock
}

// trip is a witness's way from one gateway to another.
type trip struct {
	w    *witness
	cut  cut
	when int // by the journal's clock
	back []client.Recovery
	// pod where it drew again, and how many had departed until then.
	pod      string
	departed int
}

// begin forgets what was.
func (j *journal) begin() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.trips, j.acked = nil, 0
}

func (j *journal) left(w *witness, c cut) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.trips = append(j.trips, &trip{w: w, cut: c, when: j.acked})
}

func (j *journal) returned(w *witness, r client.Recovery) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if t := j.trip(w); t != nil {
		t.back = append(t.back, r)
	}
}

func (j *journal) drew(w *witness) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.acked++
	if t := j.trip(w); t != nil && t.pod == "" {
		t.pod, t.departed = w.Pod(), len(j.trips)
	}
}

// trip returns the last trip of a witness, nil when there is none.
func (j *journal) trip(w *witness) *trip {
	for _, t := range slices.Backward(j.trips) {
		if t.w == w {
			return t
		}
	}
	return nil
}

// settled tells whether so many have departed, and all draw again.
func (j *journal) settled(departed int) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.trips) >= departed && !slices.ContainsFunc(j.trips, func(t *trip) bool { return t.pod == "" })
}

var retry = regexp.MustCompile(`^retry=\d+$`)

// check checks that those who were at a gateway, and nobody else, were sent
// away once, bit by bit, with a time to wait each, and went on elsewhere from
// where they were.
func (j *journal) check(t *testing.T, pod string, there []*witness) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.trips) != len(there) || len(there) < 5 {
		t.Errorf("%d were at %s, %d were sent away", len(there), pod, len(j.trips))
	}
	waits, early, groups := map[string]bool{}, 0, 0
	var times []time.Time
	for i, trip := range j.trips {
		if !slices.Contains(there, trip.w) || trip.cut.pod != pod {
			t.Errorf("%s was sent away from %s, when %s was stopped", trip.w.name, trip.cut.pod, pod)
		}
		if trip.cut.code != 1012 || !retry.MatchString(trip.cut.reason) {
			t.Errorf("%s was closed with %d %q", trip.w.name, trip.cut.code, trip.cut.reason)
		}
		if len(trip.back) != 1 || !trip.back[0].Kind.WentOn() {
			t.Errorf("%s came back by %v", trip.w.name, trip.back)
		}
		if trip.departed < len(there) {
			if early++; trip.pod == pod {
				t.Errorf("%s was sent away from %s, and let in again", trip.w.name, pod)
			}
		}
		if i == 0 || trip.when >= j.trips[i-1].when+5 {
			groups++
		}
		waits[trip.cut.reason] = true
		times = append(times, trip.cut.at)
	}
	if len(waits) < 2 {
		t.Errorf("all were told the same time to wait: %v", waits)
	}
	if len(times) == 0 {
		return
	}
	drawn := j.trips[len(j.trips)-1].when - j.trips[0].when
	took := times[len(times)-1].Sub(times[0])
	if groups < 4 || drawn < 30 {
		t.Errorf("%s sent all its clients away at once: in %d groups, while %d operations were acknowledged", pod, groups, drawn)
	}
	t.Logf("%s: %d clients were sent away in %d groups within %v, told %d different times to wait; %d drew elsewhere before the last one left",
		pod, len(times), groups, took.Round(time.Millisecond), len(waits), early)
	if !full {
		return
	}
	if early < len(there)/3 {
		t.Errorf("of the %d who were at %s only %d drew elsewhere when the last was sent away", len(there), pod, early)
	}
	// Ten groups begin evenly over the time: nine tenths pass from the first to
	// the last.
	if took < drainSpread*6/10 || took > drainSpread*3/2 {
		t.Errorf("%s sent its clients away within %v, not %v", pod, took, drainSpread)
	}
	for i := range times {
		n := 0
		for _, other := range times[i:] {
			if other.Sub(times[i]) < drainSpread/5 {
				n++
			}
		}
		if n > len(times)/2 {
			t.Errorf("%s sent %d of %d clients away within a fifth of the time", pod, n, len(times))
		}
	}
}

// Redis stands still, so operations pile up in a gateway; it is told to stop;
// Redis goes on. What the gateway had taken is in the log, once, also of clients
// that do not number what they send, and it was acknowledged before the
// connection was closed: nobody has to send anything again.
func TestDrainFlushesWhatWaits(t *testing.T) {
	ctx := limit(t)
	redis := redisServer(t)
	var logs lines
	f := startFleet(t, ctx, fleet.Options{
		Gateways: 2, APIs: 1, Frontends: 1, Redis: redis.URL(), Canvas: gatheringCanvas, Log: &logs,
		Env: []string{"DRAIN_DELAY=50ms", "DRAIN_SPREAD=200ms", "CHECKPOINT_INTERVAL=100ms", "LOG_FORMAT=json"},
	})
	urls, err := allReady(t, ctx, f).GatewayURLs()
	if err != nil {
		t.Fatal(err)
	}
	const each = 5
	people := newGathering(stroke)
	var anonymous, idle []*witness
	for i := range 6 {
		o := client.Options{URLs: urls, Rand: func() float64 { return 0 }} // the first one first
		if i%2 == 1 {
			o.Codec, o.API = client.JSON, baseURL(t, f)
		}
		people.all = append(people.all, watch(t, ctx, fmt.Sprintf("painter %d", i), o))
		idle = append(idle, watch(t, ctx, fmt.Sprintf("visitor %d", i), o))
		o.Anonymous = true
		anonymous = append(anonymous, watch(t, ctx, fmt.Sprintf("old painter %d", i), o))
	}
	if err := redis.Pause(); err != nil {
		t.Fatal(err)
	}
	painters := slices.Concat(people.all, anonymous)
	for i, w := range painters {
		for n := range each {
			if n, err := w.Draw(ctx, dab(i, n, 0)); err != nil {
				t.Fatal(n, err)
			}
		}
	}
	for _, w := range painters {
		if _, err := w.Ping(ctx); err != nil { // the gateway has read what came before
			t.Fatalf("%s: %v", w.name, err)
		}
	}
	pod := painters[0].Pod()
	old := terminate(t, f, pod)
	eventually(t, ctx, "those who only watch are sent away", func() bool {
		return !slices.ContainsFunc(idle, func(w *witness) bool { return w.lost() == 0 })
	})
	for _, w := range painters {
		if w.lost() != 0 {
			t.Errorf("%s was sent away while its operations waited", w.name)
		}
	}
	if err := redis.Resume(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Await(ctx, pod+" is back", func(s fleet.State) bool {
		p, up := s.Pod(pod)
		return up && p.PID != old
	}); err != nil {
		t.Fatal(err)
	}
	checkExit(t, &logs, pod)
	if lost := logs.of("operations were lost in a drain"); len(lost) != 0 {
		t.Errorf("%d connections lost operations", len(lost))
	}
	for _, w := range people.all {
		w.drawn = each
		if err := w.Flush(ctx); err != nil {
			t.Errorf("%s: not everything was acknowledged: %v", w.name, err)
		}
	}
	times := map[canvas.Color]int{}
	r := people.check(t, ctx, f, redis.URL(), func(o canvas.Op) error {
		times[o.Pixels[0].Color]++
		return nil
	})
	for i, w := range anonymous {
		for n := range each {
			if got := times[dab(len(people.all)+i, n, 0).Color]; got != 1 {
				t.Errorf("operation %d of %s is in the log %d times", n, w.name, got)
			}
		}
		r.checkClient(t, ctx, w.name, w.Client)
	}
	if want := uint64(len(painters) * each); r.head != want {
		t.Errorf("the log has %d operations, not %d", r.head, want)
	}
	for _, w := range slices.Concat(painters, idle) {
		w.mu.Lock()
		for _, a := range w.acked {
			if a.Sends != 1 {
				t.Errorf("%s had to send operation %d %d times", w.name, a.Op, a.Sends)
			}
		}
		if len(w.cuts) != 1 || w.cuts[0].code != 1012 || !retry.MatchString(w.cuts[0].reason) {
			t.Errorf("%s was closed with %v", w.name, w.cuts)
		}
		w.mu.Unlock()
	}
}

// lost returns how many connections the witness has lost.
func (w *witness) lost() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.cuts)
}
