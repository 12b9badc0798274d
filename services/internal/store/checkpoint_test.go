package store

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// pictureAt is a checkpoint whose picture depends on the position: a pixel in
// the first tile and one in the last.
func pictureAt(at canvas.Position) *Checkpoint {
	g := canvas.NewGrid(spec)
	g.Set(int(at.Seq%256), 0, canvas.Color(at.Seq))
	g.Set(299, 269, 0x00FF00)
	return &Checkpoint{Position: at, Time: int64(at.Seq) * 1000, Grid: g.Freeze()}
}

func (e *env) load(t *testing.T, id string) *Checkpoint {
	t.Helper()
	cp, err := e.LoadCheckpoint(t.Context(), id)
	if err != nil || cp == nil {
		t.Fatalf("checkpoint %v, %v", cp, err)
	}
	return cp
}

func sameCheckpoint(a, b *Checkpoint) bool {
	return a.Position == b.Position && a.Time == b.Time && bytes.Equal(a.Grid.Bytes(), b.Grid.Bytes())
}

func TestCheckpointComesBack(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		at := e.create(t, "main")
		if cp, err := e.LoadCheckpoint(t.Context(), "main"); cp != nil || err != nil {
			t.Fatalf("%v, %v where there is none", cp, err)
		}
		if m, err := e.CheckpointMark(t.Context(), "main"); m != nil || err != nil {
			t.Fatalf("mark %v, %v where there is none", m, err)
		}
		at = e.append(t, "main", at, protocol.NewSession(), 1, 2, 3).Position
		want := pictureAt(at)
		if err := e.SaveCheckpoint(t.Context(), "main", want, nil); err != nil {
			t.Fatal(err)
		}
		got := e.load(t, "main")
		if !sameCheckpoint(got, want) || got.Grid.Hash() != want.Grid.Hash() {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		if m, err := e.CheckpointMark(t.Context(), "main"); err != nil || m.Position != at || m.Hash != want.Grid.Hash() || m.Time != want.Time {
			t.Fatalf("mark %+v, %v", m, err)
		}
		// Tiles of the background are not there at all.
		if n := e.client.HLen(t.Context(), keysOf("main").checkpoint()).Val(); n != 5+2 {
			t.Fatalf("%d fields", n)
		}
		for _, f := range []func() error{
			func() error { _, err := e.LoadCheckpoint(t.Context(), "absent"); return err },
			func() error { return e.SaveCheckpoint(t.Context(), "absent", want, nil) },
		} {
			wantError(t, f(), ErrNotFound)
		}
	})
}

