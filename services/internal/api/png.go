package api

import (
	"bufio"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"io"
	"sync"

	"github.com/cloud-pixel/playground/services/canvas"
)

// zlibWriters saves a megabyte for each image.
var zlibWriters = sync.Pool{New: func() any {
	w, _ := zlib.NewWriterLevel(io.Discard, zlib.BestSpeed) // the level is valid
	return w
}}

// encodePNG writes a picture whose cells are squares of scale × scale pixels.
//
// The encoder of the standard library wants the whole image in memory, four
// bytes a pixel; this one holds two rows. It also knows that pictures here
// have few colours mostly (then a pixel is one byte, the index into a palette)
// and that rows repeat.
func encodePNG(w io.Writer, f *canvas.Frozen, scale int) error {
	spec := f.Spec()
	palette, index := paletteOf(f)
	header := make([]byte, 13) // PNG, 11.2.2
	binary.BigEndian.PutUint32(header, uint32(spec.Width*scale))
	binary.BigEndian.PutUint32(header[4:], uint32(spec.Height*scale))
	header[8], header[9] = 8, 2 // bits a sample, RGB
	if index != nil {
		header[9] = 3 // palette
	}
	chunks := &chunkWriter{w: w}
	if _, err := io.WriteString(w, "\x89PNG\r\n\x1a\n"); err != nil {
		return err
	}
	chunks.write("IHDR", header)
	if index != nil {
		chunks.write("PLTE", palette)
	}
	data := bufio.NewWriterSize(idat{chunks}, 32<<10)
	pixels := zlibWriters.Get().(*zlib.Writer)
	defer zlibWriters.Put(pixels)
	pixels.Reset(data)
	bytesPerPixel := 3
	if index != nil {
		bytesPerPixel = 1
	}
	row := make([]byte, 0, 1+bytesPerPixel*spec.Width*scale)
	repeat := make([]byte, cap(row)) // filter "up" of an equal row: zeros
	repeat[0] = 2
	var cells []byte
	for y := range spec.Height {
		cells = f.AppendRect(cells[:0], 0, y, spec.Width, 1)
		row = append(row[:0], 0) // no filter
		for x := 0; x < len(cells); x += 3 {
			for range scale {
				if index != nil {
					row = append(row, index[colorOf(cells[x:])])
				} else {
					row = append(row, cells[x:x+3]...)
				}
			}
		}
		if _, err := pixels.Write(row); err != nil {
			return err
		}
		for range scale - 1 {
			if _, err := pixels.Write(repeat); err != nil {
				return err
			}
		}
	}
	if err := pixels.Close(); err != nil {
		return err
	}
	if err := data.Flush(); err != nil {
		return err
	}
	chunks.write("IEND", nil)
	return chunks.err
}

// paletteOf returns the colours of a picture that has at most 256, three bytes
// each, and the index of each; else nil.
func paletteOf(f *canvas.Frozen) (palette []byte, index map[canvas.Color]byte) {
	spec := f.Spec()
	index = make(map[canvas.Color]byte)
	last := canvas.Color(1 << 24) // no colour
	var cells []byte
	for y := range spec.Height {
		cells = f.AppendRect(cells[:0], 0, y, spec.Width, 1)
		for x := 0; x < len(cells); x += 3 {
			c := colorOf(cells[x:])
			if c == last {
				continue
			}
			last = c
			if _, known := index[c]; known {
				continue
			}
			if len(index) == 256 {
				return nil, nil
			}
			index[c] = byte(len(index))
			palette = append(palette, cells[x:x+3]...)
		}
	}
	return palette, index
}

func colorOf(rgb []byte) canvas.Color {
	return canvas.Color(rgb[0])<<16 | canvas.Color(rgb[1])<<8 | canvas.Color(rgb[2])
}

// chunkWriter writes PNG chunks: length, type, data, checksum. It keeps the
// first error.
type chunkWriter struct {
	w   io.Writer
	err error
}

func (c *chunkWriter) write(kind string, data []byte) {
	if c.err != nil {
		return
	}
	head := append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), kind...)
	sum := crc32.Update(crc32.ChecksumIEEE(head[4:]), crc32.IEEETable, data)
	for _, part := range [][]byte{head, data, binary.BigEndian.AppendUint32(nil, sum)} {
		if _, c.err = c.w.Write(part); c.err != nil {
			return
		}
	}
}

// idat makes each write a chunk of image data.
type idat struct{ chunks *chunkWriter }

func (i idat) Write(p []byte) (int, error) {
	i.chunks.write("IDAT", p)
	if i.chunks.err != nil {
		return 0, i.chunks.err
	}
	return len(p), nil
}
