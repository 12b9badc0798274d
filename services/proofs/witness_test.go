package proofs

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
)

// witness is a client whose callbacks write down all that it is told. It keeps
// its own account, beside that of the client: a position, a picture made from
// nothing but the updates, and what every update said. Afterwards all of it is
// compared with the log, position by position.
type witness struct {
	*client.Client
	name string
	json bool

	// Of the one goroutine that draws.
	drawn uint64

	mu sync.Mutex
	// These are called after the account was written, without mu, unless they
	// are nil.
	onUpdate func()
	onAck    func(client.Acked)
	onCut    func(cut)
	onBack   func(client.Recovery)

	at      uint64       // position of what was told last
	before  uint64       // position before that
	prev    uint64       // where the update that was told last begins
	picture *canvas.Grid // nil until the first one came
	pending bool         // JSON: more pieces of the update that was told last may come
	told    []told
	acked   []client.Acked
	cuts    []cut
	back    []client.Recovery
	faults  []string
}

// told is one update: the positions (from, to] and the picture after it.
type told struct {
	from, to uint64
	hash     uint64 // of the picture
	op       uint64 // fingerprint of the one operation; 0: a range, a picture or JSON
}

// cut is the end of a connection.
type cut struct {
	pod    string
	code   int
	reason string
	at     time.Time
}

// watch connects a client that is watched from its first message on.
func watch(t *testing.T, ctx context.Context, name string, o client.Options) *witness {
	t.Helper()
	w := &witness{name: name, json: o.Codec == client.JSON}
	o.Name = name
	o.OnUpdate = func(u client.Update) {
		if then := w.updated(u); then != nil {
			then()
		}
	}
	o.OnAck = func(a client.Acked) {
		if then := w.acknowledged(a); then != nil {
			then(a)
		}
	}
	o.OnDisconnect = func(code int, reason string) {
		c := cut{w.Pod(), code, reason, time.Now()}
		if then := w.cutOff(c); then != nil {
			then(c)
		}
	}
	o.OnResume = func(r client.Recovery) {
		if then := w.resumed(r); then != nil {
			then(r)
		}
	}
	o.OnRefused = func(r client.Refused) {
		if r.Final {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.fault("operation %d was refused for good: %v %s", r.Op, r.Code, r.Message)
		}
	}
	c, err := client.New(o)
	if err != nil {
		t.Fatal(err)
	}
	w.Client = c
	c.Start(ctx)
	t.Cleanup(func() { _ = c.Close() })
	if err := c.WaitReady(ctx); err != nil {
		t.Fatalf("%s: %v (last error: %v)", name, err, c.LastError())
	}
	return w
}

// fault notes what must not be; the first few are enough. The caller holds mu.
func (w *witness) fault(format string, args ...any) {
	if len(w.faults) < 5 {
		w.faults = append(w.faults, fmt.Sprintf(format, args...))
	}
}

func (w *witness) updated(u client.Update) (then func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case u.Picture:
		w.commit()
		if u.Seq < w.at {
			w.fault("a picture at %d came after %d", u.Seq, w.at)
		}
		w.at, w.picture = u.Seq, w.Grid().Thaw()
		w.note(told{u.Seq, u.Seq, w.picture.Hash(), 0})
	case w.picture == nil:
		w.fault("(%d, %d] came before any picture", u.Prev, u.Seq)
	case u.Ops != nil:
		w.order(u)
		for i := range u.Ops {
			w.picture.Apply(&u.Ops[i])
			seq := u.Prev + 1 + uint64(i)
			w.note(told{seq - 1, seq, w.picture.Hash(), fingerprint(&u.Ops[i])})
		}
		w.at = u.Seq
	default:
		if !w.pending || u.Prev != w.prev || u.Seq != w.at {
			w.commit()
			w.order(u)
			w.before, w.prev, w.at, w.pending = w.at, u.Prev, u.Seq, true
		}
		if u.Reset {
			w.picture.Apply(&canvas.Op{Kind: canvas.Reset, Color: u.ResetTo})
		}
		for _, c := range u.Cells {
			w.picture.Set(int(c.X), int(c.Y), c.Color)
		}
		if !w.json {
			w.commit()
		}
	}
	return w.onUpdate
}

