package replica

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/internal/telemetry"
	"github.com/cloud-pixel/playground/services/internal/tracing"
	"github.com/cloud-pixel/playground/services/protocol"
)

// Errors of [Writer.Submit] and outcomes of operations. Each means that the
// operation certainly is not in the log and will not get there.
var (
	// ErrQueueFull: as much waits as may.
	ErrQueueFull = errors.New("replica: too much waits to be appended")
	// ErrClosed: the writer has ended.
	ErrClosed = errors.New("replica: the writer is closed")
)

// Owner learns what became of its operations: in the order in which they were
// submitted, from the writer's goroutine. It must not wait for anything.
type Owner interface {
	// Appended: the operation is in the log, by this submission or an earlier
	// one. state is the session's last operation there, at or after this one.
	Appended(s *Submission, state store.SessionState, at *store.Appended)
	// Refused: the operation is certainly not in the log ([store.ErrLogFull],
	// [store.ErrRejected], [ErrClosed], or why the replica has stopped). From the moment of this call the
	// owner submits nothing of the session that comes after it, until it
	// submits it again.
	Refused(s *Submission, err error)
}

// Submission is an operation on its way to the log.
type Submission struct {
	store.AppendOp
	Owner Owner
	// Span is the operation's, which its owner ends; nil when there is none.
	Span *tracing.Span

	submitted time.Time
}

// size is what a submission counts against the limits, in bytes.
func (s *Submission) size() int { return len(s.Encoded) + 64 }

// WriterOptions of a writer. Zero values mean the defaults.
type WriterOptions struct {
	// MaxQueue bounds what waits, in bytes (16 MiB).
	MaxQueue int
	// Timeout bounds each append (3 s). Its outcome is then unknown and it is
	// tried again.
	Timeout time.Duration
	// Backoff is the pause before another try: it doubles from Backoff (20 ms)
	// to MaxBackoff (500 ms), and half of it is random.
	Backoff, MaxBackoff time.Duration
}

// maxBatchPixels bounds the pixels of a batch that has more than one
// operation, so that its broadcast stays in bounds too.
const maxBatchPixels = 8192

// Writer appends to the log of one canvas, for a whole process: one batch at a
// time. Whatever is submitted during one append travels in the next, so
// batches grow with the load and nothing waits for a timer. A batch whose
// outcome is not known is tried again, the same operations in the same order,
// until it is known; nothing overtakes it.
type Writer struct {
	o       WriterOptions
	replica *Replica
	source  Source
	metrics *Metrics
	logger  *slog.Logger
	tracer  *tracing.Tracer

	mu     sync.Mutex
	queue  []*Submission
	bytes  int           // of the queue and the batch under way
	under  []*Submission // the batch under way
	closed bool
	wake   chan struct{}
}

// NewWriter returns a writer for the replica's canvas. It appends while Run
// runs.
func NewWriter(r *Replica, o WriterOptions) *Writer {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&o.Timeout, 3*time.Second)
	set(&o.Backoff, 20*time.Millisecond)
	set(&o.MaxBackoff, 500*time.Millisecond)
	if o.MaxQueue == 0 {
		o.MaxQueue = 16 << 20
	}
	return &Writer{
		o: o, replica: r, source: r.o.Source, metrics: r.o.Metrics, logger: r.o.Logger,
		tracer: r.o.Tracer, wake: make(chan struct{}, 1),
	}
}

// Submit puts an operation at the end of the queue. Number 0 is replaced by
// what number returns: so the numbers of one session are given in the order of
// the queue. It never waits.
func (w *Writer) Submit(s *Submission, number func() uint64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return ErrClosed
	}
	if s.Op.Number == 0 {
		s.Op.Number = number()
	}
	s.Encoded = store.EncodeOp(nil, &s.Op)
	s.submitted = time.Now()
	if w.bytes+s.size() > w.o.MaxQueue {
		w.metrics.refused.WithLabelValues("queue_full").Inc()
		return ErrQueueFull
	}
	w.bytes += s.size()
	w.queue = append(w.queue, s)
	w.metrics.queueOps.Inc()
	w.metrics.queueBytes.Add(float64(s.size()))
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return nil
}

// Idle tells whether nothing waits or is under way.
func (w *Writer) Idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bytes == 0
}

// waiting returns when the operation that waits longest was submitted; zero:
// nothing waits.
func (w *Writer) waiting() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case len(w.under) > 0:
		return w.under[0].submitted
	case len(w.queue) > 0:
		return w.queue[0].submitted
	}
	return time.Time{}
}

