package store

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
)

// A checkpoint is a hash with the fields v (version), epoch, seq, time, hash
// (of the picture, 16 hexadecimal digits) and t0, t1, … for the tiles, counted
// row by row. A tile is the CRC-32C of what follows (4 bytes, little-endian)
// and its cells, three bytes each, row by row, compressed with DEFLATE. A tile
// that is missing has the background's colour.
const checkpointVersion = "1"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// LoadCheckpoint returns the stored checkpoint, or nil when there is none. Its
// errors are [ErrNotFound], [ErrVersion], and [ErrCorrupt] when any checksum
// does not fit: then nothing of it must be used.
func (s *Store) LoadCheckpoint(ctx context.Context, id string) (cp *Checkpoint, err error) {
	defer s.metrics.observe(opLoadCheckpoint, time.Now(), &err)
	if canvas.CheckID(id) != nil {
		return nil, ErrNotFound
	}
	tx := s.client.TxPipeline()
	values := tx.HMGet(ctx, keysOf(id).meta(), metaFields...)
	fields := tx.HGetAll(ctx, keysOf(id).checkpoint())
	if _, err := tx.Exec(ctx); err != nil {
		return nil, s.failed("load checkpoint", err)
	}
	meta, err := metaOf(values.Val())
	if err != nil {
		return nil, err
	}
	if len(fields.Val()) == 0 {
		return nil, nil
	}
	return decodeCheckpoint(meta, fields.Val())
}

func decodeCheckpoint(meta Meta, fields map[string]string) (*Checkpoint, error) {
	if v := fields["v"]; v != checkpointVersion {
		return nil, fmt.Errorf("%w: checkpoint %.20q", ErrVersion, v)
	}
	epoch, err := canvas.ParseEpoch(fields["epoch"])
	if err != nil || epoch != meta.Epoch {
		return nil, fmt.Errorf("%w: it is of epoch %.40q, the canvas of %v", ErrCorrupt, fields["epoch"], meta.Epoch)
	}
	numbers, err := parseNumbers([]string{fields["seq"], fields["time"]})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	g := canvas.NewGrid(meta.Spec)
	for field, data := range fields {
		digits, isTile := strings.CutPrefix(field, "t")
		n, err := strconv.Atoi(digits)
		if !isTile || err != nil {
			continue // a field that is no tile
		}
		if err := loadTile(g, n, data); err != nil {
			return nil, fmt.Errorf("%w: tile %d: %w", ErrCorrupt, n, err)
		}
	}
	// Each tile may be whole and yet not belong to the others.
	if want, err := strconv.ParseUint(fields["hash"], 16, 64); err != nil || want != g.Hash() {
		return nil, fmt.Errorf("%w: the picture's hash is %016x, not %.20q", ErrCorrupt, g.Hash(), fields["hash"])
	}
	return &Checkpoint{
		Position: canvas.Position{Epoch: epoch, Seq: numbers[0]},
		Time:     int64(numbers[1]),
		Grid:     g.Freeze(),
	}, nil
}

// SaveCheckpoint stores a checkpoint if it is of the canvas's epoch, not beyond
// the log's head, and after the stored one; else [ErrConflict]. base is the
// checkpoint that the caller saved or loaded last, of the same grid: while it
// is still the stored one, only the tiles that were written since are sent.
// With nil, or when another one is stored, all are.
func (s *Store) SaveCheckpoint(ctx context.Context, id string, cp, base *Checkpoint) (err error) {
	defer s.metrics.observe(opSaveCheckpoint, time.Now(), &err)
	if canvas.CheckID(id) != nil {
		return ErrNotFound
	}
	if base != nil && (base.Grid.Spec() != cp.Grid.Spec() || base.Position.Epoch != cp.Position.Epoch) {
		base = nil
	}
	reply, err := s.saveCheckpoint(ctx, id, cp, base)
	if err == nil && reply == "base" {
		reply, err = s.saveCheckpoint(ctx, id, cp, nil)
	}
	switch {
	case err != nil:
		return s.failed("save checkpoint", err)
	case reply == "ok":
		return nil
	case reply == "missing":
		return ErrNotFound
	}
	return ErrConflict
}

func (s *Store) saveCheckpoint(ctx context.Context, id string, cp, base *Checkpoint) (string, error) {
	args := []any{
		checkpointVersion, cp.Position.Epoch.String(), decimal(cp.Position.Seq), cp.Time, hashText(cp), "", "",
	}
	if base != nil {
		args[5], args[6] = decimal(base.Position.Seq), hashText(base)
	}
	tiles := 0
	for n := range cp.Grid.Tiles() {
		background := cp.Grid.TileIsBackground(n)
		if base != nil && cp.Grid.SameTile(base.Grid, n) || base == nil && background {
			continue
		}
		tile := []byte{}
		if !background {
			tile = encodeTile(cp.Grid, n)
		}
		args = append(args, "t"+strconv.Itoa(n), tile)
		tiles++
	}
	reply, err := checkpointScript.Run(ctx, s.client, keysOf(id).state(), args...).Text()
	if err == nil && reply == "ok" {
		s.metrics.checkpointTiles.Add(float64(tiles))
	}
	return reply, err
}

func hashText(cp *Checkpoint) string { return fmt.Sprintf("%016x", cp.Grid.Hash()) }

var flateWriters = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(io.Discard, flate.BestSpeed) // the level is valid
	return w
}}

func encodeTile(f *canvas.Frozen, n int) []byte {
	w := flateWriters.Get().(*flate.Writer)
	defer flateWriters.Put(w)
	var b bytes.Buffer
	b.Write(make([]byte, 4)) // the checksum
	w.Reset(&b)
	_, _ = w.Write(f.AppendTile(nil, n)) // a bytes.Buffer takes everything
	_ = w.Close()
	binary.LittleEndian.PutUint32(b.Bytes(), crc32.Checksum(b.Bytes()[4:], castagnoli))
	return b.Bytes()
}

func loadTile(g *canvas.Grid, n int, data string) error {
	b := []byte(data)
	if len(b) < 4 {
		return errCutOff
	}
	if sum := crc32.Checksum(b[4:], castagnoli); sum != binary.LittleEndian.Uint32(b) {
		return fmt.Errorf("its checksum is %08x, not %08x", sum, binary.LittleEndian.Uint32(b))
	}
	const most = 3 * canvas.TileSide * canvas.TileSide
	rgb, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(b[4:])), most+1))
	if err != nil {
		return err
	}
	return g.LoadTile(n, rgb)
}
