package store

import (
	"testing"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// What is told of a session is what the next append compares with.
func TestSessionState(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		meta, _, err := e.Create(t.Context(), "main", canvas.Spec{Width: 300, Height: 270, Background: canvas.White}, 0)
		if err != nil {
			t.Fatal(err)
		}
		session := protocol.NewSession()
		want := func(want SessionState) {
			t.Helper()
			if got, err := e.Session(t.Context(), "main", session); err != nil || got != want {
				t.Errorf("%+v, %v; want %+v", got, err, want)
			}
		}
		want(SessionState{})
		at := canvas.Position{Epoch: meta.Epoch}
		if _, err := e.Append(t.Context(), "main", at, paint(protocol.NewSession(), 1, 2, 3)); err != nil {
			t.Fatal(err)
		}
		want(SessionState{})
		if _, err := e.Append(t.Context(), "main", at, paint(session, 7, 9)); err != nil {
			t.Fatal(err)
		}
		want(SessionState{Number: 9, Seq: 5})
		e.do(t, "DEL", "{canvas:main}:head") // the log knows
		want(SessionState{Number: 9, Seq: 5})
		e.do(t, "SET", "{canvas:main}:head", "4") // the log has lost its end
		want(SessionState{})
		if _, err := e.Session(t.Context(), "No canvas", session); err == nil {
			t.Error("a canvas without a name")
		}
	})
}
