package api

import (
	"sync"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/tracing"
)

// traces remembers which of the applied operations are sampled, for the
// checkpoint that will cover them: the newest MaxLinks of them. In an api that
// does not write the checkpoints they just pass through.
type traces struct {
	mu      sync.Mutex
	recent  []tracedOp // in the order of their positions
	dropped int
}

type tracedOp struct {
	seq   uint64
	trace canvas.Trace
}

func (t *traces) add(e *canvas.Entry) {
	for i := range e.Ops {
		if !e.Ops[i].Trace.Sampled() {
			continue
		}
		t.mu.Lock()
		if len(t.recent) == tracing.MaxLinks {
			t.recent = append(t.recent[:0], t.recent[1:]...)
			t.dropped++
		}
		t.recent = append(t.recent, tracedOp{e.First + uint64(i), e.Ops[i].Trace})
		t.mu.Unlock()
	}
}

// take removes those up to a position, and tells how many more there were.
func (t *traces) take(last uint64) (sampled []canvas.Trace, dropped int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for n < len(t.recent) && t.recent[n].seq <= last {
		sampled = append(sampled, t.recent[n].trace)
		n++
	}
	t.recent = append(t.recent[:0], t.recent[n:]...)
	dropped, t.dropped = t.dropped, 0
	return sampled, dropped
}

// clear forgets all: another history began.
func (t *traces) clear() {
	t.mu.Lock()
	t.recent, t.dropped = nil, 0
	t.mu.Unlock()
}
