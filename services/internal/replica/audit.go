package replica

import (
	"context"
	"sort"
	"sync"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/store"
)

// trail remembers the picture's hash at the ends of the last entries.
type trail struct{ marks []mark }

type mark struct{ seq, hash uint64 }

// trailLength is how many are kept: a checkpoint is a few seconds behind the
// head at most.
const trailLength = 16 << 10

func (t *trail) add(seq, hash uint64) {
	if len(t.marks) >= 2*trailLength {
		t.marks = append(t.marks[:0], t.marks[trailLength:]...)
	}
	t.marks = append(t.marks, mark{seq, hash})
}

// at returns the hash at the end of the entry that ended at seq.
func (t *trail) at(seq uint64) (uint64, bool) {
	i := sort.Search(len(t.marks), func(i int) bool { return t.marks[i].seq >= seq })
	if i == len(t.marks) || t.marks[i].seq != seq {
		return 0, false
	}
	return t.marks[i].hash, true
}

// audit compares this replica with the checkpoint that is stored, now if the
// replica has passed it, else when it does.
func (r *Replica) audit(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, r.o.CallTimeout)
	defer cancel()
	m, err := r.o.Source.CheckpointMark(ctx, r.o.ID)
	if err != nil || m == nil || m.Position.Epoch != r.pos.Epoch {
		return // no news; reading the head finds out what is wrong
	}
	if m.Position.Seq > r.pos.Seq {
		r.pending = m
		return
	}
	r.compare(m)
}

// compare checks the replica's hash at a checkpoint's position. Replicas that
// differ are a defect, or memory that went bad: it is counted, both sides are
// logged, and the picture is made anew from the store.
func (r *Replica) compare(m *store.Mark) {
	held, known := r.trail.at(m.Position.Seq)
	if !known {
		r.o.Metrics.audits.WithLabelValues(auditUnknown).Inc()
		return
	}
	if held == m.Hash {
		r.o.Metrics.audits.WithLabelValues(auditEqual).Inc()
		return
	}
	r.o.Metrics.audits.WithLabelValues(auditDifferent).Inc()
	r.o.Logger.Error("this replica differs from the checkpoint; making it anew",
		"canvas", r.o.ID, "position", m.Position.String(), "hash", held, "checkpoint_hash", m.Hash)
	r.diverged = true
}

// A replica's hash is kept up to date with each cell that changes. A cell that
// changes by itself, because memory went bad, does not show in it until it is
// painted over. So from time to time the hash is computed anew from the cells.

// scrub is that, under way or not. Owned by Run.
type scrub struct {
	done  chan scrubbed
	busy  bool
	after time.Time // of the next one, at the earliest
	era   int       // of the picture; counts loads
}

type scrubbed struct {
	era   int
	at    canvas.Position
	took  time.Duration
	sound bool
	held  uint64
}

// scrubShare bounds what scrubbing takes of one processor: a picture is looked
// at again after so many times what the last look took.
const scrubShare = 100

// beginScrub looks at the picture of this moment in a goroutine of its own.
func (r *Replica) beginScrub(running *sync.WaitGroup) {
	if r.scrub.busy || time.Now().Before(r.scrub.after) {
		return
	}
	r.scrub.busy = true
	r.damage()
	frozen, at, _ := r.Freeze()
	era := r.scrub.era
	running.Go(func() {
		begin := time.Now()
		sound := frozen.Sound()
		r.scrub.done <- scrubbed{era: era, at: at, took: time.Since(begin), sound: sound, held: frozen.Hash()}
	})
}

// scrubbed takes the result.
func (r *Replica) scrubbed(found scrubbed) {
	r.scrub.busy = false
	r.scrub.after = time.Now().Add(scrubShare * found.took)
	if found.sound {
		r.o.Metrics.scrubs.WithLabelValues(scrubSound).Inc()
		return
	}
	r.o.Metrics.scrubs.WithLabelValues(scrubDamaged).Inc()
	r.o.Logger.Error("the picture in memory is damaged; making it anew",
		"canvas", r.o.ID, "position", found.at.String(), "hash", found.held)
	if found.era == r.scrub.era {
		r.diverged = true
	}
}
