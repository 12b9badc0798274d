package fanout

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/cloud-pixel/playground/k6/metrics"
	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/protocol"
)

// Settle waits, when nothing is drawn any more, until every write is answered
// and every client that is there has everything. What is not so by the end of
// ctx is lost, or without an acknowledgement, in what Measure tells then; the
// error says who.
func (g *Group) Settle(ctx context.Context) error {
	var errs []error
	members := g.Members()
	for _, m := range members {
		if err := m.Flush(ctx); err != nil {
			errs = append(errs, fmt.Errorf("client %d at %q has %d writes without an answer: %w", m.id, m.Pod(), m.Stats().Outbox, err))
		}
	}
	head := g.Head()
	for _, m := range members {
		// What others draw after that, while figures are taken, is owed to nobody.
		m.until.Store(head)
		if err := m.WaitFor(ctx, head); err != nil {
			errs = append(errs, fmt.Errorf("client %d at %q is at %d of %d: %w (last: %w)", m.id, m.Pod(), m.Position().Seq, head, err, orNone(m.LastError())))
		}
	}
	if len(errs) > 5 {
		errs = append(errs[:5], fmt.Errorf("and %d more", len(errs)-5))
	}
	return errors.Join(errs...)
}

// Compare compares the pictures of all clients that keep one with that of each
// api, given by base URL. Nobody may draw meanwhile.
func (g *Group) Compare(ctx context.Context, apis []string) error {
	pictures := map[string]*canvas.Frozen{}
	for _, api := range apis {
		p, err := g.picture(ctx, api)
		if err != nil {
			return fmt.Errorf("fanout: the picture of %s: %w", api, err)
		}
		pictures["api "+api] = p
	}
	for _, m := range g.Members() {
		if p := m.Grid(); p != nil {
			pictures["client "+strconv.Itoa(m.id)] = p
		}
	}
	names := slices.Sorted(maps.Keys(pictures))
	g.mu.Lock()
	defer g.mu.Unlock()
	g.compared, g.diverged = len(names), nil
	for _, name := range names {
		// Names of apis come first, so theirs is the picture that counts.
		if pictures[name].Hash() != pictures[names[0]].Hash() {
			g.diverged = append(g.diverged, name)
		}
	}
	return nil
}

// picture is what an api shows.
func (g *Group) picture(ctx context.Context, api string) (*canvas.Frozen, error) {
	c, err := client.Dial(ctx, client.Options{
		URLs: g.opts.URLs, API: api, Codec: client.JSON, Canvas: g.opts.Canvas, HTTPClient: g.http, Dialer: g.opts.Dialer,
	})
	if err != nil {
		return nil, err
	}
	defer c.Close() //nolint:errcheck // it only looked
	if err := c.WaitFor(ctx, g.Head()); err != nil {
		return nil, err
	}
	return c.Grid(), nil
}

// Diverged names the clients and apis whose picture was not that of the first
// api when Compare looked.
func (g *Group) Diverged() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.diverged)
}

// Points returns the group second by second, while it painted.
func (g *Group) Points() []Point {
	g.series.mu.Lock()
	defer g.series.mu.Unlock()
	return slices.Clone(g.series.points)
}

// account adds up all members. What is new since the last time goes to the
// gateway to which its client is connected now.
//
// Owed is attributed when it comes to be owed, what has come when it comes: who
// changes its gateway gets from the new one what it missed. So by gateway the
// two need not be equal; what is lost is counted where its client is.
func (g *Group) account() (sum account, owed, lost uint64, perPod map[string]tally) {
	g.mu.Lock()
	members := slices.Clone(g.members)
	g.mu.Unlock()
	head := g.Head()
	perPod = map[string]tally{}
	missing := map[*Member]int64{}
	sum.stats.Refused, sum.stats.Disconnects = map[protocol.Code]uint64{}, map[int]uint64{}
	for _, m := range members {
		a := m.account(head)
		owed += a.owed()
		lost += a.lost()
		sum.pictured += a.pictured
		add(&sum.stats, &a.stats)
		g.attribute(m, tallyOf(&a))
		missing[m] = int64(a.lost())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for pod, t := range g.perPod {
		perPod[pod] = *t
	}
	for m, n := range missing {
		t := perPod[m.pod]
		t[tallyLost] += n
		perPod[m.pod] = t
	}
	return sum, owed, lost, perPod
}

// attribute adds what is new of a member to its gateway.
func (g *Group) attribute(m *Member, now tally) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.perPod[m.pod]
	if t == nil {
		t = new(tally)
		g.perPod[m.pod] = t
	}
	for i := range now {
		t[i] += now[i] - m.counted[i]
	}
	m.counted = now
}