func TestCheckpointIsWrittenOnlyForward(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		at := e.create(t, "main")
		at = e.append(t, "main", at, protocol.NewSession(), 1, 2, 3, 4, 5).Position
		save := func(seq uint64, epoch canvas.Epoch) error {
			return e.SaveCheckpoint(t.Context(), "main", pictureAt(canvas.Position{Epoch: epoch, Seq: seq}), nil)
		}
		if err := save(3, at.Epoch); err != nil {
			t.Fatal(err)
		}
		wantError(t, save(3, at.Epoch), ErrConflict)
		wantError(t, save(2, at.Epoch), ErrConflict)
		wantError(t, save(6, at.Epoch), ErrConflict) // beyond the head
		wantError(t, save(4, canvas.NewEpoch()), ErrConflict)
		if got := e.load(t, "main"); got.Position.Seq != 3 {
			t.Fatalf("at %d", got.Position.Seq)
		}
		if err := save(5, at.Epoch); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCheckpointSendsWrittenTilesOnly(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		at := e.create(t, "main")
		at = e.append(t, "main", at, protocol.NewSession(), 1, 2, 3, 4, 5, 6).Position
		g := canvas.NewGrid(spec)
		step := func(seq uint64) *Checkpoint {
			return &Checkpoint{Position: canvas.Position{Epoch: at.Epoch, Seq: seq}, Grid: g.Freeze()}
		}
		save := func(cp, base *Checkpoint) {
			t.Helper()
			if err := e.SaveCheckpoint(t.Context(), "main", cp, base); err != nil {
				t.Fatal(err)
			}
		}
		sabotage := func(tile string) { e.do(t, "HSET", keysOf("main").checkpoint(), tile, "mark") }
		tile := func(tile string) string {
			return e.client.HGet(t.Context(), keysOf("main").checkpoint(), tile).Val()
		}

		g.Set(1, 1, 1)     // tile 0
		g.Set(299, 269, 1) // tile 3
		first := step(1)
		save(first, nil)

		// Tile 3 is left alone: the mark that stands in its place stays.
		g.Set(2, 2, 2)
		second := step(2)
		sabotage("t3")
		save(second, first)
		if tile("t3") != "mark" || tile("t0") == "mark" {
			t.Fatal("a tile that was not written was sent")
		}
		// Another base than the stored one: the difference means nothing there,
		// so all tiles are sent, and what had no place in them goes.
		sabotage("t2")
		third := step(3)
		save(third, first)
		if tile("t3") == "mark" || tile("t2") != "" {
			t.Fatal("tiles of another base were kept")
		}
		if got := e.load(t, "main"); !sameCheckpoint(got, third) {
			t.Fatal("the checkpoint is not what was saved")
		}
		// A reset to the background empties tiles; one to a colour fills them.
		g.Apply(&canvas.Op{Kind: canvas.Reset, Color: canvas.White})
		fourth := step(4)
		save(fourth, third)
		if got := e.load(t, "main"); !sameCheckpoint(got, fourth) || tile("t0") != "" {
			t.Fatal("reset to the background")
		}
		g.Apply(&canvas.Op{Kind: canvas.Reset, Color: 0x102030})
		fifth := step(5)
		save(fifth, fourth)
		loaded := e.load(t, "main")
		if !sameCheckpoint(loaded, fifth) {
			t.Fatal("reset to a colour")
		}
		// Another process goes on from what it loaded, with its own grid.
		g = loaded.Grid.Thaw()
		g.Set(0, 0, 9)
		sabotage("t1")
		save(step(6), loaded)
		if tile("t1") != "mark" {
			t.Fatal("a tile that was only loaded was sent")
		}
	})
}

func TestDamagedCheckpointIsNeverUsed(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		at := e.create(t, "main")
		at = e.append(t, "main", at, protocol.NewSession(), 1).Position
		key := keysOf("main").checkpoint()
		for _, c := range []struct {
			name, field string
			damage      func(string) string
			want        error
		}{
			{"bit", "t0", func(s string) string { return s[:len(s)-1] + string(s[len(s)-1]^1) }, ErrCorrupt},
			{"short", "t0", func(string) string { return "abc" }, ErrCorrupt},
			{"tile that is none", "t99", func(string) string { return string(encodeTile(pictureAt(at).Grid, 0)) }, ErrCorrupt},
			{"whole tile of another picture", "t0", func(string) string { return string(encodeTile(canvas.NewGrid(spec).Freeze(), 0)) }, ErrCorrupt},
			{"hash", "hash", func(string) string { return "0" }, ErrCorrupt},
			{"seq", "seq", func(string) string { return "x" }, ErrCorrupt},
			{"epoch", "epoch", func(string) string { return canvas.NewEpoch().String() }, ErrCorrupt},
			{"version", "v", func(string) string { return "2" }, ErrVersion},
		} {
			e.do(t, "DEL", key)
			if err := e.SaveCheckpoint(t.Context(), "main", pictureAt(at), nil); err != nil {
				t.Fatal(err)
			}
			e.do(t, "HSET", key, c.field, c.damage(e.client.HGet(t.Context(), key, c.field).Val()))
			cp, err := e.LoadCheckpoint(t.Context(), "main")
			if cp != nil {
				t.Errorf("%s: a checkpoint came", c.name)
			}
			t.Run(c.name, func(t *testing.T) { wantError(t, err, c.want) })
		}
	})
}

