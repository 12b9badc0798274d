package store

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/protocol"
)

func (e *env) meta(t *testing.T, id string) Meta {
	t.Helper()
	m, err := e.Meta(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestForeignEpochAppendsNothing(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		s := protocol.NewSession()
		at := e.append(t, "main", e.create(t, "main"), s, 1).Position
		for _, caller := range []canvas.Position{{}, {Epoch: canvas.NewEpoch(), Seq: 1}, {Epoch: canvas.NewEpoch(), Seq: 99}} {
			_, err := e.Append(t.Context(), "main", caller, paint(s, 2))
			if now := wantStale(t, err); now != at {
				t.Fatalf("the canvas is at %v, not %v", now, at)
			}
			_, err = e.Check(t.Context(), "main", caller)
			if now := wantStale(t, err); now != at {
				t.Fatalf("the canvas is at %v, not %v", now, at)
			}
		}
		if n := len(e.read(t, "main")); n != 1 {
			t.Fatalf("%d operations", n)
		}
	})
}

// The head is behind what the caller has seen: the log has lost its end.
func TestLostEndBeginsAnEpoch(t *testing.T) {
	for name, call := range map[string]func(*env, context.Context, canvas.Position) error{
		"append": func(e *env, ctx context.Context, at canvas.Position) error {
			_, err := e.Append(ctx, "main", at, paint(protocol.NewSession(), 1))
			return err
		},
		"check": func(e *env, ctx context.Context, at canvas.Position) error {
			_, err := e.Check(ctx, "main", at)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, e *env) {
				s := protocol.NewSession()
				at := e.append(t, "main", e.create(t, "main"), s, 1, 2, 3).Position
				if err := e.SaveCheckpoint(t.Context(), "main", pictureAt(at), nil); err != nil {
					t.Fatal(err)
				}
				ahead := canvas.Position{Epoch: at.Epoch, Seq: 5}
				now := wantStale(t, call(e, t.Context(), ahead))
				if now.Epoch == at.Epoch || now.Seq != 3 || e.meta(t, "main").Epoch != now.Epoch {
					t.Fatalf("the canvas is at %v", now)
				}
				// The checkpoint fits what is left, so it stays, under the new epoch.
				if cp := e.load(t, "main"); cp.Position != now {
					t.Fatalf("checkpoint at %v", cp.Position)
				}
				// Others adopt; nobody begins another epoch.
				if again := wantStale(t, call(e, t.Context(), ahead)); again != now {
					t.Fatalf("%v after %v", again, now)
				}
				// seq goes on from head.
				if a := e.append(t, "main", now, s, 4); a.First != 4 {
					t.Fatalf("%+v", a)
				}
				if n := len(e.read(t, "main")); n != 4 {
					t.Fatalf("%d operations", n)
				}
			})
		})
	}
}

// A checkpoint from beyond the head shows what the log has lost. Were it kept,
// replicas would load it and wait for positions that mean other operations.
func TestCheckpointBeyondALostEndGoes(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		at := e.append(t, "main", e.create(t, "main"), protocol.NewSession(), 1, 2).Position
		if err := e.SaveCheckpoint(t.Context(), "main", pictureAt(at), nil); err != nil {
			t.Fatal(err)
		}
		e.do(t, "HSET", keysOf("main").checkpoint(), "seq", "10")
		_, err := e.Check(t.Context(), "main", canvas.Position{Epoch: at.Epoch, Seq: 3})
		wantStale(t, err)
		if cp, err := e.LoadCheckpoint(t.Context(), "main"); cp != nil || err != nil {
			t.Fatalf("%+v, %v", cp, err)
		}
	})
}

func TestEmptyRedisMeansABlankCanvas(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		s := protocol.NewSession()
		at := e.append(t, "main", e.create(t, "main"), s, 1, 2).Position
		e.do(t, "FLUSHALL")
		_, err := e.Check(t.Context(), "main", at)
		wantError(t, err, ErrNotFound)
		_, err = e.Append(t.Context(), "main", at, paint(s, 3))
		wantError(t, err, ErrNotFound)
		_, _, err = e.Read(t.Context(), "main", 0, 1)
		wantError(t, err, ErrNotFound)
		fresh := e.create(t, "main")
		_, err = e.Append(t.Context(), "main", at, paint(s, 3))
		if now := wantStale(t, err); now != fresh || fresh.Epoch == at.Epoch {
			t.Fatalf("%v, %v", now, fresh)
		}
		if a := e.append(t, "main", fresh, s, 1, 2, 3); a.First != 1 || a.Count != 3 {
			t.Fatalf("%+v", a)
		}
	})
}

