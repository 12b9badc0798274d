package pixel

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-pixel/playground/k6/internal/fakegateway"
	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// These tests hold what scripts measure, as k6 sees it, to a gateway whose every
// mistake is known. They run in virtual time, so times are exact too.

// drawing is a script in which clients that have joined one after the other,
// so that client i is connection i, see the first one draw at 10 pixels/s. They
// report what a gateway sends, and repair nothing.
const drawing = `
	const all = pixel.swarm({urls: "ws://fake/ws", api: "http://fake", codec: %q, repair: false, backoff: {min: 1, max: 5}});
	for (let i = 0; i < %d; i++) {
		await all.join(1);
	}
	await all.paint({rate: 10, writes: %d, writers: 1});
	results.complete = await all.settle("10s");
	results.pods = all.pods();
	await all.close();
`

// each runs a script in virtual time against a server, in both codecs.
func each(t *testing.T, server func() *fakegateway.Server, script string, clients, writes int, want map[string]float64) {
	t.Helper()
	for _, codec := range []string{"binary", "json"} {
		t.Run(codec, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := prepare(t, fakegateway.Serve(t, server()))
				k.must(fmt.Sprintf(script, codec, clients, writes))
				k.expect(want)
				k.expect(map[string]float64{"pixel_owed{codec:" + codec + "} count": k.ask("pixel_owed", "count")})
			})
		})
	}
}

func TestKnownDelay(t *testing.T) {
	each(t, func() *fakegateway.Server {
		return &fakegateway.Server{Latency: func() time.Duration { return 70 * time.Millisecond }}
	}, drawing, 4, 100, map[string]float64{
		"pixel_e2e_latency min": 70, "pixel_e2e_latency p(50)": 70, "pixel_e2e_latency p(99)": 70, "pixel_e2e_latency max": 70, "pixel_e2e_latency count": 300,
		"pixel_echo_latency min": 70, "pixel_echo_latency max": 70, "pixel_echo_latency count": 100, "pixel_ack_latency max": 70,
		"pixel_e2e_latency{pod:pod-2} count": 100, "pixel_e2e_latency{scenario:test} count": 300,
		"pixel_writes count": 100, "pixel_acked count": 100, "pixel_acked{pod:pod-0} count": 100, "pixel_unacked count": 0, "pixel_refused count": 0,
		"pixel_owed count": 400, "pixel_delivered count": 400, "pixel_delivered{pod:pod-3} count": 100, "pixel_delivery rate": 1, "pixel_delivery count": 400,
		"pixel_lost count": 0, "pixel_gaps count": 0, "pixel_duplicates count": 0, "pixel_out_of_order count": 0, "pixel_disconnects count": 0,
		"pixel_write_rate value": 10, "pixel_multiplier value": 4, "pixel_connects rate": 1, "pixel_connections value": 4, "pixel_connections{pod:pod-1} value": 1,
	})
}

// What was due while the server stood still counts with the whole time that it
// waited.
func TestStallIsNotHidden(t *testing.T) {
	each(t, func() *fakegateway.Server {
		begin := time.Now()
		return &fakegateway.Server{Latency: func() time.Duration {
			if now := time.Since(begin); now >= 2*time.Second && now < 3*time.Second {
				return 3*time.Second - now
			}
			return 0
		}}
	}, drawing, 2, 50, map[string]float64{
		// Ten of fifty were due in that second: 1000, 900, … 100 ms.
		"pixel_e2e_latency count": 50, "pixel_e2e_latency max": 1000, "pixel_e2e_latency avg": 5500. / 50, "pixel_ack_latency max": 1000,
	})
}

func TestEachTenthIsDropped(t *testing.T) {
	each(t, func() *fakegateway.Server {
		return &fakegateway.Server{Order: func(n int, seq uint64) []uint64 {
			if n == 1 && seq%10 == 0 {
				return nil
			}
			return []uint64{seq}
		}}
	}, drawing, 3, 100, map[string]float64{
		// Nothing follows the hundredth, so no gap shows that it is missing.
		"pixel_owed count": 300, "pixel_delivered count": 290, "pixel_lost count": 10, "pixel_delivery rate": 290. / 300, "pixel_delivery count": 300,
		"pixel_delivery{pod:pod-1} rate": 0.9, "pixel_delivery{pod:pod-2} rate": 1, "pixel_gaps count": 9, "pixel_gaps{pod:pod-1} count": 9,
		"pixel_duplicates count": 0, "pixel_out_of_order count": 0, "pixel_e2e_latency count": 190, "pixel_echo_latency count": 100,
	})
}

