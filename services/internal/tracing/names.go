package tracing

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/cloud-pixel/playground/services/canvas"
)

// Names of spans.
const (
	NameDraw       = "draw"
	NameSend       = "send " + destination
	NameProcess    = "process " + destination
	NameCheckpoint = "checkpoint"

	destination = "pixel-updates"
)

// Keys of attributes that are this system's own. Colours, places and names are
// not among them: what people draw is no concern of telemetry.
const (
	// KeyCanvas is the id of the canvas.
	KeyCanvas = attribute.Key("pixel.canvas")
	// KeyFirst and KeyLast are the positions of the first and the last operation
	// that a span is about, within the canvas's epoch.
	KeyFirst = attribute.Key("pixel.seq.first")
	KeyLast  = attribute.Key("pixel.seq.last")
	// KeyPixels is how many pixels an operation paints.
	KeyPixels = attribute.Key("pixel.pixels")
	// KeyNumber is the number that the client gave to its operation.
	KeyNumber = attribute.Key("pixel.operation.number")
	// KeyDuplicate: the log held the operation before this append.
	KeyDuplicate = attribute.Key("pixel.duplicate")
	// KeyAcknowledged is the position that the client was told: its operation is
	// there or before.
	KeyAcknowledged = attribute.Key("pixel.seq.acknowledged")
	// KeyAppended is how many operations of a batch were new to the log.
	KeyAppended = attribute.Key("pixel.appended")
	// KeyRecipients is to how many connections of this gateway everything up to
	// KeyLast was written when the span ended; KeyBehind, how many had full
	// sockets and get it later.
	KeyRecipients = attribute.Key("pixel.recipients")
	KeyBehind     = attribute.Key("pixel.recipients.behind")
	// KeySource is where an entry was read: live or log.
	KeySource = attribute.Key("pixel.source")
	// KeyOperations is how many operations a checkpoint covers that the one
	// before did not.
	KeyOperations = attribute.Key("pixel.operations")
	// KeyOutcome is what became of a handshake, as in pixel_handshakes_total;
	// KeyResumption, how a returning client gets what it missed, as in
	// pixel_resumes_total; KeyCodec, the codec that was agreed on.
	KeyOutcome    = attribute.Key("pixel.outcome")
	KeyResumption = attribute.Key("pixel.resumption")
	KeyCodec      = attribute.Key("pixel.codec")
	// KeyUnlinked is how many sampled operations have no link because of
	// MaxLinks.
	KeyUnlinked = attribute.Key("pixel.links.dropped")
)

// MaxLinks bounds the links of one span. A batch may have 512 operations.
const MaxLinks = 64

// Sources of an entry.
const (
	Live = "live" // the channel
	Log  = "log"  // read after a live message was missing
)

// Decide tells whether an operation is sampled whose client gave the context
// parent (or none), and in which trace. It must not allocate.
type Decide func(parent canvas.Trace) (trace.TraceID, bool)

// Covered is what a checkpoint covers.
type Covered struct {
	// First and Last are the positions after the checkpoint before, and of this
	// one.
	First, Last uint64
	// Sampled are the contexts of sampled operations among them, and Dropped how
	// many more there were.
	Sampled []canvas.Trace
	Dropped int
}
