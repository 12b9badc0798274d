package protocol

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cloud-pixel/playground/services/canvas"
)

// MaxNumber is the greatest number of an operation and of a position: what a
// JavaScript number holds exactly.
const MaxNumber = 1<<53 - 1

// Session is the secret that owns a sequence of operations. It is never
// broadcast or logged; its public tag is [Session.Author].
type Session [16]byte

// NewSession returns a fresh random session.
func NewSession() Session {
	var s Session
	_, _ = rand.Read(s[:]) // never fails: see crypto/rand
	return s
}

// ParseSession reads 32 hexadecimal digits.
func ParseSession(text string) (Session, error) {
	var s Session
	if len(text) != 2*len(s) {
		return s, errors.New("protocol: a session has 32 hexadecimal digits")
	}
	if _, err := hex.Decode(s[:], []byte(text)); err != nil {
		return Session{}, errors.New("protocol: a session has 32 hexadecimal digits")
	}
	return s, nil
}

// Hex returns 32 lower-case hexadecimal digits. There is no String method on
// purpose: a session must not reach a log by accident.
func (s Session) Hex() string { return hex.EncodeToString(s[:]) }

const hidden = "[session]"

// Format keeps the secret out of every fmt verb except %p, which never calls
// it (and which vet refuses). Nor does fmt call it for an unexported field of
// a struct that is printed whole: print the parts that are meant.
func (s Session) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// MarshalText keeps the secret out of JSON and other encodings, also as the
// key of a map. What is meant to carry it calls [Session.Hex].
func (s Session) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue keeps the secret out of slog.
func (s Session) LogValue() slog.Value { return slog.StringValue(hidden) }

// Author returns the public tag: the first 8 bytes of
// SHA-256("pixel author" ‖ session), little-endian. The binary codec carries
// its lower 32 bits.
func (s Session) Author() canvas.AuthorID {
	sum := sha256.Sum256(append([]byte("pixel author"), s[:]...))
	return canvas.AuthorID(binary.LittleEndian.Uint64(sum[:8]))
}

// ClientMessage is one of [Hello], [Draw], [SetName], [Ping], [Telemetry],
// [Cursor] and [View].
type ClientMessage interface{ clientMessage() }

type (
	// Hello names the connection's session. It must come before the first
	// operation, at most once. A JSON connection that says hello also takes
	// the newer messages (canvas_reset, resync) instead of the original's.
	Hello struct{ Session Session }

	// Draw is an operation. Number is 0 when the client does not number its
	// operations; then it is never sent again by anybody.
	Draw struct {
		Number uint64
		Pixels []canvas.Pixel
		// Name is the author's name for this operation alone; empty means the
		// one that was set.
		Name  string
		Trace canvas.Trace
	}

	// SetName sets the connection's name; an empty one makes it anonymous.
	SetName struct{ Name string }

	// Ping asks for a [Pong].
	Ping struct{}

	// Telemetry is a client's own measurement: what it measured, who it is, and
	// the time in milliseconds.
	Telemetry struct {
		Measure Measure
		Vantage Vantage
		Millis  uint32
	}

	// Cursor is where the client points; it is not part of the log. Gone: it
	// points nowhere any more.
	Cursor struct {
		X, Y uint16
		Gone bool
	}

	// View is the rectangle of cells that the client shows. From then on it
	// gets the cursors of others that are there.
	View struct{ X, Y, Width, Height uint16 }
)

func (Hello) clientMessage()     {}
func (Draw) clientMessage()      {}
func (SetName) clientMessage()   {}
func (Ping) clientMessage()      {}
func (Telemetry) clientMessage() {}
func (Cursor) clientMessage()    {}
func (View) clientMessage()      {}

// ServerMessage is what a client decodes: one of the types below.
type ServerMessage interface{ serverMessage() }

