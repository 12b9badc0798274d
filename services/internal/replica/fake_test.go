package replica

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/internal/tracing"
	"github.com/cloud-pixel/playground/services/protocol"
	"github.com/prometheus/client_golang/prometheus"
)

// errLost is what a caller sees of a connection that broke: the outcome of
// its call is not known.
var errLost = errors.New("connection lost")

// fakeLog keeps a canvas's log by the rules of the real store, which its own
// contract suite proves, and fails when it is told to. What is published goes
// to publish, which decides what becomes of it.
type fakeLog struct {
	mu         sync.Mutex
	missing    bool
	spec       canvas.Spec
	epoch      canvas.Epoch
	head       uint64
	entries    []*canvas.Entry
	sessions   map[protocol.Session]store.SessionState
	checkpoint *store.Checkpoint
	mark       *store.Mark

	down      bool
	full      int // so many appends find the log full
	rejects   bool
	gate      chan struct{} // calls wait for it when not nil
	afterRead func()
	afterLook func()     // called with the answer of a check that found no other epoch
	appends   [][]uint64 // numbers of each call, as they arrived
	readFails bool
	loseReply int // of that many appends, after they took effect
	loseCall  int // that many appends never arrive
	checks    int
	reads     int
	slow      bool // subscriptions are confirmed by the test, and deaf until then
	subs      []*fakeSub
	publish   func(*canvas.Entry) // nil: to all subscriptions at once
}

func newFakeLog() *fakeLog {
	return &fakeLog{
		spec:     canvas.Spec{Width: 8, Height: 8, Background: canvas.White},
		epoch:    canvas.NewEpoch(),
		sessions: make(map[protocol.Session]store.SessionState),
	}
}

// set changes the log's behaviour.
func (l *fakeLog) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

// counted returns how often the head was read.
func (l *fakeLog) counted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.checks
}

func (l *fakeLog) wait(ctx context.Context) error {
	l.mu.Lock()
	gate, down := l.gate, l.down
	l.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if down {
		return errLost
	}
	return nil
}

func (l *fakeLog) position() canvas.Position {
	return canvas.Position{Epoch: l.epoch, Seq: l.head}
}

