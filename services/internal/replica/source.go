package replica

import (
	"context"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/internal/tracing"
)

// Source is the log as a replica and its writer use it; [store.Store] has its
// methods and documents their errors.
type Source interface {
	Meta(ctx context.Context, id string) (store.Meta, error)
	Create(ctx context.Context, id string, spec canvas.Spec, maximum int) (store.Meta, bool, error)
	Check(ctx context.Context, id string, at canvas.Position) (canvas.Position, error)
	Read(ctx context.Context, id string, since uint64, limit int) ([]*canvas.Entry, uint64, error)
	LogInfo(ctx context.Context, id string) (length int64, oldest uint64, err error)
	LoadCheckpoint(ctx context.Context, id string) (*store.Checkpoint, error)
	CheckpointMark(ctx context.Context, id string) (*store.Mark, error)
	Append(ctx context.Context, id string, at canvas.Position, ops []store.AppendOp) (*store.Appended, error)
	Subscribe(ctx context.Context, id string) Subscription
}

// Subscription delivers what is published for a canvas: in order mostly, but
// entries may be late, repeated or missing.
type Subscription interface {
	Events() <-chan store.Event
	Close() error
}

// FromStore returns the source that s is.
func FromStore(s *store.Store) Source { return fromStore{s} }

type fromStore struct{ *store.Store }

func (s fromStore) Subscribe(ctx context.Context, id string) Subscription {
	return s.Store.Subscribe(ctx, id)
}

// Observer is told what happens to a replica, by one goroutine at a time and
// in order. Its methods must not wait for anything.
type Observer interface {
	// Restarted: the canvas now stands at this position, whatever was before.
	// recent are entries that lead up to it without a hole, for those who
	// resume.
	Restarted(at canvas.Position, spec canvas.Spec, recent []*canvas.Entry)
	// Applied: the next entry was applied. The observer ends the span, which is
	// nil when the entry is not traced, when its part is done.
	Applied(e *canvas.Entry, span *tracing.Span)
	// Reachable tells that the log went away, or is back and caught up with.
	Reachable(ok bool)
	// Stopped: the replica has ended for good, because the pool let it go or,
	// with another error than [ErrStopped], because it must not go on. Nothing
	// follows.
	Stopped(err error)
}
