package archive

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// Errors of [Read]. Whatever it returns beside an error is nothing of the file.
var (
	// ErrForeign: this is no archive at all.
	ErrForeign = errors.New("archive: not an archive of a canvas")
	// ErrVersion: an archive of a version that this release does not know.
	ErrVersion = errors.New("archive: unknown version")
	// ErrDamaged: an archive that is cut off or has changed.
	ErrDamaged = errors.New("archive: damaged")
)

const (
	magic   = "pixel-canvas-archive "
	version = "1"

	endMark   = 1<<32 - 1
	maxLine   = 4 << 10
	cellBytes = 3
	// maxTile is what DEFLATE makes of a tile at worst: it stores what it
	// cannot compress, at 5 bytes for each 65,535.
	maxTile = cellBytes*canvas.TileSide*canvas.TileSide + 4<<10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Archive is the picture of a canvas at a position.
type Archive struct {
	// Canvas is the id of the one that looked so.
	Canvas   string
	Picture  *canvas.Frozen
	Position canvas.Position
	// Time of the last operation in the picture, zero when there is none.
	Time time.Time
	// Exported is when the archive was made.
	Exported time.Time

	id  [16]byte
	sum [sha256.Size]byte // of the file, once there is one
}

// New returns an archive of a view, made at the given time.
func New(v *View, at time.Time) *Archive {
	a := &Archive{Canvas: v.Canvas, Picture: v.Picture, Position: v.Position, Exported: at}
	if v.Time > 0 {
		a.Time = time.UnixMilli(v.Time)
	}
	_, _ = rand.Read(a.id[:]) // never fails: see crypto/rand
	return a
}

type header struct {
	ID         string    `json:"id"`
	Canvas     string    `json:"canvas"`
	Width      int       `json:"width"`
	Height     int       `json:"height"`
	Background string    `json:"background"`
	Epoch      string    `json:"epoch"`
	Seq        uint64    `json:"seq"`
	Hash       string    `json:"hash"`
	Time       time.Time `json:"time,omitzero"`
	Exported   time.Time `json:"exported"`
}

// Write writes an archive.
func Write(w io.Writer, a *Archive) error {
	sum := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(w, sum), 64<<10)
	spec := a.Picture.Spec()
	head, err := json.Marshal(header{
		ID: hex.EncodeToString(a.id[:]), Canvas: a.Canvas,
		Width: spec.Width, Height: spec.Height, Background: spec.Background.String(),
		Epoch: a.Position.Epoch.String(), Seq: a.Position.Seq, Hash: hashText(a.Picture),
		Time: a.Time.UTC(), Exported: a.Exported.UTC(),
	})
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	// The errors of a bufio.Writer stay: Flush tells the first.
	_, _ = fmt.Fprintf(out, "%s%s\n%s\n", magic, version, head)
	for n := range a.Picture.Tiles() {
		if a.Picture.TileIsBackground(n) {
			continue
		}
		data, err := compress(a.Picture.AppendTile(nil, n))
		if err != nil {
			return fmt.Errorf("archive: %w", err)
		}
		var front [12]byte
		binary.LittleEndian.PutUint32(front[:], uint32(n))
		binary.LittleEndian.PutUint32(front[4:], uint32(len(data)))
		binary.LittleEndian.PutUint32(front[8:], crc32.Checksum(data, castagnoli))
		_, _ = out.Write(front[:])
		_, _ = out.Write(data)
	}
	_, _ = out.Write(binary.LittleEndian.AppendUint32(nil, endMark))
	if err := out.Flush(); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	sum.Sum(a.sum[:0])
	if _, err := w.Write(a.sum[:]); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	return nil
}

// Read reads an archive to its end, checks all of it, and returns it only if
// everything fits. Its errors are [ErrForeign], [ErrVersion], [ErrDamaged] and
// those of r.
func Read(r io.Reader) (*Archive, error) {
	in := &reader{in: bufio.NewReaderSize(r, 64<<10), sum: sha256.New()}
	if err := in.magic(); err != nil {
		return nil, err
	}
	a, grid, want, err := in.header()
	if err != nil {
		return nil, err
	}
	if err := in.tiles(grid); err != nil {
		return nil, err
	}
	in.sum.Sum(a.sum[:0])
	var stands [sha256.Size]byte
	if err := in.full(stands[:]); err != nil {
		return nil, err
	}
	if stands != a.sum {
		return nil, fmt.Errorf("%w: the checksum at its end does not fit", ErrDamaged)
	}
	if _, err := in.in.ReadByte(); err == nil {
		return nil, fmt.Errorf("%w: something follows its end", ErrDamaged)
	} else if !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("archive: %w", err)
	}
	a.Picture = grid.Freeze()
	if got := hashText(a.Picture); got != want {
		return nil, fmt.Errorf("%w: the picture's hash is %s, the header says %s", ErrDamaged, got, want)
	}
	return a, nil
}

// reader reads the parts of an archive, and adds what it has read to the sum.
type reader struct {
	in   *bufio.Reader
	sum  hash.Hash
	read int64
}

