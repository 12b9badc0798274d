package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/protocol"
)

func numbers(ops []canvas.Op) []uint64 {
	n := make([]uint64, len(ops))
	for i := range ops {
		n[i] = ops[i].Number
	}
	return n
}

func TestAppendNumbersAndDropsWhatIsThere(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		at, s, other := e.create(t, "main"), protocol.NewSession(), protocol.NewSession()

		// Each number once, though it comes twice in one batch: reading the
		// stored number anew for each operation would give the same, but
		// reading it once and comparing all with that would append 5 twice.
		a := e.append(t, "main", at, s, 5, 5, 6)
		if a.First != 1 || a.Count != 2 || a.Position.Seq != 2 || a.Sessions[s] != (SessionState{6, 2}) {
			t.Fatalf("5, 5, 6: %+v", a)
		}
		// The same batch again, as after a time-out.
		again := e.append(t, "main", a.Position, s, 5, 5, 6)
		if again.Count != 0 || again.Position != a.Position || again.Sessions[s] != (SessionState{6, 2}) {
			t.Fatalf("again: %+v", again)
		}
		// A later batch that holds old and new, of two sessions.
		batch := append(paint(s, 6, 7), paint(other, 1)...)
		batch = append(batch, paint(s, 8)...)
		b, err := e.Append(t.Context(), "main", again.Position, batch)
		if err != nil {
			t.Fatal(err)
		}
		if b.First != 3 || b.Count != 3 || b.Sessions[s] != (SessionState{8, 5}) || b.Sessions[other] != (SessionState{1, 4}) {
			t.Fatalf("6, 7, other 1, 8: %+v", b)
		}
		if got := numbers(e.read(t, "main")); !slices.Equal(got, []uint64{5, 6, 7, 1, 8}) {
			t.Fatalf("the log has %v", got)
		}
		if got := e.get(t, keysOf("main").session(s)); got != "8 5" {
			t.Fatalf("session: %q", got)
		}
	})
}

func TestAppendPublishesWhatItLogs(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		at, s := e.create(t, "main"), protocol.NewSession()
		sub := e.subscribe(t, "main")
		op := AppendOp{Session: s, TTL: time.Hour, Op: canvas.Op{
			Kind: canvas.Paint, Author: s.Author(), Number: 1, Name: "Zoë <b>", Received: -5,
			Pixels: []canvas.Pixel{{X: 299, Y: 269, Color: 0x0A0D00}, {X: 0, Y: 1, Color: 0xFFFFFF}},
			Trace:  canvas.Trace{1, 10, 13, 0, 255},
		}}
		a, err := e.Append(t.Context(), "main", at, []AppendOp{op})
		if err != nil {
			t.Fatal(err)
		}
		want := &canvas.Entry{Epoch: at.Epoch, First: 1, Time: a.Time, Ops: []canvas.Op{op.Op}}
		entries, _, err := e.Read(t.Context(), "main", 0, 1)
		if err != nil || len(entries) != 1 || !equalEntries(entries[0], want) {
			t.Fatalf("log: %+v, %v", entries, err)
		}
		if live := next(t, sub, Live).Entry; !equalEntries(live, want) {
			t.Fatalf("live: %+v", live)
		}
		messages := e.client.XRange(t.Context(), keysOf("main").log(), "-", "+").Val()
		if record := []byte(messages[0].Values["e"].(string)); !bytes.Equal(record, encodeRecord(want)) {
			t.Fatalf("record %q", record)
		}
	})
}

func TestAppendRefusesWhatBreaksItsRules(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		at, s := e.create(t, "main"), protocol.NewSession()
		huge := paint(s, 1, 2)
		huge[0].Encoded, huge[1].Encoded = make([]byte, MaxBatchBytes), []byte{0}
		short := paint(s, 1)
		short[0].TTL = time.Microsecond
		many := make([]uint64, MaxBatchOps+1)
		for i := range many {
			many[i] = uint64(i) + 1
		}
		for name, ops := range map[string][]AppendOp{
			"empty": nil, "no number": paint(s, 0), "number": paint(s, 1<<53), "bytes": huge, "ttl": short, "many": paint(s, many...),
		} {
			if _, err := e.Append(t.Context(), "main", at, ops); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, id := range []string{"absent", "no id"} {
			if _, err := e.Append(t.Context(), id, at, paint(s, 1)); !errors.Is(err, ErrNotFound) {
				t.Errorf("%s: %v", id, err)
			}
		}
		e.append(t, "main", at, s, many[:MaxBatchOps]...)
	})
}

