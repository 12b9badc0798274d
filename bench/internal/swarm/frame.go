package swarm

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Opcodes of frames (RFC 6455, section 5.2).
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// maxMessage bounds what a server may make us keep.
const maxMessage = 16 << 20

var (
	errMasked   = errors.New("swarm: the server masks its frames")
	errReserved = errors.New("swarm: a frame uses an extension that was not agreed on")
)

// closed is the error of a connection that the server has closed.
type closed struct {
	code   int
	reason string
}

func (c *closed) Error() string { return fmt.Sprintf("swarm: closed with %d %q", c.code, c.reason) }

// cutFrame cuts the first frame off b. ok is false when it is not whole yet.
func cutFrame(b []byte) (head byte, payload, rest []byte, ok bool, err error) {
	if len(b) < 2 {
		return 0, nil, b, false, nil
	}
	if b[1]&0x80 != 0 {
		return 0, nil, nil, false, errMasked
	}
	if b[0]&0x70 != 0 {
		return 0, nil, nil, false, errReserved
	}
	n, at := uint64(b[1]), 2
	switch n {
	case 126:
		if len(b) < 4 {
			return 0, nil, b, false, nil
		}
		n, at = uint64(binary.BigEndian.Uint16(b[2:])), 4
	case 127:
		if len(b) < 10 {
			return 0, nil, b, false, nil
		}
		n, at = binary.BigEndian.Uint64(b[2:]), 10
	}
	if n > maxMessage {
		return 0, nil, nil, false, fmt.Errorf("swarm: a frame of %d bytes", n)
	}
	end := at + int(n)
	if len(b) < end {
		return 0, nil, b, false, nil
	}
	return b[0], b[at:end], b[end:], true, nil
}

// appendFrame appends a whole message as a client sends it: masked.
func appendFrame(b []byte, opcode byte, key [4]byte, payload []byte) []byte {
	b = append(b, 0x80|opcode)
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n <= 0xFFFF:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, key[:]...)
	start := len(b)
	b = append(b, payload...)
	for i := range b[start:] {
		b[start+i] ^= key[i&3]
	}
	return b
}

// messages calls handle for each whole message in b, answers pings through
// pong, and returns what is left of b: the beginning of a frame. fragment is
// what has come of a message in several frames.
func messages(b []byte, fragment *[]byte, handle func([]byte) error, pong func([]byte)) (rest []byte, err error) {
	for {
		head, payload, next, ok, err := cutFrame(b)
		if err != nil || !ok {
			return next, err
		}
		b = next
		switch final := head&0x80 != 0; head & 0x0F {
		case opText, opBinary:
			if !final {
				*fragment = append(make([]byte, 0, 2*len(payload)), payload...)
				continue
			}
			err = handle(payload)
		case opContinuation:
			if *fragment = append(*fragment, payload...); len(*fragment) > maxMessage {
				return nil, fmt.Errorf("swarm: a message of more than %d bytes", maxMessage)
			}
			if final {
				err = handle(*fragment)
				*fragment = nil
			}
		case opPing:
			pong(payload)
		case opPong:
		case opClose:
			c := &closed{code: 1005}
			if len(payload) >= 2 {
				c.code, c.reason = int(binary.BigEndian.Uint16(payload)), string(payload[2:])
			}
			return nil, c
		default:
			return nil, fmt.Errorf("swarm: unknown opcode %#x", head&0x0F)
		}
		if err != nil {
			return nil, err
		}
	}
}
