package store

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cloud-pixel/playground/services/protocol"
)

func TestCursorsEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want protocol.Cursors
		for range rapid.IntRange(0, 20).Draw(t, "here") {
			want.Here = append(want.Here, protocol.CursorAt{
				Author: rapid.Uint32().Draw(t, "author"), X: uint16(rapid.IntRange(0, 4095).Draw(t, "x")), Y: uint16(rapid.IntRange(0, 4095).Draw(t, "y")),
				Name: rapid.StringN(0, 20, 80).Draw(t, "name"),
			})
		}
		for range rapid.IntRange(0, 5).Draw(t, "gone") {
			want.Gone = append(want.Gone, rapid.Uint32().Draw(t, "author"))
		}
		b := encodeCursors(want)
		if got, err := decodeCursors(b); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, %v; want %+v", got, err, want)
		}
		// Cut anywhere it is refused, or holds fewer of those who are gone.
		cut := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
		if got, err := decodeCursors(b[:cut]); err == nil && (len(got.Here) != len(want.Here) || len(got.Gone) >= len(want.Gone)) {
			t.Fatalf("cut at %d of %d: %+v", cut, len(b), got)
		}
	})
}

func TestBadCursors(t *testing.T) {
	for name, b := range map[string]string{
		"nothing": "", "another version": "\x02\x00", "no count": "\x01",
		"more than fit":         "\x01\xFF\xFF\xFF\xFF\x0F",
		"4097 at once":          "\x01\x81\x20",
		"beyond every canvas":   "\x01\x01\x01\x00\x00\x00\x80\x20\x00\x00",
		"name longer than that": "\x01\x01\x01\x00\x00\x00\x01\x01\x05Ada",
		"half an author":        "\x01\x00\x01\x02",
	} {
		if m, err := decodeCursors([]byte(b)); !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrVersion) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}

func TestCursorsReachWhoFollows(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan protocol.Cursors, 100)
		done := make(chan struct{})
		go func() {
			defer close(done)
			e.FollowCursors(ctx, "main", func(m protocol.Cursors) { got <- m })
		}()
		want := protocol.Cursors{Here: []protocol.CursorAt{{Author: 7, X: 3, Y: 4, Name: "Ada"}}, Gone: []uint32{9}}
		// Until it is subscribed, what is published goes nowhere.
		for end := time.Now().Add(20 * time.Second); ; {
			if err := e.PublishCursors(t.Context(), "other", protocol.Cursors{Gone: []uint32{1}}); err != nil {
				t.Fatal(err)
			}
			if err := e.PublishCursors(t.Context(), "main", want); err != nil {
				t.Fatal(err)
			}
			select {
			case m := <-got:
				if !reflect.DeepEqual(m, want) {
					t.Fatalf("got %+v; want %+v", m, want)
				}
				cancel()
				<-done
				return
			case <-time.After(10 * time.Millisecond):
			}
			if time.Now().After(end) {
				t.Fatal("nothing comes")
			}
		}
	})
}
