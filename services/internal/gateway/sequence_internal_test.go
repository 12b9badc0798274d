package gateway

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cloud-pixel/playground/services/protocol"
)

// logModel is what the log does with the operations of one session: it takes
// each number that is greater than the last, and drops the others as known.
type logModel struct {
	last     uint64
	appended []uint64
}

func (l *logModel) append(n uint64) {
	if n > l.last {
		l.last = n
		l.appended = append(l.appended, n)
	}
}

// order is how a gateway keeps operations in order over refusals.
type order interface {
	admit(n uint64) *protocol.Refusal
	refuse(n uint64, code protocol.Code, retryAfter uint32) *protocol.Refusal
}

// tempting admits whatever comes: each operation is looked at by itself.
type tempting struct{}

func (tempting) admit(uint64) *protocol.Refusal { return nil }

func (tempting) refuse(n uint64, code protocol.Code, _ uint32) *protocol.Refusal {
	return &protocol.Refusal{Code: code, Number: n}
}

// play lets a client send numbers 1 … total through the order. Operations are
// refused at random on arrival (a rate limit) or out of the queue to the log
// (which then loses what waits behind it, as replica.Writer does). The client
// pipelines, hears of refusals late, and then goes back. It returns how often
// an operation was admitted after one that was refused and had not come again,
// and what the log holds in the end.
func play(random *rand.Rand, total uint64, s order) (overtaken int, log []uint64) {
	var (
		model   logModel
		queue   []uint64 // admitted, not yet in the log
		wire    []uint64 // sent, not yet read by the gateway
		answers []uint64 // refusals that the client has not read
		refused uint64   // lowest that was refused and has not come again
		next    uint64   = 1
	)
	note := func(n uint64) {
		if refused == 0 || n < refused {
			refused = n
		}
		answers = append(answers, n)
	}
	for steps := 0; model.last < total || len(wire)+len(answers)+len(queue) > 0; steps++ {
		if steps > 100_000 {
			return overtaken, nil // it never ends
		}
		switch random.IntN(4) {
		case 0: // the client sends
			if next <= total && len(wire) < 16 {
				wire = append(wire, next)
				next++
			}
		case 1: // the gateway reads
			if len(wire) == 0 {
				continue
			}
			n := wire[0]
			wire = wire[1:]
			if r := s.admit(n); r != nil {
				note(r.Number)
				continue
			}
			if n == refused {
				refused = 0
			}
			if random.IntN(5) == 0 {
				note(s.refuse(n, protocol.CodeRateLimited, 1).Number)
				continue
			}
			if refused != 0 && n > refused {
				overtaken++
			}
			queue = append(queue, n)
		case 2: // the log takes, or the writer refuses with all behind
			if len(queue) == 0 {
				continue
			}
			if random.IntN(10) == 0 {
				for _, n := range queue {
					note(s.refuse(n, protocol.CodeLogFull, 1).Number)
				}
				queue = nil
				continue
			}
			model.append(queue[0])
			queue = queue[1:]
		case 3: // the client hears of refusals, when nothing of its is under way
			if len(answers) == 0 || len(wire) > 0 {
				continue
			}
			next = min(next, slices.Min(answers))
			answers = nil
		}
	}
	return overtaken, model.appended
}

// After a transient refusal of n nothing greater is admitted until n comes
// again, and so every operation gets into the log.
func TestSequenceIsGoBackN(t *testing.T) {
	const total = 60
	tempted := 0
	for seed := range uint64(300) {
		overtaken, log := play(rand.New(rand.NewPCG(seed, 1)), total, &sequence{})
		if overtaken != 0 || len(log) != total || !slices.IsSorted(log) {
			t.Fatalf("seed %d: %d operations overtook a refused one; the log holds %d of %d: %v", seed, overtaken, len(log), total, log)
		}
		if _, log := play(rand.New(rand.NewPCG(seed, 1)), total, tempting{}); len(log) < total {
			tempted++
		}
	}
	// The test would notice: admitting each operation by itself loses some.
	if tempted < 250 {
		t.Errorf("without the order only %d of 300 runs lose operations; this test proves nothing", tempted)
	}
}

func TestSequence(t *testing.T) {
	var s sequence
	admitted := func(n uint64) bool {
		r := s.admit(n)
		if r != nil && (r.Number != n || r.Code != protocol.CodeRateLimited || r.RetryAfter != 7) {
			t.Errorf("operation %d is refused with %+v", n, r)
		}
		return r == nil
	}
	if !admitted(3) {
		t.Error("nothing was refused yet")
	}
	if r := s.refuse(5, protocol.CodeRateLimited, 7); r.Number != 5 || r.Code != protocol.CodeRateLimited || r.RetryAfter != 7 {
		t.Errorf("refusal %+v", r)
	}
	for _, step := range []struct {
		n  uint64
		ok bool
	}{{6, false}, {1 << 52, false}, {0, true}, {3, true}, {6, false}, {5, true}, {6, true}} {
		if ok := admitted(step.n); ok != step.ok {
			t.Errorf("operation %d admitted: %v", step.n, ok)
		}
	}
	// Of several refused ones the lowest has to come first.
	_ = s.refuse(9, protocol.CodeRateLimited, 7)
	_ = s.refuse(8, protocol.CodeRateLimited, 7)
	_ = s.refuse(10, protocol.CodeRateLimited, 7)
	if admitted(9) || !admitted(8) || !admitted(9) {
		t.Error("8 was refused, and 9 came before it")
	}
	// What has no number never comes again: it blocks nothing.
	s = sequence{}
	_ = s.refuse(0, protocol.CodeRateLimited, 7)
	if !admitted(1) {
		t.Error("an operation without a number blocks")
	}
}