// Only the meta is gone: what is left belongs to no history.
func TestCreateClearsRemains(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		s := protocol.NewSession()
		at := e.append(t, "main", e.create(t, "main"), s, 1, 2).Position
		if err := e.SaveCheckpoint(t.Context(), "main", pictureAt(at), nil); err != nil {
			t.Fatal(err)
		}
		e.do(t, "DEL", keysOf("main").meta())
		fresh := e.create(t, "main")
		if cp, err := e.LoadCheckpoint(t.Context(), "main"); cp != nil || err != nil || len(e.read(t, "main")) != 0 {
			t.Fatalf("%v, %v", cp, err)
		}
		// The session's key points beyond the head: it is not believed, or the
		// operations would be duplicates of nothing.
		if a := e.append(t, "main", fresh, s, 1, 2); a.First != 1 || a.Count != 2 {
			t.Fatalf("%+v", a)
		}
	})
}

func TestHeadKeyLost(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		s := protocol.NewSession()
		at := e.append(t, "main", e.create(t, "main"), s, 1, 2).Position
		e.do(t, "DEL", keysOf("main").head())
		if now, err := e.Check(t.Context(), "main", at); err != nil || now != at {
			t.Fatalf("%v, %v", now, err)
		}
		if n := len(e.read(t, "main")); n != 2 {
			t.Fatalf("%d operations", n)
		}
		if a := e.append(t, "main", at, s, 3); a.First != 3 {
			t.Fatalf("%+v", a)
		}
	})
}

