package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/store"
)

// file makes an archive of what the canvas looks like now, as one that was read
// from a file.
func (e *env) file(t *testing.T) *Archive {
	t.Helper()
	a, err := Read(bytes.NewReader(bytesOf(t, New(e.load(t), time.Now()))))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestLoad(t *testing.T) {
	e := newEnv(t, store.Options{Retention: 5})
	if _, err := Load(t.Context(), e, id); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a canvas that does not exist: %v", err)
	}
	meta := e.create(t, spec)
	if v := e.load(t); v.Position != (canvas.Position{Epoch: meta.Epoch}) || v.Picture.Hash() != canvas.NewGrid(spec).Hash() || v.Time != 0 {
		t.Errorf("a blank canvas is %+v", v)
	}
	p := e.painter()
	p.paint(t, 30)
	alone := e.load(t)
	if stored := e.checkpoint(t); stored.Picture.Hash() != alone.Picture.Hash() {
		t.Error("the log makes another picture now")
	}
	if v := e.load(t); v.Position.Seq != 30 || v.Picture.Hash() != alone.Picture.Hash() || v.Time != alone.Time {
		t.Errorf("the checkpoint makes %+v, the log alone %+v", v, alone)
	}
	p.paint(t, 7)
	if v := e.load(t); v.Position.Seq != 37 || v.Picture.Hash() == alone.Picture.Hash() {
		t.Errorf("the log behind the checkpoint was not read: %+v", v.Position)
	}
	e.audit(t, nil)
}

// What is wrong with a canvas is found, and what is said of it names it.
func TestAuditFindsFaults(t *testing.T) {
	key := func(name string) string { return "{canvas:" + id + "}:" + name }
	flip := func(t *testing.T, e *env, field string) {
		value := []byte(e.do(t, "HGET", key("checkpoint"), field).(string))
		value[len(value)/2] ^= 0x10
		e.do(t, "HSET", key("checkpoint"), field, value)
	}
	for name, c := range map[string]struct {
		retention uint64
		harm      func(t *testing.T, e *env)
		subject   string
		text      string
		lost      bool // there is no picture any more
	}{
		"a tile":                                {100, func(t *testing.T, e *env) { flip(t, e, "t0") }, "checkpoint", "tile 0", false},
		"a tile, and the log is trimmed":        {5, func(t *testing.T, e *env) { flip(t, e, "t0") }, "checkpoint", "tile 0", true},
		"a missing tile":                        {100, func(t *testing.T, e *env) { e.do(t, "HDEL", key("checkpoint"), "t0") }, "checkpoint", "hash", false},
		"the hash":                              {100, func(t *testing.T, e *env) { e.do(t, "HSET", key("checkpoint"), "hash", "0123456789abcdef") }, "checkpoint", "hash", false},
		"the version":                           {100, func(t *testing.T, e *env) { e.do(t, "HSET", key("checkpoint"), "v", "9") }, "checkpoint", "version", false},
		"the position":                          {100, func(t *testing.T, e *env) { e.do(t, "HSET", key("checkpoint"), "seq", "25") }, "checkpoint", "another picture than the log makes at 25", false},
		"a position beyond the head":            {100, func(t *testing.T, e *env) { e.do(t, "HSET", key("checkpoint"), "seq", "900") }, "checkpoint", "beyond the log's head at 40", false},
		"no checkpoint, and the log is trimmed": {5, func(t *testing.T, e *env) { e.do(t, "DEL", key("checkpoint")) }, "log", "begins at 26", true},
		"a hole":                                {100, func(t *testing.T, e *env) { e.do(t, "XDEL", key("log"), "35-0") }, "log", "35", true},
		"a hole before the checkpoint":          {100, func(t *testing.T, e *env) { e.do(t, "XDEL", key("log"), "12-0") }, "log", "12", true},
		"no end":                                {100, func(t *testing.T, e *env) { e.do(t, "XDEL", key("log"), "40-0") }, "log", "nothing at 40", true},
		"no log":                                {100, func(t *testing.T, e *env) { e.do(t, "DEL", key("log")) }, "log", "nothing at 31", true},
		"trimmed too far":                       {5, func(t *testing.T, e *env) { e.do(t, "XTRIM", key("log"), "MINID", "=", "35-0") }, "log", "begins at 35", true},
		"an unreadable entry":                   {100, func(t *testing.T, e *env) { replaceLast(t, e, func(r []byte) []byte { return r[:len(r)-1] }) }, "log", "malformed", true},
		"an entry of a later version":           {100, func(t *testing.T, e *env) { replaceLast(t, e, func(r []byte) []byte { r[0] = 9; return r }) }, "log", "version", true},
		"time":                                  {100, func(t *testing.T, e *env) { replaceLast(t, e, backwards) }, "log", "time runs backwards at 40", false},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, store.Options{Retention: c.retention})
			e.create(t, spec)
			p := e.painter()
			p.paint(t, 30)
			e.checkpoint(t)
			p.paint(t, 10)
			before := e.audit(t, nil)
			c.harm(t, e)
			r, err := Audit(t.Context(), e, id, nil)
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, f := range r.Faults() {
				found = found || f.Subject == c.subject && strings.Contains(f.Text, c.text)
			}
			if !found {
				t.Errorf("not found; findings: %+v", r.Findings)
			}
			if (r.View == nil) != c.lost {
				t.Errorf("picture: %+v, findings: %+v", r.View, r.Findings)
			}
			if r.View != nil && r.View.Picture.Hash() != before.View.Picture.Hash() && !strings.Contains(name, "position") {
				t.Error("another picture")
			}
			v, err := Load(t.Context(), e, id)
			if err == nil && c.lost && name != "a hole before the checkpoint" {
				t.Error("the canvas was read all the same")
			}
			if err == nil && !strings.Contains(name, "position") && v.Picture.Hash() != before.View.Picture.Hash() {
				t.Error("another picture was read")
			}
		})
	}
}