type (
	// Connected is the first message. Everything after Position will come.
	Connected struct {
		ClientID string
		Pod      string
		Canvas   string
		Spec     canvas.Spec
		Position canvas.Position
		// Author is the tag that this connection's operations carry, as far as
		// it is known; hello changes it.
		Author uint32
		// Resumed tells from where the gateway takes what lies behind the
		// position that the client has claimed; 0 when it does not go on from
		// there, or does not tell.
		Resumed Source
	}

	// Updates is a run of operations with consecutive positions (binary only).
	// Ops carry kind, pixels, colour, the lower half of the author's tag and
	// the number.
	Updates struct {
		First uint64
		Time  int64 // ms since the Unix epoch
		Ops   []canvas.Op
	}

	// PixelUpdated is one pixel of the operation or range (Prev, Seq] (JSON
	// only).
	PixelUpdated struct {
		Pixel     canvas.Pixel
		Name      string
		Time      int64
		Prev, Seq uint64
	}

	// CanvasReset is a reset at Seq (JSON only).
	CanvasReset struct {
		Color     canvas.Color
		Prev, Seq uint64
	}

	// Advanced says that the positions (Prev, Seq] changed nothing (JSON only).
	Advanced struct{ Prev, Seq uint64 }

	// Range has the effect of the operations (Prev, Seq]: the reset, if any,
	// then each changed cell with its last colour.
	Range struct {
		Prev, Seq uint64
		Time      int64
		Reset     bool
		ResetTo   canvas.Color
		Cells     []Cell
	}

	// SnapshotBegin announces the picture at Position in Bands parts. It is
	// applied when all have come.
	SnapshotBegin struct {
		Position canvas.Position
		Spec     canvas.Spec
		Hash     uint64
		Bands    int
	}

	// SnapshotBand is one rectangle of the announced picture. Data is
	// DEFLATE (RFC 1951) over three bytes a cell, row by row.
	SnapshotBand struct {
		Index      int
		X, Y, W, H int
		Data       []byte
	}

	// Resync tells a JSON client to load the canvas by REST again: the updates
	// that follow start at Position.
	Resync struct{ Position canvas.Position }

	// Ack says that every operation of the session up to Number that was not
	// refused by name is in the log at or before Seq.
	Ack struct{ Number, Seq uint64 }

	// Error refuses an operation (Number > 0) or reports another mistake.
	Error struct {
		Code       Code
		Message    string
		Number     uint64
		RetryAfter uint32 // ms; for transient codes
	}

	// Status tells a change of the service's state.
	Status struct{ State State }

	// Presence is who is here, or only how many when IsList is false. JSON
	// splits it in stats and user_list; a decoded message of that codec has
	// Active or Users, not both.
	Presence struct {
		Active int // connections on this canvas, over all gateways
		Users  []User
		Time   int64
		IsList bool // Users is valid
	}

	// Cursors are the places where others point, as far as they have changed
	// and lie in the client's view. Who is Gone points there no more.
	Cursors struct {
		Here []CursorAt
		Gone []uint32 // authors
	}

	// Pong answers Ping.
	Pong struct{ Time int64 }
)

// Cell is a changed cell of a Range with the name of who changed it last
// (the name is not part of the binary codec).
type Cell struct {
	canvas.Pixel
	Name string
}

// User is somebody who set a name.
type User struct {
	Author uint32 // lower half of the author's tag; 0 in JSON
	Name   string
}

// State is what Status tells.
type State uint8

// States of a gateway, as a client sees them.
const (
	Live     State = 1
	Degraded State = 2 // Redis is away: nothing is broadcast or acknowledged
	Draining State = 3 // this gateway will close the connection soon
)

// String returns the JSON name.
func (s State) String() string {
	switch s {
	case Live:
		return "live"
	case Degraded:
		return "degraded"
	case Draining:
		return "draining"
	}
	return "unknown"
}

// Source is where a gateway has what a returning client missed.
type Source uint8

// Sources.
const (
	FromMemory Source = 1 // the gateway's recent history
	FromLog    Source = 2 // the log, which was read for those who come back
)

// String returns the JSON name.
func (s Source) String() string {
	switch s {
	case FromMemory:
		return "memory"
	case FromLog:
		return "log"
	}
	return "unknown"
}

func (Connected) serverMessage()     {}
func (Updates) serverMessage()       {}
func (PixelUpdated) serverMessage()  {}
func (CanvasReset) serverMessage()   {}
func (Advanced) serverMessage()      {}
func (Range) serverMessage()         {}
func (SnapshotBegin) serverMessage() {}
func (SnapshotBand) serverMessage()  {}
func (Resync) serverMessage()        {}
func (Ack) serverMessage()           {}
func (Error) serverMessage()         {}
func (Status) serverMessage()        {}
func (Presence) serverMessage()      {}
func (Cursors) serverMessage()       {}
func (Pong) serverMessage()          {}

// Refusal is the error of a message that cannot be accepted.
type Refusal struct {
	Code Code
	// Number of the operation that is refused, 0 when it has none or it could
	// not be read.
	Number uint64
	// RetryAfter in milliseconds, for transient codes.
	RetryAfter uint32
}

func (r *Refusal) Error() string { return "protocol: refused: " + r.Code.String() }

// CleanName trims a name and checks it: valid UTF-8, no control characters,
// no line or paragraph separators, no bidirectional overrides. With cut, a
// longer name is cut to [canvas.MaxName] characters, else it is refused.
// Markup and quotes are just text.
func CleanName(name string, cut bool) (string, bool) {
	name = strings.TrimSpace(name)
	if !utf8.ValidString(name) {
		return "", false
	}
	n := 0
	for i, r := range name {
		if n == canvas.MaxName {
			if !cut {
				return "", false
			}
			name = strings.TrimSpace(name[:i])
			break
		}
		n++
		if unicode.IsControl(r) || r == 0x2028 || r == 0x2029 || unicode.Is(unicode.Bidi_Control, r) {
			return "", false
		}
	}
	return name, true
}
