package protocol

// Subprotocol names the binary codec in Sec-WebSocket-Protocol. Without it a
// connection speaks JSON.
const Subprotocol = "pixel.v1"

// Close codes that a gateway sends. Those above 4000 are the project's own.
const (
	CloseNormal      = 1000
	CloseGoingAway   = 1001
	CloseProtocol    = 1002
	ClosePolicy      = 1008 // repeated abuse
	CloseTooBig      = 1009 // message over the size limit
	CloseInternal    = 1011
	CloseRestart     = 1012 // drain or rebalance; the reason is "retry=<ms>"
	CloseNotFound    = 4404 // no such canvas
	CloseSlow        = 4408 // did not read what was sent
	CloseReplaced    = 4409 // a newer connection has the same session
	CloseUnavailable = 4503 // the canvas cannot be served now
)

// Code says why something was refused. The values of the binary codec and the
// names of the JSON codec never change.
type Code uint8

// Permanent refusals are a function of message and canvas alone: sending the
// same again never helps, and the operation's number is used up. Transient
// ones (see [Code.Transient]) are go-back-N: everything after the refused
// operation is refused too until that one comes again.
const (
	CodeInvalidFormat Code = 1  // not a message
	CodeUnknownType   Code = 2  // a message of no known type
	CodeInvalidPixel  Code = 3  // an operation that is not well-formed
	CodeOutOfBounds   Code = 4  // a pixel outside the canvas
	CodeInvalidName   Code = 5  // a name that is too long or has control characters
	CodeInvalidHello  Code = 6  // hello that is malformed, repeated or after an operation
	CodeUnsupported   Code = 7  // reserved message that this server does not serve
	CodeRateLimited   Code = 16 // transient: over the connection's rate
	CodeBusy          Code = 17 // transient: too much is queued, or Redis refused the write
	CodeDegraded      Code = 18 // transient: Redis is away and the queue is full
	CodeDraining      Code = 19 // transient: this gateway is going away
	CodeLogFull       Code = 20 // transient: the log waits for its checkpoint
)

var codeNames = map[Code]string{
	CodeInvalidFormat: "invalid_format",
	CodeUnknownType:   "unknown_type",
	CodeInvalidPixel:  "invalid_pixel",
	CodeOutOfBounds:   "out_of_bounds",
	CodeInvalidName:   "invalid_name",
	CodeInvalidHello:  "invalid_hello",
	CodeUnsupported:   "unsupported",
	CodeRateLimited:   "rate_limited",
	CodeBusy:          "busy",
	CodeDegraded:      "degraded",
	CodeDraining:      "draining",
	CodeLogFull:       "log_full",
}

var codesByName = func() map[string]Code {
	m := make(map[string]Code, len(codeNames))
	for c, n := range codeNames {
		m[n] = c
	}
	return m
}()

// Codes returns all codes, for counters that want their children early.
func Codes() []Code {
	all := make([]Code, 0, len(codeNames))
	for c := range codeNames {
		all = append(all, c)
	}
	return all
}

// String returns the name of the code in the JSON codec.
func (c Code) String() string {
	if n, ok := codeNames[c]; ok {
		return n
	}
	return "unknown"
}

// Transient tells whether the same operation may succeed later.
func (c Code) Transient() bool { return c >= CodeRateLimited }

// Message is the text that goes with the code; the first two are the
// original's and must not change.
func (c Code) Message() string {
	switch c {
	case CodeInvalidFormat:
		return "Invalid message format"
	case CodeInvalidPixel, CodeOutOfBounds, CodeInvalidName:
		return "Invalid pixel data"
	case CodeUnknownType:
		return "Unknown message type"
	case CodeInvalidHello:
		return "Invalid hello"
	case CodeUnsupported:
		return "Message type not supported by this server"
	case CodeRateLimited:
		return "Too many operations, slow down"
	case CodeBusy:
		return "Server busy, try again"
	case CodeDegraded:
		return "Storage is away, try again"
	case CodeDraining:
		return "Server is going away, reconnect"
	case CodeLogFull:
		return "The canvas is full for the moment, try again"
	}
	return "Error"
}
