package client

import (
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// State is what a client's connection is doing.
type State int

// States of a client.
const (
	Offline    State = iota // no connection: before Start, between attempts, at the end
	Connecting              // an attempt is under way
	Live                    // connected
	Degraded                // connected, but the gateway's store is away: nothing moves
	Draining                // connected to a gateway that will close soon
)

// String returns the state in lower case.
func (s State) String() string {
	switch s {
	case Offline:
		return "offline"
	case Connecting:
		return "connecting"
	case Live:
		return "live"
	case Degraded:
		return "degraded"
	case Draining:
		return "draining"
	}
	return "unknown"
}

// Update is what changed the picture: the positions (Prev, Seq] of the log.
type Update struct {
	Prev, Seq uint64
	// Time that the log gave it, ms since the Unix epoch; 0 when not told.
	Time int64
	// Arrived is when its frame had been read.
	Arrived time.Time

	// Ops are the operations Prev+1 … Seq one by one (binary codec only). They
	// are shared and must not be changed. An author's tag has its lower half
	// only; compare with [Client.Author].
	Ops []canvas.Op

	// Without Ops, an update has the effect of its operations: a reset to
	// ResetTo, if Reset, then each of the Cells. In the JSON codec that is one
	// pixel, and an operation of many pixels comes as several updates with the
	// same Prev and Seq.
	Reset   bool
	ResetTo canvas.Color
	Cells   []protocol.Cell

	// Picture says that the picture was replaced as a whole, by a snapshot or
	// by REST; [Client.Grid] has it. Prev is 0.
	Picture bool

	// Late says that the update fills a gap that was stepped over: it was not
	// drawn (Options.StepOverGaps).
	Late bool

	complete bool // nothing more follows for Seq
}

// Connection is one that has been made.
type Connection struct {
	// Pod is the name of the gateway.
	Pod string
	// Position behind which everything will come, unless a picture is due
	// first: then everything behind that.
	Position canvas.Position
	// Took is the time from the beginning of the attempt to the gateway's
	// first message.
	Took time.Duration
}

// Acked is an operation that is in the log.
type Acked struct {
	Op  uint64
	Seq uint64 // the log holds it at or before this position
	// Drawn is when Draw took it, Sent when it was first handed to a socket,
	// Arrived when the acknowledgement had been read.
	Drawn, Sent, Arrived time.Time
	// Sends is how many times it was sent.
	Sends int
}

// Refused is an operation that was refused, or another error that the gateway
// reported.
type Refused struct {
	// Op is 0 when the error is about no numbered operation.
	Op         uint64
	Code       protocol.Code
	Message    string
	RetryAfter time.Duration // for transient codes
	// Final says that the operation has left the outbox; otherwise it will be
	// sent again.
	Final bool
	// Expired says that no gateway refused it: it was sent long ago, the
	// outcome is unknown, and sending it again could draw it twice.
	Expired bool
}

// RecoveryKind is how a client that returned got what it missed.
type RecoveryKind int

// Kinds of recovery.
const (
	// Continued: the gateway went on from the client's position, and did not
	// tell where it has what the client missed; those of earlier releases do
	// not.
	Continued RecoveryKind = iota + 1
	// FromMemory: as Continued, from the gateway's recent history.
	FromMemory
	// FromLog: as Continued, from the log, which the gateway has read for it.
	FromLog
	// Snapshot: the gateway sent the whole picture.
	Snapshot
	// Reloaded: the client loaded the whole picture by REST.
	Reloaded
	// Skipped: the client follows positions only and nothing could be
	// continued, so it went on at the gateway's position.
	Skipped
)

// WentOn tells whether the gateway went on from the client's position, wherever
// it had the rest.
func (k RecoveryKind) WentOn() bool { return k == Continued || k == FromMemory || k == FromLog }

// wentOn is the kind that connected tells of.
func wentOn(from protocol.Source) RecoveryKind {
	switch from {
	case protocol.FromMemory:
		return FromMemory
	case protocol.FromLog:
		return FromLog
	}
	return Continued
}

// String returns the kind in lower case; memory and log are also what the
// gateways' pixel_resumes_total calls them.
func (k RecoveryKind) String() string {
	switch k {
	case Continued:
		return "continued"
	case FromMemory:
		return "memory"
	case FromLog:
		return "log"
	case Snapshot:
		return "snapshot"
	case Reloaded:
		return "reloaded"
	case Skipped:
		return "skipped"
	}
	return "unknown"
}

// Recovery tells how a client came back.
type Recovery struct {
	Kind RecoveryKind
	// Position from which on it gets everything.
	Position canvas.Position
	// Connect is the time from the loss of the connection to the gateway's
	// first message on a new one, Took the time until the client could go on
	// from Position: the same, unless a picture had to come first.
	Connect, Took time.Duration
}