// A script is not rolled back when it fails. Writing anything before XADD
// would leave a head or a session that the log knows nothing of, and the
// operations would be lost as duplicates of what was never appended.
func TestFailedAppendLeavesNothing(t *testing.T) {
	for name, spoil := range map[string]func(*testing.T, *env) func(){
		"log has a later entry": func(t *testing.T, e *env) func() {
			e.do(t, "XADD", keysOf("main").log(), "100-0", "e", "x")
			return func() {
				// XDEL keeps the last id; put the log's one entry into a new stream.
				entry := e.client.XRangeN(t.Context(), keysOf("main").log(), "-", "+", 1).Val()[0]
				e.do(t, "DEL", keysOf("main").log())
				e.do(t, "XADD", keysOf("main").log(), entry.ID, "e", entry.Values["e"])
			}
		},
		"log is no stream": func(t *testing.T, e *env) func() {
			e.do(t, "RENAME", keysOf("main").log(), keysOf("main").tag()+":kept")
			e.do(t, "SET", keysOf("main").log(), "x")
			return func() { e.do(t, "RENAME", keysOf("main").tag()+":kept", keysOf("main").log()) }
		},
		"head is no string": func(t *testing.T, e *env) func() {
			e.do(t, "RENAME", keysOf("main").head(), keysOf("main").tag()+":kept")
			e.do(t, "RPUSH", keysOf("main").head(), "x")
			return func() { e.do(t, "RENAME", keysOf("main").tag()+":kept", keysOf("main").head()) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, e *env) {
				at, s := e.create(t, "main"), protocol.NewSession()
				at = e.append(t, "main", at, s, 1).Position
				sub := e.subscribe(t, "main")
				before := e.client.HGetAll(t.Context(), keysOf("main").meta()).Val()
				repair := spoil(t, e)

				_, err := e.Append(t.Context(), "main", at, paint(s, 9))
				wantError(t, err, ErrRejected)
				repair()
				if head, session := e.get(t, keysOf("main").head()), e.get(t, keysOf("main").session(s)); head != "1" || session != "1 1" {
					t.Fatalf("head %q, session %q after a failed append", head, session)
				}
				if after := e.client.HGetAll(t.Context(), keysOf("main").meta()).Val(); fmt.Sprint(after) != fmt.Sprint(before) {
					t.Fatalf("meta %v, was %v", after, before)
				}
				if a := e.append(t, "main", at, s, 2); a.First != 2 || a.Count != 1 {
					t.Fatalf("after the repair: %+v", a)
				}
				// Had the failed one been published, it would come first.
				if live := next(t, sub, Live).Entry; live.First != 2 || live.Ops[0].Number != 2 {
					t.Fatalf("live: %+v", live)
				}
			})
		})
	}
}

func TestFailedPublishDoesNotFailTheAppend(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		at, s := e.create(t, "main"), protocol.NewSession()
		e.publish = "NOSUCHCOMMAND"
		if a := e.append(t, "main", at, s, 1); a.Count != 1 || len(e.read(t, "main")) != 1 {
			t.Fatalf("%+v", a)
		}
	})
}

func TestOutOfMemoryRejects(t *testing.T) {
	e := ownRedis(t, embedded.Options{})
	at, s := e.create(t, "main"), protocol.NewSession()
	e.do(t, "CONFIG", "SET", "maxmemory", "1")
	_, err := e.Append(t.Context(), "main", at, paint(s, 1))
	wantError(t, err, ErrRejected)
	e.do(t, "CONFIG", "SET", "maxmemory", "0")
	if a := e.append(t, "main", at, s, 1); a.First != 1 {
		t.Fatalf("%+v", a)
	}
}

