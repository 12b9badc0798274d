package protocol

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// TestSessionStaysSecret prints a session in every way that a log, an error or
// a reply could.
func TestSessionStaysSecret(t *testing.T) {
	s := Session(bytes.Repeat([]byte{0xC7}, 16))
	message := Hello{Session: s}
	table := map[Session]int{s: 1}

	var out strings.Builder
	for _, verb := range strings.Split("v +v #v T s q +q #q x X #x d o O b c U #U t e E f g G 40s -40v 040d .3s x", " ") {
		for _, value := range []any{s, &s, message, &message, []Session{s}, table, any(s)} {
			fmt.Fprintf(&out, "%"+verb+"\n", value)
		}
	}
	fmt.Fprint(&out, s, message, table, errors.New(fmt.Sprint(s)))
	fmt.Fprintln(&out, fmt.Errorf("session %v: %w", s, &Refusal{Code: CodeInvalidHello}))

	for _, value := range []any{s, &s, message, table, []any{s}} {
		b, err := json.Marshal(value)
		if err != nil {
			t.Error(err)
		}
		out.Write(b)
	}
	b, err := xml.Marshal(message)
	if err != nil {
		t.Error(err)
	}
	out.Write(b)

	// Without the time, whose digits may be the session's by chance.
	options := &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, options), slog.NewJSONHandler(&out, options)} {
		log := slog.New(handler)
		log.Info("a session", "session", s, "pointer", &s, "message", message, "table", table, slog.Group("group", "session", s))
		log.With("session", s).Debug(fmt.Sprint(s))
	}

	for _, secret := range []string{s.Hex(), "c7c7", "C7C7", "199", "307", "11000111", "0xc7", "ÇÇ", "\xC7\xC7"} {
		if i := strings.Index(out.String(), secret); i >= 0 {
			t.Errorf("%q shows in %q", secret, out.String()[max(0, i-60):min(out.Len(), i+40)])
		}
	}
}

func TestSessions(t *testing.T) {
	s, other := NewSession(), NewSession()
	if s == other || s == (Session{}) {
		t.Error("new sessions are not random")
	}
	if got, err := ParseSession(s.Hex()); err != nil || got != s {
		t.Errorf("%v after a round trip", err)
	}
	if got, err := ParseSession(strings.ToUpper(s.Hex())); err != nil || got != s {
		t.Errorf("capitals: %v", err)
	}
	for _, bad := range []string{"", "0", s.Hex()[1:], s.Hex() + "0", " " + s.Hex()[1:], strings.Repeat("g", 32)} {
		got, err := ParseSession(bad)
		if err == nil || got != (Session{}) {
			t.Errorf("%q was accepted", bad)
		} else if bad != "" && strings.Contains(err.Error(), bad) {
			t.Error("the error shows what may be most of a secret")
		}
	}
	// The tag of the golden vectors, worked out with another implementation:
	// printf 'pixel author\x00\x11…\xff' | sha256sum
	if got := vectorSession.Author(); uint32(got) != 329933306 {
		t.Errorf("the author's tag is %d", uint32(got))
	}
}
