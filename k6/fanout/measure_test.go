package fanout

import (
	"context"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-pixel/playground/k6/internal/fakegateway"
	"github.com/cloud-pixel/playground/k6/metrics"
	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/protocol"
)

// These tests hold the measuring to a server whose every mistake is known. They
// run in virtual time, so times are exact too.

const bothCodecs = 2

// each runs a test in a bubble for each codec.
func each(t *testing.T, f func(*testing.T, client.Codec)) {
	for codec := range client.Codec(bothCodecs) {
		t.Run(codec.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, codec) })
		})
	}
}

// group returns a group of n clients that have joined one after the other, so
// that client i is connection i.
func group(t testing.TB, o Options, n int) *Group {
	t.Helper()
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	for range n {
		if err := g.Join(t.Context(), 1, 0); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// paint draws n writes at 10/s by the first client alone.
func paint(t testing.TB, g *Group, n int) {
	t.Helper()
	if err := g.Paint(t.Context(), Plan{Rate: 10, Writes: n, Writers: 1, Cell: Spread(fakegateway.Spec.Width, fakegateway.Spec.Height)}); err != nil {
		t.Fatal(err)
	}
}

// settled measures when the group has settled, or will not.
func settled(g *Group, complete bool, t testing.TB) *metrics.Set {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := g.Settle(ctx); (err == nil) != complete {
		t.Errorf("settled: %v", err)
	}
	var s metrics.Set
	g.Measure(&s)
	return &s
}

// expect checks aggregates; times are in ms and exact to what a histogram holds.
func expect(t testing.TB, s *metrics.Set, want map[string]float64) {
	t.Helper()
	for what, v := range want {
		var name, aggregate string
		if _, err := fmt.Sscan(what, &name, &aggregate); err != nil {
			t.Fatal(err)
		}
		m := s.Get(name)
		if m == nil {
			t.Errorf("no metric %s", name)
			continue
		}
		got, err := m.Ask(aggregate)
		if err != nil || math.Abs(got-v) > v/500 {
			t.Errorf("%s is %v, %v; want %v", what, got, err, v)
		}
	}
}

// A known delay is what is reported, at everybody, to the author and in the
// acknowledgement.
func TestKnownDelay(t *testing.T) {
	each(t, func(t *testing.T, codec client.Codec) {
		s := fakegateway.Serve(t, &fakegateway.Server{Latency: func() time.Duration { return 70 * time.Millisecond }})
		g := group(t, options(s, codec), 4)
		paint(t, g, 100)
		expect(t, settled(g, true, t), map[string]float64{
			"pixel_e2e_latency min": 70, "pixel_e2e_latency p(50)": 70, "pixel_e2e_latency max": 70, "pixel_e2e_latency count": 300,
			"pixel_echo_latency min": 70, "pixel_echo_latency max": 70, "pixel_echo_latency count": 100,
			"pixel_ack_latency max": 70, "pixel_generator_late max": 0.001,
			"pixel_writes count": 100, "pixel_acked count": 100, "pixel_unacked count": 0,
			"pixel_owed count": 400, "pixel_delivered count": 400, "pixel_delivery rate": 1, "pixel_lost count": 0,
			"pixel_gaps count": 0, "pixel_duplicates count": 0, "pixel_out_of_order count": 0, "pixel_foreign count": 0,
			"pixel_write_rate value": 10, "pixel_multiplier value": 4, "pixel_connects rate": 1, "pixel_connections value": 4,
		})
	})
}

// What was due while the server stood still counts with the whole time that it
// waited, although a client that waits for its server would have sent it later.
func TestStallIsNotHidden(t *testing.T) {
	each(t, func(t *testing.T, codec client.Codec) {
		begin := time.Now()
		s := fakegateway.Serve(t, &fakegateway.Server{Latency: func() time.Duration {
			// Between 2 s and 3 s nothing moves.
			if now := time.Since(begin); now >= 2*time.Second && now < 3*time.Second {
				return 3*time.Second - now
			}
			return 0
		}})
		g := group(t, options(s, codec), 2)
		paint(t, g, 50)
		set := settled(g, true, t)
		expect(t, set, map[string]float64{"pixel_e2e_latency count": 50, "pixel_e2e_latency max": 1000, "pixel_ack_latency max": 1000})
		// Ten were due in that second: 1000, 900, … 100 ms.
		if n := over(set, 50); n != 10 {
			t.Errorf("%d writes took over 50 ms; ten were due in the stall", n)
		}
		if n := over(set, 450); n != 6 {
			t.Errorf("%d writes took over 450 ms; six did", n)
		}
	})
}

// over counts deliveries to others that took longer than some ms.
func over(s *metrics.Set, ms int64) (n int64) {
	for _, bar := range s.Get("pixel_e2e_latency").Times.Distribution() {
		if bar.From > ms*1000 {
			n += bar.Count
		}
	}
	return n
}

// Each tenth update does not come to one of three clients.
func TestEachTenthIsDropped(t *testing.T) {
	drop := func(n int, seq uint64) []uint64 {
		if n == 1 && seq%10 == 0 {
			return nil
		}
		return []uint64{seq}
	}
	each(t, func(t *testing.T, codec client.Codec) {
		s := fakegateway.Serve(t, &fakegateway.Server{Order: drop})
		o := options(s, codec)
		o.Witness = true
		g := group(t, o, 3)
		paint(t, g, 100)
		// Nothing follows the hundredth, so no gap shows that it is missing.
		expect(t, settled(g, false, t), map[string]float64{
			"pixel_owed count": 300, "pixel_delivered count": 290, "pixel_lost count": 10, "pixel_delivery rate": 290. / 300,
			"pixel_gaps count": 9, "pixel_duplicates count": 0, "pixel_out_of_order count": 0, "pixel_disconnects count": 0,
			"pixel_e2e_latency count": 190, "pixel_echo_latency count": 100,
		})
	})
}

// A client that repairs notices each of them, comes back, and gets it.
func TestEachTenthIsRepaired(t *testing.T) {
	each(t, func(t *testing.T, codec client.Codec) {
		s := fakegateway.Serve(t, &fakegateway.Server{Resumed: protocol.FromMemory})
		s.Order = func(n int, seq uint64) []uint64 {
			if n != 0 && n != 2 && seq%10 == 0 { // the second client, also after it has come back
				return nil
			}
			return []uint64{seq}
		}
		g := group(t, options(s, codec), 3)
		paint(t, g, 101)
		set := settled(g, true, t)
		expect(t, set, map[string]float64{
			"pixel_owed count": 303, "pixel_delivered count": 303, "pixel_lost count": 0, "pixel_gaps count": 10,
			"pixel_cut_off count": 10, "pixel_reconnected rate": 1, "pixel_resume count": 10,
			"pixel_recovery_time count": 10,
		})
		if n := set.Get("pixel_disconnects").Parts["code=1002"]; n == nil || n.Value != 10 {
			t.Errorf("disconnects by code: %v", set.Get("pixel_disconnects").Tags())
		}
		if n := set.Get("pixel_resume").Parts["by=memory"]; n == nil || n.Value != 10 {
			t.Errorf("resumes: %v", set.Get("pixel_resume").Tags())
		}
		// What came late counts with the time that it took, and is told apart.
		caught := set.Get("pixel_catch_up_latency").Times
		if caught.TotalCount() < 10 || caught.Max() < 100_000 {
			t.Errorf("%d caught up with, the slowest after %d µs", caught.TotalCount(), caught.Max())
		}
	})
}

// One update comes twice.
func TestOneIsRepeated(t *testing.T) {
	each(t, func(t *testing.T, codec client.Codec) {
		s := fakegateway.Serve(t, &fakegateway.Server{Order: func(n int, seq uint64) []uint64 {
			if n == 1 && seq == 7 {
				return []uint64{7, 7}
			}
			return []uint64{seq}
		}})
		o := options(s, codec)
		o.Witness = true
		g := group(t, o, 2)
		paint(t, g, 20)
		expect(t, settled(g, true, t), map[string]float64{
			"pixel_owed count": 40, "pixel_delivered count": 40, "pixel_lost count": 0, "pixel_delivery rate": 1,
			"pixel_gaps count": 0, "pixel_duplicates count": 1, "pixel_out_of_order count": 0, "pixel_e2e_latency count": 20,
		})
	})
}

// Two updates come in the wrong order: the second shows a gap, the first comes
// late, and both have come.
func TestTwoAreSwapped(t *testing.T) {
	each(t, func(t *testing.T, codec client.Codec) {
		s := fakegateway.Serve(t, &fakegateway.Server{Order: func(n int, seq uint64) []uint64 {
			switch {
			case n == 1 && seq == 7:
				return nil
			case n == 1 && seq == 8:
				return []uint64{8, 7}
			}
			return []uint64{seq}
		}})
		o := options(s, codec)
		o.Witness = true
		g := group(t, o, 2)
		paint(t, g, 20)
		expect(t, settled(g, true, t), map[string]float64{
			"pixel_owed count": 40, "pixel_delivered count": 40, "pixel_lost count": 0,
			"pixel_gaps count": 1, "pixel_duplicates count": 0, "pixel_out_of_order count": 1,
			// The seventh came when the eighth was due.
			"pixel_e2e_latency count": 20, "pixel_e2e_latency max": 100,
		})
	})
}

// A repetition does not hide a loss: the sum is right, the accounts are not.
func TestRepetitionDoesNotHideLoss(t *testing.T) {
	each(t, func(t *testing.T, codec client.Codec) {
		s := fakegateway.Serve(t, &fakegateway.Server{Order: func(n int, seq uint64) []uint64 {
			switch {
			case n == 1 && seq == 7:
				return nil
			case n == 1 && seq == 12:
				return []uint64{12, 12}
			}
			return []uint64{seq}
		}})
		o := options(s, codec)
		o.Witness = true
		g := group(t, o, 2)
		paint(t, g, 20)
		expect(t, settled(g, true, t), map[string]float64{
			"pixel_owed count": 40, "pixel_delivered count": 39, "pixel_lost count": 1, "pixel_duplicates count": 1, "pixel_gaps count": 1,
			"pixel_delivery rate": 39. / 40, "pixel_delivery_by_count value": 1, // so it is hidden by a count
		})
	})
}

// Two clients see different pixels at one position.
func TestConflictIsFound(t *testing.T) {
	each(t, func(t *testing.T, codec client.Codec) {
		s := fakegateway.Serve(t, &fakegateway.Server{Forge: func(n int, seq uint64, op canvas.Op) canvas.Op {
			if n == 1 && seq == 5 {
				op.Pixels = []canvas.Pixel{{X: 3, Y: 3, Color: 0xABCDEF}}
			}
			return op
		}})
		g := group(t, options(s, codec), 3)
		paint(t, g, 20)
		set := settled(g, true, t)
		expect(t, set, map[string]float64{"pixel_lost count": 0})
		// Of three who disagree one or two do so with who came first.
		if n := set.Get("pixel_conflicts").Value; n != 1 && n != 2 {
			t.Errorf("%v conflicts", n)
		}
	})
}

// A client is away for two seconds, in which twenty pixels are drawn.
func TestCutOff(t *testing.T) {
	for name, resume := range map[string]bool{"resume": true, "no resume": false} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, codec client.Codec) {
				s := fakegateway.Serve(t, &fakegateway.Server{})
				o := options(s, codec)
				o.NoResume = !resume
				g := group(t, o, 3)
				time.AfterFunc(950*time.Millisecond, func() { s.Away(true); s.Cut(1) })
				time.AfterFunc(2950*time.Millisecond, func() { s.Away(false) })
				paint(t, g, 60)
				set := settled(g, true, t)
				want := map[string]float64{
					"pixel_owed count": 180, "pixel_delivered count": 180, "pixel_by_picture count": 0, "pixel_lost count": 0,
					"pixel_cut_off count": 1, "pixel_reconnected rate": 1, "pixel_recovered_soon rate": 0,
					"pixel_recovery_time min": 2003, "pixel_recovery_time max": 2003, "pixel_catch_up_latency count": 20,
					"pixel_e2e_latency count": 120, "pixel_gaps count": 0, "pixel_duplicates count": 0,
				}
				if !resume {
					want["pixel_delivered count"], want["pixel_e2e_latency count"], want["pixel_catch_up_latency count"] = 160, 100, 0
					if codec == client.Binary { // it gets the picture, which has them
						want["pixel_by_picture count"] = 20
					} else { // it only follows positions
						want["pixel_lost count"] = 20
					}
				}
				expect(t, set, want)
				if n := set.Get("pixel_disconnects").Parts["code=1006"]; n == nil || n.Value != 1 {
					t.Errorf("disconnects by code: %v", set.Get("pixel_disconnects").Tags())
				}
				cuts := g.Members()[1].Cuts()
				if len(cuts) != 1 || cuts[0].Pod != "pod-1" || cuts[0].Back.IsZero() {
					t.Errorf("cuts: %+v", cuts)
				}
			})
		})
	}
}