// Queued returns the bytes of what waits or is under way.
func (w *Writer) Queued() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bytes
}

// Run appends until the context ends. What waits by then is refused; a batch
// under way whose outcome is unknown has none: its owners hear nothing.
func (w *Writer) Run(ctx context.Context) {
	w.metrics.runs(w, true)
	defer w.metrics.runs(w, false)
	defer w.close()
	for {
		batch := w.take()
		if batch == nil {
			select {
			case <-ctx.Done():
				return
			case <-w.wake:
			}
			continue
		}
		if !w.append(ctx, batch) {
			for _, s := range batch {
				s.Span.Fail("unknown", errOutcomeUnknown)
			}
			w.release(batch)
			return
		}
		w.release(batch)
	}
}

// take removes the next batch from the queue.
func (w *Writer) take() []*Submission {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, size, pixels := 0, 0, 0
	for n < len(w.queue) && n < store.MaxBatchOps {
		s := w.queue[n]
		size += len(s.Encoded)
		pixels += len(s.Op.Pixels)
		if n > 0 && (size > store.MaxBatchBytes || pixels > maxBatchPixels) {
			break
		}
		n++
	}
	if n == 0 {
		return nil
	}
	batch := w.queue[:n:n]
	w.under = batch
	w.queue = w.queue[n:]
	if len(w.queue) == 0 {
		w.queue = nil // let the memory of a burst go
	}
	return batch
}

func (w *Writer) release(batch []*Submission) {
	n := 0
	for _, s := range batch {
		n += s.size()
	}
	w.mu.Lock()
	w.bytes -= n
	if len(w.under) > 0 && w.under[0] == batch[0] {
		w.under = nil
	}
	w.mu.Unlock()
	w.metrics.queueOps.Sub(float64(len(batch)))
	w.metrics.queueBytes.Sub(float64(n))
}

// append brings a batch into the log and tells the owners. It returns false
// when the context ended before the outcome was known.
func (w *Writer) append(ctx context.Context, batch []*Submission) bool {
	ops := make([]store.AppendOp, len(batch))
	for i, s := range batch {
		ops[i] = s.AppendOp
	}
	w.metrics.batches.Inc()
	w.metrics.batchOps.Observe(float64(len(batch)))
	begin := time.Now()
	defer func() { w.metrics.appending.Observe(time.Since(begin).Seconds()) }()
	ctx, span := w.tracer.Send(ctx, w.replica.ID(), len(batch), func(i int) (canvas.Trace, *tracing.Span) {
		return batch[i].Op.Trace, batch[i].Span
	})
	backoff := w.o.Backoff
	uncertain := false // an earlier try may have appended the batch, or still may
	for {
		if err := w.replica.Err(); err != nil && !uncertain && !errors.Is(err, ErrStopped) {
			// What this process appended now, it could not show to anybody.
			span.Fail("replica_stopped", err)
			w.refuse(batch, err)
			return true
		}
		call, cancel := context.WithTimeout(ctx, w.o.Timeout)
		done, err := w.source.Append(call, w.replica.ID(), w.replica.Position(), ops)
		cancel()
		var stale *store.StaleError
		switch {
		case err == nil:
			span.Sent(done.First, done.Count)
			w.replica.Expect(done.Position)
			w.deliver(batch, done)
			return true
		case errors.As(err, &stale):
			// Nothing was appended; the same again in the new epoch, as soon
			// as the replica is there.
			w.replica.Refresh()
			wait, stop := context.WithTimeout(ctx, w.o.MaxBackoff)
			if w.replica.WaitFor(wait, stale.Current) != nil {
				backoff = w.pause(ctx, backoff)
			}
			stop()
		case errors.Is(err, store.ErrNotFound):
			w.replica.Refresh() // it creates the canvas again, or ends
			backoff = w.pause(ctx, backoff)
		case errors.Is(err, store.ErrInvalid):
			// Nobody but a defect of this program makes such a batch. Redis was
			// not asked; trying again would hold up the canvas for ever.
			span.Fail("invalid", err)
			w.logger.ErrorContext(ctx, "a batch that cannot be appended", "canvas", w.replica.ID(), "operations", len(batch), "error", err)
			w.refuse(batch, err)
			return true
		case (errors.Is(err, store.ErrLogFull) || errors.Is(err, store.ErrRejected)) && !uncertain:
			span.Fail(refusal(err), err)
			w.logger.WarnContext(ctx, "the log refused operations", "canvas", w.replica.ID(), "operations", len(batch), "error", err)
			w.refuse(w.deliverRepeated(batch, done), err)
			return true
		default:
			if !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrLogFull) && !errors.Is(err, store.ErrRejected) {
				uncertain = true
			}
			if ctx.Err() == nil {
				w.logger.WarnContext(ctx, "an append failed; trying it again", "canvas", w.replica.ID(), "operations", len(batch), "error", err)
			}
			w.replica.Refresh() // it finds out whether the log is away
			backoff = w.pause(ctx, backoff)
		}
		if ctx.Err() != nil {
			span.Fail("unknown", errOutcomeUnknown)
			return false
		}
		span.Retry(err)
		w.metrics.retries.Inc()
	}
}

