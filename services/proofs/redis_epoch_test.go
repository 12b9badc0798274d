package proofs

import (
	"bytes"
	"context"
	"errors"
	"image/png"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/fleet"
	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/protocol"
)

// logFolder is what Redis keeps in its data folder.
const logFolder = "appendonlydir"

// lostRedis is the moment at which a Redis was lost for which everybody waits.
type lostRedis struct {
	old   *truth            // its log
	acked map[string]uint64 // how many operations each painter knew to be there
}

// loseRedis kills Redis while all draw, waits until they have much waiting,
// and stops them.
func loseRedis(t *testing.T, ctx context.Context, redis *embedded.Server, all painters) lostRedis {
	t.Helper()
	if err := redis.Kill(); err != nil {
		t.Fatal(err)
	}
	all.awaitTold(t, ctx, client.Degraded)
	all.awaitWaiting(t, ctx)
	all.limit(0)
	l := lostRedis{old: truthOf(t, ctx, redis.Dir()), acked: make(map[string]uint64)}
	for _, p := range all {
		l.acked[p.name] = p.Stats().Acked
	}
	return l
}

// limit sets how many operations may wait before they stop drawing.
func (all painters) limit(ahead int) {
	for _, p := range all {
		p.ahead.Store(int64(ahead))
	}
}

// truthOf reads the log from a data folder that no server uses.
func truthOf(t *testing.T, ctx context.Context, dir string) *truth {
	t.Helper()
	folder := t.TempDir()
	copyLog(t, dir, folder)
	s, err := embedded.StartRedis(ctx, embedded.Options{Dir: folder})
	if err != nil {
		t.Fatal(err)
	}
	w := readTruth(t, ctx, s.URL())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return w
}

// copyLog makes the data of one folder that of another.
func copyLog(t *testing.T, from, to string) {
	t.Helper()
	wipe(t, to)
	if err := os.CopyFS(filepath.Join(to, logFolder), os.DirFS(filepath.Join(from, logFolder))); err != nil {
		t.Fatal(err)
	}
}

func wipe(t *testing.T, dir string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(dir, logFolder)); err != nil {
		t.Fatal(err)
	}
}

// checkAfterLoss checks a log that begins like the lost one, up to position
// shared, against what was drawn. What was acknowledged before and is not in
// the shared part is gone; what was not acknowledged is there, once and in
// order. In between there may be operations that the lost log had taken while
// their acknowledgement was on its way.
func (l lostRedis) checkAfterLoss(t *testing.T, w *truth, shared uint64, all painters) {
	t.Helper()
	before, old, now := lastNumbers(l.old.ops()), l.old.ops(), w.ops()
	for i := range shared {
		if digest(old[i:i+1]) != digest(now[i:i+1]) {
			t.Fatalf("the log has something else at %d than the one that it goes on from", i+1)
		}
	}
	last := lastNumbers(now[:shared])
	again := make(map[string]bool) // has drawn in the new history
	for i, o := range now[shared:] {
		switch n := last[o.Name]; {
		case !again[o.Name] && (o.Number <= l.acked[o.Name] || o.Number > before[o.Name]+1):
			t.Errorf("%s goes on with operation %d at %d; %d were acknowledged and %d in the log that is lost",
				o.Name, o.Number, shared+uint64(i)+1, l.acked[o.Name], before[o.Name])
		case again[o.Name] && o.Number != n+1:
			t.Errorf("%s: operation %d follows %d in the log", o.Name, o.Number, n)
		}
		again[o.Name], last[o.Name] = true, o.Number
	}
	for _, p := range all {
		if last[p.name] != p.drawn.Load() {
			t.Errorf("%s: the log ends at its operation %d of %d", p.name, last[p.name], p.drawn.Load())
		}
	}
}

// lastNumbers returns the last number of each name.
func lastNumbers(ops []canvas.Op) map[string]uint64 {
	last := make(map[string]uint64)
	for _, o := range ops {
		last[o.Name] = o.Number
	}
	return last
}

// Redis comes back with nothing at all. Everybody begins anew with it, and
// what was drawn last is saved first.
func TestRedisComesBackBlank(t *testing.T) {
	ctx := limit(t)
	redis, rescued := redisServer(t), t.TempDir()
	f := outageFleet(t, ctx, redis.URL(), "RESCUE_DIR="+rescued)
	c := outageCrowd(t, f)
	c.anonymous = 0
	all := c.start(t, ctx)
	// More than will wait: it is by its length that a picture is known to be lost.
	all.awaitAcks(t, ctx, uint64(c.ahead)+20)
	known := all[0].floor.Load()
	for _, p := range processes(t, f, fleet.API) { // which now have at least that
		if _, err := get(ctx, "http://"+p.Addr+"/api/canvas"); err != nil {
			t.Fatal(err)
		}
	}

	lost := loseRedis(t, ctx, redis, all)
	wipe(t, redis.Dir())
	if err := redis.Start(ctx); err != nil {
		t.Fatal(err)
	}
	for _, p := range processes(t, f, fleet.API) {
		eventually(t, ctx, p.Pod+" saves the last picture", func() bool {
			return metric(t, ctx, p, "pixel_rescues_total", `result="written"`) > 0
		})
	}
	all.goOn(t, ctx, c.ahead)

	w := readTruth(t, ctx, redis.URL())
	if w.epoch == lost.old.epoch {
		t.Error("the epoch is that of the log that is lost")
	}
	lost.checkAfterLoss(t, w, 0, all)
	all.checkSeen(t, ctx, lost.old, w)
	all.checkTold(t, 1)
	w.checkEverywhere(t, ctx, f, redis.URL())
	checkRescued(t, rescued, lost.old, known)
}

