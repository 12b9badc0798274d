package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// Codec is how messages are written on the wire.
type Codec int

const (
	// Binary is the compact codec: strokes of many pixels in one operation,
	// snapshots over the socket.
	Binary Codec = iota
	// JSON is the original's codec: one pixel in an operation, the picture by
	// REST.
	JSON
)

// String returns "binary" or "json".
func (c Codec) String() string {
	if c == JSON {
		return "json"
	}
	return "binary"
}

// Defaults of [Options].
const (
	DefaultMaxOutbox   = 1024
	DefaultReadLimit   = 1 << 20
	DefaultIdleTimeout = 75 * time.Second
	DefaultMaxBuffered = 1 << 16
	DefaultMaxAge      = 12 * time.Hour
)

// Options of a client. Only URLs is required.
type Options struct {
	// URLs of gateways, ws:// or wss://. Each attempt takes the next one; the
	// first is chosen at random.
	URLs []string
	// Canvas is the id of the canvas; empty means the gateway's default.
	Canvas string
	// Codec of the connection.
	Codec Codec
	// Name to show, trimmed and cut to canvas.MaxName characters; empty stays
	// anonymous.
	Name string

	// Session owns the client's operations; zero means a fresh one. Two
	// clients must not use one at the same time: the newer replaces the older,
	// which ends with [ErrReplaced].
	Session protocol.Session
	// LastOp is the last number that the session has used before, so that a
	// session can be continued.
	LastOp uint64
	// Anonymous is the way of the original's clients: no session, no numbers,
	// no acknowledgements. What was written to a socket is never sent again.
	Anonymous bool

	// NoResume makes each connection a fresh one that claims no position.
	NoResume bool
	// StepOverGaps makes the client a witness: what is missing is counted
	// ([Stats.Missing]) and left missing, the connection stays, and what comes
	// late is counted and not drawn. So one sees what a gateway sent on a
	// connection, not what a client makes of it; the picture is no longer to
	// be trusted once something was missing.
	StepOverGaps bool
	// NoGrid keeps no picture: pixels are counted and handed to OnUpdate, but
	// not drawn. Without it, a binary client keeps one, and a JSON client does
	// when it has API or Load.
	NoGrid bool
	// API is the base URL of the REST service, from which a JSON client loads
	// the picture. Without it (and Load) the client follows positions only.
	API string
	// Load replaces the loading by REST: it returns the picture and its
	// position. It is called from a goroutine of the client, with a context
	// that ends with the connection.
	Load func(ctx context.Context) (*canvas.Frozen, canvas.Position, error)
	// HTTPClient for REST; nil means http.DefaultClient.
	HTTPClient *http.Client

	// Backoff between attempts to connect.
	Backoff Backoff
	// Rand gives uniform numbers in [0, 1) for all jitter and for the choice
	// of the first URL; nil means math/rand/v2. It may be called from several
	// goroutines at once.
	Rand func() float64
	// Trace gives the trace context that travels with an operation. It is
	// called by Draw with its context.
	Trace func(context.Context) canvas.Trace

	// MaxOutbox is the greatest number of operations that are kept until they
	// are acknowledged.
	MaxOutbox int
	// MaxAge is the age after which an operation that was ever sent is given
	// up instead of being sent again: sessions are forgotten a day after their
	// last operation, and then the log could not tell a repetition any more.
	MaxAge time.Duration
	// MaxBuffered is the greatest number of updates that are kept while a
	// picture is on its way; beyond, the connection is renewed.
	MaxBuffered int
	// ReadLimit is the greatest size of a message in bytes.
	ReadLimit int64
	// IdleTimeout is how long a gateway may be silent (it pings every 30 s
	// unless configured otherwise) before the connection counts as lost;
	// negative means for ever.
	IdleTimeout time.Duration
	// Header goes with the upgrade request, for example Origin.
	Header http.Header
	// Dialer opens connections; nil means one with small buffers that all
	// clients of the process share. Its Subprotocols are not used.
	Dialer *websocket.Dialer

	// OnUpdate is called for each update that was applied.
	OnUpdate func(Update)
	// OnAck is called for each operation that an acknowledgement takes out of
	// the outbox.
	OnAck func(Acked)
	// OnRefused is called for each refusal and each error that the gateway
	// reports.
	OnRefused func(Refused)
	// OnState is called when the state changes.
	OnState func(State)
	// OnConnected is called when a gateway's first message has come.
	OnConnected func(Connection)
	// OnDisconnect is called when an established connection ends other than by
	// Close: with its close code, 1006 when it broke, 1002 when the client
	// dropped it because of what it received.
	OnDisconnect func(code int, reason string)
	// OnResume is called when the client has all that it missed while it was
	// away.
	OnResume func(Recovery)
	// OnPresence is called with who is on the canvas.
	OnPresence func(protocol.Presence)
}