func (w *Writer) deliver(batch []*Submission, done *store.Appended) {
	w.metrics.appended.Add(float64(done.Count))
	w.metrics.repeated.Add(float64(len(batch) - done.Count))
	oldest := &batch[0].Op
	traced := oldest
	for _, s := range batch {
		if s.Op.Received < oldest.Received {
			oldest = &s.Op
		}
		if !traced.Trace.Sampled() {
			traced = &s.Op
		}
		s.Owner.Appended(s, done.Sessions[s.Session], done)
	}
	if oldest.Trace.Sampled() {
		traced = oldest
	}
	if oldest.Received > 0 {
		telemetry.ObserveTraced(w.metrics.durability, float64(time.Now().UnixMicro()-oldest.Received)/1e6, (*[25]byte)(&traced.Trace))
	}
}

// deliverRepeated tells the owners of those operations of a refused batch that
// the log held before it, and returns the others.
func (w *Writer) deliverRepeated(batch []*Submission, done *store.Appended) (rest []*Submission) {
	if done == nil {
		return batch
	}
	for _, s := range batch {
		if state := done.Sessions[s.Session]; s.Op.Number <= state.Number {
			w.metrics.repeated.Inc()
			s.Owner.Appended(s, state, done)
		} else {
			rest = append(rest, s)
		}
	}
	return rest
}

// errOutcomeUnknown is what a trace says of a batch that was given up.
var errOutcomeUnknown = errors.New("the process stopped before the outcome was known")

// refusal names the reason of a refusal by Redis.
func refusal(err error) string {
	if errors.Is(err, store.ErrLogFull) {
		return "log_full"
	}
	return "rejected"
}

func (w *Writer) refuse(batch []*Submission, err error) {
	w.metrics.refused.WithLabelValues(refusal(err)).Add(float64(len(batch)))
	sessions := make(map[protocol.Session]bool)
	for _, s := range batch {
		sessions[s.Session] = true
		s.Owner.Refused(s, err)
	}
	// What waits behind a refused operation of the same session is refused
	// too. Were it appended, the session would have passed the refused number,
	// and that operation, when it is sent again, would count as a duplicate and
	// be lost. Once an owner has heard, it submits nothing more after it; but a
	// session may have moved to another connection, which hears only with the
	// first of its own operations: so look until nothing is left.
	for {
		behind := w.takeSessions(sessions)
		if len(behind) == 0 {
			return
		}
		w.release(behind)
		for _, s := range behind {
			s.Owner.Refused(s, err)
		}
	}
}

// takeSessions removes what waits of the given sessions from the queue.
func (w *Writer) takeSessions(sessions map[protocol.Session]bool) (taken []*Submission) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var rest []*Submission
	for _, s := range w.queue {
		if sessions[s.Session] {
			taken = append(taken, s)
		} else {
			rest = append(rest, s)
		}
	}
	w.queue = rest
	return taken
}

// pause waits before another try and returns the next pause.
func (w *Writer) pause(ctx context.Context, backoff time.Duration) time.Duration {
	timer := time.NewTimer(backoff/2 + rand.N(backoff/2+1))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	return min(2*backoff, w.o.MaxBackoff)
}

// close refuses what still waits.
func (w *Writer) close() {
	w.mu.Lock()
	w.closed = true
	rest := w.queue
	w.queue = nil
	w.mu.Unlock()
	if len(rest) == 0 {
		return
	}
	w.release(rest)
	for _, s := range rest {
		s.Owner.Refused(s, ErrClosed)
	}
}
