package replica

import (
	"bytes"
	"context"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/protocol"
)

// process is a replica with its writer on a real store.
type process struct {
	replica *Replica
	writer  *Writer
	metrics *Metrics
	witness *witness
	session protocol.Session
	number  uint64
}

func startProcess(t *testing.T, ctx context.Context, s *store.Store) *process {
	t.Helper()
	p := &process{metrics: NewMetrics(prometheus.NewRegistry()), witness: &witness{}, session: protocol.NewSession()}
	p.replica = New(Options{
		ID: "main", Source: FromStore(s), Observer: p.witness, Metrics: p.metrics,
		CheckEvery: 50 * time.Millisecond, AuditEvery: 20 * time.Millisecond,
	})
	p.writer = NewWriter(p.replica, WriterOptions{})
	var running sync.WaitGroup
	running.Go(func() { p.replica.Run(ctx) })
	running.Go(func() { p.writer.Run(ctx) })
	t.Cleanup(running.Wait)
	select {
	case <-p.replica.Loaded():
	case <-ctx.Done():
		t.Fatal("the replica does not load")
	}
	return p
}

// done waits for one operation.
type done chan error

func (d done) Appended(*Submission, store.SessionState, *store.Appended) { d <- nil }
func (d done) Refused(_ *Submission, err error)                          { d <- err }

func (p *process) paint(t *testing.T, x, y int, c canvas.Color) {
	t.Helper()
	d := make(done, 1)
	o := canvas.Op{Kind: canvas.Paint, Pixels: []canvas.Pixel{{X: uint16(x), Y: uint16(y), Color: c}}}
	s := &Submission{AppendOp: store.AppendOp{Session: p.session, TTL: time.Minute, Op: o}, Owner: d}
	if err := p.writer.Submit(s, func() uint64 { p.number++; return p.number }); err != nil {
		t.Fatal(err)
	}
	if err := <-d; err != nil {
		t.Fatal(err)
	}
}

// flip changes a cell in memory and nothing else, as a bad memory would.
func (p *process) flip(cell int) {
	p.replica.mu.Lock()
	defer p.replica.mu.Unlock()
	// In a copy of the tile: somebody may be reading the old one.
	slot := reflect.ValueOf(p.replica.grid).Elem().FieldByName("tiles").Index(0)
	tile := reflect.New(slot.Type().Elem())
	cells := slices.Clone(*(*[]canvas.Color)(unsafe.Pointer(slot.Elem().FieldByName("cells").UnsafeAddr())))
	cells[cell] ^= 1 << 9
	*(*[]canvas.Color)(unsafe.Pointer(tile.Elem().FieldByName("cells").UnsafeAddr())) = cells
	*(*unsafe.Pointer)(unsafe.Pointer(slot.UnsafeAddr())) = tile.UnsafePointer()
	p.replica.frozen = nil
}

func (p *process) counted(v *prometheus.CounterVec, result string) float64 {
	return testutil.ToFloat64(v.WithLabelValues(result))
}

// Two processes hold the same canvas; one of them goes wrong, in each of the
// ways that there are. It is caught, counted and mended, and the other one is
// not blamed.
func TestCorruptedReplicaIsCaught(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	server, err := embedded.StartRedis(ctx, embedded.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	s, err := store.Open(store.Options{URL: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if _, _, err := s.Create(ctx, "main", canvas.Spec{Width: 20, Height: 20, Background: canvas.White}, 0); err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	t.Cleanup(stop) // before the processes are waited for
	sound, broken := startProcess(t, running, s), startProcess(t, running, s)
	t.Cleanup(stop)

	wait := func(what string, holds func() bool) {
		t.Helper()
		for !holds() {
			select {
			case <-ctx.Done():
				t.Fatalf("never: %s", what)
			case <-time.After(2 * time.Millisecond):
			}
		}
	}
	same := func() bool {
		a, at, _ := sound.replica.Freeze()
		b, bt, _ := broken.replica.Freeze()
		return at == bt && bytes.Equal(a.Bytes(), b.Bytes()) && a.Hash() == b.Hash() && b.Sound()
	}
	checkpoint := func() {
		t.Helper()
		frozen, at, stamp := sound.replica.Freeze()
		if err := s.SaveCheckpoint(ctx, "main", &store.Checkpoint{Position: at, Time: stamp, Grid: frozen}, nil); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		sound.paint(t, i, i, canvas.Color(i+1))
	}
	wait("both have the same picture", same)
	checkpoint()
	wait("both are audited", func() bool {
		return sound.counted(sound.metrics.audits, auditEqual) > 0 && broken.counted(broken.metrics.audits, auditEqual) > 0
	})

	// A cell changes by itself: no hash tells until somebody looks at the cells.
	broken.flip(7)
	wait("the damage is found", func() bool { return broken.counted(broken.metrics.scrubs, scrubDamaged) > 0 })
	wait("it is mended", same)

	// An operation is applied in another way: the picture agrees with its own
	// hash, and with no checkpoint after it.
	restarts := broken.witness.count()
	broken.replica.mu.Lock()
	broken.replica.grid.Set(3, 9, 0x654321)
	broken.replica.frozen = nil
	broken.replica.mu.Unlock()
	sound.paint(t, 0, 5, 0x00FF00)
	wait("both are at the head", func() bool { return sound.replica.Position().Seq == 11 && broken.replica.Position().Seq == 11 })
	if same() {
		t.Fatal("the pictures do not differ")
	}
	checkpoint()
	wait("the difference is found", func() bool { return broken.counted(broken.metrics.audits, auditDifferent) > 0 })
	wait("it is mended", same)
	wait("its viewers are given the right picture", func() bool { return broken.witness.count() > restarts })

	if n := sound.counted(sound.metrics.audits, auditDifferent) + sound.counted(sound.metrics.scrubs, scrubDamaged); n != 0 {
		t.Errorf("the sound one is blamed %v times", n)
	}
}