func TestRestartBeginsAnEpochUnlessNothingCanBeLost(t *testing.T) {
	for _, fsync := range []string{"everysec", "no", "always"} {
		t.Run(fsync, func(t *testing.T) {
			e := ownRedis(t, embedded.Options{AppendFsync: fsync})
			s := protocol.NewSession()
			at := e.append(t, "main", e.create(t, "main"), s, 1, 2).Position
			if err := e.SaveCheckpoint(t.Context(), "main", pictureAt(at), nil); err != nil {
				t.Fatal(err)
			}
			if fsync == "everysec" { // what was not written yet would go with a kill
				if err := e.server.Stop(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			restart(t, e.server, nil)
			now, err := e.Check(t.Context(), "main", at)
			if fsync == "always" {
				if err != nil || now != at {
					t.Fatalf("%v, %v", now, err)
				}
				e.append(t, "main", at, s, 3)
				return
			}
			if now = wantStale(t, err); now.Epoch == at.Epoch || now.Seq != 2 {
				t.Fatalf("the canvas is at %v", now)
			}
			if cp := e.load(t, "main"); cp.Position != now {
				t.Fatalf("checkpoint at %v", cp.Position)
			}
			if again, err := e.Check(t.Context(), "main", now); err != nil || again != now {
				t.Fatalf("%v, %v", again, err)
			}
		})
	}
}

// restart kills the server and starts it again, with between done meanwhile.
//
// What it was told survives with appendfsync no, too: that setting leaves the
// moment of the fsync to the system, but Redis hands over each command before
// it answers. With everysec it may put that off while an fsync is under way.
func restart(t *testing.T, s *embedded.Server, between func()) {
	t.Helper()
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if between != nil {
		between()
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// The log was rolled back and has grown past the old head when the one who saw
// the lost end comes back: its epoch is the stored one, and the head is not
// behind what it has seen. Only the server's run id tells.
func TestRolledBackAndGrownPastTheOldHead(t *testing.T) {
	e := ownRedis(t, embedded.Options{AppendFsync: "no"})
	s := protocol.NewSession()
	at := e.append(t, "main", e.create(t, "main"), s, 1, 2, 3).Position
	backup := filepath.Join(t.TempDir(), "appendonlydir")
	data := filepath.Join(e.server.Dir(), "appendonlydir")
	if err := os.CopyFS(backup, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}
	seen := e.append(t, "main", at, s, 4, 5).Position

	restart(t, e.server, func() {
		if err := os.RemoveAll(data); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(data, os.DirFS(backup)); err != nil {
			t.Fatal(err)
		}
	})
	other, o := e.another(t, Options{}), protocol.NewSession()
	// The other has seen no more than what is there, and its epoch is right.
	_, err := other.Append(t.Context(), "main", at, paint(o, 1))
	now := wantStale(t, err)
	if now.Epoch == at.Epoch || now.Seq != 3 {
		t.Fatalf("the canvas is at %v", now)
	}
	grown := other.append(t, "main", now, o, 1, 2, 3, 4)
	if grown.Position.Seq < seen.Seq {
		t.Fatalf("grown to %v only", grown.Position)
	}
	_, err = e.Append(t.Context(), "main", seen, paint(s, 6))
	if adopt := wantStale(t, err); adopt != grown.Position {
		t.Fatalf("%v, want %v", adopt, grown.Position)
	}
	// It adopts and sends what was lost again.
	e.append(t, "main", grown.Position, s, 4, 5, 6)
	if got := numbers(e.read(t, "main")); !slices.Equal(got, []uint64{1, 2, 3, 1, 2, 3, 4, 4, 5, 6}) {
		t.Fatalf("the log has %v", got)
	}
}

// A checkpoint of somebody who does not know of the restart could hold what was
// lost: after a roll-back that has grown, its seq says nothing.
func TestRestartRefusesCheckpoints(t *testing.T) {
	e := ownRedis(t, embedded.Options{AppendFsync: "no"})
	at := e.append(t, "main", e.create(t, "main"), protocol.NewSession(), 1).Position
	restart(t, e.server, nil)
	wantError(t, e.SaveCheckpoint(t.Context(), "main", pictureAt(at), nil), ErrConflict)
}

// Of many that notice a restart, one begins an epoch, and all end up in it.
func TestOneEpochPerRestart(t *testing.T) {
	e := ownRedis(t, embedded.Options{AppendFsync: "no"})
	at := e.create(t, "main")
	restart(t, e.server, nil)
	const processes = 8
	found := make(chan error, processes)
	for range processes {
		go func() {
			_, err := e.Check(context.WithoutCancel(t.Context()), "main", at)
			found <- err
		}()
	}
	epochs := map[canvas.Epoch]bool{}
	for range processes {
		epochs[wantStale(t, <-found).Epoch] = true
	}
	if len(epochs) != 1 || epochs[at.Epoch] {
		t.Fatalf("%d epochs", len(epochs))
	}
}

// The slower of two that noticed the same restart must not begin an epoch on top
// of the faster one's: those who have adopted that one would be turned away.
func TestLateNoticeOfARestart(t *testing.T) {
	e := ownRedis(t, embedded.Options{AppendFsync: "no"})
	at := e.create(t, "main")
	run := func() string { return e.client.HGet(t.Context(), keysOf("main").meta(), "run").Val() }
	known := run()
	restart(t, e.server, nil)
	_, err := e.Check(t.Context(), "main", at)
	now := wantStale(t, err)
	if err := e.adoptRun(t.Context(), "main", known, run()); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Check(t.Context(), "main", now); err != nil || run() == known {
		t.Fatalf("%v, run %q", err, run())
	}
}

// A replica that was promoted writes each append to disk, and may still lack
// what its master acknowledged.
func TestPromotedReplicaIsNotDurable(t *testing.T) {
	// Neither waits for the other: to begin a copy, or to end.
	quick := embedded.Options{AppendFsync: "always", Args: []string{"--repl-diskless-sync-delay", "0", "--shutdown-timeout", "0"}}
	master := ownRedis(t, quick)
	at := master.append(t, "main", master.create(t, "main"), protocol.NewSession(), 1).Position
	replica := ownRedis(t, quick)
	host, port := "127.0.0.1", master.server.Addr()[len("127.0.0.1:"):]
	replica.do(t, "REPLICAOF", host, port)
	until(t, "the replica has the log", func() bool { return replica.get(t, keysOf("main").head()) == "1" })
	replica.do(t, "REPLICAOF", "NO", "ONE")
	until(t, "the copy is in its append-only file", func() bool { // before, it refuses to stop
		info := replica.client.Info(t.Context(), "persistence").Val()
		return strings.Contains(info, "aof_rewrite_in_progress:0") && strings.Contains(info, "aof_rewrite_scheduled:0")
	})
	_, err := replica.Check(t.Context(), "main", at)
	if now := wantStale(t, err); now.Epoch == at.Epoch || now.Seq != 1 {
		t.Fatalf("the canvas is at %v", now)
	}
}

// A server that does not tell its run id is taken as one and the same; one that
// does not tell how it writes to disk counts as one that loses.
func TestServersThatDoNotTell(t *testing.T) {
	t.Run("settings", func(t *testing.T) {
		e := ownRedis(t, embedded.Options{AppendFsync: "always", Args: []string{"--rename-command", "CONFIG", ""}})
		at := e.create(t, "main")
		restart(t, e.server, nil)
		_, err := e.Check(t.Context(), "main", at)
		if now := wantStale(t, err); now.Epoch == at.Epoch {
			t.Fatal("the epoch is the same")
		}
	})
	t.Run("run id", func(t *testing.T) {
		e := newEnv(t, sharedServer(t, "miniredis"), Options{})
		e.do(t, "FLUSHALL")
		at := e.create(t, "main")
		if run := e.client.HGet(t.Context(), keysOf("main").meta(), "run").Val(); run != "" {
			t.Fatalf("run %q", run)
		}
		if _, err := e.Check(t.Context(), "main", at); err != nil {
			t.Fatal(err)
		}
	})
}
