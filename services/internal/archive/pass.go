package archive

import (
	"fmt"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/store"
)

// pass reads a log once, from the first operation that it holds, and makes all
// pictures on the way that can be compared with each other.
type pass struct {
	meta       store.Meta
	oldest     uint64 // operation in the log, 0: it is empty
	checkpoint *store.Checkpoint
	file       *Archive

	// Pictures, nil where there is none (any more).
	alone  *canvas.Grid // of the log without anything else: it is whole
	joined *canvas.Grid // of the checkpoint and the log behind it
	rolled *canvas.Grid // of the file and the log behind it

	at       uint64 // what was read last
	time     int64
	entries  uint64
	noops    uint64
	back     string // where time runs backwards first
	atMark   *canvas.Frozen
	rolledTo *canvas.Frozen // the file's picture carried on to the checkpoint

	// Of the file's position, where the log reaches it.
	atFile  *canvas.Frozen // what the canvas looked like there
	inEpoch canvas.Epoch   // in which the operation at that position was appended
}

func newPass(meta store.Meta, oldest uint64, checkpoint *store.Checkpoint, file *Archive) *pass {
	p := &pass{meta: meta, oldest: oldest, checkpoint: checkpoint, file: file}
	if oldest > 0 {
		p.at = oldest - 1
	} else if checkpoint != nil {
		p.at = checkpoint.Position.Seq
	}
	if p.at == 0 {
		p.alone = canvas.NewGrid(meta.Spec)
	}
	if checkpoint != nil && p.at <= checkpoint.Position.Seq {
		p.joined = checkpoint.Grid.Thaw()
	} else if checkpoint == nil && p.at == 0 {
		p.joined = p.alone
	}
	p.reached() // position 0, or that of a checkpoint with nothing behind it
	return p
}

// entry takes the next entry of the log.
func (p *pass) entry(e *canvas.Entry) {
	p.entries++
	if e.Time < p.time && p.back == "" {
		p.back = fmt.Sprintf("at %d: %d ms after %d ms", e.First, e.Time, p.time)
	}
	p.time = e.Time
	for i := range e.Ops {
		op := &e.Ops[i]
		p.at = e.First + uint64(i)
		if op.Check(p.meta.Spec) != nil {
			p.noops++
		}
		if p.alone != nil {
			p.alone.Apply(op)
		}
		if p.joined != nil && p.joined != p.alone && p.at > p.checkpoint.Position.Seq {
			p.joined.Apply(op)
		}
		if p.rolled != nil {
			p.rolled.Apply(op)
		}
		if p.file != nil && p.at == p.file.Position.Seq {
			p.inEpoch = e.Epoch
		}
		p.reached()
	}
}

// reached keeps the pictures of the positions that are to be compared.
func (p *pass) reached() {
	if p.checkpoint != nil && p.at == p.checkpoint.Position.Seq {
		if p.alone != nil {
			p.atMark = p.alone.Freeze()
		}
		if p.rolled != nil {
			p.rolledTo = p.rolled.Freeze()
		}
	}
	if p.file == nil || p.at != p.file.Position.Seq {
		return
	}
	switch {
	case p.alone != nil:
		p.atFile = p.alone.Freeze()
	case p.joined != nil && p.at >= p.checkpoint.Position.Seq:
		p.atFile = p.joined.Freeze()
	case p.file.Picture.Spec() == p.meta.Spec:
		// Nobody knows any more what stood there, but what the operations
		// since then make of it can be compared.
		p.rolled = p.file.Picture.Thaw()
	}
}