// full fills b.
func (r *reader) full(b []byte) error {
	n, err := io.ReadFull(r.in, b)
	r.read += int64(n)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it is cut off after %d bytes", ErrDamaged, r.read)
	}
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	_, _ = r.sum.Write(b) // a hash takes everything
	return nil
}

// line reads up to a line break, which is not part of what it returns.
func (r *reader) line() (string, error) {
	var b [1]byte
	var line []byte
	for len(line) <= maxLine {
		if err := r.full(b[:]); err != nil {
			return string(line), err
		}
		if b[0] == '\n' {
			return string(line), nil
		}
		line = append(line, b[0])
	}
	return "", fmt.Errorf("%w: its header is longer than %d bytes", ErrDamaged, maxLine)
}

func (r *reader) magic() error {
	front := make([]byte, len(magic))
	for i := range front {
		if err := r.full(front[i : i+1]); err != nil {
			return err
		}
		if front[i] != magic[i] {
			return ErrForeign // before a line is looked for in anything at all
		}
	}
	v, err := r.line()
	if err != nil {
		return err
	}
	if v != version {
		return fmt.Errorf("%w %.20q; this release reads version %s", ErrVersion, v, version)
	}
	return nil
}

// header reads what stands before the tiles. It returns an archive without a
// picture, the grid for it, and the hash that the picture must have.
func (r *reader) header() (a *Archive, grid *canvas.Grid, want string, err error) {
	line, err := r.line()
	if err != nil {
		return nil, nil, "", err
	}
	damaged := func(err error) (*Archive, *canvas.Grid, string, error) {
		return nil, nil, "", fmt.Errorf("%w: its header: %w", ErrDamaged, err)
	}
	var h header
	d := json.NewDecoder(strings.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&h); err != nil {
		return damaged(err)
	}
	a = &Archive{Canvas: h.Canvas, Time: h.Time, Exported: h.Exported, Position: canvas.Position{Seq: h.Seq}}
	if n, err := hex.Decode(a.id[:], []byte(h.ID[:min(len(h.ID), 2*len(a.id))])); err != nil || n != len(a.id) || len(h.ID) != 2*n {
		return damaged(fmt.Errorf("id %.40q", h.ID))
	}
	if err := canvas.CheckID(h.Canvas); err != nil {
		return damaged(err)
	}
	spec := canvas.Spec{Width: h.Width, Height: h.Height}
	if spec.Background, err = canvas.ParseColor(h.Background); err != nil {
		return damaged(err)
	}
	if err := spec.Validate(); err != nil {
		return damaged(err)
	}
	if a.Position.Epoch, err = canvas.ParseEpoch(h.Epoch); err != nil {
		return damaged(err)
	}
	if h.Seq > protocol.MaxNumber {
		return damaged(fmt.Errorf("position %d", h.Seq))
	}
	if n, err := strconv.ParseUint(h.Hash, 16, 64); err != nil || fmt.Sprintf("%016x", n) != h.Hash {
		return damaged(fmt.Errorf("hash %.20q", h.Hash))
	}
	return a, canvas.NewGrid(spec), h.Hash, nil
}

// tiles reads the tiles into the grid, up to the mark of their end.
func (r *reader) tiles(grid *canvas.Grid) error {
	for next := uint32(0); ; {
		var front [12]byte
		if err := r.full(front[:4]); err != nil {
			return err
		}
		n := binary.LittleEndian.Uint32(front[:])
		if n == endMark {
			return nil
		}
		if err := r.full(front[4:]); err != nil {
			return err
		}
		length := binary.LittleEndian.Uint32(front[4:])
		if n < next || length > maxTile {
			return fmt.Errorf("%w: tile %d of %d bytes where tile %d or a later one was due", ErrDamaged, n, length, next)
		}
		data := make([]byte, length)
		if err := r.full(data); err != nil {
			return err
		}
		if crc32.Checksum(data, castagnoli) != binary.LittleEndian.Uint32(front[8:]) {
			return fmt.Errorf("%w: the checksum of tile %d does not fit", ErrDamaged, n)
		}
		cells, err := decompress(data)
		if err == nil {
			err = grid.LoadTile(int(n), cells)
		}
		if err != nil {
			return fmt.Errorf("%w: tile %d: %w", ErrDamaged, n, err)
		}
		next = n + 1
	}
}

func compress(cells []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.DefaultCompression)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(cells)
	err = errors.Join(err, w.Close())
	return b.Bytes(), err
}

func decompress(data []byte) ([]byte, error) {
	in := bytes.NewReader(data)
	const most = cellBytes * canvas.TileSide * canvas.TileSide
	cells, err := io.ReadAll(io.LimitReader(flate.NewReader(in), most+1))
	if err == nil && in.Len() > 0 {
		err = errors.New("something follows its cells")
	}
	return cells, err
}

func hashText(f *canvas.Frozen) string { return fmt.Sprintf("%016x", f.Hash()) }
