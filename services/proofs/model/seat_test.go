package model

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/protocol"
)

// seat is a client with its connection, of which the model decides where it
// goes, whether it lasts and whether it is read.
type seat struct {
	name      string
	codec     client.Codec
	anonymous bool
	*client.Client

	mu       sync.Mutex
	via      int // the gateway that the next connection goes to
	address  func(via int) string
	offline  chan struct{} // closed when it may connect; nil: it may
	conn     *lazyConn
	sights   []sight
	breaches []string
	last     canvas.Position
	acked    map[uint64]uint64 // by number: the position that was told
	refused  map[uint64]protocol.Code

	// Of the model alone.
	drawn []stroke
}

// stroke is an operation that a seat was asked to draw.
type stroke struct {
	mark   canvas.Color
	number uint64 // 0: none
	bad    bool   // to be refused
	after  int    // losses before it was drawn
}

// sight is what a client had at a moment.
type sight struct {
	at    canvas.Position
	hash  uint64
	ops   []canvas.Op // that brought it there, if they came one by one
	first uint64
}

// lazyConn is a connection that is not read for a while.
type lazyConn struct {
	net.Conn
	mu     sync.Mutex
	resume chan struct{} // nil: read on
	once   sync.Once
	closed chan struct{}
}

func (c *lazyConn) Read(b []byte) (int, error) {
	c.mu.Lock()
	resume := c.resume
	c.mu.Unlock()
	if resume != nil {
		select {
		case <-resume:
		case <-c.closed:
		}
	}
	return c.Conn.Read(b)
}

func (c *lazyConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func (c *lazyConn) stall(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case on && c.resume == nil:
		c.resume = make(chan struct{})
	case !on && c.resume != nil:
		close(c.resume)
		c.resume = nil
	}
}

// receiveBuffer is small for the same reason as socketBuffer.
const receiveBuffer = 16 << 10

var dialer = net.Dialer{KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) error {
	var err error
	return errors.Join(c.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, receiveBuffer)
	}), err)
}}

func (s *seat) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	for {
		s.mu.Lock()
		offline, via := s.offline, s.via
		address := s.address(via)
		s.mu.Unlock()
		if offline == nil {
			c, err := dialer.DialContext(ctx, "tcp", address)
			if err != nil {
				return nil, err
			}
			lazy := &lazyConn{Conn: c, closed: make(chan struct{})}
			s.mu.Lock()
			if s.via != via || s.offline != nil { // sent elsewhere meanwhile
				s.mu.Unlock()
				_ = c.Close()
				continue
			}
			s.conn = lazy
			s.mu.Unlock()
			return lazy, nil
		}
		select {
		case <-offline:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// start connects a client. load is where one of the JSON codec gets its
// picture.
func (s *seat) start(load func(context.Context) (*canvas.Frozen, canvas.Position, error)) error {
	o := client.Options{
		URLs: []string{"ws://gateway/ws"}, Codec: s.codec, Anonymous: s.anonymous, Name: s.name,
		Dialer:      &websocket.Dialer{NetDialContext: s.dial, HandshakeTimeout: 10 * time.Second},
		Backoff:     client.Backoff{Min: time.Millisecond, Max: 5 * time.Millisecond, Stable: time.Millisecond},
		IdleTimeout: -1, OnUpdate: s.onUpdate, OnAck: s.onAck, OnRefused: s.onRefused,
	}
	if s.codec == client.JSON {
		o.Load = load
	}
	var err error
	if s.Client, err = client.New(o); err != nil {
		return err
	}
	s.Start(context.Background())
	return nil
}

// onUpdate notes what the client has now.
func (s *seat) onUpdate(u client.Update) {
	if s.codec == client.JSON {
		return // it gets operations in pieces: compared when all is still
	}
	f, at := s.Picture()
	now := sight{at: at, hash: f.Hash()}
	if u.Ops != nil {
		now.ops, now.first = u.Ops, u.Prev+1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if at.Epoch == s.last.Epoch && at.Seq < s.last.Seq {
		s.breaches = append(s.breaches, fmt.Sprintf("it went back from %d to %d", s.last.Seq, at.Seq))
	}
	s.last = at
	s.sights = append(s.sights, now)
}

func (s *seat) onAck(a client.Acked) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, twice := s.acked[a.Op]; twice {
		s.breaches = append(s.breaches, fmt.Sprintf("operation %d was acknowledged twice", a.Op))
	}
	s.acked[a.Op] = a.Seq
}

func (s *seat) onRefused(r client.Refused) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Final {
		s.refused[r.Op] = r.Code
	}
}

// isAnswered tells whether an operation was acknowledged or refused for good.
func (s *seat) isAnswered(number uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, acked := s.acked[number]
	_, refused := s.refused[number]
	return acked || refused
}

// goesTo has the next connections go to another gateway.
func (s *seat) goesTo(via int) {
	s.mu.Lock()
	s.via = via
	s.mu.Unlock()
}

// cut breaks the connection.
func (s *seat) cut() {
	s.mu.Lock()
	c := s.conn
	s.mu.Unlock()
	if c != nil {
		_ = c.Close()
	}
}

// setOnline says whether the client finds a way to any gateway.
func (s *seat) setOnline(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case on && s.offline != nil:
		close(s.offline)
		s.offline = nil
	case !on && s.offline == nil:
		s.offline = make(chan struct{})
	}
}

func (s *seat) stall(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.stall(on)
	}
}

// canTalk tells whether the client may connect and is read.
func (s *seat) canTalk() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.offline != nil || s.conn == nil {
		return false
	}
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.conn.resume == nil
}

// check compares all that the client saw and was told with what the log held.
// losses is how often Redis has lost something so far.
func (s *seat) check(h *history, losses int) *breach {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.breaches) > 0 {
		return broken("a client saw what it must not", "%s", s.breaches[0])
	}
	for _, x := range s.sights {
		if x.ops != nil {
			if err := h.checkSame(x.at.Epoch, x.first, x.ops); err != nil {
				return err
			}
		}
		if want, ok := h.at(x.at); !ok {
			return broken("a client was where the log never was", "at %v", x.at)
		} else if want != x.hash {
			return broken("a client had another picture than the log", "at %d", x.at.Seq)
		}
	}
	s.sights = nil
	for _, d := range s.drawn {
		told, acked := s.acked[d.number]
		at := h.find(d.mark)
		switch {
		case d.bad && h.seen[d.mark] > 0:
			return broken("an impossible operation is in the log", "operation %d", d.number)
		case d.number == 0 || d.bad || !acked:
		case h.seen[d.mark] == 0:
			return broken("an acknowledged operation is lost", "operation %d at %d, which never was in the log", d.number, told)
		case d.after == losses && at == 0:
			return broken("an acknowledged operation is lost", "operation %d at %d", d.number, told)
		case losses == 0 && told < at:
			return broken("an acknowledgement tells a wrong position", "operation %d is at %d; it said up to %d", d.number, at, told)
		}
	}
	st := s.Stats()
	if st.Gaps != 0 || st.OutOfOrder != 0 || st.BadSnapshots != 0 || st.Expired != 0 || !s.anonymous && (st.Duplicates != 0 || st.Overlaps != 0) {
		return broken("a client counted what must not be", "%+v", st)
	}
	return nil
}