// conclude tells what was found about the canvas.
func (p *pass) conclude(r *Report, id string, head uint64) {
	if p.checkpoint != nil && p.checkpoint.Position.Seq > head {
		r.fault("checkpoint", "it is at %d, beyond the log's head at %d", p.checkpoint.Position.Seq, head)
		p.joined = nil
	}
	if p.entries > 0 {
		r.good("log", "%s, operations %d to %d", count(p.entries, "entry", "entries"), p.oldest, p.at)
	} else if head == 0 {
		r.good("log", "empty: nobody has drawn yet")
	}
	if p.back != "" {
		r.fault("log", "its time runs backwards %s", p.back)
	}
	if p.noops > 0 {
		r.good("log", "%s that the canvas cannot hold, and that every replica skips", count(p.noops, "operation", "operations"))
	}
	if p.oldest > 1 && (p.checkpoint == nil || p.oldest > p.checkpoint.Position.Seq+1) {
		r.fault("log", "it begins at %d, and no checkpoint has what was before", p.oldest)
		p.joined = nil
	}
	if p.atMark != nil {
		if d := Compare(p.checkpoint.Grid, p.atMark); d != nil {
			r.fault("checkpoint", "it is another picture than the log makes at %d: %v", p.checkpoint.Position.Seq, d)
		} else {
			r.good("checkpoint", "it is the picture that the log alone makes")
		}
	}
	if p.joined == nil && p.alone != nil && p.at == head {
		r.good("picture", "the log alone makes it: it is whole")
		p.joined = p.alone
	}
	if p.joined == nil || p.at != head {
		r.fault("picture", "it cannot be made of what Redis holds")
		return
	}
	r.View = &View{
		Canvas: id, Picture: p.joined.Freeze(), Time: p.time,
		Position: canvas.Position{Epoch: p.meta.Epoch, Seq: head},
	}
	if p.entries == 0 && p.checkpoint != nil {
		r.View.Time = p.checkpoint.Time
	}
	if p.alone != nil && p.alone != p.joined {
		if d := Compare(r.View.Picture, p.alone.Freeze()); d != nil {
			r.fault("picture", "checkpoint and log make another one than the log alone: %v", d)
		}
	}
	r.good("picture", "%s, at %v, hash %s", size(p.meta.Spec), r.View.Position, hashText(r.View.Picture))
}

// concludeFile tells what was found about the file.
func (p *pass) concludeFile(r *Report, head uint64) {
	f := p.file
	r.good("file", "of canvas %s, %s, at %v, hash %s", f.Canvas, size(f.Picture.Spec()), f.Position, hashText(f.Picture))
	switch ours := f.Position.Epoch == p.meta.Epoch; {
	case ours && f.Position.Seq > head:
		r.fault("file", "it is %s ahead of the log: the log has lost its end", count(f.Position.Seq-head, "operation", "operations"))
		return
	case ours, p.inEpoch == f.Position.Epoch && !f.Position.Epoch.IsZero():
		p.concludePast(r)
	case r.View == nil:
		r.fault("file", "it is of another history than the canvas")
	default:
		if d := Compare(f.Picture, r.View.Picture); d != nil {
			r.fault("file", "it is of another history than the canvas, and another picture: %v", d)
			return
		}
		r.good("file", "it is of another history, and the same picture")
	}
}

// concludePast compares a file whose position this canvas has passed.
func (p *pass) concludePast(r *Report) {
	f := p.file
	var d *Difference
	switch {
	case p.atFile != nil:
		if d = Compare(f.Picture, p.atFile); d == nil {
			r.good("file", "the canvas looked so at %d, which is in its past", f.Position.Seq)
			return
		}
		r.fault("file", "the canvas looked otherwise at %d: %v", f.Position.Seq, d)
	case p.rolledTo != nil:
		if d = Compare(p.rolledTo, p.checkpoint.Grid); d == nil {
			r.good("file", "with the log behind it, it makes the checkpoint's picture at %d", p.checkpoint.Position.Seq)
			return
		}
		r.fault("file", "with the log behind it, it makes another picture than the checkpoint at %d: %v", p.checkpoint.Position.Seq, d)
	case f.Picture.Spec() != p.meta.Spec:
		r.fault("file", "the canvas has %s cells and background %v", size(p.meta.Spec), p.meta.Spec.Background)
	default:
		r.good("file", "its position is in the canvas's past; the log no longer reaches back there, so only its own checksums were compared")
	}
}