func TestNotNow(t *testing.T) {
	e := ownRedis(t, embedded.Options{})
	at, s := e.create(t, "main"), protocol.NewSession()
	e.do(t, "REPLICAOF", "127.0.0.1", "1")
	_, err := e.Append(t.Context(), "main", at, paint(s, 1))
	wantError(t, err, ErrUnavailable)
	e.do(t, "REPLICAOF", "NO", "ONE")
	e.do(t, "SCRIPT", "FLUSH")
	e.append(t, "main", at, s, 1)
}

// What timed out may still be carried out, even after the next try.
func TestUnknownOutcomeIsRetriedWithTheSameBatch(t *testing.T) {
	e := ownRedis(t, embedded.Options{})
	at, s := e.create(t, "main"), protocol.NewSession()
	e.append(t, "main", at, s, 1)
	patient, hasty := e.Store, e.another(t, Options{ReadTimeout: 50 * time.Millisecond})
	if _, err := hasty.Meta(t.Context(), "main"); err != nil { // a connection
		t.Fatal(err)
	}
	if err := e.server.Pause(); err != nil {
		t.Fatal(err)
	}
	_, err := hasty.Append(t.Context(), "main", at, paint(s, 2, 3))
	if resume := e.server.Resume(); resume != nil {
		t.Fatal(resume)
	}
	var stale *StaleError
	if err == nil || errors.Is(err, ErrRejected) || errors.Is(err, ErrUnavailable) || errors.As(err, &stale) {
		t.Fatalf("a time-out gave %v, which says that nothing was appended", err)
	}
	if _, err := patient.Append(t.Context(), "main", at, paint(s, 2, 3)); err != nil {
		t.Fatal(err)
	}
	e.append(t, "main", at, s, 4)
	if got := numbers(e.read(t, "main")); !slices.Equal(got, []uint64{1, 2, 3, 4}) {
		t.Fatalf("the log has %v", got)
	}
}

func TestLogFull(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		at, s, other := e.create(t, "main"), protocol.NewSession(), protocol.NewSession()
		small := e.another(t, Options{LogCap: 2, Retention: 1})
		small.append(t, "main", at, s, 1)
		at = small.append(t, "main", at, s, 2, 3).Position
		a, err := small.Append(t.Context(), "main", at, append(paint(s, 3, 4), paint(other, 1)...))
		wantError(t, err, ErrLogFull)
		if a.Count != 0 || a.Position != at || a.Sessions[s] != (SessionState{3, 3}) || a.Sessions[other] != (SessionState{}) {
			t.Fatalf("beside log full: %+v", a)
		}
		if got := e.get(t, keysOf("main").session(s)); got != "3 3" {
			t.Fatalf("session: %q", got)
		}
		// What is there already is a success all the same.
		if a := small.append(t, "main", at, s, 3); a.Sessions[s] != (SessionState{3, 3}) {
			t.Fatalf("%+v", a)
		}
		if err := small.SaveCheckpoint(t.Context(), "main", pictureAt(at), nil); err != nil {
			t.Fatal(err)
		}
		if n, err := small.Trim(t.Context(), "main"); n != 1 || err != nil {
			t.Fatalf("trimmed %d, %v", n, err)
		}
		if a := small.append(t, "main", at, s, 4); a.First != 4 {
			t.Fatalf("after the trim: %+v", a)
		}
	})
}

func TestTimeNeverDecreases(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		at, s := e.create(t, "main"), protocol.NewSession()
		before := time.Now().Add(-time.Minute).UnixMilli()
		if a := e.append(t, "main", at, s, 1); a.Time < before || a.Time > before+120_000 {
			t.Fatalf("time %d", a.Time)
		}
		future := time.Now().Add(time.Hour).UnixMilli() // the server's clock steps back
		e.do(t, "HSET", keysOf("main").meta(), "time", strconv.FormatInt(future, 10))
		if a := e.append(t, "main", at, s, 2); a.Time != future {
			t.Fatalf("time %d after %d", a.Time, future)
		}
	})
}

