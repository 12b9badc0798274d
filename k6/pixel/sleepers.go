package pixel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/gorilla/websocket"
	"github.com/grafana/sobek"
	"go.k6.io/k6/lib/netext"
)

// sleepers are connections that never read: what a page does whose machine was
// put to sleep.
type sleepers struct {
	i     *instance
	conns []*websocket.Conn
}

// sleepers is the script's sleepers(n, url, canvas).
func (i *instance) sleepers(n int, to []string, canvas string) *sobek.Promise {
	i.running("sleepers()")
	dialer := i.dialer()
	dial := dialer.NetDialContext
	dialer.NetDialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		inner := conn
		if counting, ok := conn.(*netext.Conn); ok {
			inner = counting.Conn
		}
		if tcp, ok := inner.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(4 << 10) // as small as the system allows, so that it is soon full
		}
		return conn, err
	}
	return i.async(func(ctx context.Context) (any, error) {
		if len(to) == 0 {
			return nil, errors.New("no url to connect to")
		}
		s := &sleepers{i: i}
		context.AfterFunc(ctx, s.close)
		for k := range n {
			url := to[k%len(to)]
			if canvas != "" {
				url += "?canvas=" + canvas
			}
			ws, _, err := dialer.DialContext(ctx, url, nil)
			if err != nil {
				s.close()
				return nil, err
			}
			s.conns = append(s.conns, ws)
		}
		return s, nil
	})
}

func (s *sleepers) close() {
	for _, ws := range s.conns {
		_ = ws.Close() // nothing to say any more
	}
}

// Wake reads what there still is on each connection, and tells how many ended
// in which way: by close code, "broken", or "open" for those that did not.
func (s *sleepers) Wake() *sobek.Promise {
	return s.i.async(func(context.Context) (any, error) {
		ends := map[string]int{}
		for _, ws := range s.conns {
			ends[whyClosed(ws)]++
		}
		s.close()
		return ends, nil
	})
}

// whyClosed reads what there still is on a connection and tells how it ends.
func whyClosed(ws *websocket.Conn) string {
	_ = ws.SetReadDeadline(time.Now().Add(2 * time.Second)) // a connection that is gone says so below
	for {
		_, _, err := ws.ReadMessage()
		var closed *websocket.CloseError
		var slow net.Error
		switch {
		case errors.As(err, &closed):
			return fmt.Sprint(closed.Code)
		case errors.As(err, &slow) && slow.Timeout():
			return "open"
		case err != nil:
			return "broken"
		}
	}
}
