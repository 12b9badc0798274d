package proofs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// redisProxy stands between services and Redis. It understands as much of
// Redis's protocol (RESP2 and RESP3) as it takes to know where a message ends
// and which connections are subscriptions, and does to the live messages what
// the faults say. All else passes unchanged, unless it is held.
type redisProxy struct {
	redis    string // host:port
	listener net.Listener
	seed     uint64
	done     chan struct{}
	running  sync.WaitGroup

	mu     sync.Mutex
	conns  map[*proxied]struct{}
	faults liveFaults
	gate   chan struct{} // closed: commands pass
	opened uint64        // connections so far

	confirmed                                     atomic.Int64 // subscriptions that live
	passed, dropped, repeated, late, delayed, cut atomic.Int64 // live messages; cut: connections
}

// liveFaults are probabilities for each live message on each connection.
type liveFaults struct {
	drop   float64 // it never comes
	repeat float64 // it comes twice, the second time behind later ones perhaps
	late   float64 // later ones come before it
	delay  float64 // it, and all behind it, wait for some milliseconds
	cut    float64 // the connection breaks in the midst of it
}

// noLive is what a subscription is that is confirmed and silent.
var noLive = liveFaults{drop: 1}

// proxied is one connection through the proxy.
type proxied struct {
	proxy         *redisProxy
	here, there   net.Conn // of the service, to Redis
	subscription  atomic.Bool
	confirmations int64 // of the goroutine that reads from Redis
	random        *rand.Rand
	once          sync.Once
}

// startProxy starts a proxy to host:port, through which everything passes.
func startProxy(t *testing.T, redis string, seed uint64) *redisProxy {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &redisProxy{
		redis: redis, listener: l, seed: seed, done: make(chan struct{}),
		conns: make(map[*proxied]struct{}), gate: make(chan struct{}),
	}
	close(p.gate)
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
func (p *redisProxy) url() string { return "redis://" + p.listener.Addr().String() }

// afflict sets what happens to live messages from now on.
func (p *redisProxy) afflict(f liveFaults) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = f
}

// holdCommands keeps all commands but those that open a connection or a
// subscription waiting until the function that it returns is called. They are
// passed on then, even those of callers that have given up.
func (p *redisProxy) holdCommands() (pass func()) {
	gate := make(chan struct{})
	p.mu.Lock()
	p.gate = gate
	p.mu.Unlock()
	return sync.OnceFunc(func() { close(gate) })
}

func (p *redisProxy) String() string {
	return fmt.Sprintf("live messages: %d passed, %d dropped, %d repeated, %d late, %d delayed; %d connections cut",
		p.passed.Load(), p.dropped.Load(), p.repeated.Load(), p.late.Load(), p.delayed.Load(), p.cut.Load())
}

func (p *redisProxy) accept() {
	for {
		here, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.serve(here) })
	}
}

func (p *redisProxy) serve(here net.Conn) {
	there, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.redis)
	if err != nil {
		_ = here.Close() // Redis is away
		return
	}
	p.mu.Lock()
	p.opened++
	c := &proxied{proxy: p, here: here, there: there, random: rand.New(rand.NewPCG(p.seed, p.opened))}
	p.conns[c] = struct{}{}
	p.mu.Unlock()
	select {
	case <-p.done: // too late for whoever closes all
		c.close()
	default:
	}
	var up sync.WaitGroup
	up.Go(func() { c.up(); c.close() })
	c.down()
	c.close()
	up.Wait()
	p.confirmed.Add(-c.confirmations)
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
}

func (c *proxied) close() {
	c.once.Do(func() {
		_ = c.here.Close() // both are given up
		_ = c.there.Close()
	})
}

// opening are the commands that are never held.
var opening = []string{"hello", "auth", "client", "select", "ping", "subscribe", "ssubscribe"}

// up passes commands on to Redis.
func (c *proxied) up() {
	from := bufio.NewReader(c.here)
	for {
		v, err := readRESP(from)
		if err != nil {
			return
		}
		name := strings.ToLower(v.word(0))
		if name == "subscribe" || name == "ssubscribe" {
			c.subscription.Store(true)
		}
		if !slices.Contains(opening, name) {
			c.proxy.mu.Lock()
			gate := c.proxy.gate
			c.proxy.mu.Unlock()
			select {
			case <-gate:
			case <-c.proxy.done:
				return
			}
		}
		if _, err := c.there.Write(v.raw); err != nil {
			return
		}
	}
}

