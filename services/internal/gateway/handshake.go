package gateway

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/config"
	"github.com/cloud-pixel/playground/services/internal/httpkit"
	"github.com/cloud-pixel/playground/services/internal/hub"
	"github.com/cloud-pixel/playground/services/internal/replica"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/internal/telemetry"
	"github.com/cloud-pixel/playground/services/internal/tracing"
	"github.com/cloud-pixel/playground/services/protocol"
	"github.com/gorilla/websocket"
)

// ServeHTTP upgrades a request to a connection, or says why not.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	refuse := func(outcome string, status int, text string, retryAfter time.Duration) {
		g.metrics.handshakes[outcome].Inc()
		tracing.Note(r.Context(), tracing.KeyOutcome.String(outcome))
		g.lifecycle.Info(r.Context(), "handshake refused", slog.String("outcome", outcome))
		if retryAfter > 0 {
			httpkit.SetRetryAfter(w, retryAfter)
		}
		httpkit.Error(w, status, text)
	}
	if !websocket.IsWebSocketUpgrade(r) {
		if r.URL.Path != "/" && r.URL.Path != "/ws" {
			httpkit.NotFound(w, r)
			return
		}
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		refuse(outcomeBad, http.StatusUpgradeRequired, "This is a WebSocket endpoint", 0)
		return
	}
	if !httpkit.OriginAllowed(r, g.o.Origins) {
		refuse(outcomeOrigin, http.StatusForbidden, "Origin not allowed", 0)
		return
	}
	if !g.enter() {
		refuse(outcomeDraining, http.StatusServiceUnavailable, "This gateway is going away", time.Second)
		return
	}
	defer g.reading.Done()
	release, retryAfter, ok := g.admit(r)
	if !ok {
		refuse(outcomeAddress, http.StatusTooManyRequests, "Too many connections from this address", retryAfter)
		return
	}
	opened := false
	defer func() {
		if !opened {
			release()
		}
	}()
	// A place is taken before the handshake, so that the bound holds when many
	// come at once.
	ofAddress := release
	release = func() { g.places.Add(-1); ofAddress() }
	if n := g.places.Add(1); g.o.MaxConnections > 0 && n > int64(g.o.MaxConnections) {
		refuse(outcomeFull, http.StatusServiceUnavailable, "This gateway is full", time.Second)
		return
	}
	id, since, err := query(r)
	if err != nil {
		refuse(outcomeBad, http.StatusBadRequest, err.Error(), 0)
		return
	}

	ctx, cancel := context.WithTimeout(r.Context(), g.o.HandshakeTimeout)
	defer cancel()
	held, err := g.pool.Get(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		g.metrics.handshakes[outcomeNotFound].Inc()
		tracing.Note(r.Context(), tracing.KeyOutcome.String(outcomeNotFound))
		g.upgradeToClose(w, r, protocol.CloseNotFound, "no such canvas")
		return
	case err != nil:
		refuse(outcomeNotReady, http.StatusServiceUnavailable, "The canvas cannot be served now", time.Second)
		return
	}
	defer func() {
		if !opened {
			held.Release()
		}
	}()
	room := held.Attached.(*room)
	how := hub.Fresh
	if since != nil {
		if how = room.prepare(ctx, *since); how == hub.FromScratch {
			since = &canvas.Position{} // of no epoch: cannot be resumed from
		}
	}

	ws, socket, err := g.upgrade(w, r)
	if err != nil {
		g.metrics.handshakes[outcomeFailed].Inc()
		tracing.Note(r.Context(), tracing.KeyOutcome.String(outcomeFailed))
		return // the library has answered
	}
	opened = true
	g.metrics.handshakes[outcomeOpened].Inc()
	telemetry.ObserveContext(r.Context(), g.metrics.handshake, time.Since(start).Seconds())
	codec := "json"
	if ws.Subprotocol() == protocol.Subprotocol {
		codec = "binary"
	}
	tracing.Note(r.Context(), tracing.KeyOutcome.String(outcomeOpened), tracing.KeyCanvas.String(room.canvas.ID),
		tracing.KeyResumption.String(string(how)), tracing.KeyCodec.String(codec))
	done := func() {
		held.Release()
		release()
	}
	// A goroutine of its own lets go of what net/http holds for a request.
	g.reading.Add(1)
	go g.serve(tracing.Detach(r.Context()), room, ws, socket, since, how, done)
}

// sources are what connected tells of where the client goes on from.
var sources = map[hub.Resumption]protocol.Source{hub.FromMemory: protocol.FromMemory, hub.FromLog: protocol.FromLog}

// query reads the canvas and the position that a returning client holds.
func query(r *http.Request) (id string, since *canvas.Position, err error) {
	q := r.URL.Query()
	if id = q.Get("canvas"); id == "" {
		id = config.MainCanvas
	}
	if !q.Has("since") && !q.Has("epoch") {
		return id, nil, nil
	}
	epoch, err := canvas.ParseEpoch(q.Get("epoch"))
	if err != nil {
		return "", nil, errors.New("Invalid epoch")
	}
	seq, err := strconv.ParseUint(q.Get("since"), 10, 53)
	if err != nil {
		return "", nil, errors.New("Invalid since")
	}
	return id, &canvas.Position{Epoch: epoch, Seq: seq}, nil
}

