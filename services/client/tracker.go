package client

import "github.com/cloud-pixel/playground/services/canvas"

// tracker decides about each message what is to become of it, by the positions
// that it covers. It is a pure state machine.
type tracker struct {
	// at is what was applied last.
	at canvas.Position
	// whole is the position up to which everything was certainly applied as a
	// whole. In the JSON codec an operation comes in pieces, one a pixel, and
	// only the next operation shows that the one before is complete.
	whole uint64
	// high is the greatest position of this epoch that was ever held, at.Seq or
	// more; it keeps what comes again after a resumption from being counted
	// twice.
	high uint64
	// pieces: messages are pieces of operations (JSON codec).
	pieces bool
}

type verdict int

const (
	continues verdict = iota // apply it
	overlaps                 // apply it; a part of it was applied before
	known                    // ignore it
	gap                      // something before it is missing
)

// judge tells what to do with a message that covers (prev, seq].
func (t *tracker) judge(prev, seq uint64) verdict {
	last := t.at.Seq
	switch {
	case prev > last:
		return gap
	case t.pieces && seq == last:
		return continues // one more piece of the same operation
	case seq <= last:
		return known
	case prev < last:
		return overlaps
	}
	return continues
}

// advance notes that a message up to seq, which continues or overlaps, was
// applied. It returns how many positions are counted for the first time.
// complete says that no more pieces of seq follow.
func (t *tracker) advance(seq uint64, complete bool) (fresh uint64) {
	if seq > t.at.Seq {
		t.whole = t.at.Seq
		t.at.Seq = seq
	}
	if complete || !t.pieces {
		t.whole = seq
	}
	if seq > t.high {
		fresh = seq - t.high
		t.high = seq
	}
	return fresh
}

// restart notes that the picture is that of p now, or that messages from p on
// will come (again).
func (t *tracker) restart(p canvas.Position) {
	if p.Epoch != t.at.Epoch {
		t.high = 0
	}
	t.at, t.whole = p, p.Seq
	t.high = max(t.high, p.Seq)
}

// resumeAt is the position from which a client asks to be continued.
func (t *tracker) resumeAt() canvas.Position {
	return canvas.Position{Epoch: t.at.Epoch, Seq: t.whole}
}

// stepOver notes that what lies before p is given up. It is not counted.
func (t *tracker) stepOver(p uint64) {
	t.at.Seq, t.whole = p, p
	t.high = max(t.high, p)
}