// down passes replies on to the service, and live messages as the faults let
// it.
func (c *proxied) down() {
	read := make(chan respValue)
	over := make(chan struct{})
	var reading sync.WaitGroup
	defer reading.Wait()
	defer c.close() // ends the reading
	defer close(over)
	reading.Go(func() {
		defer close(read)
		from := bufio.NewReader(c.there)
		for {
			v, err := readRESP(from)
			if err != nil {
				return
			}
			select {
			case read <- v:
			case <-over:
				return
			}
		}
	})

	// held waits for later messages to overtake it, but not for ever: nothing
	// may follow.
	var held []byte
	var overtaken int
	patience := time.NewTimer(time.Hour)
	defer patience.Stop()
	for {
		var out []byte
		select {
		case v, open := <-read:
			if !open {
				return
			}
			live := c.subscription.Load() && v.isLive()
			if !live {
				c.count(v)
				out = v.raw
				break
			}
			what := c.fate()
			switch {
			case what == fateCut:
				_, _ = c.here.Write(v.raw[:len(v.raw)/2]) // it is cut either way
				return
			case what == fateDrop:
			case what == fateLate && held == nil:
				held, overtaken = v.raw, 1+c.random.IntN(3)
				patience.Reset(30 * time.Millisecond)
				continue
			case what == fateRepeat:
				out = append(slices.Clone(v.raw), v.raw...)
				if held == nil {
					out = v.raw
					held, overtaken = v.raw, c.random.IntN(3)
					patience.Reset(30 * time.Millisecond)
				}
			case what == fateDelay:
				c.pause()
				out = v.raw
			default:
				out = v.raw
			}
			if overtaken--; held != nil && overtaken < 0 {
				out = append(slices.Clone(out), held...)
				held = nil
			}
		case <-patience.C:
			out, held = held, nil
		}
		if len(out) == 0 {
			continue
		}
		if _, err := c.here.Write(out); err != nil {
			return
		}
	}
}

// count notes confirmed subscriptions.
func (c *proxied) count(v respValue) {
	if w := v.word(0); w == "subscribe" || w == "ssubscribe" {
		c.confirmations++
		c.proxy.confirmed.Add(1)
	}
}

// pause waits for some milliseconds.
func (c *proxied) pause() {
	timer := time.NewTimer(time.Duration(1+c.random.IntN(20)) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.proxy.done:
	}
}

type fate int

const (
	fatePass fate = iota
	fateDrop
	fateRepeat
	fateLate
	fateDelay
	fateCut
)

// fate chooses what happens to a live message, and counts it.
func (c *proxied) fate() fate {
	p := c.proxy
	p.mu.Lock()
	f := p.faults
	p.mu.Unlock()
	x := c.random.Float64()
	for _, choice := range []struct {
		part  float64
		fate  fate
		count *atomic.Int64
	}{
		{f.drop, fateDrop, &p.dropped}, {f.repeat, fateRepeat, &p.repeated}, {f.late, fateLate, &p.late},
		{f.delay, fateDelay, &p.delayed}, {f.cut, fateCut, &p.cut},
	} {
		if x < choice.part {
			choice.count.Add(1)
			return choice.fate
		}
		x -= choice.part
	}
	p.passed.Add(1)
	return fatePass
}

// respValue is one value of Redis's protocol as it came.
type respValue struct {
	raw   []byte
	words []string // of an array, its first two elements that are texts
}

func (v respValue) word(i int) string {
	if i < len(v.words) {
		return v.words[i]
	}
	return ""
}

func (v respValue) isLive() bool { return v.word(0) == "message" || v.word(0) == "smessage" }

// errRESP tells that something is not Redis's protocol.
var errRESP = errors.New("not RESP")

// readRESP reads one value.
func readRESP(r *bufio.Reader) (v respValue, err error) {
	err = v.read(r, 0)
	return v, err
}

// read appends the next value to v.
func (v *respValue) read(r *bufio.Reader, depth int) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if len(line) < 3 || depth > 16 {
		return errRESP
	}
	v.raw = append(v.raw, line...)
	kind := line[0]
	var n int
	if strings.IndexByte("$!=*~>%|", kind) >= 0 {
		if n, err = strconv.Atoi(string(line[1 : len(line)-2])); err != nil {
			return errRESP // streamed values are sent by nobody
		}
	}
	switch kind {
	case '+', '-', ':', '_', '#', ',', '(':
		return nil
	case '$', '!', '=':
		if n < 0 {
			return nil // null
		}
		from := len(v.raw)
		v.raw = slices.Grow(v.raw, n+2)[:from+n+2]
		if _, err := io.ReadFull(r, v.raw[from:]); err != nil {
			return err
		}
		if depth == 1 && len(v.words) < 2 {
			v.words = append(v.words, string(v.raw[from:from+n]))
		}
		return nil
	case '%':
		n *= 2
	case '|': // attributes, then the value that they belong to
		n = 2*n + 1
	case '*', '~', '>':
	default:
		return errRESP
	}
	for range n {
		if err := v.read(r, depth+1); err != nil {
			return err
		}
	}
	return nil
}
