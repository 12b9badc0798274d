package gateway_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// rawConn is a TCP connection on which tests write frames by hand: what no
// WebSocket library would send.
type rawConn struct {
	net.Conn
	r      *bufio.Reader
	binary bool
	joined uint64 // position of the log when it joined
}

// dialRaw sends a handshake with further header lines and returns what is
// answered to it.
func dialRaw(t *testing.T, g *running, path string, lines ...string) (*rawConn, *http.Response) {
	t.Helper()
	request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", path, g.addr)
	for _, line := range lines {
		request += line + "\r\n"
	}
	return ask(t, g, request+"\r\n")
}

// ask sends any bytes and reads the answer to a request.
func ask(t *testing.T, g *running, request string) (*rawConn, *http.Response) {
	t.Helper()
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	c := &rawConn{Conn: conn, r: bufio.NewReader(conn)}
	response, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatalf("no answer to %q: %v", request, err)
	}
	c.binary = response.Header.Get("Sec-WebSocket-Protocol") == protocol.Subprotocol
	return c, response
}

// First bytes of frames: FIN and opcode (RFC 6455, section 5.2).
const (
	textFrame   = 0x81
	binaryFrame = 0x82
	closeFrame  = 0x88
	pingFrame   = 0x89
	pongFrame   = 0x8A
)

// frame makes a client's frame, masked as it must be.
func frame(first byte, payload string) string {
	key := [4]byte{0x12, 0x34, 0x56, 0x78}
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, key[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^key[i%4])
	}
	return string(b)
}

func text(payload string) string { return frame(textFrame, payload) }

// next reads one frame of the gateway.
func (c *rawConn) next() (first byte, payload []byte, err error) {
	var header [2]byte
	if _, err := io.ReadFull(c.r, header[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(header[1])
	switch header[1] {
	case 126:
		var b [2]byte
		_, err = io.ReadFull(c.r, b[:])
		n = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		_, err = io.ReadFull(c.r, b[:])
		n = binary.BigEndian.Uint64(b[:])
	}
	if err != nil || n > 16<<20 {
		return 0, nil, fmt.Errorf("frame of %d bytes: %w", n, err)
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(c.r, payload)
	return header[0], payload, err
}

// badColor is the colour in which these tests draw; nobody else uses it.
const badColor canvas.Color = 0x0BAD00

// endMark is the payload of the ping that ends a case.
const endMark = "end"

// answers sends the bytes of a case and then a ping, and returns what is
// answered, in a short form: errors as they stand, "ack n", "pong",
// "drawn x,y by name" for what appears on the canvas, "close n". Greeting,
// presence and what others draw are left out. least is how many answers are
// expected: those that come by way of the log may come after the ping's.
func (c *rawConn) answers(t *testing.T, send string, least int) []string {
	t.Helper()
	got := make([]string, 0, least)
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, send+frame(pingFrame, endMark)); err != nil {
		got = append(got, "broken: "+err.Error())
	}
	for ended := false; !ended || len(got) < least; {
		first, payload, err := c.next()
		switch {
		case err != nil:
			return append(got, "end")
		case first == closeFrame:
			code := 0
			if len(payload) >= 2 {
				code = int(binary.BigEndian.Uint16(payload))
			}
			return append(got, fmt.Sprint("close ", code))
		case first == pongFrame && string(payload) == endMark:
			ended = true
		case first == pongFrame:
			got = append(got, fmt.Sprintf("pong %q", payload))
		case first == textFrame && !c.binary:
			got = append(got, c.shortJSON(t, payload)...)
		case first == binaryFrame && c.binary:
			got = append(got, c.shortBinary(t, payload)...)
		case first != pingFrame:
			t.Errorf("unexpected frame %#x %q", first, payload)
		}
	}
	return got
}

func (c *rawConn) shortJSON(t *testing.T, payload []byte) []string {
	m, err := protocol.DecodeServerJSON(payload)
	if err != nil || m == nil {
		t.Errorf("the gateway sent %s: %v", payload, err)
	}
	if _, is := m.(protocol.Error); is {
		return []string{string(payload)}
	}
	return c.shortMessage(m)
}

func (c *rawConn) shortBinary(t *testing.T, payload []byte) (got []string) {
	if err := protocol.DecodeServerBinary(payload, func(m protocol.ServerMessage) error {
		got = append(got, c.shortMessage(m)...)
		return nil
	}); err != nil {
		t.Errorf("the gateway sent % x: %v", payload, err)
	}
	return got
}

func (c *rawConn) shortMessage(m protocol.ServerMessage) (got []string) {
	switch m := m.(type) {
	case protocol.Connected:
		c.joined = m.Position.Seq
	case protocol.Error:
		return []string{fmt.Sprintf("%v %d", m.Code, m.Number)}
	case protocol.Ack:
		return []string{fmt.Sprint("ack ", m.Number)}
	case protocol.Pong:
		return []string{"pong"}
	case protocol.PixelUpdated:
		if m.Pixel.Color == badColor {
			return []string{fmt.Sprintf("drawn %d,%d by %s", m.Pixel.X, m.Pixel.Y, m.Name)}
		}
	case protocol.Updates:
		for i, o := range m.Ops {
			if m.First+uint64(i) <= c.joined {
				continue // the picture that it got was a little older
			}
			for _, p := range o.Pixels {
				if p.Color == badColor {
					got = append(got, fmt.Sprintf("drawn %d,%d", p.X, p.Y))
				}
			}
		}
	}
	return got
}

// refusal is the exact text of an error in the JSON protocol.
func refusal(code protocol.Code, op uint64) string {
	b, err := json.Marshal(code.Message())
	if err != nil {
		panic(err)
	}
	text := fmt.Sprintf(`{"type":"error","message":%s,"code":"%s"`, b, code)
	if op != 0 {
		text += fmt.Sprintf(`,"op":%d`, op)
	}
	return text + "}"
}

// codeOf returns the code that an answer names, or "".
func codeOf(answer string) string {
	if _, rest, ok := strings.Cut(answer, `"code":"`); ok {
		code, _, _ := strings.Cut(rest, `"`)
		return code
	}
	word, number, _ := strings.Cut(answer, " ")
	for _, c := range protocol.Codes() {
		if c.String() == word && number != "" {
			return word
		}
	}
	return ""
}