// tally has the figures that are told by gateway.
type tally [tallied]int64

// Its fields.
const (
	tallyOwed = iota
	tallyHeld // owed, and came by whatever way
	tallyDelivered
	tallyConflated
	tallyPictured
	tallyAcked
	tallyResent
	tallyGaps
	tallyDuplicates
	tallyOutOfOrder
	tallyBytes
	tallyLost // as it is now; the others only grow
	tallied
)

func tallyOf(a *account) tally {
	s := &a.stats
	return tally{
		tallyOwed: int64(a.owed()), tallyHeld: int64(a.owed() - a.lost()), tallyDelivered: int64(s.Ops),
		tallyConflated: int64(s.Conflated), tallyPictured: int64(a.pictured), tallyAcked: int64(s.Acked), tallyResent: int64(s.Resent),
		tallyGaps: int64(s.Gaps), tallyDuplicates: int64(s.Duplicates), tallyOutOfOrder: int64(s.OutOfOrder), tallyBytes: int64(s.Bytes),
	}
}

// add adds what the metrics need.
func add(to, s *client.Stats) {
	to.Attempts += s.Attempts
	to.Failures += s.Failures
	to.Connected += s.Connected
	to.Sent += s.Sent
	to.Resent += s.Resent
	to.Acked += s.Acked
	to.Expired += s.Expired
	to.Outbox += s.Outbox
	to.Bytes += s.Bytes
	to.Ops += s.Ops
	to.Conflated += s.Conflated
	to.Gaps += s.Gaps
	to.Missing += s.Missing
	to.Duplicates += s.Duplicates
	to.OutOfOrder += s.OutOfOrder
	to.BadSnapshots += s.BadSnapshots
	for code, n := range s.Refused {
		to.Refused[code] += n
	}
}

// Metrics returns all metrics that [Group.Measure] adds, with nothing measured:
// their names, kinds and meanings.
func Metrics() *metrics.Set {
	g, err := New(Options{URLs: []string{"ws://nobody"}})
	if err != nil {
		panic(err) // the options are valid
	}
	var s metrics.Set
	g.Measure(&s)
	return &s
}

// Measure adds all metrics to a set. Call it when the group has settled; what
// is on its way counts as lost. Members must still be there.
func (g *Group) Measure(s *metrics.Set) {
	g.resolve()
	g.measureTimes(s)
	g.Progress(s)
	g.measureRecovery(s)
	g.measureAffected(s)
}

// Progress adds the counters, gauges and rates, as they are while the group is
// under way: what is on its way counts as lost until it has come.
func (g *Group) Progress(s *metrics.Set) {
	g.measureDelivery(s)
	g.measureConnections(s)
}

// Names of times, as observers are told them.
const (
	e2eLatency     = "pixel_e2e_latency"
	echoLatency    = "pixel_echo_latency"
	catchUpLatency = "pixel_catch_up_latency"
	stampedLatency = "pixel_stamped_latency"
	ackLatency     = "pixel_ack_latency"
	generatorLate  = "pixel_generator_late"
	connectTime    = "pixel_connect_time"
	reconnectTime  = "pixel_reconnect_time"
	recoveryTime   = "pixel_recovery_time"
)

