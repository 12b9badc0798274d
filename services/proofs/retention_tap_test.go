package proofs

import (
	"bufio"
	"context"
	"crypto/sha1" // it is how Redis names scripts
	"encoding/hex"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// scriptTap stands between services and Redis and can catch a script on its way
// there: the test then decides how much of it arrives, when, and whether the
// caller hears of it. All else passes.
type scriptTap struct {
	redis    string // host:port
	listener net.Listener
	done     chan struct{}
	running  sync.WaitGroup

	mu    sync.Mutex
	names map[string]string // scripts by their SHA-1
	conns map[*tapped]struct{}
	traps map[string]chan *caught // by script; a trap catches once
}

// tapped is one connection.
type tapped struct {
	here, there net.Conn // of the service, to Redis
	once        sync.Once
	gone        chan struct{}

	mu   sync.Mutex
	held *caught
}

// caught is a script that is held on its way to Redis.
type caught struct {
	conn   *tapped
	raw    []byte
	reply  chan struct{} // closed when Redis answers; the answer is held, too
	resume chan struct{} // closed when the connection goes on
}

func startTap(t *testing.T, redis string) *scriptTap {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &scriptTap{
		redis: redis, listener: l, done: make(chan struct{}), names: make(map[string]string),
		conns: make(map[*tapped]struct{}), traps: make(map[string]chan *caught),
	}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		close(p.done)
		_ = l.Close() // it carried nothing
		p.mu.Lock()
		for c := range p.conns {
			c.close()
		}
		p.mu.Unlock()
		p.running.Wait()
	})
	return p
}

// url is what services take for Redis.
func (p *scriptTap) url() string { return "redis://" + p.listener.Addr().String() }

// arm sets a trap for the next call of a script. What it catches comes by the
// channel.
func (p *scriptTap) arm(script string) <-chan *caught {
	trap := make(chan *caught, 1)
	p.mu.Lock()
	p.traps[script] = trap
	p.mu.Unlock()
	return trap
}

// wait waits for what a trap catches.
func wait(ctx context.Context, trap <-chan *caught) (*caught, error) {
	select {
	case c := <-trap:
		return c, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("nobody called the script: %w", ctx.Err())
	}
}

// send passes the first n bytes on to Redis.
func (c *caught) send(n int) error {
	_, err := c.conn.there.Write(c.raw[:n])
	return err
}

// execute passes the script on and waits for Redis to have executed it. The
// caller has not heard of it yet.
func (c *caught) execute(ctx context.Context) error {
	if err := c.send(len(c.raw)); err != nil {
		return err
	}
	select {
	case <-c.reply:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("Redis does not answer: %w", ctx.Err())
	}
}

// release lets the connection go on. cut ends it instead.
func (c *caught) release() { close(c.resume) }
func (c *caught) cut()     { c.conn.close() }

func (p *scriptTap) accept() {
	for {
		here, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.serve(here) })
	}
}

func (p *scriptTap) serve(here net.Conn) {
	there, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.redis)
	if err != nil {
		_ = here.Close() // Redis is away
		return
	}
	c := &tapped{here: here, there: there, gone: make(chan struct{})}
	p.mu.Lock()
	p.conns[c] = struct{}{}
	p.mu.Unlock()
	select {
	case <-p.done: // too late for whoever closes all
		c.close()
	default:
	}
	var up sync.WaitGroup
	up.Go(func() { p.up(c); c.close() })
	c.down()
	c.close()
	up.Wait()
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
}

func (c *tapped) close() {
	c.once.Do(func() {
		close(c.gone)
		_ = c.here.Close() // both are given up
		_ = c.there.Close()
	})
}

// up passes commands on to Redis.
func (p *scriptTap) up(c *tapped) {
	from := bufio.NewReader(c.here)
	for {
		v, err := readRESP(from)
		if err != nil {
			return
		}
		trap := p.trapFor(v)
		if trap == nil {
			if _, err := c.there.Write(v.raw); err != nil {
				return
			}
			continue
		}
		held := &caught{conn: c, raw: v.raw, reply: make(chan struct{}), resume: make(chan struct{})}
		c.mu.Lock()
		c.held = held
		c.mu.Unlock()
		trap <- held
		select {
		case <-held.resume:
		case <-c.gone:
			return
		}
		c.mu.Lock()
		c.held = nil
		c.mu.Unlock()
	}
}

// scriptName finds a script's name: where its own text begins, behind what all
// scripts share.
var scriptName = regexp.MustCompile(`(?m)^-- (\w+): `)

// trapFor returns the trap that a command runs into, nil for nearly all.
func (p *scriptTap) trapFor(v respValue) chan *caught {
	var sum string
	switch strings.ToLower(v.word(0)) {
	case "eval": // the first call, since Redis does not know the script yet
		bytes := sha1.Sum([]byte(v.word(1)))
		sum = hex.EncodeToString(bytes[:])
	case "evalsha":
		sum = v.word(1)
	default:
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if name := scriptName.FindStringSubmatch(v.word(1)); name != nil {
		p.names[sum] = name[1]
	}
	trap := p.traps[p.names[sum]]
	delete(p.traps, p.names[sum])
	return trap
}

// down passes replies on to the service, but none to a command that is held.
func (c *tapped) down() {
	b := make([]byte, 64<<10)
	for {
		n, err := c.there.Read(b)
		if err != nil {
			return
		}
		c.mu.Lock()
		held := c.held
		c.mu.Unlock()
		if held != nil {
			close(held.reply)
			select {
			case <-held.resume:
			case <-c.gone:
				return
			}
		}
		if _, err := c.here.Write(b[:n]); err != nil {
			return
		}
	}
}