// Lua prints 2^53 as 9.007e15 unless told otherwise.
func TestGreatNumbers(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		at, s := e.create(t, "main"), protocol.NewSession()
		const head = 9007199254740000
		e.do(t, "SET", keysOf("main").head(), strconv.Itoa(head))
		at.Seq = head
		a := e.append(t, "main", at, s, 1<<53-3, 1<<53-2, 1<<53-1)
		if a.First != head+1 || a.Position.Seq != head+3 || a.Sessions[s] != (SessionState{1<<53 - 1, head + 3}) {
			t.Fatalf("%+v", a)
		}
		if id := e.client.XRange(t.Context(), keysOf("main").log(), "-", "+").Val()[0].ID; id != "9007199254740003-0" {
			t.Fatalf("id %s", id)
		}
		if got := e.get(t, keysOf("main").session(s)); got != "9007199254740991 9007199254740003" {
			t.Fatalf("session: %q", got)
		}
		entries, now, err := e.Read(t.Context(), "main", head+2, 10)
		if err != nil || now != head+3 || len(entries) != 1 || entries[0].First != head+3 || entries[0].Ops[0].Number != 1<<53-1 {
			t.Fatalf("%+v, %d, %v", entries, now, err)
		}
		if now, err := e.Check(t.Context(), "main", a.Position); err != nil || now != a.Position {
			t.Fatalf("%v, %v", now, err)
		}
	})
}

func TestSessionsExpire(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		at, s := e.create(t, "main"), protocol.NewSession()
		brief := paint(s, 7)
		brief[0].TTL = time.Millisecond
		if _, err := e.Append(t.Context(), "main", at, brief); err != nil {
			t.Fatal(err)
		}
		until(t, "the session expires", func() bool { return e.get(t, keysOf("main").session(s)) == "" })
		if a := e.append(t, "main", at, s, 7); a.Count != 1 {
			t.Fatalf("%+v", a)
		}
		if ttl := e.client.PTTL(t.Context(), keysOf("main").session(s)).Val(); ttl <= time.Minute || ttl > time.Hour {
			t.Fatalf("it lives for %v", ttl)
		}
	})
}

func TestConcurrentAppenders(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		const appenders, each = 8, 60
		at := e.create(t, "main")
		sessions := make([]protocol.Session, appenders)
		var all sync.WaitGroup
		for i := range sessions {
			sessions[i] = protocol.NewSession()
			all.Go(func() {
				for n := uint64(1); n <= each; n += 3 {
					// Each batch twice, and overlapping with the one before.
					for range 2 {
						if _, err := e.Append(t.Context(), "main", at, paint(sessions[i], max(n, 2)-1, n, n+1, n+2)); err != nil {
							t.Error(err)
							return
						}
					}
				}
			})
		}
		all.Wait()
		ops := e.read(t, "main") // fails on a hole
		if len(ops) != appenders*each {
			t.Fatalf("%d operations, want %d", len(ops), appenders*each)
		}
		last := map[canvas.AuthorID]uint64{}
		for _, o := range ops {
			if o.Number != last[o.Author]+1 {
				t.Fatalf("number %d of %x after %d", o.Number, o.Author, last[o.Author])
			}
			last[o.Author] = o.Number
		}
	})
}

// Keys show in dumps, and whole commands in slow logs and monitors: who reads
// one must not be able to draw in somebody's name, nor tell from a key whose it
// is.
func TestCommandsHideSessions(t *testing.T) {
	s := protocol.NewSession()
	b, err := newBatch("main", paint(s, 1))
	if err != nil {
		t.Fatal(err)
	}
	key := b.keys[len(b.keys)-1]
	if !strings.HasPrefix(key, "{canvas:main}:session:") {
		t.Fatalf("the last key is %q, not the session's", key)
	}
	author := uint64(s.Author())
	for _, tag := range []uint64{author, bits.ReverseBytes64(author)} {
		if strings.Contains(key, fmt.Sprintf("%016x", tag)) {
			t.Errorf("the key %q tells its author", key)
		}
	}
	command := []byte(strings.Join(b.keys, " "))
	for _, arg := range b.args {
		command = fmt.Appendf(command, " %s", arg)
	}
	if bytes.Contains(command, s[:]) || bytes.Contains(command, []byte(s.Hex())) {
		t.Errorf("the command %q tells the session", command)
	}
	if other := keysOf("main").session(protocol.NewSession()); other == key {
		t.Error("two sessions share a key")
	}
}
