package model

import (
	"bufio"
	"bytes"
	"net"
	"strings"
	"sync"
)

// tap is one connection of a process to Redis.
type tap struct {
	wire           *wire
	client, server net.Conn
	once           sync.Once
	closed         chan struct{}
	answers        chan *fault // one for each command that Redis has; nil: nothing special
	channel        []byte      // of a subscription; guarded by the wire's lock

	writing sync.Mutex
}

// close ends the side of the process. Redis's side goes on until all is
// answered, so that commands which it has got take effect before it counts as
// still.
func (t *tap) close() {
	t.once.Do(func() {
		close(t.closed)
		_ = t.client.Close()
	})
}

func (t *tap) isClosed() bool {
	select {
	case <-t.closed:
		return true
	default:
		return t.wire.isDead()
	}
}

func (w *wire) isDead() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dead
}

// write sends to the process; an error shows where the process reads.
func (t *tap) write(b []byte) {
	t.writing.Lock()
	defer t.writing.Unlock()
	_, _ = t.client.Write(b)
}

// forward brings commands to Redis.
func (t *tap) forward() {
	defer close(t.answers)
	defer t.close()
	r := bufio.NewReaderSize(t.client, 64<<10)
	transaction := other // what the one under way does
	for {
		value, err := readValue(r)
		if err != nil {
			break
		}
		kind := kindOf(bulks(value))
		switch name := nameOf(value); {
		case name == "SUBSCRIBE":
			if !t.wire.gate.enter(t.isClosed) {
				return
			}
			t.answers <- &fault{fate: subscribing}
			if _, err := t.server.Write(value); err != nil {
				return
			}
			t.subscribed(r)
			return
		case name == "MULTI":
			transaction = other
		case name == "EXEC":
			kind = transaction
		case kind == reading:
			transaction, kind = reading, other
		}
		f := t.wire.strike(kind)
		if f != nil && f.fate == vanishes {
			return
		}
		if f != nil && f.fate == held {
			select {
			case <-f.free:
			case <-t.closed:
				return
			}
			f = nil
		}
		if !t.wire.gate.enter(t.isClosed) {
			return
		}
		t.answers <- f
		if _, err := t.server.Write(value); err != nil {
			return
		}
	}
}

// subscribed forwards what a subscriber says, which is pings.
func (t *tap) subscribed(r *bufio.Reader) {
	defer func() { _ = t.server.Close() }()
	for {
		value, err := readValue(r)
		if err != nil {
			return
		}
		if _, err := t.server.Write(value); err != nil {
			return
		}
	}
}

// back brings answers to the process.
func (t *tap) back() {
	defer func() {
		t.close()
		_ = t.server.Close()
		for range t.answers { // Redis is gone: nothing will be answered
			t.wire.gate.leave()
		}
		t.wire.mu.Lock()
		delete(t.wire.taps, t)
		t.wire.mu.Unlock()
	}()
	r := bufio.NewReaderSize(t.server, 64<<10)
	for f := range t.answers {
		value, err := readValue(r)
		t.wire.gate.leave()
		if err != nil {
			return
		}
		if f != nil {
			switch f.fate {
			case subscribing:
				t.listen(r, value)
				return
			case answerLost:
				t.close()
			case answerHeld:
				select {
				case <-f.free:
				case <-t.closed:
				}
			}
		}
		t.write(value) // in vain when it is closed
	}
}

// listen brings what a subscription gets.
func (t *tap) listen(r *bufio.Reader, confirmation []byte) {
	t.wire.mu.Lock()
	t.write(confirmation)
	if items := bulks(confirmation); len(items) > 1 {
		t.channel = bytes.Clone(items[1])
	}
	t.wire.mu.Unlock()
	for {
		value, err := readValue(r)
		if err != nil {
			return
		}
		if items := bulks(value); len(items) == 3 && string(items[0]) == "message" {
			t.wire.message(value)
			continue
		}
		t.write(value)
	}
}

func nameOf(value []byte) string {
	if items := bulks(value); len(items) > 0 {
		return strings.ToUpper(string(items[0]))
	}
	return ""
}

// kindOf tells what a command is for. Scripts are known by their arguments: an
// append names the channel, a check has a position and no more, a trim a version.
func kindOf(items [][]byte) command {
	if len(items) == 0 {
		return other
	}
	switch strings.ToUpper(string(items[0])) {
	case "XRANGE":
		return reading
	case "EVALSHA", "EVAL":
		for _, i := range items {
			if string(i) == "PUBLISH" {
				return appending
			}
		}
		// Before the arguments there are: script, number of keys, 4 keys.
		const first = 1 + 2 + 4
		switch n := len(items) - first; {
		case n == 3 && len(items[first]) == 32 && len(items[first+2]) == 32: // epoch, seq, candidate
			return checking
		case (n == 2 || n == 3) && string(items[first]) == "1": // version, retention
			return trimming
		}
	}
	return other
}