// replaceLast changes the last entry of the log.
func replaceLast(t *testing.T, e *env, change func([]byte) []byte) {
	t.Helper()
	log := "{canvas:" + id + "}:log"
	last := e.do(t, "XREVRANGE", log, "+", "-", "COUNT", "1").([]any)[0].([]any)
	record := change([]byte(last[1].([]any)[1].(string)))
	all := e.do(t, "XRANGE", log, "-", "+").([]any)
	e.do(t, "DEL", log) // ids may only ascend
	for _, one := range all[:len(all)-1] {
		fields := one.([]any)[1].([]any)
		e.do(t, "XADD", log, one.([]any)[0], fields[0], fields[1])
	}
	e.do(t, "XADD", log, last[0], "e", record)
}

// backwards makes the time of a record, the last number of its first line, one
// of long ago.
func backwards(record []byte) []byte {
	line, rest, _ := bytes.Cut(record, []byte("\n"))
	digits := bytes.LastIndexByte(line, ' ') + 1
	return append(append(line[:digits:digits], "1000\n"...), rest...)
}

func TestAuditOfAFile(t *testing.T) {
	e := newEnv(t, store.Options{Retention: 15})
	e.create(t, spec)
	p := e.painter()
	p.paint(t, 10)
	file := e.file(t)
	other := *file
	grid := file.Picture.Thaw()
	grid.Set(3, 4, grid.At(3, 4)^1)
	other.Picture = grid.Freeze()

	says := func(a *Archive, fault bool, text string) {
		t.Helper()
		r, err := Audit(t.Context(), e, id, a)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, f := range r.Findings {
			if f.Subject == "file" {
				found = found || f.Fault == fault && strings.Contains(f.Text, text)
			}
		}
		if !found || fault != (len(r.Faults()) > 0) {
			t.Errorf("%q was not said: %+v", text, r.Findings)
		}
	}
	says(file, false, "looked so at 10")
	says(&other, true, "looked otherwise at 10: 1 cell in 1 tile; the first is (3, 4), ")
	p.paint(t, 10)
	says(file, false, "looked so at 10") // by the log alone
	says(&other, true, "(3, 4)")
	e.checkpoint(t) // at 20; the log begins at 6
	p.paint(t, 3)
	says(file, false, "with the log behind it, it makes the checkpoint's picture at 20")
	says(&other, true, "(3, 4)")
	ahead := *file
	ahead.Position.Seq = 24
	says(&ahead, true, "1 operation ahead of the log: the log has lost its end")
	at20 := e.file(t)
	says(at20, false, "looked so at 23") // by checkpoint and log
	p.paint(t, 10)
	e.checkpoint(t) // at 33; the log begins at 19
	says(file, false, "no longer reaches back")
	says(at20, false, "makes the checkpoint's picture at 33")

	// Another epoch: the position is in the past as long as the log can tell.
	fresh := canvas.NewEpoch()
	e.do(t, "HSET", "{canvas:"+id+"}:meta", "epoch", fresh.String())
	e.do(t, "HSET", "{canvas:"+id+"}:checkpoint", "epoch", fresh.String())
	says(at20, false, "makes the checkpoint's picture at 33")
	says(file, true, "of another history than the canvas, and another picture")
	copied := *e.file(t)
	copied.Position.Epoch = canvas.NewEpoch()
	says(&copied, false, "of another history, and the same picture")
	small := canvas.NewGrid(canvas.Spec{Width: 3, Height: 3})
	copied.Picture = small.Freeze()
	says(&copied, true, "3×3")
}

