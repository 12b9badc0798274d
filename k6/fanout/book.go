package fanout

import (
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
)

// MaxWrites is how many writes a group can tell apart: the colours but the
// first and the last, which are those of blank canvases.
const MaxWrites = 1<<24 - 2

// Chunks make room as it is needed, so that readers never wait for a writer.
const (
	chunkSize = 1 << 12
	chunks    = 1 << 12
)

var errBookFull = errors.New("fanout: the group has made all the writes that it can tell apart")

// book knows every write of a group. One goroutine adds; any number look up.
type book struct {
	begin  time.Time
	n      atomic.Int64
	writes [chunks]atomic.Pointer[[chunkSize]write]

	// index, unless nil, names writes that are not known by their colour.
	mu    sync.Mutex
	index map[identity]int
	named []identity // of index, the oldest first

	base      atomic.Uint64 // position of the log at the beginning
	at        [chunks]atomic.Pointer[[chunkSize]atomic.Uint32]
	foreign   atomic.Uint64 // positions that hold what others drew
	conflicts atomic.Uint64 // times that two clients saw different writes at one position
	head      atomic.Uint64 // greatest position that anybody was told of
}

// write is one pixel that was drawn.
type write struct {
	due    time.Duration // since the book's begin
	member int32
	x, y   uint16
	pod    uint8         // the gateway that its author was connected to, see Group.podNames
	seq    atomic.Uint64 // where the log has it, once somebody has seen it there
	acked  atomic.Int64  // when its author knew, ns since begin; 0: not yet
}

// add enters the next write and returns its number.
func (b *book) add(member int, pod uint8, due time.Duration, x, y uint16) (int, error) {
	k := int(b.n.Load())
	if k >= MaxWrites {
		return 0, errBookFull
	}
	c := b.writes[k/chunkSize].Load()
	if c == nil {
		c = new([chunkSize]write)
		b.writes[k/chunkSize].Store(c)
	}
	w := &c[k%chunkSize]
	w.due, w.member, w.pod, w.x, w.y = due, int32(member), pod, x, y
	b.n.Store(int64(k + 1)) // from now on it can be found
	return k, nil
}

// withdraw takes the last write back: it was not drawn.
func (b *book) withdraw() { b.n.Add(-1) }

// write returns write k, which exists.
func (b *book) write(k int) *write { return &b.writes[k/chunkSize].Load()[k%chunkSize] }

// color is how write k looks.
func color(k int) canvas.Color { return canvas.Color(k + 1) }

// identity is how a write is recognised when it arrives. In a group of plans
// the pixel says all.
type identity struct {
	author uint32
	number uint64
	pixel  canvas.Pixel
}

// maxNamed bounds the memory of the index: what arrives later than so many
// other writes is not recognised.
const maxNamed = 1 << 18

// name enters a write into the index. The caller holds mu.
func (b *book) name(i identity, k int) {
	b.index[i] = k
	b.named = append(b.named, i)
	if len(b.named) > maxNamed {
		delete(b.index, b.named[0])
		b.named = b.named[1:]
	}
}

// find returns the write that has arrived.
func (b *book) find(i identity) (k int, w *write, ok bool) {
	p := i.pixel
	if b.index != nil {
		if i.number != 0 {
			i.pixel = canvas.Pixel{} // it may be any of a stroke
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if k, ok = b.index[i]; ok {
			w = b.write(k)
		}
		return k, w, ok
	}
	k = int(p.Color) - 1
	if k < 0 || k >= int(b.n.Load()) {
		return 0, nil, false
	}
	w = b.write(k)
	return k, w, w.x == p.X && w.y == p.Y
}

const foreignMark = math.MaxUint32

// place notes which write a client saw at a position; k is -1 for one of
// others.
func (b *book) place(seq uint64, k int) {
	mark := uint32(foreignMark)
	if k >= 0 {
		mark = uint32(k + 1)
	}
	cell := b.slot(seq)
	if cell == nil {
		return
	}
	if old := cell.Load(); old == mark {
		return // nearly always: somebody was here before
	}
	if cell.CompareAndSwap(0, mark) {
		if k < 0 {
			b.foreign.Add(1)
		} else {
			b.write(k).seq.Store(seq)
		}
		return
	}
	if cell.Load() != mark {
		b.conflicts.Add(1)
	}
}

// slot is where the write at a position is kept; nil when that is out of
// bounds.
func (b *book) slot(seq uint64) *atomic.Uint32 {
	i := seq - b.base.Load() - 1
	if i >= chunkSize*chunks {
		return nil
	}
	p := &b.at[i/chunkSize]
	c := p.Load()
	for c == nil {
		p.CompareAndSwap(nil, new([chunkSize]atomic.Uint32))
		c = p.Load()
	}
	return &c[i%chunkSize]
}

// atPosition returns the write at a position, if anybody has seen it.
func (b *book) atPosition(seq uint64) (*write, bool) {
	cell := b.slot(seq)
	if cell == nil {
		return nil, false
	}
	mark := cell.Load()
	if mark == 0 || mark == foreignMark {
		return nil, false
	}
	return b.write(int(mark - 1)), true
}

// reach notes that somebody was told of a position.
func (b *book) reach(seq uint64) {
	for {
		old := b.head.Load()
		if seq <= old || b.head.CompareAndSwap(old, seq) {
			return
		}
	}
}
