package archive

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/store"
)

// busy returns an archive of a picture that takes several batches: the reset
// and 19 strokes.
func busy(t *testing.T) *Archive {
	t.Helper()
	g := canvas.NewGrid(canvas.Spec{Width: 300, Height: 260, Background: 0xABCDEF})
	for y := range 260 {
		for x := range 299 { // and a column that is background
			g.Set(x, y, canvas.Color(y*300+x))
		}
	}
	a := New(&View{Canvas: "art", Picture: g.Freeze(), Position: canvas.Position{Epoch: canvas.NewEpoch(), Seq: 5}}, time.Now())
	a, err := Read(bytes.NewReader(bytesOf(t, a)))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

const busyOps = 20

func (e *env) restore(t *testing.T, a *Archive, o RestoreOptions) *Restored {
	t.Helper()
	o.Canvas = id
	r, err := Restore(t.Context(), e, a, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// shows expects that the canvas looks as the archive and that all is well.
func (e *env) shows(t *testing.T, a *Archive, head uint64) {
	t.Helper()
	v := e.audit(t, nil).View
	if d := Compare(v.Picture, a.Picture); d != nil {
		t.Errorf("the canvas differs from the file: %v", d)
	}
	if v.Position.Seq != head {
		t.Errorf("the log ends at %d, want %d", v.Position.Seq, head)
	}
}

func TestRestore(t *testing.T) {
	e := newEnv(t, store.Options{})
	a := busy(t)
	var last, calls uint64
	r := e.restore(t, a, RestoreOptions{Progress: func(done, all uint64) {
		if done <= last || all != busyOps {
			t.Errorf("progress: %d of %d after %d", done, all, last)
		}
		last, calls = done, calls+1
	}})
	if !r.Created || r.Before != nil || r.Continued || r.Appended != busyOps || r.Others != 0 || r.Difference != nil || last != busyOps || calls < 8 {
		t.Errorf("onto no canvas: %+v, %d of %d", r, last, calls)
	}
	e.shows(t, a, busyOps)
	meta, err := e.Meta(t.Context(), id)
	if err != nil || meta.Spec != a.Picture.Spec() {
		t.Errorf("made with %+v, %v", meta.Spec, err)
	}
	if active, err := e.Active(t.Context(), time.Minute); err != nil || len(active) != 1 {
		t.Errorf("whoever keeps checkpoints does not see it: %v %v", active, err)
	}

	// Once more: it looks so already.
	if r := e.restore(t, a, RestoreOptions{Replace: true}); r.Appended != 0 || r.Created || r.After == nil {
		t.Errorf("once more: %+v", r)
	}
	p := e.painter()
	p.paint(t, 3)
	if _, err := Restore(t.Context(), e, a, RestoreOptions{Canvas: id}); !errors.Is(err, ErrNotBlank) {
		t.Errorf("onto a drawing: %v", err)
	}
	// The same file again is a restoration of its own, though the log still
	// knows the session of the first.
	if r := e.restore(t, a, RestoreOptions{Replace: true}); r.Appended != busyOps || r.Continued || r.Before.Position.Seq != busyOps+3 {
		t.Errorf("again: %+v", r)
	}
	e.shows(t, a, 2*busyOps+3)
}

func TestRestoreOntoABlankCanvas(t *testing.T) {
	e := newEnv(t, store.Options{})
	a := busy(t)
	e.create(t, canvas.Spec{Width: 300, Height: 260}) // with another background
	e.restore(t, a, RestoreOptions{})
	e.shows(t, a, busyOps)
}

func TestRestoreRefuses(t *testing.T) {
	e := newEnv(t, store.Options{})
	a := busy(t)
	if _, err := Restore(t.Context(), e, a, RestoreOptions{Canvas: "No Canvas"}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a bad id: %v", err)
	}
	e.create(t, canvas.Spec{Width: 300, Height: 261})
	if _, err := Restore(t.Context(), e, a, RestoreOptions{Canvas: id, Replace: true}); !errors.Is(err, ErrSize) {
		t.Errorf("another size: %v", err)
	}
	if _, err := Restore(t.Context(), e, a, RestoreOptions{Canvas: "other", MaxCanvases: 1}); !errors.Is(err, store.ErrTooMany) {
		t.Errorf("too many canvases: %v", err)
	}
	if _, err := Restore(t.Context(), e, sample(), RestoreOptions{Canvas: "other"}); err == nil {
		t.Error("an archive that was never a file has no identity")
	}
	if v := e.load(t); v.Position.Seq != 0 {
		t.Error("something was appended")
	}
}

// faulty is a target whose appends can fail.
type faulty struct {
	*store.Store
	append func(ops []store.AppendOp, call func() (*store.Appended, error)) (*store.Appended, error)
}

func (f faulty) Append(ctx context.Context, id string, at canvas.Position, ops []store.AppendOp) (*store.Appended, error) {
	return f.append(ops, func() (*store.Appended, error) { return f.Store.Append(ctx, id, at, ops) })
}

// After an interruption at any of its appends, before or after it took place, a
// second call carries on: every operation is in the log once.
func TestRestoreIsInterrupted(t *testing.T) {
	a := busy(t)
	for stop := range 9 {
		for _, took := range []bool{false, true} {
			e := newEnv(t, store.Options{})
			e.create(t, a.Picture.Spec())
			ctx, kill := context.WithCancel(t.Context())
			calls := 0
			dying := faulty{e.Store, func(_ []store.AppendOp, call func() (*store.Appended, error)) (*store.Appended, error) {
				if calls++; calls <= stop {
					return call()
				}
				if took {
					if _, err := call(); err != nil {
						t.Error(err)
					}
				}
				kill()
				return nil, context.Canceled
			}}
			if _, err := Restore(ctx, dying, a, RestoreOptions{Canvas: id}); !errors.Is(err, context.Canceled) {
				t.Fatalf("%v", err)
			}
			begun := e.load(t).Position.Seq
			r := e.restore(t, a, RestoreOptions{})
			if r.Continued != (begun > 0) || r.Appended != busyOps-begun {
				t.Errorf("interrupted at %d: %+v", begun, r)
			}
			e.shows(t, a, busyOps)
		}
	}
}

// Somebody draws after the interruption: that is not painted over unless it is
// to be replaced, and then nothing of it is left.
func TestSomebodyDrawsAfterTheInterruption(t *testing.T) {
	e := newEnv(t, store.Options{})
	a := busy(t)
	e.create(t, a.Picture.Spec())
	ctx, kill := context.WithCancel(t.Context())
	if _, err := Restore(ctx, e, a, RestoreOptions{Canvas: id, Progress: func(done, _ uint64) {
		if done > 6 {
			kill()
		}
	}}); err == nil {
		t.Fatal("not interrupted")
	}
	begun := e.load(t).Position.Seq
	if begun == 0 || begun == busyOps {
		t.Fatal(begun)
	}
	e.painter().paint(t, 3)
	if _, err := Restore(t.Context(), e, a, RestoreOptions{Canvas: id}); !errors.Is(err, ErrNotBlank) {
		t.Errorf("painted over: %v", err)
	}
	r := e.restore(t, a, RestoreOptions{Replace: true})
	if r.Continued || r.Appended != busyOps || r.Others != 0 {
		t.Errorf("%+v", r)
	}
	e.shows(t, a, begun+3+busyOps)
}

// Somebody draws during the restoration, which says so.
func TestSomebodyDrawsMeanwhile(t *testing.T) {
	e := newEnv(t, store.Options{})
	a := busy(t)
	e.create(t, a.Picture.Spec())
	p := e.painter()
	r := e.restore(t, a, RestoreOptions{Progress: func(_, _ uint64) { p.paint(t, 1) }})
	if r.Appended != busyOps || r.Others != p.number || r.Difference == nil || r.After.Position.Seq != busyOps+p.number {
		t.Errorf("%+v; others drew %d", r, p.number)
	}
	e.audit(t, nil)
}

// Somebody draws at any step of the look at what was restored, which is never
// taken for a failure.
func TestSomebodyDrawsDuringTheLook(t *testing.T) {
	a := busy(t)
	for _, retention := range []uint64{1, 1000} {
		for at := range 8 {
			e := newEnv(t, store.Options{Retention: retention})
			e.create(t, a.Picture.Spec())
			p := e.painter()
			target := &watched{Store: e.Store}
			target.before = func() {
				if target.calls++; target.calls == at+1 {
					p.paint(t, 2)
					e.checkpoint(t)
				}
			}
			r, err := Restore(t.Context(), target, a, RestoreOptions{Canvas: id, Progress: func(done, all uint64) {
				target.on = done == all
			}})
			if err != nil {
				t.Fatalf("retention %d, call %d: %v", retention, at, err)
			}
			if r.Difference != nil && r.Others == 0 {
				t.Errorf("retention %d, call %d: %+v", retention, at, r)
			}
		}
	}
}

// watched is a target that calls before each of its readings, while on is set.
type watched struct {
	*store.Store
	before func()
	on     bool
	calls  int
}

func (w *watched) look() {
	if w.on {
		w.before()
	}
}

func (w *watched) Meta(ctx context.Context, id string) (store.Meta, error) {
	w.look()
	return w.Store.Meta(ctx, id)
}

func (w *watched) LoadCheckpoint(ctx context.Context, id string) (*store.Checkpoint, error) {
	w.look()
	return w.Store.LoadCheckpoint(ctx, id)
}

func (w *watched) Read(ctx context.Context, id string, since uint64, limit int) ([]*canvas.Entry, uint64, error) {
	w.look()
	return w.Store.Read(ctx, id, since, limit)
}

func (w *watched) LogInfo(ctx context.Context, id string) (int64, uint64, error) {
	w.look()
	return w.Store.LogInfo(ctx, id)
}

// An append whose outcome is unknown is tried again as it was.
func TestRestoreWithUnknownOutcomes(t *testing.T) {
	e := newEnv(t, store.Options{})
	a := busy(t)
	calls := 0
	restless := faulty{e.Store, func(_ []store.AppendOp, call func() (*store.Appended, error)) (*store.Appended, error) {
		calls++
		switch calls % 4 {
		case 0:
			return nil, context.DeadlineExceeded // before it took place
		case 2:
			_, err := call()
			return nil, errors.Join(err, context.DeadlineExceeded) // after
		}
		return call()
	}}
	if _, err := Restore(t.Context(), restless, a, RestoreOptions{Canvas: id}); err != nil {
		t.Fatal(err)
	}
	e.shows(t, a, busyOps)
}

// An append of a restoration that was interrupted arrives late: behind the next
// restoration it must not be drawn.
func TestLateAppendOfAnEarlierRestoration(t *testing.T) {
	e := newEnv(t, store.Options{})
	a := busy(t)
	var late []store.AppendOp
	remembering := faulty{e.Store, func(ops []store.AppendOp, call func() (*store.Appended, error)) (*store.Appended, error) {
		late = ops
		return call()
	}}
	if _, err := Restore(t.Context(), remembering, a, RestoreOptions{Canvas: id}); err != nil {
		t.Fatal(err)
	}
	e.painter().paint(t, 2)
	e.restore(t, a, RestoreOptions{Replace: true})
	at := e.load(t).Position
	if done, err := e.Append(t.Context(), id, at, late); err != nil || done.Count != 0 {
		t.Errorf("%+v %v", done, err)
	}
	e.shows(t, a, at.Seq)
}

// The log loses its end while a picture is restored: what is gone is appended
// again.
func TestRestoreOverALostEnd(t *testing.T) {
	e := newEnv(t, store.Options{})
	a := busy(t)
	key := func(name string) string { return "{canvas:" + id + "}:" + name }
	calls := 0
	losing := faulty{e.Store, func(ops []store.AppendOp, call func() (*store.Appended, error)) (*store.Appended, error) {
		if calls++; calls == 5 { // as a server that had not written to disk
			head := e.load(t).Position.Seq
			sessions := e.do(t, "KEYS", key("session:*")).([]any)
			e.do(t, "XDEL", key("log"), decimal(head)+"-0", decimal(head-2)+"-0")
			e.do(t, "SET", key("head"), decimal(head-4))
			e.do(t, "SET", sessions[0], decimal(head-4)+" "+decimal(head-4))
			// A stream remembers its last id, a server that lost it does not.
			e.do(t, "XSETID", key("log"), decimal(head-4)+"-0")
		}
		return call()
	}}
	r, err := Restore(t.Context(), losing, a, RestoreOptions{Canvas: id})
	if err != nil {
		t.Fatal(err)
	}
	if calls < 5 || r.Appended != busyOps+4 {
		t.Errorf("%d appends, %+v", calls, r)
	}
	e.shows(t, a, busyOps)
}

// While the log is full a restoration waits, and gives up after a while without
// having lost anything.
func TestRestoreIntoAFullLog(t *testing.T) {
	e := newEnv(t, store.Options{LogCap: 5, Retention: 1})
	a := busy(t)
	e.create(t, a.Picture.Spec())
	if _, err := Restore(t.Context(), e, a, RestoreOptions{Canvas: id, Patience: time.Millisecond}); !errors.Is(err, store.ErrLogFull) {
		t.Errorf("%v", err)
	}
	if v := e.load(t); v.Position.Seq == 0 || v.Position.Seq >= busyOps {
		t.Fatal(v.Position)
	}
	trimming := faulty{e.Store, func(_ []store.AppendOp, call func() (*store.Appended, error)) (*store.Appended, error) {
		done, err := call()
		if errors.Is(err, store.ErrLogFull) {
			e.checkpoint(t)
		}
		return done, err
	}}
	// The log no longer tells whether somebody else drew since it began.
	e.checkpoint(t)
	if _, err := Restore(t.Context(), trimming, a, RestoreOptions{Canvas: id}); !errors.Is(err, ErrNotBlank) {
		t.Errorf("%v", err)
	}
	r, err := Restore(t.Context(), trimming, a, RestoreOptions{Canvas: id, Replace: true})
	if err != nil || r.Appended != busyOps || r.Difference != nil {
		t.Errorf("%+v %v", r, err)
	}
}

// A canvas that cannot be read any more is mended by what replaces it.
func TestRestoreMends(t *testing.T) {
	for name, harm := range map[string][]any{
		"a lost checkpoint":    {"DEL", "{canvas:main}:checkpoint"},
		"a damaged checkpoint": {"HSET", "{canvas:main}:checkpoint", "hash", "00"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, store.Options{Retention: 2})
			a := busy(t)
			e.create(t, a.Picture.Spec())
			e.painter().paint(t, 9)
			e.checkpoint(t)
			e.do(t, harm...)
			if _, err := Restore(t.Context(), e, a, RestoreOptions{Canvas: id}); !errors.Is(err, ErrBroken) {
				t.Errorf("not to be replaced: %v", err)
			}
			r := e.restore(t, a, RestoreOptions{Replace: true})
			if !errors.Is(r.Broken, ErrBroken) || r.Before != nil || r.Difference != nil {
				t.Errorf("%+v", r)
			}
			e.shows(t, a, 9+busyOps)
			if mark, err := e.CheckpointMark(t.Context(), id); err != nil || mark == nil || mark.Position.Seq != 9+busyOps {
				t.Errorf("the checkpoint: %+v %v", mark, err)
			}
		})
	}
}