// moving is a source that changes while it is read.
type moving struct {
	Source
	before func(call string)
}

func (m moving) Meta(ctx context.Context, id string) (store.Meta, error) {
	m.before("meta")
	return m.Source.Meta(ctx, id)
}

func (m moving) LoadCheckpoint(ctx context.Context, id string) (*store.Checkpoint, error) {
	m.before("checkpoint")
	return m.Source.LoadCheckpoint(ctx, id)
}

func (m moving) Read(ctx context.Context, id string, since uint64, limit int) ([]*canvas.Entry, uint64, error) {
	m.before("read")
	return m.Source.Read(ctx, id, since, min(limit, 4))
}

func (m moving) LogInfo(ctx context.Context, id string) (int64, uint64, error) {
	m.before("info")
	return m.Source.LogInfo(ctx, id)
}

// While a canvas is read people draw, checkpoints are written, the log is
// trimmed and the epoch changes, at every point of it: what is found is what
// was there at one moment, and no fault.
func TestReadingAMovingCanvas(t *testing.T) {
	for _, change := range []string{"draw", "checkpoint", "epoch"} {
		for at := range 14 {
			t.Run(change+strconv.Itoa(at), func(t *testing.T) {
				e := newEnv(t, store.Options{Retention: 2})
				e.create(t, spec)
				p := e.painter()
				p.paint(t, 9)
				e.checkpoint(t)
				p.paint(t, 9)
				calls := 0
				source := moving{e, func(string) {
					if calls++; calls != at+1 {
						return
					}
					p.paint(t, 5)
					switch change {
					case "checkpoint":
						e.checkpoint(t)
					case "epoch": // as when the log is behind what somebody has seen
						if _, err := e.Check(t.Context(), id, canvas.Position{Epoch: e.load(t).Position.Epoch, Seq: 1000}); err == nil {
							t.Error("the epoch did not change")
						}
					}
				}}
				v, err := Load(t.Context(), source, id)
				if err != nil {
					t.Fatal(err)
				}
				check(t, e, v, calls > at)
				calls = 0
				r, err := Audit(t.Context(), source, id, nil)
				if err != nil {
					t.Fatal(err)
				}
				if len(r.Faults()) > 0 || r.View == nil {
					t.Fatalf("%+v", r.Findings)
				}
				check(t, e, r.View, calls > at)
			})
		}
	}
}

// check compares a view with the canvas as it is now, unless it was taken
// before the last change.
func check(t *testing.T, e *env, v *View, changed bool) {
	t.Helper()
	now := e.load(t)
	if v.Position == now.Position && v.Picture.Hash() != now.Picture.Hash() {
		t.Error("another picture at the same position")
	}
	if v.Position.Epoch != now.Position.Epoch {
		t.Errorf("of epoch %v, which was over when the last part was read", v.Position.Epoch)
	}
	if v.Position != now.Position && !changed {
		t.Errorf("at %v, the canvas at %v", v.Position, now.Position)
	}
}

// A canvas that is trimmed at every step is given up, not read for ever.
func TestCanvasThatNeverRests(t *testing.T) {
	e := newEnv(t, store.Options{Retention: 1})
	e.create(t, spec)
	p := e.painter()
	p.paint(t, 3)
	e.checkpoint(t)
	restless := moving{e, func(call string) {
		if call == "read" {
			p.paint(t, 3)
			e.checkpoint(t)
		}
	}}
	if _, err := Load(t.Context(), restless, id); !errors.Is(err, errMoved) {
		t.Errorf("load: %v", err)
	}
	if _, err := Audit(t.Context(), restless, id, nil); !errors.Is(err, errMoved) {
		t.Errorf("audit: %v", err)
	}
}

func TestCompare(t *testing.T) {
	a := canvas.NewGrid(spec)
	b := canvas.NewGrid(spec)
	b.Set(0, 0, canvas.White) // written, and the same
	if d := Compare(a.Freeze(), b.Freeze()); d != nil {
		t.Errorf("%v", d)
	}
	b.Set(299, 3, 0xFF)
	b.Set(5, 4, 0)
	b.Set(6, 4, 0)
	want := "3 cells in 2 tiles; the first is (299, 3), #FFFFFF and #0000FF"
	if d := Compare(a.Freeze(), b.Freeze()); d == nil || d.String() != want {
		t.Errorf("%v, want %s", d, want)
	}
	if d := Compare(a.Freeze(), canvas.NewGrid(canvas.Spec{Width: 1, Height: 2}).Freeze()); d == nil || !strings.Contains(fmt.Sprint(d), "1×2") {
		t.Errorf("%v", d)
	}
}
