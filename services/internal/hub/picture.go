package hub

import (
	"bytes"
	"slices"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// picture is a whole canvas, as frames for one codec. It is immutable and
// shared by all connections that need one.
type picture struct {
	seq    uint64
	frames [][]byte
	size   int // bytes
}

// pictureShare is how many bytes of older pictures there may be for each
// connection. One older picture there may be in any case.
const pictureShare = 128 << 10

// pictureLag is how far the log may have gone on since a picture was made for
// it to be given to one more connection, in operations: the connection gets
// those after it, which is cheaper than another picture.
const pictureLag = 1024

// pictures makes pictures, one at a time for each codec, in a goroutine of its
// own: compressing a large canvas takes longer than other connections should
// wait. Guarded by the hub's lock.
type pictures struct {
	hub      *Hub
	ready    [codecs]*picture
	older    [codecs][]*picture // which connections may still be reading, oldest first
	building [codecs]bool
	waiting  [codecs][]*Conn
	era      int // of the history; what was begun in an earlier one is dropped
}

func (p *pictures) clear() {
	p.ready = [codecs]*picture{}
	p.older = [codecs][]*picture{}
	p.era++
}

// get returns a picture that is fresh enough, or nil: then c will be looked at
// again when there is one.
func (p *pictures) get(codec Codec, c *Conn) *picture {
	h := p.hub
	if r := p.ready[codec]; r != nil && r.seq >= h.history.oldest(h.head) {
		lag := uint64(pictureLag)
		if p.crowded(codec) {
			// Another one would take from somebody what he is reading: rather
			// tell more operations.
			lag = uint64(h.history.maxOps) / 2
		}
		if r.seq+lag >= h.head {
			return r
		}
	}
	if !c.waiting {
		c.waiting = true
		p.waiting[codec] = append(p.waiting[codec], c)
	}
	if !p.building[codec] {
		p.building[codec] = true
		h.flusher.running.Add(1)
		go p.build(codec, p.era)
	}
	return nil
}

// crowded tells whether connections read so many older pictures already that
// one more makes the oldest go.
func (p *pictures) crowded(codec Codec) bool {
	p.forget(codec)
	all := p.ready[codec].size
	for _, o := range p.older[codec] {
		all += o.size
	}
	return len(p.older[codec]) > 0 && all > pictureShare*len(p.hub.conns)
}

// forget lets older pictures go that nobody reads.
func (p *pictures) forget(codec Codec) {
	read := make(map[*picture]bool)
	for _, c := range p.hub.conns {
		read[c.picture] = true
	}
	p.older[codec] = slices.DeleteFunc(p.older[codec], func(o *picture) bool { return !read[o] })
}

// retire makes room for another picture. Slow clients, each in the middle of a
// picture of its own, could otherwise hold any number of them: those in the
// oldest begin again with the newest.
func (p *pictures) retire(codec Codec) {
	if p.ready[codec] == nil {
		return
	}
	p.older[codec] = append(p.older[codec], p.ready[codec])
	p.forget(codec)
	all := 0
	for _, o := range p.older[codec] {
		all += o.size
	}
	for len(p.older[codec]) > 1 && all > pictureShare*len(p.hub.conns) {
		oldest := p.older[codec][0]
		for _, c := range p.hub.conns {
			if c.picture == oldest {
				c.picture, c.need = nil, reasonLag
			}
		}
		all -= oldest.size
		p.older[codec] = slices.Delete(p.older[codec], 0, 1)
	}
}

func (p *pictures) build(codec Codec, era int) {
	h := p.hub
	defer h.flusher.running.Done()
	frozen, at := h.freeze()
	made := &picture{seq: at.Seq, frames: encodePicture(frozen, at, codec)}
	for _, frame := range made.frames {
		made.size += len(frame)
	}
	h.mu.Lock()
	p.building[codec] = false
	if p.era == era && at.Epoch == h.epoch {
		p.retire(codec)
		p.ready[codec] = made
	}
	waiting := p.waiting[codec]
	p.waiting[codec] = nil
	for _, c := range waiting {
		c.waiting = false
		if !c.queued && c.index >= 0 {
			c.queued = true
			h.dirty = append(h.dirty, c)
		}
	}
	h.mu.Unlock()
	h.flusher.wake(h)
}

// encodePicture returns frames that a connection can begin with: snapshot
// bands, or for the original's clients each cell as an update.
func encodePicture(f *canvas.Frozen, at canvas.Position, codec Codec) [][]byte {
	var frames [][]byte
	if codec == Binary {
		for _, m := range protocol.EncodeSnapshot(f, at) {
			frames = append(frames, appendFrame(nil, frameBinary, m))
		}
		return frames
	}
	spec := f.Spec()
	r := protocol.Range{Seq: at.Seq, Cells: make([]protocol.Cell, 0, spec.Cells())}
	for y := range spec.Height {
		for x := range spec.Width {
			r.Cells = append(r.Cells, protocol.Cell{Pixel: canvas.Pixel{X: uint16(x), Y: uint16(y), Color: f.At(x, y)}})
		}
	}
	all := encodeRange(&r, spec, codec)
	for len(all) > 0 { // in pieces, as bands are
		n := frameEnd(all, min(len(all), maxChunk/2))
		frames = append(frames, bytes.Clone(all[:n])) // who holds one holds no more
		all = all[n:]
	}
	return frames
}

// frameEnd returns the end of the frame in which byte n-1 of b lies; b starts
// with a frame.
func frameEnd(b []byte, n int) int {
	end := 0
	for end < n {
		end += frameLength(b[end:])
	}
	return end
}

// countFrames returns the number of frames in b, which has whole ones.
func countFrames(b []byte) (n int) {
	for len(b) > 0 {
		b = b[frameLength(b):]
		n++
	}
	return n
}

// frameLength returns the length of the frame that b starts with.
func frameLength(b []byte) int {
	header, size := 2, int(b[1])
	switch size {
	case 126:
		header, size = 4, int(b[2])<<8|int(b[3])
	case 127:
		size = 0
		for _, v := range b[2:10] {
			size = size<<8 | int(v)
		}
		header = 10
	}
	return header + size
}
