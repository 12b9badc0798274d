package store

import (
	"testing"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// An upper bound would drop the entry that holds operations on both sides of
// it; a lower one of since itself would miss that entry's later part.
func TestReadFromInsideAnEntry(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		s := protocol.NewSession()
		at := e.append(t, "main", e.create(t, "main"), s, 1, 2, 3).Position
		at = e.append(t, "main", at, s, 4, 5, 6, 7).Position
		e.append(t, "main", at, s, 8)
		for since := range uint64(9) {
			entries, head, err := e.Read(t.Context(), "main", since, 10)
			if err != nil || head != 8 {
				t.Fatalf("since %d: head %d, %v", since, head, err)
			}
			next := since + 1
			for _, entry := range entries {
				for i, o := range entry.Ops {
					if entry.First+uint64(i) != next || o.Number != next {
						t.Fatalf("since %d: number %d at %d, want %d", since, o.Number, entry.First, next)
					}
					next++
				}
			}
			if next != 9 {
				t.Fatalf("since %d: read up to %d", since, next-1)
			}
		}
		// The limit counts entries; the next read goes on behind them.
		entries, head, err := e.Read(t.Context(), "main", 1, 1)
		if err != nil || head != 8 || len(entries) != 1 || entries[0].First != 2 || entries[0].Last() != 3 {
			t.Fatalf("%+v, %d, %v", entries, head, err)
		}
		if entries, head, err := e.Read(t.Context(), "main", 99, 1); len(entries) != 0 || head != 8 || err != nil {
			t.Fatalf("from beyond the head: %+v, %d, %v", entries, head, err)
		}
	})
}

func TestReadTellsThatTheLogIsTrimmed(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		s := protocol.NewSession()
		at := e.create(t, "main")
		for n := uint64(1); n <= 5; n++ {
			at = e.append(t, "main", at, s, n).Position
		}
		e.do(t, "XTRIM", keysOf("main").log(), "MINID", "4-0")
		for since := range uint64(3) {
			entries, head, err := e.Read(t.Context(), "main", since, 10)
			wantError(t, err, ErrTrimmed)
			if len(entries) != 0 || head != 5 {
				t.Fatalf("since %d: %d entries, head %d", since, len(entries), head)
			}
		}
		if entries, _, err := e.Read(t.Context(), "main", 3, 10); len(entries) != 2 || err != nil {
			t.Fatalf("%d entries, %v", len(entries), err)
		}
		// Nothing at all, and yet the head is greater: trimmed too. It must not
		// pass for "nothing new".
		e.do(t, "XTRIM", keysOf("main").log(), "MAXLEN", "0")
		_, head, err := e.Read(t.Context(), "main", 4, 10)
		wantError(t, err, ErrTrimmed)
		if head != 5 {
			t.Fatalf("head %d", head)
		}
		if entries, head, err := e.Read(t.Context(), "main", 5, 10); len(entries) != 0 || head != 5 || err != nil {
			t.Fatalf("%d entries, head %d, %v", len(entries), head, err)
		}
	})
}

func TestUnreadableEntryEndsARead(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		s := protocol.NewSession()
		at := e.append(t, "main", e.create(t, "main"), s, 1).Position
		good := &canvas.Entry{Epoch: at.Epoch, First: 2, Ops: []canvas.Op{paint(s, 2)[0].Op}}
		future := encodeRecord(good)
		future[0] = 2
		hole := *good
		hole.First = 3
		for _, c := range []struct {
			name, id string
			value    any
			want     error
		}{
			{"future version", "2-0", future, ErrVersion},
			{"rubbish", "2-0", "\x01rubbish", ErrMalformed},
			{"id that is not its last position", "3-0", encodeRecord(good), ErrMalformed},
			{"hole", "3-0", encodeRecord(&hole), ErrMalformed},
		} {
			t.Run(c.name, func(t *testing.T) {
				e.do(t, "XADD", keysOf("main").log(), c.id, "e", c.value)
				entries, _, err := e.Read(t.Context(), "main", 0, 10)
				wantError(t, err, c.want)
				if len(entries) != 1 || entries[0].Last() != 1 {
					t.Fatalf("before it: %+v", entries)
				}
				// Put the first entry alone into a new stream.
				record := e.client.XRangeN(t.Context(), keysOf("main").log(), "-", "+", 1).Val()[0].Values["e"]
				e.do(t, "DEL", keysOf("main").log())
				e.do(t, "XADD", keysOf("main").log(), "1-0", "e", record)
			})
		}
	})
}

func TestLogInfoOfAnEmptyLog(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		e.create(t, "main")
		if n, oldest, err := e.LogInfo(t.Context(), "main"); n != 0 || oldest != 0 || err != nil {
			t.Fatalf("%d, %d, %v", n, oldest, err)
		}
		if entries, head, err := e.Read(t.Context(), "main", 0, 1); len(entries) != 0 || head != 0 || err != nil {
			t.Fatalf("%v, %d, %v", entries, head, err)
		}
	})
}