// order checks that an update begins where the one before ended. A range may
// begin inside the picture that came before it: its effect is the same.
func (w *witness) order(u client.Update) {
	afterPicture := len(w.told) > 0 && w.told[len(w.told)-1].from == w.at && w.told[len(w.told)-1].to == w.at
	if u.Prev == w.at && u.Seq > w.at || u.Ops == nil && afterPicture && u.Prev < w.at && u.Seq > w.at {
		return
	}
	w.fault("(%d, %d] came after %d", u.Prev, u.Seq, w.at)
}

// commit notes the picture of a position of which no more pieces come.
func (w *witness) commit() {
	if w.pending {
		w.pending = false
		w.note(told{w.prev, w.at, w.picture.Hash(), 0})
	}
}

func (w *witness) note(t told) { w.told = append(w.told, t) }

func (w *witness) acknowledged(a client.Acked) (then func(client.Acked)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if want := uint64(len(w.acked)) + 1; a.Op != want {
		w.fault("operation %d was acknowledged where %d had to be", a.Op, want)
	}
	w.acked = append(w.acked, a)
	return w.onAck
}

func (w *witness) cutOff(c cut) (then func(cut)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cuts = append(w.cuts, c)
	return w.onCut
}

func (w *witness) resumed(r client.Recovery) (then func(client.Recovery)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch p := r.Position.Seq; {
	case !r.Kind.WentOn(): // the picture was seen by updated
	case p == w.at:
		// Of a JSON operation all pieces had come, or they come now.
	case w.json && w.pending && p == w.before:
		w.at, w.pending = p, false
	default:
		w.fault("resumed at %d after %d", p, w.at)
	}
	w.back = append(w.back, r)
	return w.onBack
}

// paint draws the witness's next operation.
func (w *witness) paint(ctx context.Context, pixels ...canvas.Pixel) error {
	n, err := w.Draw(ctx, pixels...)
	if err != nil {
		return fmt.Errorf("%s: %w", w.name, err)
	}
	w.drawn++
	if n != w.drawn {
		return fmt.Errorf("%s: an operation got the number %d, not %d", w.name, n, w.drawn)
	}
	return nil
}

// fingerprint of all that a binary client is told of an operation; never 0.
func fingerprint(o *canvas.Op) uint64 {
	h := fnv.New64a()
	b := binary.LittleEndian.AppendUint64(nil, o.Number)
	b = binary.LittleEndian.AppendUint32(b, uint32(o.Author))
	b = binary.LittleEndian.AppendUint32(append(b, byte(o.Kind)), uint32(o.Color))
	for _, p := range o.Pixels {
		b = binary.LittleEndian.AppendUint16(b, p.X)
		b = binary.LittleEndian.AppendUint16(b, p.Y)
		b = binary.LittleEndian.AppendUint32(b, uint32(p.Color))
	}
	_, _ = h.Write(b) // never fails: see hash.Hash
	return max(1, h.Sum64())
}

// replay is the log in a form that accounts are compared with.
type replay struct {
	*truth
	hashes []uint64 // of the picture at each position, from 0 on
	prints []uint64 // of each operation
	// places are the positions of each author's operations, by number − 1.
	// Clients know the lower half of an author's tag.
	places map[uint32][]uint64
}

// replayed makes every picture that the log had, one after the other.
func (w *truth) replayed(t *testing.T) *replay {
	t.Helper()
	grid := canvas.NewGrid(w.picture.Spec())
	r := &replay{truth: w, hashes: []uint64{grid.Hash()}, prints: []uint64{0}, places: map[uint32][]uint64{}}
	for _, e := range w.entries {
		for i := range e.Ops {
			o := &e.Ops[i]
			if !grid.Apply(o) {
				t.Errorf("the canvas cannot hold operation %d of the log", e.First+uint64(i))
			}
			r.hashes = append(r.hashes, grid.Hash())
			r.prints = append(r.prints, fingerprint(o))
			author := uint32(o.Author)
			if want := uint64(len(r.places[author])) + 1; o.Number != want {
				t.Errorf("author %x: operation %d is in the log at %d, where %d had to be", author, o.Number, e.First+uint64(i), want)
			}
			r.places[author] = append(r.places[author], e.First+uint64(i))
		}
	}
	return r
}