// sharedDialer keeps little memory for a connection: the read buffer holds a
// few small updates (large messages bypass it), and write buffers are lent for
// the duration of one message.
var sharedDialer = websocket.Dialer{
	NetDialContext:   (&net.Dialer{KeepAlive: -1}).DialContext, // gateways ping
	Proxy:            http.ProxyFromEnvironment,
	HandshakeTimeout: 10 * time.Second,
	ReadBufferSize:   1 << 10,
	WriteBufferSize:  4 << 10,
	WriteBufferPool:  &sync.Pool{},
}

// Validate tells what is wrong with the options, in clear words.
func (o *Options) Validate() error {
	var errs []error
	if len(o.URLs) == 0 {
		errs = append(errs, errors.New("client: Options.URLs is empty"))
	}
	for _, text := range o.URLs {
		u, err := url.Parse(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("client: Options.URLs: %w", err))
		} else if u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
			errs = append(errs, fmt.Errorf("client: Options.URLs: %q is not of the form ws://host or wss://host", text))
		}
	}
	if o.Canvas != "" {
		if err := canvas.CheckID(o.Canvas); err != nil {
			errs = append(errs, fmt.Errorf("client: Options.Canvas: %w", err))
		}
	}
	if o.Codec != Binary && o.Codec != JSON {
		errs = append(errs, fmt.Errorf("client: Options.Codec: unknown codec %d", int(o.Codec)))
	}
	if _, ok := protocol.CleanName(o.Name, true); !ok {
		errs = append(errs, ErrName)
	}
	if o.API != "" {
		if u, err := url.Parse(o.API); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			errs = append(errs, fmt.Errorf("client: Options.API: %q is not of the form http://host or https://host", o.API))
		}
	}
	if o.MaxOutbox < 0 || o.MaxAge < 0 || o.MaxBuffered < 0 || o.ReadLimit < 0 {
		errs = append(errs, errors.New("client: Options: a limit is negative"))
	}
	if o.LastOp > protocol.MaxNumber {
		errs = append(errs, errors.New("client: Options.LastOp is over the greatest number of an operation"))
	}
	return errors.Join(append(errs, o.Backoff.validate())...)
}

// withDefaults returns a copy that is independent of the caller's and has all
// defaults filled in.
func (o Options) withDefaults() Options {
	o.URLs = slices.Clone(o.URLs)
	o.Header = o.Header.Clone()
	o.Name, _ = protocol.CleanName(o.Name, true)
	o.API = strings.TrimRight(o.API, "/")
	if o.Session == (protocol.Session{}) && !o.Anonymous {
		o.Session = protocol.NewSession()
	}
	if o.MaxOutbox == 0 {
		o.MaxOutbox = DefaultMaxOutbox
	}
	if o.MaxAge == 0 {
		o.MaxAge = DefaultMaxAge
	}
	if o.MaxBuffered == 0 {
		o.MaxBuffered = DefaultMaxBuffered
	}
	if o.ReadLimit == 0 {
		o.ReadLimit = DefaultReadLimit
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = DefaultIdleTimeout
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	if o.HTTPClient == nil {
		o.HTTPClient = http.DefaultClient
	}
	o.Backoff = o.Backoff.withDefaults()
	dialer := sharedDialer
	if o.Dialer != nil {
		dialer = *o.Dialer
	}
	dialer.Subprotocols = nil
	if o.Codec == Binary {
		dialer.Subprotocols = []string{protocol.Subprotocol}
	}
	o.Dialer = &dialer
	return o
}