// Writers that are cut off keep what was due, and send it when they are back:
// that time counts.
func TestWriterIsCutOff(t *testing.T) {
	each(t, func(t *testing.T, codec client.Codec) {
		s := fakegateway.Serve(t, &fakegateway.Server{})
		g := group(t, options(s, codec), 2)
		time.AfterFunc(950*time.Millisecond, func() { s.Away(true); s.Cut(-1) })
		time.AfterFunc(2950*time.Millisecond, func() { s.Away(false) })
		paint(t, g, 60)
		expect(t, settled(g, true, t), map[string]float64{
			"pixel_acked count": 60, "pixel_unacked count": 0, "pixel_delivered count": 120, "pixel_lost count": 0,
			"pixel_ack_latency max": 1953, "pixel_cut_off count": 2, "pixel_reconnected rate": 1,
		})
	})
}

// Clients come and go on purpose: they are owed what was drawn while they were
// there, and nobody was cut off.
func TestChurn(t *testing.T) {
	each(t, func(t *testing.T, codec client.Codec) {
		s := fakegateway.Serve(t, &fakegateway.Server{Latency: func() time.Duration { return 20 * time.Millisecond }})
		g := group(t, options(s, codec), 5)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); g.Churn(ctx, 2) }()
		if err := g.Paint(t.Context(), Plan{Rate: 20, For: 5 * time.Second, Cell: Spread(fakegateway.Spec.Width, fakegateway.Spec.Height)}); err != nil {
			t.Fatal(err)
		}
		stop()
		<-done
		set := settled(g, true, t)
		expect(t, set, map[string]float64{
			"pixel_writes count": 100, "pixel_acked count": 100, "pixel_lost count": 0, "pixel_delivery rate": 1,
			"pixel_cut_off count": 0, "pixel_disconnects count": 0, "pixel_connects rate": 1, "pixel_connections value": 5, "pixel_unacked count": 0,
		})
		if m := set.Get("pixel_multiplier").Value; m < 4.9 || m > 5.3 {
			t.Errorf("%.2f deliveries for each write, with five clients that overlap for a moment", m)
		}
	})
}