// op returns the operation at a position.
func (r *replay) op(seq uint64) canvas.Op {
	i, _ := slices.BinarySearchFunc(r.entries, seq, func(e *canvas.Entry, seq uint64) int {
		switch {
		case e.Last() < seq:
			return -1
		case e.First > seq:
			return 1
		}
		return 0
	})
	return r.entries[i].Ops[seq-r.entries[i].First]
}

// check compares a witness's account with the log: everything it drew is there
// once and was acknowledged, at a position that holds it; whatever it was told
// is what the log has; and its client counted no fault either. The witness must
// have drawn to its end.
func (r *replay) check(t *testing.T, ctx context.Context, w *witness) {
	t.Helper()
	r.checkClient(t, ctx, w.name, w.Client)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.commit()
	for _, f := range w.faults {
		t.Errorf("%s: %s", w.name, f)
	}
	places := r.places[w.Author()]
	if uint64(len(places)) != w.drawn {
		t.Errorf("%s drew %d operations, the log has %d of them", w.name, w.drawn, len(places))
	}
	if uint64(len(w.acked)) != w.drawn {
		t.Errorf("%s drew %d operations, of which %d were acknowledged", w.name, w.drawn, len(w.acked))
	}
	for i, a := range w.acked {
		if i >= len(places) {
			t.Errorf("%s: operation %d was acknowledged and is not in the log", w.name, a.Op)
			break
		}
		if a.Seq < places[i] || a.Seq > r.head {
			t.Errorf("%s: operation %d was acknowledged at %d; the log of %d has it at %d", w.name, a.Op, a.Seq, r.head, places[i])
			break
		}
	}
	for _, at := range w.told {
		switch {
		case at.to > r.head:
			t.Errorf("%s was told (%d, %d]; the log ends at %d", w.name, at.from, at.to, r.head)
		case at.op != 0 && at.op != r.prints[at.to]:
			t.Errorf("%s was told another operation at %d than the log has: %+v", w.name, at.to, r.op(at.to))
		case at.hash != r.hashes[at.to]:
			t.Errorf("%s was told (%d, %d] and then had another picture than the log at %d", w.name, at.from, at.to, at.to)
		default:
			continue
		}
		break // what follows is wrong for the same reason
	}
	if w.at != r.head || w.picture.Hash() != r.picture.Hash() {
		t.Errorf("%s: what it was told makes another picture at %d than the log has at %d", w.name, w.at, r.head)
	}
}

// experience is what many witnesses went through.
type experience struct {
	updates, operations, cuts int
	again                     int // operations that were sent more than once
	kinds                     map[client.RecoveryKind]int
	took                      []time.Duration // recoveries, in order of length
	first                     []time.Duration // of those, each witness's first one
}

func sum(all []*witness) experience {
	e := experience{kinds: map[client.RecoveryKind]int{}}
	for _, w := range all {
		w.mu.Lock()
		e.updates += len(w.told)
		e.operations += len(w.acked)
		e.cuts += len(w.cuts)
		for _, a := range w.acked {
			if a.Sends > 1 {
				e.again++
			}
		}
		for i, b := range w.back {
			e.kinds[b.Kind]++
			e.took = append(e.took, b.Took)
			if i == 0 {
				e.first = append(e.first, b.Took)
			}
		}
		w.mu.Unlock()
	}
	slices.Sort(e.took)
	slices.Sort(e.first)
	return e
}

// within returns the share of ordered times that are not longer than most, in
// percent.
func within(most time.Duration, ordered []time.Duration) float64 {
	n, _ := slices.BinarySearch(ordered, most+1)
	return 100 * float64(n) / float64(max(1, len(ordered)))
}

// recovery returns the time within which a part of the recoveries was done.
func (e experience) recovery(part float64) time.Duration {
	if len(e.took) == 0 {
		return 0
	}
	return e.took[min(len(e.took)-1, int(part*float64(len(e.took))))]
}

func (e experience) String() string {
	var kinds []string
	for k, n := range e.kinds {
		kinds = append(kinds, fmt.Sprintf("%d %v", n, k))
	}
	slices.Sort(kinds)
	round := func(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
	return fmt.Sprintf("%d operations, %d of them sent again; %d updates compared with the log; %d connections lost, recovered (%s) in p50 %v, p95 %v, max %v",
		e.operations, e.again, e.updates, e.cuts, strings.Join(kinds, ", "), round(e.recovery(0.5)), round(e.recovery(0.95)), round(e.recovery(1)))
}