func TestOneIsRepeated(t *testing.T) {
	each(t, func() *fakegateway.Server {
		return &fakegateway.Server{Order: func(n int, seq uint64) []uint64 {
			if n == 1 && seq == 7 {
				return []uint64{7, 7}
			}
			return []uint64{seq}
		}}
	}, drawing, 2, 20, map[string]float64{
		"pixel_owed count": 40, "pixel_delivered count": 40, "pixel_lost count": 0, "pixel_delivery rate": 1, "pixel_gaps count": 0,
		"pixel_duplicates count": 1, "pixel_duplicates{pod:pod-1} count": 1, "pixel_out_of_order count": 0, "pixel_e2e_latency count": 20,
	})
}

func TestTwoAreSwapped(t *testing.T) {
	each(t, func() *fakegateway.Server {
		return &fakegateway.Server{Order: func(n int, seq uint64) []uint64 {
			switch {
			case n == 1 && seq == 7:
				return nil
			case n == 1 && seq == 8:
				return []uint64{8, 7}
			}
			return []uint64{seq}
		}}
	}, drawing, 2, 20, map[string]float64{
		"pixel_owed count": 40, "pixel_delivered count": 40, "pixel_lost count": 0, "pixel_gaps count": 1, "pixel_duplicates count": 0,
		"pixel_out_of_order count": 1, "pixel_e2e_latency count": 20, "pixel_e2e_latency max": 100, // the seventh came when the eighth was due
	})
}

// A repetition does not hide a loss.
func TestRepetitionDoesNotHideLoss(t *testing.T) {
	each(t, func() *fakegateway.Server {
		return &fakegateway.Server{Order: func(n int, seq uint64) []uint64 {
			switch {
			case n == 1 && seq == 7:
				return nil
			case n == 1 && seq == 12:
				return []uint64{12, 12}
			}
			return []uint64{seq}
		}}
	}, drawing, 2, 20, map[string]float64{
		"pixel_owed count": 40, "pixel_delivered count": 39, "pixel_lost count": 1, "pixel_duplicates count": 1, "pixel_gaps count": 1,
		"pixel_delivery rate": 39. / 40, "pixel_delivery_by_count value": 1,
	})
}

// Clients are cut off, by a fault that the script has told of, and come back.
func TestCutOff(t *testing.T) {
	for by, source := range map[string]protocol.Source{"memory": protocol.FromMemory, "log": protocol.FromLog, "continued": 0} {
		t.Run(by, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { cutOff(t, by, source) })
		})
	}
}

func cutOff(t *testing.T, by string, source protocol.Source) {
	s := fakegateway.Serve(t, &fakegateway.Server{Resumed: source})
	k := prepare(t, s)
	time.AfterFunc(950*time.Millisecond, func() { s.Away(true); s.Cut(1) })
	time.AfterFunc(2950*time.Millisecond, func() { s.Away(false) })
	k.must(`
			const all = pixel.swarm({urls: ["ws://fake/ws"], api: "http://fake", backoff: {min: "1ms", max: 5}});
			for (let i = 0; i < 3; i++) await all.join(1);
			const painting = all.paint({rate: 10, duration: "6s"});
			await new Promise((resolve) => setTimeout(resolve, 900));
			results.marked = all.mark("pod-1");
			await painting;
			results.complete = await all.settle(10000);
			results.diverged = await all.compare(["http://fake"]);
			await all.close();
		`)
	if k.result("marked") != int64(1) || k.result("complete") != true || fmt.Sprint(k.result("diverged")) != "[]" {
		t.Errorf("marked %v, complete %v, diverged %v", k.result("marked"), k.result("complete"), k.result("diverged"))
	}
	k.expect(map[string]float64{
		"pixel_owed count": 180, "pixel_delivered count": 180, "pixel_lost count": 0, "pixel_delivery rate": 1, "pixel_diverged count": 0, "pixel_compared value": 4,
		"pixel_cut_off count": 1, "pixel_disconnects{code:1006} count": 1, "pixel_reconnected rate": 1, "pixel_recovered_soon rate": 0,
		"pixel_recovery_time count": 1, "pixel_resume count": 1, "pixel_resume{by:" + by + "} count": 1, "pixel_catch_up_latency count": 13, // of twenty, seven were its own
		"pixel_affected count": 1, "pixel_affected_recovery_time count": 1, "pixel_affected_back rate": 1, "pixel_affected_back_soon rate": 0, "pixel_unaffected_cut count": 0,
	})
	// The gateway was away for 2 s; then comes a random wait of up to 5 ms.
	if took := k.ask("pixel_recovery_time", "max"); took < 2000 || took > 2010 {
		t.Errorf("recovered after %v ms", took)
	}
}

