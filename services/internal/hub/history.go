package hub

import (
	"sort"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// Codec is how a connection wants its messages.
type Codec uint8

// Codecs. Original and JSON differ in what a connection understands: Original
// never showed that it knows more than the original system's messages.
const (
	Original Codec = iota
	JSON
	Binary
	codecs
)

// history is the recent part of the log: consecutive entries of one epoch, the
// newest last. Guarded by the hub's lock.
type history struct {
	spec    canvas.Spec
	batches []*batch
	ops     int // in all batches
	weight  int // bytes in all batches, about
	maxOps  int
	maxSize int

	// What was read from the log for clients that return from long ago may be
	// held beyond the bounds, for a while.
	extraOps, extraSize int
	extraUntil          time.Time
}

// Bounds of what is held beyond the bounds.
const (
	maxExtraOps  = 20_000
	maxExtraSize = 16 << 20
	extraTime    = 30 * time.Second
)

// batch is an entry with its encoded forms.
type batch struct {
	entry   *canvas.Entry
	encoded [codecs][]byte // JSON: whole frames; Binary: messages without frame
	weight  int
}

// oldest returns the greatest position that is before everything held, given
// the position of the newest entry.
func (h *history) oldest(head uint64) uint64 {
	if len(h.batches) == 0 {
		return head
	}
	return h.batches[0].entry.First - 1
}

func (h *history) push(e *canvas.Entry, now time.Time) {
	if h.extraOps+h.extraSize > 0 && now.After(h.extraUntil) {
		h.extraOps, h.extraSize = 0, 0
	}
	b := newBatch(e)
	h.batches = append(h.batches, b)
	h.account(b, 1)
	drop := 0
	for h.ops > h.maxOps+h.extraOps || h.weight > h.maxSize+h.extraSize {
		if drop == len(h.batches)-1 {
			break // the newest always stays
		}
		h.account(h.batches[drop], -1)
		h.batches[drop] = nil
		drop++
	}
	h.batches = h.batches[drop:]
}

// prepend adds entries before the oldest held, where they must end: the newest
// of them that fit into the bounds and what may be held beyond.
func (h *history) prepend(entries []*canvas.Entry, now time.Time) {
	ops, weight, from := h.ops, h.weight, len(entries)
	older := make([]*batch, len(entries))
	for from > 0 {
		b := newBatch(entries[from-1])
		ops, weight = ops+len(b.entry.Ops), weight+b.weight
		if ops > h.maxOps+maxExtraOps || weight > h.maxSize+maxExtraSize {
			break
		}
		from--
		older[from] = b
		h.account(b, 1)
	}
	h.batches = append(older[from:len(older):len(older)], h.batches...)
	h.extraOps, h.extraSize = max(0, h.ops-h.maxOps), max(0, h.weight-h.maxSize)
	h.extraUntil = now.Add(extraTime)
}

func (h *history) clear() {
	h.batches, h.ops, h.weight = nil, 0, 0
	h.extraOps, h.extraSize = 0, 0
}

func (h *history) account(b *batch, sign int) {
	h.ops += sign * len(b.entry.Ops)
	h.weight += sign * b.weight
}

func newBatch(e *canvas.Entry) *batch {
	b := &batch{entry: e, weight: 128}
	for i := range e.Ops {
		// An operation and its pixels, plus the encoded forms, of which JSON
		// takes about 120 bytes a pixel.
		b.weight += 160 + 140*len(e.Ops[i].Pixels)
	}
	return b
}

// index returns the index of the first batch with something after seq.
func (h *history) index(seq uint64) int {
	return sort.Search(len(h.batches), func(i int) bool { return h.batches[i].entry.Last() > seq })
}

// encode returns the batch in a codec, encoding it the first time.
func (h *history) encode(b *batch, c Codec) []byte {
	if b.encoded[c] == nil {
		b.encoded[c] = encodeEntry(b.entry, h.spec, c)
	}
	return b.encoded[c]
}

func encodeEntry(e *canvas.Entry, spec canvas.Spec, c Codec) []byte {
	if c == Binary {
		return protocol.AppendEntry(nil, e)
	}
	var out []byte
	j := protocol.JSON{Original: c == Original}
	j.Entry(e, spec, func(message []byte) { out = appendFrame(out, frameText, message) })
	return out
}

func encodeRange(r *protocol.Range, spec canvas.Spec, c Codec) []byte {
	if c == Binary {
		message := protocol.AppendRange(nil, r)
		return append(appendHeader(make([]byte, 0, len(message)+maxHeader), frameBinary, len(message)), message...)
	}
	var out []byte
	j := protocol.JSON{Original: c == Original}
	j.Range(r, spec, func(message []byte) { out = appendFrame(out, frameText, message) })
	return out
}

// entries returns what is held of (from, to], the first and last entry cut to
// the range.
func (h *history) entries(from, to uint64) []*canvas.Entry {
	var out []*canvas.Entry
	for _, b := range h.batches[h.index(from):] {
		if b.entry.First > to {
			break
		}
		e := b.entry.After(from)
		if e.Last() > to {
			cut := *e
			cut.Ops = e.Ops[:to-e.First+1]
			e = &cut
		}
		out = append(out, e)
	}
	return out
}
