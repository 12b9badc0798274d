package fault

import (
	"bufio"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Rule is what happens on a connection. The zero Rule passes everything.
type Rule struct {
	// Delay is how long what comes from the server is held back. What follows
	// is not delayed more: the line is long, not narrow.
	Delay time.Duration
	// Cut resets the connection; new ones are reset at once.
	Cut bool
	// DropMessages loses the live messages of Redis' subscriptions, and nothing
	// else.
	DropMessages bool
}

// Proxy passes TCP connections on to a server. Its methods may be called by
// any goroutine.
type Proxy struct {
	to       string
	redis    bool
	owner    func(client net.Conn) string
	listener net.Listener
	rule     atomic.Pointer[func(owner string) Rule]
	began    time.Time

	running sync.WaitGroup
	mu      sync.Mutex
	links   map[*link]struct{}
	closed  bool
}

// link is one connection, with its two halves.
type link struct {
	owner          atomic.Pointer[string] // "" while that is not known
	asked          atomic.Int64           // when it was last looked for, ns since the proxy began
	client, server net.Conn
	once           sync.Once
}

// askAgain is the time between two looks for an owner who is not known.
const askAgain = 500 * time.Millisecond

// reset ends both halves without a word.
func (l *link) reset() {
	l.once.Do(func() {
		for _, c := range []net.Conn{l.client, l.server} {
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = c.Close()
		}
	})
}

// close ends both halves in an orderly way.
func (l *link) close() {
	l.once.Do(func() { _ = l.client.Close(); _ = l.server.Close() })
}

// NewProxy returns a proxy before the server at an address, which listens on a
// free port of the loopback interface. Owner names who has a client's
// connection, for rules; nil: nobody is told from others. With redis, what the
// server sends is taken apart by Redis' protocol, as DropMessages needs.
func NewProxy(ctx context.Context, to string, redis bool, owner func(client net.Conn) string) (*Proxy, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{to: to, redis: redis, owner: owner, listener: l, links: map[*link]struct{}{}, began: time.Now()}
	if owner == nil {
		p.owner = func(net.Conn) string { return "" }
	}
	p.Obey(func(string) Rule { return Rule{} })
	p.running.Go(p.accept)
	return p, nil
}

// Addr returns where it listens, as host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Obey gives the rules by owner, from now on, also for connections that exist.
func (p *Proxy) Obey(rule func(owner string) Rule) {
	p.rule.Store(&rule)
	p.mu.Lock()
	links := slices.Collect(maps.Keys(p.links))
	p.mu.Unlock()
	for _, l := range links {
		if *l.owner.Load() == "" {
			p.identify(l) // its process may be known by now
		}
		if p.ruleOf(l).Cut {
			l.reset()
		}
	}
}

// identify finds out whose connection it is.
func (p *Proxy) identify(l *link) {
	owner := p.owner(l.client)
	l.owner.Store(&owner)
}

func (p *Proxy) ruleOf(l *link) Rule {
	if *l.owner.Load() == "" {
		now := int64(time.Since(p.began))
		if last := l.asked.Load(); now-last >= int64(askAgain) && l.asked.CompareAndSwap(last, now) {
			p.identify(l)
		}
	}
	return (*p.rule.Load())(*l.owner.Load())
}

// Close ends the proxy and all of its connections.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for l := range p.links {
		l.reset()
	}
	p.mu.Unlock()
	p.running.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.pass(c) })
	}
}

func (p *Proxy) pass(client net.Conn) {
	server, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(context.Background(), "tcp", p.to)
	if err != nil {
		_ = client.Close()
		return
	}
	l := &link{client: client, server: server}
	p.identify(l)
	p.mu.Lock()
	closed := p.closed
	p.links[l] = struct{}{}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.links, l)
		p.mu.Unlock()
	}()
	if closed || p.ruleOf(l).Cut { // or Obey, from now on, sees it in the list
		l.reset()
		return
	}
	var halves sync.WaitGroup
	halves.Go(func() {
		_, _ = io.Copy(server, client)
		if tcp, ok := server.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
	})
	halves.Go(func() { p.answer(l) })
	halves.Wait()
	l.close()
}

// chunk is what came from the server at one moment.
type chunk struct {
	bytes []byte
	due   time.Time
}

// maxHeld bounds what is held back on one connection, in chunks.
const maxHeld = 4096

// answer passes on what the server sends, piece by piece.
func (p *Proxy) answer(l *link) {
	next := p.pieces(l.server)
	held := make(chan chunk, maxHeld)
	var writing sync.WaitGroup
	writing.Go(func() {
		for c := range held {
			time.Sleep(time.Until(c.due)) //nolint:forbidigo // the delay is what it is for
			if _, err := l.client.Write(c.bytes); err != nil {
				l.reset() // so that reading ends, too
			}
		}
	})
	for {
		piece, message, err := next()
		rule := p.ruleOf(l)
		if rule.Cut {
			l.reset()
			break
		}
		if len(piece) > 0 && (!message || !rule.DropMessages) {
			held <- chunk{piece, time.Now().Add(rule.Delay)}
		}
		if err != nil {
			break
		}
	}
	close(held)
	writing.Wait()
	if tcp, ok := l.client.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
}

// pieces returns what reads the next piece that the server sends, and tells
// whether it is a live message of Redis.
func (p *Proxy) pieces(server net.Conn) func() ([]byte, bool, error) {
	if p.redis {
		r := bufio.NewReaderSize(server, 64<<10)
		return func() ([]byte, bool, error) { return reply(r) }
	}
	buffer := make([]byte, 64<<10)
	return func() ([]byte, bool, error) {
		n, err := server.Read(buffer)
		return append([]byte(nil), buffer[:n]...), false, err
	}
}

var errProtocol = errors.New("fault: this is not Redis' protocol")
