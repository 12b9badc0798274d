package swarm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// Options of a swarm.
type Options struct {
	Wire Wire
	// URLs of gateways, ws://host:port/path on this machine; connection i goes
	// to URL i modulo their number.
	URLs    []string
	Clients int
	// Silent connections come on top of Clients: they receive and are not
	// counted.
	Silent        int
	Width, Height int // of the canvas
	// Pictures is how many connections keep a picture, spread over all.
	Pictures int
}

// Swarm is many connections. Its methods are for one goroutine, the one that
// made it; reading and sending have goroutines of their own.
type Swarm struct {
	wire          Wire
	width, height int
	conns         []*Conn
	poll          *poller
	tasks         chan func()
	stop          chan struct{}
	reading       sync.WaitGroup

	// Of the goroutine that reads; schedule is set before anything is sent.
	begin    time.Time
	arrived  time.Duration // since begin, of what is being handled
	schedule *Schedule
	record   *Record
	busy     time.Duration // spent on what arrived, not waiting
	buffer   []byte
	current  *Conn // whose message is being handled, for the two below
	single   func(seq uint64, p canvas.Pixel)
	other    func(protocol.ServerMessage) error
}

// dialers is how many connections are made at a time.
const dialers = 32

// Dial makes the connections and waits until all have what they follow.
func Dial(ctx context.Context, o Options) (*Swarm, error) {
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	s := &Swarm{
		wire: o.Wire, width: o.Width, height: o.Height, poll: p, tasks: make(chan func()), stop: make(chan struct{}),
		begin: time.Now(), record: newRecord(), buffer: make([]byte, 256<<10),
	}
	s.single = func(seq uint64, p canvas.Pixel) { s.current.update(seq-1, seq, p) }
	s.other = func(m protocol.ServerMessage) error { s.current.message(m); return nil }
	total := o.Clients + o.Silent
	s.conns = make([]*Conn, total)
	every := max(1, total/max(1, o.Pictures))
	for i := range s.conns {
		c := &Conn{s: s, index: i, sender: i, fd: -1}
		for n := range c.key {
			c.key[n] = byte(rand.Uint32())
		}
		if i >= o.Clients {
			c.sender, c.silent = -1, true
		}
		if o.Pictures > 0 && i%every == 0 {
			c.picture = make([]canvas.Color, o.Width*o.Height)
		}
		s.conns[i] = c
	}
	s.reading.Go(s.loop)
	if err := s.dial(ctx, o.URLs); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.Await(ctx, "the connections' first messages", func(c *Conn) bool { return c.ready }); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Swarm) dial(ctx context.Context, urls []string) error {
	var dialing sync.WaitGroup
	next := make(chan *Conn)
	failed := make(chan error, dialers)
	for range dialers {
		dialing.Go(func() {
			for c := range next {
				if err := s.connect(ctx, c, urls[c.index%len(urls)]); err != nil {
					failed <- fmt.Errorf("connection %d: %w", c.index, err)
					return
				}
			}
		})
	}
	err := func() error {
		defer dialing.Wait()
		defer close(next)
		for _, c := range s.conns {
			select {
			case next <- c:
			case err := <-failed:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}()
	select {
	case other := <-failed:
		return errors.Join(err, other)
	default:
		return err
	}
}

// connect makes one connection and hands it to the reader.
func (s *Swarm) connect(ctx context.Context, c *Conn, url string) error {
	fd, early, err := upgrade(ctx, url, s.wire.subprotocol())
	if err != nil {
		return err
	}
	var greeting []byte
	opcode := s.wire.opcode()
	for _, m := range s.wire.greeting() {
		greeting = appendFrame(greeting, opcode, c.key, m)
	}
	if len(greeting) > 0 {
		if n, err := write(fd, greeting); err != nil || n < len(greeting) {
			return errors.Join(fmt.Errorf("swarm: %d of %d bytes of the greeting: %w", n, len(greeting), err), closeFD(fd))
		}
	}
	added := make(chan error, 1)
	select {
	case s.tasks <- func() {
		c.fd = fd
		if len(early) > 0 {
			c.take(early)
		}
		if c.err != nil {
			added <- c.err
			return
		}
		added <- s.poll.add(c)
	}:
	case <-s.stop:
		return errors.Join(errors.New("swarm: closed"), closeFD(fd))
	}
	return <-added
}

// loop reads until the swarm is closed.
func (s *Swarm) loop() {
	runtime.LockOSThread() // it waits in the kernel most of the time
	defer runtime.UnlockOSThread()
	for {
		events := s.poll.wait()
		since := time.Now()
		for _, i := range events {
			if c := s.conns[i]; c.err == nil {
				c.read(s.buffer)
			}
		}
		if len(events) > 0 {
			s.busy += time.Since(since)
		}
		for more := true; more; {
			select {
			case task := <-s.tasks:
				task()
			case <-s.stop:
				return
			default:
				more = false
			}
		}
	}
}

// forget takes a connection out of what is waited for.
func (s *Swarm) forget(c *Conn) { s.poll.remove(c) }

// do runs a function on the goroutine that reads.
func (s *Swarm) do(f func()) {
	done := make(chan struct{})
	s.tasks <- func() { f(); close(done) }
	<-done
}

// Await waits until something holds for every connection. It fails when one
// has ended or ctx has.
func (s *Swarm) Await(ctx context.Context, what string, holds func(*Conn) bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		missing := 0
		var ended error
		s.do(func() {
			for _, c := range s.conns {
				if c.err != nil {
					ended = fmt.Errorf("connection %d: %w", c.index, c.err)
				} else if !holds(c) {
					missing++
				}
			}
		})
		if ended != nil || missing == 0 {
			return ended
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("swarm: waiting for %s: %d of %d are missing: %w", what, missing, len(s.conns), ctx.Err())
		}
	}
}

// Len returns how many connections there are.
func (s *Swarm) Len() int { return len(s.conns) }

// Position returns the greatest position that a connection has.
func (s *Swarm) Position() (head uint64) {
	s.do(func() {
		for _, c := range s.conns {
			head = max(head, c.last)
		}
	})
	return head
}

// Acked returns how many writes have been acknowledged, and the position that
// the acknowledgements told of.
func (s *Swarm) Acked() (writes, head uint64) {
	s.do(func() { writes, head = s.record.Acks, s.record.Head })
	return writes, head
}

// Load returns what was read so far and for how long the reader was busy.
func (s *Swarm) Load() (bytes uint64, busy time.Duration) {
	s.do(func() { bytes, busy = s.record.Bytes, s.busy })
	return bytes, busy
}

// Received returns how many connections have everything up to a position,
// and how many there are that live.
func (s *Swarm) Received(seq uint64) (have, live int) {
	s.do(func() {
		for _, c := range s.conns {
			if c.err == nil {
				live++
				if c.last >= seq {
					have++
				}
			}
		}
	})
	return have, live
}

// Picture is what a connection has painted since it joined: the colour of each
// cell plus 1, row by row, 0 where nothing came.
type Picture []canvas.Color

// Pictures returns the pictures of the connections that keep one, nil for
// those who lost it on the way.
func (s *Swarm) Pictures() (all []Picture) {
	s.do(func() {
		for _, c := range s.conns {
			switch {
			case c.picture == nil:
			case c.spoiled || c.err != nil:
				all = append(all, nil)
			default:
				all = append(all, append(Picture(nil), c.picture...))
			}
		}
	})
	return all
}

// Record ends the swarm and returns what it has seen.
func (s *Swarm) Record() (*Record, error) {
	err := s.Close()
	return s.record, err
}

// Close ends all connections. It may be called more than once.
func (s *Swarm) Close() error {
	select {
	case <-s.stop:
		return nil
	default:
	}
	close(s.stop)
	s.reading.Wait()
	goodbye := []byte{0x03, 0xE8} // 1000
	for _, c := range s.conns {
		if c.fd >= 0 {
			if c.err == nil {
				c.reply(opClose, goodbye)
			}
			_ = closeFD(c.fd)
		}
	}
	return s.poll.close()
}

// Total returns a number that changes whenever something arrives.
func (s *Swarm) Total() (reads uint64) {
	s.do(func() { reads = s.record.Reads })
	return reads
}
