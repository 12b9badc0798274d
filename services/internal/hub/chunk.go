package hub

import "github.com/cloud-pixel/playground/services/canvas"

// A chunk is what connections of one codec need who all stand at the same
// cursor. Most do: it is put together once and written many times. Chunks
// belong to the flusher; their buffers are used again, so whoever keeps a part
// of one beyond the write must copy it.
type chunk struct {
	codec    Codec
	era      int
	from, to uint64
	buf      []byte // from start on, whole frames
	start    int
	big      []byte // instead of buf: immutable frames that may be kept
	// Instead of both: a single operation that is greater than a connection may
	// hold, in JSON. Each gets it piece by piece; see planPieces.
	single    *canvas.Entry
	ops       uint64
	conflated bool
	received  int64        // oldest receipt of its operations, µs since the Unix epoch
	trace     canvas.Trace // of that operation, else of one that is sampled
	frames    int          // number of them
	used      uint64
}

const (
	// maxChunk is where a connection's pending updates count as much, in
	// bytes: beyond, it gets a conflated range.
	maxChunk = 64 << 10
	// maxRange bounds a conflated range, and what is written at once for an
	// entry, in bytes, since that is what a connection holds while its socket is
	// full. Beyond, a range is cut in time, down to a single operation (at most
	// 600 KiB, in JSON, for the greatest), which goes out in pieces.
	maxRange = 160 << 10
	// cachedChunks is how many are kept for one hub.
	cachedChunks = 8
)

// bytes returns what to write, and whether it may be kept after the write.
func (c *chunk) bytes() (frames []byte, immutable bool) {
	if c.big != nil {
		return c.big, true
	}
	return c.buf[c.start:], false
}

// chunk returns what brings a connection at cursor from towards the head. from
// is within the history and before the head.
// Called by the flusher under the hub's lock; the result is valid until the
// flusher asks for another one.
func (h *Hub) chunk(codec Codec, from uint64) *chunk {
	var c *chunk
	for _, k := range h.chunks {
		if k.codec == codec && k.from == from && k.era == h.pictures.era {
			c = k
			break
		}
	}
	h.flusher.clock++
	switch {
	case c == nil:
		c = h.recycle()
		c.codec, c.era, c.from, c.to = codec, h.pictures.era, from, from
		c.ops, c.conflated, c.big, c.single, c.frames = 0, false, nil, nil, 0
		c.forget()
		c.start = maxHeader
		c.buf = append(c.buf[:0], make([]byte, maxHeader)...)
	case c.conflated || c.big != nil || c.single != nil || c.to == h.head:
		c.used = h.flusher.clock
		return c
	}
	c.used = h.flusher.clock
	if h.fill(c) {
		return c
	}
	// More is pending than fits: conflate what there is, for so long a stretch
	// of the log as gives a bearable size.
	to := h.head
	entries := h.history.entries(from, to)
	for weighRange(entries, h.spec, codec) > maxRange && to > from+1 {
		to = from + (to-from)/2
		entries = h.history.entries(from, to)
	}
	if c.big = nil; codec != Binary && to == from+1 && weighRange(entries, h.spec, codec) > maxRange {
		c.single = entries[0]
	} else if frames := encodeRange(conflate(entries, from, to, h.spec), h.spec, codec); len(frames) > maxRange {
		c.big = frames
	} else {
		c.buf, c.start = append(c.buf[:0], frames...), 0
	}
	c.to, c.ops, c.conflated = to, to-from, to-from > 1
	c.forget() // what fill may have noted was of another stretch
	for _, e := range entries {
		c.note(e)
	}
	if c.single == nil {
		whole, _ := c.bytes()
		c.frames = countFrames(whole)
	}
	return c
}

// fill appends what is new to the chunk. It returns false when there is more
// than one write should carry; then the chunk is of no use.
func (h *Hub) fill(c *chunk) bool {
	for _, b := range h.history.batches[h.history.index(c.to):] {
		if b.entry.First <= c.to {
			return false // the cursor is inside an entry: only a range fits
		}
		encoded := h.history.encode(b, c.codec)
		if c.ops == 0 && len(encoded) > maxChunk {
			// A single entry of many pixels: everybody shares its frames.
			switch one := len(b.entry.Ops) == 1; {
			case len(encoded) > maxRange && !one:
				return false
			case len(encoded) > maxRange && c.codec != Binary:
				c.single = b.entry
			case c.codec == Binary:
				c.big = appendFrame(nil, frameBinary, encoded)
			default:
				c.big = encoded
			}
			c.count(b)
			c.frames = countFrames(c.big)
			return true
		}
		if len(c.buf)+len(encoded) > maxChunk {
			return false
		}
		c.buf = append(c.buf, encoded...)
		c.count(b)
		if c.codec != Binary {
			c.frames += countFrames(encoded)
		}
	}
	if c.codec == Binary {
		c.frames = 1
		// One frame around all messages: its header goes right before them.
		var header [maxHeader]byte
		head := appendHeader(header[:0], frameBinary, len(c.buf)-maxHeader)
		c.start = maxHeader - len(head)
		copy(c.buf[c.start:], head)
	}
	return true
}

func (c *chunk) count(b *batch) {
	c.to = b.entry.Last()
	c.ops += uint64(len(b.entry.Ops))
	c.note(b.entry)
}

// note keeps the oldest receipt, and a trace.
func (c *chunk) note(e *canvas.Entry) {
	for i := range e.Ops {
		o := &e.Ops[i]
		if c.received == 0 || o.Received < c.received {
			c.received = o.Received
			if o.Trace.Sampled() {
				c.trace = o.Trace
			}
		}
		if !c.trace.Sampled() {
			c.trace = o.Trace
		}
	}
}

func (c *chunk) forget() { c.received, c.trace = 0, canvas.Trace{} }

// recycle returns a chunk to build in: a new one, or the one used longest ago.
func (h *Hub) recycle() *chunk {
	if len(h.chunks) < cachedChunks {
		c := &chunk{}
		h.chunks = append(h.chunks, c)
		return c
	}
	oldest := h.chunks[0]
	for _, c := range h.chunks[1:] {
		if c.used < oldest.used {
			oldest = c
		}
	}
	return oldest
}
