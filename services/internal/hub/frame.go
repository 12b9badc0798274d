package hub

import "encoding/binary"

// Opcodes of RFC 6455, section 5.2, with the FIN bit set: a hub never
// fragments.
const (
	frameText   = 0x81
	frameBinary = 0x82
	frameClose  = 0x88
	framePing   = 0x89
	framePong   = 0x8A
)

// maxHeader is the greatest length of a frame's header from a server (no
// mask).
const maxHeader = 10

// appendHeader appends the header of an unmasked frame with n bytes.
func appendHeader(b []byte, opcode byte, n int) []byte {
	switch {
	case n < 126:
		return append(b, opcode, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, opcode, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(b, opcode, 127), uint64(n))
}

func appendFrame(b []byte, opcode byte, payload []byte) []byte {
	return append(appendHeader(b, opcode, len(payload)), payload...)
}

// closeFrame returns a close frame (RFC 6455, section 5.5.1).
func closeFrame(code int, reason string) []byte {
	payload := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(reason)), uint16(code))
	return appendFrame(nil, frameClose, append(payload, reason[:min(len(reason), 123)]...))
}
