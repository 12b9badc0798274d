package replica

import (
	"context"
	"sort"

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
		return
	}
	if held == m.Hash {
		r.o.Metrics.audits.WithLabelValues("equal").Inc()
		return
	}
	r.o.Metrics.audits.WithLabelValues("different").Inc()
	r.o.Logger.Error("this replica differs from the checkpoint; making it anew",
		"canvas", r.o.ID, "position", m.Position.String(), "hash", held, "checkpoint_hash", m.Hash)
	r.diverged = true
}