func (l *fakeLog) Meta(ctx context.Context, _ string) (store.Meta, error) {
	if err := l.wait(ctx); err != nil {
		return store.Meta{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.missing {
		return store.Meta{}, store.ErrNotFound
	}
	return store.Meta{Spec: l.spec, Epoch: l.epoch}, nil
}

func (l *fakeLog) Create(ctx context.Context, id string, spec canvas.Spec, _ int) (store.Meta, bool, error) {
	if err := l.wait(ctx); err != nil {
		return store.Meta{}, false, err
	}
	l.mu.Lock()
	if l.missing {
		l.missing, l.spec, l.epoch, l.head, l.entries, l.checkpoint = false, spec, canvas.NewEpoch(), 0, nil, nil
		l.sessions = make(map[protocol.Session]store.SessionState)
	}
	l.mu.Unlock()
	m, err := l.Meta(ctx, id)
	return m, true, err
}

func (l *fakeLog) Check(ctx context.Context, _ string, at canvas.Position) (canvas.Position, error) {
	l.mu.Lock()
	l.checks++
	now := l.position() // the answer is as old as the question, however long it takes
	l.mu.Unlock()
	if err := l.wait(ctx); err != nil {
		return canvas.Position{}, err
	}
	l.mu.Lock()
	err := l.admit(at)
	after := l.afterLook
	l.mu.Unlock()
	if err == nil && after != nil {
		after()
	}
	return now, err
}

func (l *fakeLog) admit(at canvas.Position) error {
	if l.missing {
		return store.ErrNotFound
	}
	if at.Epoch == l.epoch && l.head < at.Seq {
		l.epoch = canvas.NewEpoch()
		if l.checkpoint != nil && l.checkpoint.Position.Seq <= l.head {
			l.checkpoint.Position.Epoch = l.epoch
		} else {
			l.checkpoint = nil
		}
	}
	if at.Epoch != l.epoch {
		return &store.StaleError{Current: l.position()}
	}
	return nil
}

func (l *fakeLog) Read(ctx context.Context, _ string, since uint64, limit int) ([]*canvas.Entry, uint64, error) {
	if err := l.wait(ctx); err != nil {
		return nil, 0, err
	}
	l.mu.Lock()
	defer func() {
		after := l.afterRead
		l.mu.Unlock()
		if after != nil {
			after()
		}
	}()
	l.reads++
	if l.readFails {
		return nil, l.head, store.ErrMalformed
	}
	if l.missing {
		return nil, 0, store.ErrNotFound
	}
	var out []*canvas.Entry
	for _, e := range l.entries {
		if rest := e.After(since); rest != nil && len(out) < limit {
			out = append(out, rest)
		}
	}
	if len(out) == 0 && l.head > since || len(out) > 0 && out[0].First > since+1 {
		return nil, l.head, store.ErrTrimmed
	}
	return out, l.head, nil
}

func (l *fakeLog) LogInfo(ctx context.Context, _ string) (int64, uint64, error) {
	if err := l.wait(ctx); err != nil {
		return 0, 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) == 0 {
		return 0, 0, nil
	}
	return int64(len(l.entries)), l.entries[0].First, nil
}

func (l *fakeLog) LoadCheckpoint(ctx context.Context, _ string) (*store.Checkpoint, error) {
	if err := l.wait(ctx); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.checkpoint == nil {
		return nil, nil
	}
	c := *l.checkpoint
	return &c, nil
}

func (l *fakeLog) CheckpointMark(ctx context.Context, _ string) (*store.Mark, error) {
	if err := l.wait(ctx); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mark, nil
}

func (l *fakeLog) Append(ctx context.Context, _ string, at canvas.Position, ops []store.AppendOp) (*store.Appended, error) {
	l.mu.Lock()
	var numbers []uint64
	for _, o := range ops {
		numbers = append(numbers, o.Op.Number)
	}
	l.appends = append(l.appends, numbers)
	lost := l.loseCall > 0
	if lost {
		l.loseCall--
	}
	l.mu.Unlock()
	if lost {
		return nil, errLost
	}
	if err := l.wait(ctx); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch err := l.admit(at); {
	case err != nil:
		return nil, err
	case l.full > 0:
		l.full--
		done := &store.Appended{Position: l.position(), Sessions: make(map[protocol.Session]store.SessionState)}
		for _, o := range ops {
			done.Sessions[o.Session] = l.sessions[o.Session]
		}
		return done, store.ErrLogFull
	case l.rejects:
		return nil, store.ErrRejected
	}
	done := l.write(ops)
	if l.loseReply > 0 {
		l.loseReply--
		return nil, errLost
	}
	return done, nil
}

func (l *fakeLog) write(ops []store.AppendOp) *store.Appended {
	e := &canvas.Entry{Epoch: l.epoch, First: l.head + 1, Time: int64(l.head) + 1}
	done := &store.Appended{First: e.First, Sessions: make(map[protocol.Session]store.SessionState)}
	for _, o := range ops {
		if state := l.sessions[o.Session]; o.Op.Number > state.Number {
			e.Ops = append(e.Ops, o.Op)
			l.head++
			l.sessions[o.Session] = store.SessionState{Number: o.Op.Number, Seq: l.head}
		}
		done.Sessions[o.Session] = l.sessions[o.Session]
	}
	for s := range done.Sessions {
		done.Sessions[s] = l.sessions[s]
	}
	done.Count, done.Position = len(e.Ops), l.position()
	if len(e.Ops) > 0 {
		l.entries = append(l.entries, e)
		if l.publish != nil {
			l.publish(e)
		} else {
			l.send(e)
		}
	}
	return done
}

// foreign appends as another process does.
func (l *fakeLog) foreign(ops ...canvas.Op) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := protocol.NewSession()
	var all []store.AppendOp
	for i, o := range ops {
		o.Number = uint64(i + 1)
		all = append(all, store.AppendOp{Session: s, Op: o})
	}
	l.write(all)
}

// send delivers to the subscriptions. Like Redis, it drops what a subscriber
// does not take in time.
func (l *fakeLog) send(e *canvas.Entry) {
	for _, s := range l.subs {
		if l.slow {
			continue
		}
		select {
		case s.events <- store.Event{Kind: store.Live, Entry: e}:
		default:
		}
	}
}

func (l *fakeLog) event(e store.Event) {
	l.mu.Lock()
	subs := slices.Clone(l.subs)
	l.mu.Unlock()
	for _, s := range subs {
		s.events <- e
	}
}

type fakeSub struct {
	log    *fakeLog
	events chan store.Event
}

func (l *fakeLog) Subscribe(context.Context, string) Subscription {
	s := &fakeSub{log: l, events: make(chan store.Event, 256)}
	l.mu.Lock()
	if !l.slow {
		s.events <- store.Event{Kind: store.Confirmed}
	}
	l.subs = append(l.subs, s)
	l.mu.Unlock()
	return s
}

func (s *fakeSub) Events() <-chan store.Event { return s.events }

func (s *fakeSub) Close() error {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	s.log.subs = slices.DeleteFunc(s.log.subs, func(other *fakeSub) bool { return other == s })
	return nil
}

// witness is an observer that checks what it is told.
type witness struct {
	mu        sync.Mutex
	at        canvas.Position
	restarts  int
	breaches  []string
	reachable []bool
	stopped   []error
	recent    []*canvas.Entry
	during    func(*canvas.Entry) // called while it is told of an entry
	beginning func()              // called while it is told of a history
}

func (w *witness) Restarted(at canvas.Position, spec canvas.Spec, recent []*canvas.Entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at, w.recent = at, recent
	w.restarts++
	if w.beginning != nil {
		w.beginning()
	}
	if n := len(recent); n > 0 && recent[n-1].Last() != at.Seq {
		w.breaches = append(w.breaches, "recent entries do not lead up to the position")
	}
	for i := 1; i < len(recent); i++ {
		if recent[i].First != recent[i-1].Last()+1 {
			w.breaches = append(w.breaches, "recent entries have a hole")
		}
	}
}

func (w *witness) Applied(e *canvas.Entry, span *tracing.Span) {
	defer span.End()
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.First != w.at.Seq+1 {
		w.breaches = append(w.breaches, "an entry out of order")
	}
	if e.Epoch != w.at.Epoch {
		w.breaches = append(w.breaches, "an entry of another history")
	}
	w.at.Seq = e.Last()
	if w.during != nil {
		w.during(e)
	}
}

// count returns how often the history began anew.
func (w *witness) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.restarts
}

