package client

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cloud-pixel/playground/services/canvas"
)

func TestTrackerJudges(t *testing.T) {
	for _, c := range []struct {
		name      string
		pieces    bool
		prev, seq uint64
		want      verdict
	}{
		{"next", false, 10, 11, continues},
		{"next range", false, 10, 20, continues},
		{"repeat", false, 9, 10, known},
		{"older", false, 3, 4, known},
		{"partly known", false, 8, 12, overlaps},
		{"gap", false, 11, 12, gap},
		{"far gap", false, 50, 70, gap},
		{"JSON next", true, 10, 11, continues},
		{"JSON further pixel", true, 9, 10, continues},
		{"JSON older", true, 8, 9, known},
		{"JSON partly known", true, 5, 12, overlaps},
		{"JSON gap", true, 11, 12, gap},
	} {
		tr := tracker{at: canvas.Position{Seq: 10}, whole: 10, high: 10, pieces: c.pieces}
		if got := tr.judge(c.prev, c.seq); got != c.want {
			t.Errorf("%s: (%d, %d] after 10: got %d, want %d", c.name, c.prev, c.seq, got, c.want)
		}
	}
}

func TestTrackerResumesBeforeAnOperationThatMayBePartial(t *testing.T) {
	tr := tracker{pieces: true}
	tr.restart(canvas.Position{Seq: 5})
	step := func(seq uint64, complete bool, fresh, resume uint64) {
		t.Helper()
		if got := tr.advance(seq, complete); got != fresh {
			t.Errorf("advance to %d: %d fresh positions, want %d", seq, got, fresh)
		}
		if got := tr.resumeAt().Seq; got != resume {
			t.Errorf("after %d: resumes at %d, want %d", seq, got, resume)
		}
	}
	step(6, false, 1, 5)
	step(6, false, 0, 5) // a further pixel
	step(9, false, 3, 6) // a range shows that 6 is complete
	step(10, true, 1, 10)
	step(11, false, 1, 10)
	tr.restart(tr.resumeAt())
	step(11, false, 0, 10) // again, not counted again
	step(12, false, 1, 11)
	tr.restart(canvas.Position{Epoch: canvas.Epoch{1}, Seq: 3})
	step(4, false, 1, 3) // another history counts anew
}

// Whatever comes, positions only grow and are counted once each.
func TestTrackerProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := tracker{pieces: rapid.Bool().Draw(t, "pieces")}
		counted, highest := uint64(0), uint64(0)
		for range rapid.IntRange(1, 60).Draw(t, "messages") {
			prev := rapid.Uint64Range(0, 20).Draw(t, "prev")
			seq := prev + rapid.Uint64Range(1, 4).Draw(t, "covers")
			last := tr.at.Seq
			switch tr.judge(prev, seq) {
			case gap, known:
				continue
			case continues, overlaps:
			}
			counted += tr.advance(seq, false)
			highest = max(highest, seq)
			if tr.at.Seq < last || tr.whole > tr.at.Seq {
				t.Fatalf("from %d to %d, whole up to %d", last, tr.at.Seq, tr.whole)
			}
			if counted != highest {
				t.Fatalf("counted %d positions of %d", counted, highest)
			}
			if rapid.Bool().Draw(t, "resume") {
				tr.restart(tr.resumeAt())
			}
		}
	})
}

func TestBackoff(t *testing.T) {
	next := 1.0
	p := pacer{Backoff: Backoff{}.withDefaults(), rand: func() float64 { return next }}
	want := func(lived, d time.Duration) {
		t.Helper()
		if got := p.next(lived); got != d {
			t.Fatalf("got %v, want %v", got, d)
		}
	}
	for _, ms := range []time.Duration{100, 200, 400, 800, 1600, 2000, 2000} {
		want(0, ms*time.Millisecond)
	}
	want(9*time.Second, 2*time.Second) // not stable yet
	want(10*time.Second, 100*time.Millisecond)
	next = 0.25
	want(0, 50*time.Millisecond)
	next = 0
	want(0, 0)
}