// A picture that differs from the api's is found.
func TestDivergence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := prepare(t, fakegateway.Serve(t, &fakegateway.Server{Forge: func(n int, seq uint64, op canvas.Op) canvas.Op {
			if n == 1 && seq == 20 {
				op.Pixels = []canvas.Pixel{{X: op.Pixels[0].X, Y: op.Pixels[0].Y, Color: 0xABCDEF}}
			}
			return op
		}}))
		k.must(strings.Replace(fmt.Sprintf(drawing, "binary", 3, 20), `results.pods`, `results.diverged = await all.compare(["http://fake"]); results.pods`, 1))
		k.expect(map[string]float64{"pixel_compared value": 4, "pixel_diverged count": 1})
		if got := fmt.Sprint(k.result("diverged")); got != "[client 1]" {
			t.Errorf("diverged: %v", got)
		}
	})
}

// Clients of connect, each with its own pixels, are measured as one group.
func TestConnect(t *testing.T) {
	for _, codec := range []string{"binary", "json"} {
		t.Run(codec, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := prepare(t, fakegateway.Serve(t, &fakegateway.Server{Latency: func() time.Duration { return 30 * time.Millisecond }}))
				k.must(fmt.Sprintf(`
					const options = {codec: %q, name: "somebody", api: "http://fake"};
					const ann = await pixel.connect("ws://fake/ws", options);
					const bob = await pixel.connect(["ws://fake/ws"], options);
					const told = [];
					bob.on("update", (u) => told.push(...u.pixels.map((p) => p.x + "," + p.y + " " + p.color)));
					ann.on("ack", (a) => told.push("ack " + a.op + " after " + Math.round(a.took)));
					ann.draw(1, 2, "#00ff00");
					await ann.flush();
					await bob.waitFor(ann.position());
					ann.stroke([{x: 3, y: 4, color: "#0000FF"}, {x: 4, y: 4, color: "#0000FE"}]);
					bob.draw(5, 5, "#FF0000");
					await Promise.all([ann.flush(), bob.flush()]);
					await ann.close();
					await bob.close();
					results.told = told;
				`, codec))
				operations := map[string]float64{"binary": 3, "json": 4}[codec]
				k.expect(map[string]float64{
					"pixel_acked count": operations, "pixel_owed count": 2 * operations, "pixel_delivered count": 2 * operations, "pixel_delivery rate": 1, "pixel_lost count": 0,
					"pixel_echo_latency count": operations, "pixel_echo_latency max": 30, "pixel_e2e_latency count": operations, "pixel_e2e_latency min": 30, "pixel_e2e_latency max": 30,
					"pixel_foreign count": 0, "pixel_unacked count": 0, "pixel_connect_time count": 2,
				})
				told := fmt.Sprint(k.result("told"))
				for _, part := range []string{"1,2 #00FF00", "ack 1 after 30", "3,4 #0000FF", "4,4 #0000FE", "5,5 #FF0000"} {
					if !strings.Contains(told, part) {
						t.Errorf("the script was not told of %q: %s", part, told)
					}
				}
			})
		})
	}
}

// Mistakes of a script are exceptions that say what is wrong.
func TestMistakes(t *testing.T) {
	for script, want := range map[string]string{
		`pixel.swarm({})`:                                                 "no url",
		`pixel.swarm({urls: "http://x"})`:                                 "ws://host",
		`pixel.swarm({urls: "ws://x", codek: "json"})`:                    "codek",
		`pixel.swarm({urls: "ws://x", codec: "xml"})`:                     "xml",
		`pixel.swarm({urls: "ws://x", backoff: {min: "soon"}})`:           "soon",
		`pixel.swarm({urls: "ws://x", joinTimeout: -5})`:                  "negative",
		`await pixel.swarm({urls: "ws://x"}).paint({rate: 1})`:            "duration",
		`await pixel.swarm({urls: "ws://x"}).paint({rate: 1, writes: 1})`: "nobody",
		`await pixel.swarm({urls: "ws://x"}).join(-1)`:                    "-1 clients",
		`pixel.swarm({urls: "ws://x"}).churn(0)`:                          "churn",
		`await pixel.connect("ftp://x")`:                                  "ws://host",
		`await pixel.connect("ws://fake/ws", {joinTimeout: 50})`:          "client 0",
		`pixel.chaos({})`:                  "state file",
		`pixel.chaos({state: "/nowhere"})`: "/nowhere",
	} {
		t.Run(script, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := fakegateway.Serve(t, &fakegateway.Server{})
				s.Away(true)
				k := prepare(t, s)
				err := k.run(script)
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v", err)
				}
				k.runtime.CancelContext()
			})
		})
	}
}