func (w *witness) Stopped(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = append(w.stopped, err)
}

func (w *witness) Reachable(ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reachable = append(w.reachable, ok)
}

// desk is a replica with its writer and witness, run inside a synctest bubble.
type desk struct {
	log     *fakeLog
	replica *Replica
	writer  *Writer
	witness *witness
	metrics *Metrics
	cancel  context.CancelFunc
	ended   sync.WaitGroup
}

func newDesk(l *fakeLog, change func(*Options)) *desk {
	d := &desk{log: l, witness: &witness{}, metrics: NewMetrics(prometheus.NewRegistry())}
	o := Options{ID: "main", Source: l, Observer: d.witness, Metrics: d.metrics}
	if change != nil {
		change(&o)
	}
	d.replica = New(o)
	d.writer = NewWriter(d.replica, WriterOptions{})
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	d.ended.Go(func() { d.replica.Run(ctx) })
	d.ended.Go(func() { d.writer.Run(ctx) })
	return d
}

func (d *desk) close() {
	d.cancel()
	d.ended.Wait()
}

// truth returns the picture that the fake log holds. Only for logs that were
// never trimmed or restarted.
func (l *fakeLog) truth() (*canvas.Grid, canvas.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := canvas.NewGrid(l.spec)
	for _, e := range l.entries {
		for i := range e.Ops {
			g.Apply(&e.Ops[i])
		}
	}
	return g, l.position()
}

// differs returns how the replica differs from the log, or "".
func (d *desk) differs() string {
	g, at := d.log.truth()
	f, held, _ := d.replica.Freeze()
	d.witness.mu.Lock()
	defer d.witness.mu.Unlock()
	switch {
	case len(d.witness.breaches) > 0:
		return d.witness.breaches[0]
	case held != at:
		return "the replica is at " + held.String() + ", the log at " + at.String()
	case d.witness.at != at:
		return "the observer is at " + d.witness.at.String() + ", the log at " + at.String()
	case f.Hash() != g.Hash():
		return "the pictures differ"
	}
	return ""
}

// clerk is an owner of operations.
type clerk struct {
	mu       sync.Mutex
	session  protocol.Session
	appended []uint64
	refused  []uint64
	acked    uint64
}

func newClerk() *clerk { return &clerk{session: protocol.NewSession()} }

func (c *clerk) Appended(s *Submission, state store.SessionState, _ *store.Appended) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.appended = append(c.appended, s.Op.Number)
	c.acked = max(c.acked, state.Number)
}

func (c *clerk) Refused(s *Submission, _ error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused = append(c.refused, s.Op.Number)
}

func (c *clerk) submit(w *Writer, number uint64) error {
	return w.Submit(&Submission{Owner: c, AppendOp: store.AppendOp{
		Session: c.session, TTL: time.Hour, Op: numbered(number),
	}}, nil)
}

func numbered(n uint64) canvas.Op {
	o := dot(int(n)%8, int(n)/8%8, canvas.Color(n))
	o.Number = n
	return o
}

func dot(x, y int, c canvas.Color) canvas.Op {
	return canvas.Op{Kind: canvas.Paint, Pixels: []canvas.Pixel{{X: uint16(x), Y: uint16(y), Color: c}}}
}