func (g *Group) measureTimes(s *metrics.Set) {
	g.mu.Lock()
	pods, names := maps.Clone(g.pods), slices.Clone(g.podNames)
	g.mu.Unlock()
	routes := s.Gauge("pixel_routes", "pairs of gateways, of who drew and of who got it, with deliveries to others", 0)
	all, caught, echo, stamped := metrics.NewTimes(), metrics.NewTimes(), metrics.NewTimes(), metrics.NewTimes()
	e2e := s.Trend(e2eLatency, "from when a write was due to its arrival at each other client", all)
	mine := s.Trend(echoLatency, "from when a write was due to its arrival at its author", echo)
	for _, pod := range slices.Sorted(maps.Keys(pods)) {
		r := pods[pod]
		r.mu.Lock()
		here, own := metrics.NewTimes(), metrics.NewTimes()
		here.Merge(r.live)
		here.Merge(r.caught)
		own.Merge(r.echo)
		all.Merge(here)
		echo.Merge(own)
		caught.Merge(r.caught)
		stamped.Merge(r.stamped)
		for i, from := range names {
			if n := r.from[i]; n > 0 {
				routes.Value++
				routes.Part("route", from+" → "+pod, metrics.Metric{Value: float64(n)})
			}
		}
		r.mu.Unlock()
		e2e.Part("pod", pod, metrics.Metric{Times: here})
		mine.Part("pod", pod, metrics.Metric{Times: own})
	}
	s.Trend(catchUpLatency, "of the end-to-end latencies, those of clients that were away when the write was due and have come back", caught)
	s.Trend(stampedLatency, "from the log's time stamp to arrival at each other client, as the original system measured; stamps are whole milliseconds", stamped)
	s.Trend(ackLatency, "from when a write was due until its author knew that it is in the log", g.ackTimes.copy())
	s.Trend(generatorLate, "by how much writes were handed to their client after they were due", g.late.copy())
}

// copy returns what was recorded so far.
func (t *times) copy() *hdrhistogram.Histogram {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := metrics.NewTimes()
	h.Merge(t.h)
	return h
}

func (g *Group) measureDelivery(s *metrics.Set) {
	sum, owed, lost, perPod := g.account()
	writes := uint64(g.book.n.Load())
	st := &sum.stats
	s.Count("pixel_writes", "pixels drawn", writes)
	byPod := func(m *metrics.Metric, field int) {
		for pod, t := range perPod {
			if pod != "" {
				m.Part("pod", pod, metrics.Metric{Value: float64(t[field])})
			}
		}
	}
	byPod(s.Count("pixel_acked", "writes acknowledged: they are in the log", st.Acked), tallyAcked)
	s.Count("pixel_unacked", "writes neither acknowledged nor refused for good", uint64(st.Outbox)+g.drawFailed.Load()).Final = true
	refused := s.Count("pixel_refused", "refusals, also of what was sent again and accepted", 0)
	for code, n := range st.Refused {
		refused.Value += float64(n)
		refused.Part("code", code.String(), metrics.Metric{Value: float64(n)})
	}
	byPod(s.Count("pixel_resent", "writes sent again after a lost connection or a refusal", st.Resent), tallyResent)
	byPod(s.Count("pixel_owed", "positions of the log that clients should have got", owed), tallyOwed)
	byPod(s.Count("pixel_delivered", "of these, the ones that came by messages, each counted once for each client", st.Ops), tallyDelivered)
	byPod(s.Count("pixel_conflated", "of these, the ones that came in a range with others", st.Conflated), tallyConflated)
	byPod(s.Count("pixel_by_picture", "positions that a whole picture stood for", sum.pictured), tallyPictured)
	s.Count("pixel_lost", "positions that were owed and never came", lost).Final = true
	delivery := s.Rate("pixel_delivery", "what came of what was owed", owed-lost, owed)
	for pod, t := range perPod {
		if all := t[tallyHeld] + t[tallyLost]; pod != "" && all > 0 {
			delivery.Part("pod", pod, metrics.Metric{Good: uint64(t[tallyHeld]), All: uint64(all)})
		}
	}
	s.Gauge("pixel_delivery_by_count", "messages received, repetitions among them, for each write and client, as the original system counted: what somebody missed while away is loss, and a repetition makes up for it",
		rate(float64(st.Ops+st.Duplicates), float64(st.Acked)*float64(len(g.Members()))))
	byPod(s.Count("pixel_gaps", "messages that began behind the next position", st.Gaps), tallyGaps)
	byPod(s.Count("pixel_duplicates", "messages that brought nothing new", st.Duplicates), tallyDuplicates)
	byPod(s.Count("pixel_out_of_order", "messages that came after a later one", st.OutOfOrder), tallyOutOfOrder)
	s.Count("pixel_conflicts", "times that two clients saw different writes at one position", g.book.conflicts.Load())
	s.Count("pixel_foreign", "positions that others have drawn", g.book.foreign.Load())
	s.Count("pixel_untimed", "deliveries in ranges of which it is not known when they were due", g.untimed.Load())
	byPod(s.Count("pixel_bytes", "bytes that all clients received, without frame headers", st.Bytes), tallyBytes)
	g.mu.Lock()
	defer g.mu.Unlock()
	s.Gauge("pixel_write_rate", "writes acknowledged per second", rate(float64(st.Acked), g.writing.Seconds()))
	s.Gauge("pixel_multiplier", "deliveries for each write", rate(float64(st.Ops), float64(st.Acked)))
	s.Gauge("pixel_compared", "pictures compared at the end: of clients and apis", float64(g.compared)).Final = true
	s.Count("pixel_diverged", "of these, the ones that differed from the api's", uint64(len(g.diverged))).Final = true
}

