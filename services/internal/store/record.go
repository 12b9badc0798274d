package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// A record is what an append writes to the log and publishes, byte for byte
// the same:
//
//	version  1 byte, 0x01
//	header   "<epoch> <first> <count> <time>\n", the epoch in hexadecimal, the
//	         others in decimal digits: text, since the script writes it
//	count ×  an operation: its length (uvarint), then
//	           flags     1 byte: bit 0 trace, bit 1 name
//	           author    8 bytes, little-endian
//	           number    uvarint
//	           received  zigzag, microseconds since the Unix epoch
//	           [trace]   25 bytes
//	           [name]    its length (uvarint) and UTF-8
//	           body      kind, colours and pixels: see protocol.AppendBody
//
// The operations are encoded before the script runs; it only joins them.
const recordVersion = 0x01

const (
	opHasTrace = 0x01
	opHasName  = 0x02
)

// EncodeOp appends the log's form of an operation to b. It does not check the
// operation: see [canvas.Op.Check].
func EncodeOp(b []byte, o *canvas.Op) []byte {
	// Nearly all operations take less than 128 bytes: leave one byte for the
	// length, and move the rest when it needs more.
	start := len(b) + 1
	b = append(b, 0)
	var flags byte
	if o.Trace != (canvas.Trace{}) {
		flags |= opHasTrace
	}
	if o.Name != "" {
		flags |= opHasName
	}
	b = append(b, flags)
	b = binary.LittleEndian.AppendUint64(b, uint64(o.Author))
	b = binary.AppendUvarint(b, o.Number)
	b = binary.AppendVarint(b, o.Received)
	if flags&opHasTrace != 0 {
		b = append(b, o.Trace[:]...)
	}
	if flags&opHasName != 0 {
		b = append(binary.AppendUvarint(b, uint64(len(o.Name))), o.Name...)
	}
	b = protocol.AppendBody(b, o)
	n := len(b) - start
	if n < 0x80 {
		b[start-1] = byte(n)
		return b
	}
	var length [binary.MaxVarintLen64]byte
	k := binary.PutUvarint(length[:], uint64(n))
	b = append(b, length[1:k]...) // room; overwritten by the move
	copy(b[start+k-1:], b[start:start+n])
	copy(b[start-1:], length[:k])
	return b
}

// decodeRecord reads a record. Its errors wrap [ErrVersion] or [ErrMalformed].
func decodeRecord(record []byte) (*canvas.Entry, error) {
	if len(record) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrMalformed)
	}
	if record[0] != recordVersion {
		return nil, fmt.Errorf("%w: %d", ErrVersion, record[0])
	}
	line, rest, found := bytes.Cut(record[1:], []byte{'\n'})
	fields := bytes.Split(line, []byte{' '})
	if !found || len(fields) != 4 {
		return nil, fmt.Errorf("%w: header %.80q", ErrMalformed, line)
	}
	epoch, err := canvas.ParseEpoch(string(fields[0]))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	var numbers [3]uint64
	for i, field := range fields[1:] {
		if numbers[i], err = strconv.ParseUint(string(field), 10, 53); err != nil {
			return nil, fmt.Errorf("%w: header %.80q", ErrMalformed, line)
		}
	}
	e := &canvas.Entry{Epoch: epoch, First: numbers[0], Time: int64(numbers[2])}
	count := numbers[1]
	// A count that the bytes cannot hold must not take memory.
	if e.First == 0 || count == 0 || count > uint64(len(rest))/smallestOp || e.First+count-1 > protocol.MaxNumber {
		return nil, fmt.Errorf("%w: header %.80q for %d bytes", ErrMalformed, line, len(rest))
	}
	e.Ops = make([]canvas.Op, count)
	for i := range e.Ops {
		n, k := binary.Uvarint(rest)
		if k <= 0 || n > uint64(len(rest)-k) {
			return nil, fmt.Errorf("%w: operation %d of %d is cut off", ErrMalformed, i+1, count)
		}
		if err := decodeOp(rest[k:k+int(n)], &e.Ops[i]); err != nil {
			return nil, fmt.Errorf("%w: operation %d of %d: %w", ErrMalformed, i+1, count, err)
		}
		rest = rest[k+int(n):]
	}
	if len(rest) != 0 {
		return nil, fmt.Errorf("%w: %d bytes too many", ErrMalformed, len(rest))
	}
	return e, nil
}

// smallestOp is the length of the shortest operation: a reset without a name.
const smallestOp = 1 + 1 + 8 + 1 + 1 + 4

func decodeOp(b []byte, o *canvas.Op) error {
	if len(b) < 1+8 {
		return errCutOff
	}
	flags := b[0]
	if flags&^byte(opHasTrace|opHasName) != 0 {
		return fmt.Errorf("unknown flags %#x", flags)
	}
	o.Author = canvas.AuthorID(binary.LittleEndian.Uint64(b[1:]))
	b = b[1+8:]
	var k int
	if o.Number, k = binary.Uvarint(b); k <= 0 || o.Number > protocol.MaxNumber {
		return errCutOff
	}
	b = b[k:]
	if o.Received, k = binary.Varint(b); k <= 0 {
		return errCutOff
	}
	b = b[k:]
	if flags&opHasTrace != 0 {
		if len(b) < len(o.Trace) {
			return errCutOff
		}
		b = b[copy(o.Trace[:], b):]
	}
	if flags&opHasName != 0 {
		n, k := binary.Uvarint(b)
		if k <= 0 || n > uint64(len(b)-k) {
			return errCutOff
		}
		o.Name = string(b[k : k+int(n)])
		b = b[k+int(n):]
	}
	rest, err := protocol.ReadBody(b, o)
	if err != nil {
		return err
	}
	if len(rest) != 0 {
		return fmt.Errorf("%d bytes too many", len(rest))
	}
	return nil
}

var errCutOff = errors.New("it is cut off or holds a number that is too great")