// The bound of a trim is the checkpoint that is stored at that moment. Were it
// an argument, a process that believes in its own later checkpoint (which lost
// a race, or was deleted with an epoch) would cut away what nothing else holds.
func TestTrimKeepsWhatTheStoredCheckpointLacks(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		s := protocol.NewSession()
		at := e.create(t, "main")
		small := e.another(t, Options{Retention: 2})
		trim := func(want int64) {
			t.Helper()
			if n, err := small.Trim(t.Context(), "main"); n != want || err != nil {
				t.Fatalf("dropped %d, %v; want %d", n, err, want)
			}
		}
		for n := uint64(1); n <= 18; n += 3 {
			at = e.append(t, "main", at, s, n, n+1, n+2).Position // entries end at 3, 6, …
		}
		trim(0) // no checkpoint, though this process could name position 18
		save := func(seq uint64) {
			t.Helper()
			if err := e.SaveCheckpoint(t.Context(), "main", pictureAt(canvas.Position{Epoch: at.Epoch, Seq: seq}), nil); err != nil {
				t.Fatal(err)
			}
		}
		save(10) // bound 8: 3 and 6 go; 9 holds 7, 8 and 9
		trim(2)
		if n, oldest, err := e.LogInfo(t.Context(), "main"); n != 4 || oldest != 7 || err != nil {
			t.Fatalf("%d entries from %d, %v", n, oldest, err)
		}
		trim(0)
		e.do(t, "HSET", keysOf("main").checkpoint(), "seq", "17", "v", "2")
		trim(0) // a checkpoint that this release cannot load
		e.do(t, "HSET", keysOf("main").checkpoint(), "v", "1", "epoch", canvas.NewEpoch().String())
		trim(0) // one of another history
		e.do(t, "DEL", keysOf("main").checkpoint())
		trim(0)
		save(18)
		trim(3) // 16 and later stay: retention 2 behind 18 is 17, and 18's entry begins with 16
		if _, oldest, err := e.LogInfo(t.Context(), "main"); oldest != 16 || err != nil {
			t.Fatalf("from %d, %v", oldest, err)
		}
	})
}

// between runs a function once, right before the first script of a client.
type between struct {
	once sync.Once
	run  func()
}

func (b *between) DialHook(next redis.DialHook) redis.DialHook { return next }

func (b *between) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (b *between) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if strings.HasPrefix(cmd.Name(), "eval") {
			b.once.Do(b.run)
		}
		return next(ctx, cmd)
	}
}

// Whatever a process has read of the checkpoint before, it may be gone when the
// script runs: another process has noticed a loss and begun an epoch, say.
func TestTrimTrustsNoEarlierLook(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		s := protocol.NewSession()
		at := e.create(t, "main")
		for n := uint64(1); n <= 9; n++ {
			at = e.append(t, "main", at, s, n).Position
		}
		if err := e.SaveCheckpoint(t.Context(), "main", pictureAt(at), nil); err != nil {
			t.Fatal(err)
		}
		trimming := e.another(t, Options{Retention: 1})
		trimming.client.AddHook(&between{run: func() { e.do(t, "DEL", keysOf("main").checkpoint()) }})
		if n, err := trimming.Trim(t.Context(), "main"); n != 0 || err != nil {
			t.Fatalf("dropped %d entries that no checkpoint holds, %v", n, err)
		}
		if all := len(e.read(t, "main")); all != 9 {
			t.Fatalf("%d operations are left", all)
		}
	})
}

func TestTrimRacesCheckpoints(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		s := protocol.NewSession()
		at := e.create(t, "main")
		e.opt.Retention = 1
		const last = 60
		var all sync.WaitGroup
		stop := make(chan struct{})
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := e.Trim(t.Context(), "main"); err != nil {
					t.Error(err)
					return
				}
			}
		})
		for n := uint64(1); n <= last; n++ {
			at = e.append(t, "main", at, s, n).Position
			if n%3 == 0 {
				if err := e.SaveCheckpoint(t.Context(), "main", pictureAt(at), nil); err != nil {
					t.Fatal(err)
				}
			}
			if n < 3 {
				continue
			}
			// Whatever was trimmed meanwhile: checkpoint and log meet.
			cp := e.load(t, "main")
			if _, head, err := e.Read(t.Context(), "main", cp.Position.Seq, last); err != nil || head != n {
				t.Fatalf("the log after the checkpoint at %d: head %d, %v", cp.Position.Seq, head, err)
			}
		}
		close(stop)
		all.Wait()
	})
}

func TestRacingCheckpointsOneWins(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		at := e.create(t, "main")
		at = e.append(t, "main", at, protocol.NewSession(), 1).Position
		results := make([]error, 8)
		var all sync.WaitGroup
		for i := range results {
			all.Go(func() { results[i] = e.SaveCheckpoint(context.WithoutCancel(t.Context()), "main", pictureAt(at), nil) })
		}
		all.Wait()
		won := 0
		for _, err := range results {
			if err == nil {
				won++
				continue
			}
			wantError(t, err, ErrConflict)
		}
		if won != 1 {
			t.Fatal(fmt.Sprint(won, " of them were stored"))
		}
	})
}