// admit counts the connection against the limits of its address.
func (g *Gateway) admit(r *http.Request) (release func(), retryAfter time.Duration, ok bool) {
	release = func() {}
	if !httpkit.LimitsApply(r, g.o.TrustedProxies) {
		return release, 0, true
	}
	addr := httpkit.ClientIP(r, g.o.TrustedProxies)
	if g.rate != nil {
		if ok, wait := g.rate.Allow(addr); !ok {
			return nil, wait, false
		}
	}
	if g.perAddress != nil {
		if release, ok = g.perAddress.Acquire(addr); !ok {
			return nil, time.Second, false
		}
	}
	return release, 0, true
}

func (g *Gateway) upgrade(w http.ResponseWriter, r *http.Request) (*websocket.Conn, *socket, error) {
	u := websocket.Upgrader{
		HandshakeTimeout: g.o.HandshakeTimeout,
		ReadBufferSize:   512,
		WriteBufferPool:  g.writeBuffers,
		Subprotocols:     []string{protocol.Subprotocol},
		CheckOrigin:      func(*http.Request) bool { return true }, // checked before
		Error: func(w http.ResponseWriter, _ *http.Request, status int, reason error) {
			httpkit.Error(w, status, reason.Error())
		},
	}
	h := &hijacker{ResponseWriter: w}
	ws, err := u.Upgrade(h, r, nil)
	if err != nil {
		return nil, nil, err
	}
	return ws, h.socket, nil
}

// upgradeToClose completes the handshake only to tell why there is no
// connection: a page cannot see the status of a refused one.
func (g *Gateway) upgradeToClose(w http.ResponseWriter, r *http.Request, code int, reason string) {
	ws, socket, err := g.upgrade(w, r)
	if err != nil {
		return
	}
	deadline := time.Now().Add(time.Second)
	_ = ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), deadline)
	g.reading.Add(1)
	go func() {
		defer g.reading.Done()
		socket.linger(time.Second)
	}()
}

// serve is the life of a connection. ctx has the handshake's span, for the log.
func (g *Gateway) serve(ctx context.Context, r *room, ws *websocket.Conn, s *socket, since *canvas.Position, how hub.Resumption, done func()) {
	defer g.reading.Done()
	defer done()
	defer func() { _ = s.Close() }()
	codec := hub.Original
	binary := ws.Subprotocol() == protocol.Subprotocol
	switch {
	case binary:
		codec = hub.Binary
	case since != nil:
		codec = hub.JSON
	}
	var random [6]byte
	_, _ = rand.Read(random[:]) // never fails
	id := fmt.Sprintf("client_%d_%s", s.opened.UnixMilli(), hex.EncodeToString(random[:]))
	out := hub.NewConn(s, codec)
	c := newConn(g, r, ws, s, out, binary, id)
	s.conn.Store(out) // from here on only the hub writes
	g.open.Add(1)
	g.metrics.connections.Inc()
	_, author := c.user()
	var joined hub.Resumption
	r.join(out, since, func(at canvas.Position, by hub.Resumption) protocol.ServerMessage {
		joined = by
		if by == hub.FromMemory && how == hub.FromLog {
			joined = hub.FromLog // memory has it because the log was read for this client
		}
		return protocol.Connected{
			ClientID: id, Pod: g.o.Pod, Canvas: r.canvas.ID, Spec: c.spec, Position: at, Author: uint32(author), Resumed: sources[joined],
		}
	})
	r.add(c) // not before: whoever finds it there may close it, through the hub
	if joined != hub.Fresh {
		g.metrics.resumes[joined].Inc()
	}
	kind := "json"
	if binary {
		kind = "binary"
	}
	g.lifecycle.Info(ctx, "connection opened", slog.String("client", id), slog.String("canvas", r.canvas.ID),
		slog.String("codec", kind), slog.String("resumption", string(joined)))
	if g.closed.Load() {
		c.close(protocol.CloseRestart, "retry=0") // the drain may have missed it
	}

	code := g.readSafely(c)
	if code != 0 && c.closedBy.Load() != 0 {
		out.Answered()
	}

	// A close frame that is still to be written (an answer, or the library's
	// after a violation of the protocol) goes out first.
	if code != 0 || c.closedBy.Load() != 0 {
		select {
		case <-out.Done():
		case <-time.After(time.Second):
		}
	}
	r.hub.Leave(out)
	r.remove(c)
	g.open.Add(-1)
	g.metrics.connections.Dec()
	if by := int(c.closedBy.Load()); by != 0 {
		code = by
	}
	lasted := time.Since(s.opened)
	g.metrics.closed(code, lasted)
	g.lifecycle.Info(ctx, "connection ended", slog.String("client", id), slog.String("canvas", r.canvas.ID),
		slog.Int("code", code), slog.Float64("seconds", lasted.Seconds()))
	if code != 0 {
		s.linger(time.Second)
	}
}

// readSafely reads until the connection ends. A panic is a defect in handling
// what this client sent: it ends this connection, and nobody else's.
func (g *Gateway) readSafely(c *conn) (code int) {
	defer func() {
		if p := recover(); p != nil {
			g.metrics.panics.Inc()
			g.logger.Error("a connection's handler panicked", "client", c.id, "panic", p, "stack", string(debug.Stack()))
			c.close(protocol.CloseInternal, "internal error")
		}
	}()
	return c.read()
}

var _ replica.Observer = (*room)(nil)
