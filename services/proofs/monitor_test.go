package proofs

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// monitor sees every command that a redis-server executes.
type monitor struct {
	marker *redis.Client

	mu    sync.Mutex
	calls []*call
	// appends are the hashes of scripts that have ever appended to a log: an
	// append of what is known already writes nothing, and is one all the same.
	appends map[string]bool
	marks   map[string]chan struct{}
}

// call is a command of a client, with what a script did inside it.
type call struct {
	name   string   // lower case
	args   string   // as MONITOR shows them
	hash   string   // of a script
	inside []string // names of commands
}

func watchRedis(t *testing.T, ctx context.Context, addr string) *monitor {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("MONITOR\r\n")); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReaderSize(c, 1<<16)
	if line, err := r.ReadString('\n'); err != nil || line != "+OK\r\n" {
		t.Fatalf("MONITOR: %q, %v", line, err)
	}
	m := &monitor{appends: make(map[string]bool), marks: make(map[string]chan struct{})}
	m.marker = redis.NewClient(&redis.Options{
		Addr: addr, MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			m.note(line)
		}
	})
	t.Cleanup(func() {
		_ = m.marker.Close()
		_ = c.Close()
		reading.Wait()
	})
	return m
}

// note takes a line like
//
//	+1763955312.123456 [0 127.0.0.1:40404] "get" "key"
//
// where a command of a script has "lua" for an address.
func (m *monitor) note(line string) {
	_, rest, found := strings.Cut(line, "[")
	from, command, more := strings.Cut(rest, "] ")
	if !found || !more {
		return
	}
	name, args, _ := strings.Cut(strings.TrimSpace(command), " ")
	name = strings.ToLower(strings.Trim(name, `"`))
	m.mu.Lock()
	defer m.mu.Unlock()
	if strings.HasSuffix(from, " lua") {
		if n := len(m.calls); n > 0 {
			last := m.calls[n-1]
			last.inside = append(last.inside, name)
			if name == "xadd" {
				m.appends[last.hash] = true
			}
		}
		return
	}
	if name == "echo" {
		if mark := m.marks[strings.Trim(args, `"`)]; mark != nil {
			close(mark)
		}
		return
	}
	c := &call{name: name, args: args}
	if name == "evalsha" || name == "eval" {
		c.hash, _, _ = strings.Cut(args, " ")
	}
	m.calls = append(m.calls, c)
}

// take returns what was executed since it was called last, up to now.
func (m *monitor) take(t *testing.T, ctx context.Context) []*call {
	t.Helper()
	m.mu.Lock()
	mark, seen := fmt.Sprintf("mark-%d", len(m.marks)), make(chan struct{})
	m.marks[mark] = seen
	m.mu.Unlock()
	if err := m.marker.Echo(ctx, mark).Err(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-seen:
	case <-ctx.Done():
		t.Fatal("MONITOR does not show a command")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	calls := m.calls
	m.calls = nil
	return calls
}

// tally counts commands that concern a canvas.
type tally struct {
	appends int
	checks  int // of the head: one script, each second for each process
	writes  int // of checkpoints, leases, meta …
	reads   int // everything else
	what    map[string]int
}

func (m *monitor) tally(calls []*call) tally {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := tally{what: make(map[string]int)}
	for _, c := range calls {
		if !strings.Contains(c.args, "{canvas:") {
			continue
		}
		switch {
		case c.hash != "" && m.appends[c.hash]:
			n.appends++
		case c.writes():
			n.writes++
		case c.hash != "":
			n.checks++
		default:
			n.reads++
			n.what[c.name]++
		}
	}
	return n
}

// writing are the commands by which services change what Redis holds, and
// those that carry it to others.
var writing = map[string]bool{
	"set": true, "hset": true, "del": true, "xadd": true, "xtrim": true, "zadd": true, "zrem": true, "expire": true, "pexpire": true,
	"publish": true, "subscribe": true, "unsubscribe": true, "psubscribe": true,
}

func (c *call) writes() bool {
	if writing[c.name] {
		return true
	}
	for _, name := range c.inside {
		if writing[name] {
			return true
		}
	}
	return false
}