func rate(n, of float64) float64 {
	if of == 0 {
		return 0
	}
	return n / of
}

// soon is how quickly clients should be back.
const soonMillis = 500

func (g *Group) measureConnections(s *metrics.Set) {
	sum, _, _, _ := g.account()
	st := &sum.stats
	s.Rate("pixel_connects", "attempts to connect that led to a gateway's first message", st.Connected, st.Connected+st.Failures)
	s.Count("pixel_join_failures", "clients that were not there in time", g.joinFailed.Load())
	s.Trend(connectTime, "from the beginning of an attempt to the gateway's first message, of first connections", g.connects.copy())
	s.Trend(reconnectTime, "the same, of later connections", g.back.copy())
	pods := g.Pods()
	g.mu.Lock()
	defer g.mu.Unlock()
	least, greatest := share(pods)
	s.Gauge("pixel_share_least", "part of the connected clients that the gateway with the fewest has", least)
	s.Gauge("pixel_share_greatest", "part of the connected clients that the gateway with the most has", greatest)
	s.Gauge("pixel_gateways", "gateways that have clients", float64(len(pods)))
	connections := s.Gauge("pixel_connections", "clients connected at the end", 0)
	for pod, n := range pods {
		connections.Value += float64(n)
		connections.Part("pod", pod, metrics.Metric{Value: float64(n)})
	}
	disconnects := s.Count("pixel_disconnects", "connections that ended other than by their client", 0)
	for code, n := range g.disconnects {
		disconnects.Value += float64(n)
		disconnects.Part("code", strconv.Itoa(code), metrics.Metric{Value: float64(n)})
	}
	resumes := s.Count("pixel_resume", "clients that came back, by how they got what they missed", 0)
	for kind, n := range g.resumes {
		resumes.Value += float64(n)
		resumes.Part("by", kind.String(), metrics.Metric{Value: float64(n)})
	}
}

// share returns which part of all clients the gateways with the fewest and with
// the most have.
func share(pods map[string]int) (least, greatest float64) {
	if len(pods) == 0 {
		return 0, 0
	}
	all := 0
	for _, n := range pods {
		all += n
	}
	least = 1
	for _, n := range pods {
		part := float64(n) / float64(all)
		least, greatest = min(least, part), max(greatest, part)
	}
	return least, greatest
}

func (g *Group) measureRecovery(s *metrics.Set) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var cuts, back, soon uint64
	recovery := metrics.NewTimes()
	for _, m := range g.members {
		for _, c := range m.cuts {
			cuts++
			if c.Back.IsZero() {
				continue
			}
			back++
			metrics.Note(recovery, c.Took)
			if c.Took.Milliseconds() <= soonMillis {
				soon++
			}
		}
	}
	s.Count("pixel_cut_off", "times that a client lost its connection", cuts)
	s.Rate("pixel_reconnected", "of these, the ones after which it had everything again", back, cuts)
	s.Rate("pixel_recovered_soon", "of these, the ones within 500 ms", soon, cuts)
	s.Trend(recoveryTime, "from the loss of a connection to having everything again, of clients that were cut off", recovery)
}