// goOn lets painters draw again and waits until all of it is in the log.
func (all painters) goOn(t *testing.T, ctx context.Context, ahead int) {
	t.Helper()
	all.awaitTold(t, ctx, client.Live)
	all.limit(ahead)
	all.awaitAcks(t, ctx, uint64(2*ahead))
	all.settle(t, ctx)
}

// checkEverywhere compares the picture that each process shows, and the one
// that is stored, with the log's.
func (w *truth) checkEverywhere(t *testing.T, ctx context.Context, f *fleet.Fleet, redisURL string) {
	t.Helper()
	w.checkAPIs(t, ctx, f)
	w.checkGateways(t, ctx, f)
	awaitCheckpoint(t, ctx, redisURL, w)
	w.checkStored(t, ctx, redisURL)
}

// checkRescued checks that what was saved are the last pictures of the lost
// log: as far as the apis had heard of it, which is to known or further.
func checkRescued(t *testing.T, dir string, old *truth, known uint64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.png"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no picture was saved: %v", err)
	}
	ops := old.ops()
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		image, err := png.Decode(bytes.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		base := strings.TrimSuffix(filepath.Base(name), ".png")
		seq, err := strconv.ParseUint(base[strings.LastIndexByte(base, '-')+1:], 10, 64)
		if err != nil || seq < known || seq > old.head || !strings.Contains(base, old.epoch.String()) {
			t.Fatalf("%s is not of %v, at %d to %d: %v", name, old.epoch, known, old.head, err)
		}
		grid := canvas.NewGrid(old.picture.Spec())
		for i := range ops[:seq] {
			grid.Apply(&ops[i])
		}
		spec, saved := grid.Spec(), canvas.NewGrid(grid.Spec())
		for y := range spec.Height {
			for x := range spec.Width {
				r, g, b, _ := image.At(x, y).RGBA()
				saved.Set(x, y, canvas.Color(r>>8<<16|g>>8<<8|b>>8))
			}
		}
		if image.Bounds().Dx() != spec.Width || image.Bounds().Dy() != spec.Height || saved.Hash() != grid.Hash() {
			t.Errorf("%s is not the picture at %d", name, seq)
		}
	}
}

// Redis comes back as it was some time ago, though it had promised to keep
// everything: a backup.
func TestRedisComesBackOlder(t *testing.T) {
	ctx := limit(t)
	redis := redisServer(t)
	f := outageFleet(t, ctx, redis.URL())
	c := outageCrowd(t, f)
	c.anonymous = 0
	all := c.start(t, ctx)
	all.awaitAcks(t, ctx, 20)
	all.settle(t, ctx)
	backup := t.TempDir()
	copyLog(t, redis.Dir(), backup)
	shared := truthOf(t, ctx, backup).head
	all.draw(t, ctx)
	all.awaitAcks(t, ctx, 20)

	lost := loseRedis(t, ctx, redis, all)
	copyLog(t, backup, redis.Dir())
	if err := redis.Start(ctx); err != nil {
		t.Fatal(err)
	}
	all.goOn(t, ctx, c.ahead)

	w := readTruth(t, ctx, redis.URL())
	if w.epoch == lost.old.epoch {
		t.Error("the epoch is that of the log that is lost")
	}
	lost.checkAfterLoss(t, w, shared, all)
	all.checkSeen(t, ctx, lost.old, w)
	all.checkTold(t, 1)
	w.checkEverywhere(t, ctx, f, redis.URL())
}

