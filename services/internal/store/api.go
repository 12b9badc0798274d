package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// Errors that callers tell apart. Whatever else a method returns (a time-out,
// a lost connection) leaves open whether a write took place.
var (
	// ErrNotFound: the canvas has no meta: never created, or lost with the
	// rest of Redis.
	ErrNotFound = errors.New("store: no such canvas")
	// ErrTrimmed: the log no longer reaches back to the asked position.
	ErrTrimmed = errors.New("store: the log is trimmed behind this position")
	// ErrLogFull: the log is at its cap and waits for a checkpoint; nothing
	// was appended. The [Appended] beside it tells what the log holds already.
	ErrLogFull = errors.New("store: the log is full")
	// ErrRejected: Redis answered the write with an error, so it certainly did
	// not take place.
	ErrRejected = errors.New("store: Redis rejected the write")
	// ErrUnavailable: Redis answered that it cannot take the command now (it
	// loads its data, is a replica, has lost its disk …), so it certainly did
	// not take place. Later it may.
	ErrUnavailable = errors.New("store: Redis is not available")
	// ErrUnusable: Redis is reachable, but configured so that it may drop
	// canvases.
	ErrUnusable = errors.New("store: Redis must not be used as it is configured")
	// ErrMalformed: a log entry, live message or checkpoint of a known version
	// that cannot be decoded.
	ErrMalformed = errors.New("store: malformed record")
	// ErrVersion: a log entry, live message or checkpoint of a version that
	// this release does not know. It must never be skipped, for the picture
	// would be another from there on.
	ErrVersion = errors.New("store: record of an unknown version")
	// ErrCorrupt: a checkpoint whose checksums do not fit.
	ErrCorrupt = errors.New("store: checkpoint is corrupt")
	// ErrConflict: a checkpoint was not written because another one was
	// written meanwhile, or the epoch is another.
	ErrConflict = errors.New("store: the checkpoint has changed meanwhile")
	// ErrInvalid: the arguments of the call break its rules; Redis was not
	// asked.
	ErrInvalid = errors.New("store: invalid argument")
	// ErrTooMany: the maximum number of canvases exists already.
	ErrTooMany = errors.New("store: too many canvases")
)

// StaleError tells that the caller's epoch is not (or no longer) the
// canvas's. Nothing was appended. Current is where the log is now.
type StaleError struct{ Current canvas.Position }

func (e *StaleError) Error() string {
	return fmt.Sprintf("store: stale epoch; the canvas is at %v", e.Current)
}

// Meta is what Redis keeps about a canvas for good.
type Meta struct {
	Spec    canvas.Spec
	Epoch   canvas.Epoch
	Created time.Time
}

// AppendOp is an operation on its way to the log. Op.Author and Op.Number are
// what makes it appear there at most once; Op.Author must be Session.Author().
type AppendOp struct {
	Session protocol.Session
	// TTL of the session after this append.
	TTL time.Duration
	Op  canvas.Op
	// Encoded, when not nil, is what EncodeOp gave for Op: callers that retry
	// or measure a batch encode once.
	Encoded []byte
}

// Limits of one Append.
const (
	MaxBatchOps   = 512
	MaxBatchBytes = 256 << 10 // of Encoded, summed up
)

// SessionState is the last operation of a session that the log holds.
type SessionState struct{ Number, Seq uint64 }

// Appended is the outcome of an Append.
type Appended struct {
	// Epoch and Head: the position after the append.
	Position canvas.Position
	// First is the position of the first operation that was appended by this
	// call, and Count their number: 0 when all were there already.
	First uint64
	Count int
	// Time is the log's time of this append, ms since the Unix epoch.
	Time int64
	// Sessions tells for each session of the batch its last operation after
	// the call, duplicates included.
	Sessions map[protocol.Session]SessionState
}

// Checkpoint is a stored picture of a canvas at a position.
type Checkpoint struct {
	Position canvas.Position
	Time     int64 // of the log's entry at Position, ms since the Unix epoch
	Grid     *canvas.Frozen
}

// EventKind tells what a [Event] is.
type EventKind uint8

// Events of a subscription.
const (
	// Confirmed: Redis has (re)confirmed the subscription. Whatever was
	// published before may be missing: compare with the head of the log.
	Confirmed EventKind = iota + 1
	// Live: Entry was published. Entries may come late, twice or not at all.
	Live
	// Lost: the connection of the subscription broke; it is being renewed.
	Lost
	// Unreadable: a message that cannot be decoded (Err, which may wrap
	// ErrVersion).
	Unreadable
)

// Event is what a subscription delivers.
type Event struct {
	Kind  EventKind
	Entry *canvas.Entry
	At    time.Time // when the entry arrived
	Err   error
}

// PodUsers is what a gateway tells the others about its connections to one
// canvas.
type PodUsers struct {
	// Count of connections, anonymous ones included.
	Count int `json:"n"`
	// Users with a name; capped by the writer.
	Users []protocol.User `json:"u,omitempty"`
}

// Pod is a gateway that gave a heartbeat lately.
type Pod struct {
	Name string
	// Canvases by id, as the gateway last told them.
	Canvases map[string]PodUsers
}