// A picture that is older than the moment of joining, with what follows it, is
// part of joining: nothing of that was late, and nobody was owed it.
func TestOldPicture(t *testing.T) {
	each(t, func(t *testing.T, codec client.Codec) {
		s := fakegateway.Serve(t, &fakegateway.Server{Lag: 15})
		g := group(t, options(s, codec), 2)
		paint(t, g, 20)
		if err := g.Join(t.Context(), 1, 0); err != nil {
			t.Fatal(err)
		}
		paint(t, g, 20)
		expect(t, settled(g, true, t), map[string]float64{
			"pixel_owed count": 100, "pixel_delivered count": 100, "pixel_lost count": 0, "pixel_by_picture count": 0,
			"pixel_e2e_latency count": 60, "pixel_e2e_latency max": 0.001, "pixel_catch_up_latency count": 0, "pixel_multiplier value": 2.5,
		})
	})
}

// What is never acknowledged is told.
func TestUnacked(t *testing.T) {
	each(t, func(t *testing.T, codec client.Codec) {
		s := fakegateway.Serve(t, &fakegateway.Server{})
		o := options(s, codec)
		o.Backoff.Max = 10 * time.Second
		g := group(t, o, 2)
		time.AfterFunc(450*time.Millisecond, func() { s.Away(true); s.Cut(-1) })
		paint(t, g, 10)
		expect(t, settled(g, false, t), map[string]float64{
			"pixel_acked count": 5, "pixel_unacked count": 5, "pixel_connections value": 0, "pixel_reconnected rate": 0, "pixel_cut_off count": 2,
		})
		s.Away(false)
	})
}

// Pictures that differ from the api's are found. (JSON, since there a forged
// pixel changes what a client paints, and nothing tells it.)
func TestDivergence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fakegateway.Serve(t, &fakegateway.Server{})
		s.Forge = func(n int, seq uint64, op canvas.Op) canvas.Op {
			if n == 1 && seq == 20 {
				op.Pixels = []canvas.Pixel{{X: op.Pixels[0].X, Y: op.Pixels[0].Y, Color: 0xABCDEF}}
			}
			return op
		}
		g := group(t, options(s, client.Binary), 3)
		paint(t, g, 20)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := g.Settle(ctx); err != nil {
			t.Fatal(err)
		}
		if err := g.Compare(ctx, []string{"http://fake"}); err != nil {
			t.Fatal(err)
		}
		var set metrics.Set
		g.Measure(&set)
		expect(t, &set, map[string]float64{"pixel_compared value": 4, "pixel_diverged count": 1})
		if d := g.Diverged(); len(d) != 1 || d[0] != "client 1" {
			t.Errorf("diverged: %v", d)
		}
	})
}
