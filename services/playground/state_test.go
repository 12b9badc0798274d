package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cloud-pixel/playground/services/fleet"
)

// Who reads the file while it changes never sees a part of it.
func TestStateFileIsAlwaysWhole(t *testing.T) {
	b := &board{path: filepath.Join(t.TempDir(), "state.json"), now: fleet.State{URL: "http://x"}}
	if err := b.down("nobody"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		for n := range 300 {
			if err := b.up(fleet.Process{Service: "gateway", Pod: fmt.Sprintf("gateway-%d", n%20), PID: n}); err != nil {
				done <- err
				return
			}
			if n%3 == 0 {
				if err := b.down(fmt.Sprintf("gateway-%d", n%20)); err != nil {
					done <- err
					return
				}
			}
		}
		done <- nil
	}()
	for running := true; running; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		default:
		}
		s, err := fleet.ReadState(b.path)
		if err != nil || s.URL != "http://x" {
			t.Fatalf("%+v %v", s, err)
		}
	}
	if files, err := os.ReadDir(filepath.Dir(b.path)); err != nil || len(files) != 1 {
		t.Errorf("files left: %v %v", files, err)
	}
	if err := b.remove(); err != nil {
		t.Error(err)
	}
	if err := b.remove(); err != nil {
		t.Errorf("removing what is gone: %v", err)
	}
}

func TestStateHasOneProcessForAPod(t *testing.T) {
	b := &board{}
	for _, p := range []fleet.Process{{Pod: "b", PID: 1}, {Pod: "a", PID: 2}, {Pod: "b", PID: 3}} {
		if err := b.up(p); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(b.snapshot().Processes); got != "[{ a 2  } { b 3  }]" {
		t.Error(got)
	}
}