// Redis comes back without its end, which it had not written to disk, and
// before anybody looks its log has grown beyond where it was: by its numbers
// alone it looks like the one that everybody knows. Live messages of the new
// history come first, and fit exactly behind what everybody holds.
func TestRedisGrowsOverItsLoss(t *testing.T) {
	ctx := limit(t)
	redis, err := embedded.StartRedis(ctx, embedded.Options{AppendFsync: "everysec"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := redis.Close(); err != nil {
			t.Error(err)
		}
	})
	proxy := startProxy(t, redis.Addr(), 0)
	f := outageFleet(t, ctx, proxy.url())
	c := outageCrowd(t, f)
	c.anonymous = 0
	all := c.start(t, ctx)
	all.awaitAcks(t, ctx, 20)
	all.settle(t, ctx)
	backup := t.TempDir()
	copyLog(t, redis.Dir(), backup)
	shared := truthOf(t, ctx, backup).head
	all.draw(t, ctx)
	all.awaitAcks(t, ctx, 20)
	all.settle(t, ctx)
	// All, and their replicas, stand at one position.
	for _, p := range all {
		reach(t, ctx, p, p.floor.Load())
	}
	readTruth(t, ctx, redis.URL()).checkAPIs(t, ctx, f)

	pass := proxy.holdCommands()
	defer pass()
	all.draw(t, ctx)
	lost := loseRedis(t, ctx, redis, all)
	copyLog(t, backup, redis.Dir())
	if err := redis.Start(ctx); err != nil {
		t.Fatal(err)
	}
	other := anotherHand(t, redis.URL())
	other.grow(t, ctx, shared, lost.old)
	// All subscriptions are back; everything else still waits.
	eventually(t, ctx, "all subscriptions are confirmed", func() bool { return proxy.confirmed.Load() == 4+3 })
	const live, foreign = "pixel_replica_live_messages_total", "pixel_replica_foreign_messages_total"
	followers := append(processes(t, f, fleet.Gateway), processes(t, f, fleet.API)...)
	before := make(map[string]float64)
	for _, p := range followers {
		before[p.Pod] = metric(t, ctx, p, live)
	}
	other.append(t, ctx, 1)
	for _, p := range followers {
		eventually(t, ctx, p.Pod+" gets a live message of the new history", func() bool { return metric(t, ctx, p, live) > before[p.Pod] })
	}
	pass()
	all.goOn(t, ctx, c.ahead)

	w := readTruth(t, ctx, redis.URL())
	if w.epoch != other.at.Epoch {
		t.Errorf("the epoch is %v; %v was good", w.epoch, other.at.Epoch)
	}
	all.checkSeen(t, ctx, lost.old, w)
	all.checkTold(t, 1)
	w.checkEverywhere(t, ctx, f, redis.URL())
	lost.checkAfterLoss(t, w, shared, append(all, &other.steadyPainter))
	for _, p := range followers {
		if metric(t, ctx, p, foreign) == 0 {
			t.Errorf("%s saw no message of a foreign history: this proves nothing", p.Pod)
		}
	}
}

// hand appends to the log without any service.
type hand struct {
	steadyPainter
	store   *store.Store
	session protocol.Session
	at      canvas.Position
}

func anotherHand(t *testing.T, redisURL string) *hand {
	t.Helper()
	s, err := store.Open(store.Options{URL: redisURL, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &hand{steadyPainter: steadyPainter{name: "another hand"}, store: s, session: protocol.NewSession()}
}

// grow appends to the rolled-back log until it is as long as the lost one was.
// Its epoch is another one then, and, as it happens, smaller than the old one:
// an epoch is no counter.
func (h *hand) grow(t *testing.T, ctx context.Context, shared uint64, old *truth) {
	t.Helper()
	h.at = canvas.Position{Epoch: old.epoch, Seq: shared}
	var stale *store.StaleError
	if _, err := h.store.Check(ctx, mainCanvas, h.at); !errors.As(err, &stale) {
		t.Fatalf("a server that may have lost its end gives no new epoch: %v", err)
	}
	for h.at = stale.Current; bytes.Compare(h.at.Epoch[:], old.epoch[:]) > 0; h.at = stale.Current {
		if _, err := h.store.Check(ctx, mainCanvas, canvas.Position{Epoch: h.at.Epoch, Seq: old.head + 1}); !errors.As(err, &stale) {
			t.Fatalf("a head behind what was seen gives no new epoch: %v", err)
		}
	}
	for h.at.Seq < old.head {
		h.append(t, ctx, min(store.MaxBatchOps, int(old.head-h.at.Seq)))
	}
}

// append appends n operations.
func (h *hand) append(t *testing.T, ctx context.Context, n int) {
	t.Helper()
	ops := make([]store.AppendOp, n)
	for i := range ops {
		number := h.drawn.Add(1)
		ops[i] = store.AppendOp{Session: h.session, TTL: time.Hour, Op: canvas.Op{
			Kind: canvas.Paint, Author: h.session.Author(), Number: number, Name: h.name,
			Pixels: []canvas.Pixel{{X: uint16(number % 30), Y: uint16(number / 30 % 20), Color: canvas.Color(0xABC000 + number)}},
		}}
	}
	done, err := h.store.Append(ctx, mainCanvas, h.at, ops)
	if err != nil || done.Count != n {
		t.Fatalf("%d operations of %d: %v", done.Count, n, err)
	}
	h.at = done.Position
}
