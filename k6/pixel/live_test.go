package pixel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/k6/internal/livesystem"
	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/fleet"
)

// live starts the real services, two gateways among them, and returns their
// state file.
func live(t *testing.T, env ...string) string {
	t.Helper()
	return livesystem.Start(t, fleet.Options{Gateways: 2, APIs: 1, Frontends: 1, Env: env})
}

// Scripts against the real services: clients of their own, a swarm, and a
// gateway that is killed meanwhile.
func TestLive(t *testing.T) {
	state := live(t)
	for _, codec := range []string{"binary", "json"} {
		t.Run(codec, func(t *testing.T) {
			k := prepare(t, &net.Dialer{})
			k.must(fmt.Sprintf(`
				const system = pixel.playground(%q);
				results.separate = system.separate;
				const ann = await pixel.connect(system.gateways[0], {codec: %q, api: system.api, name: "Ann", traceparent: true});
				const states = [];
				ann.on("state", (s) => states.push(s.state));
				const resumed = new Promise((resolve) => ann.on("resumed", resolve));

				const all = pixel.swarm({urls: system.ws, api: system.api, codec: %[2]q, names: true, backoff: {min: "5ms", max: "50ms"}});
				await all.join(6, {over: "100ms"});
				const painting = all.paint({rate: 50, writes: 100});
				const chaos = pixel.chaos({state: %[1]q});
				results.targets = await chaos.targets("gateway");
				results.marked = all.mark("gateway-0");
				await chaos.kill("gateway", "gateway-0");
				await painting;
				const resumption = await resumed;
				results.by = resumption.by;
				// An acknowledgement may come before the pixel itself.
				const acked = new Promise((resolve) => ann.on("ack", resolve));
				ann.draw(0, 0, "#ABCDEF");
				await ann.waitFor((await acked).seq);
				results.ping = await ann.ping() > 0;
				results.at = ann.at(0, 0);
				results.states = states;
				results.complete = await all.settle("20s");
				results.diverged = await all.compare(system.apis);
				results.memory = pixel.usage(...system.processes.map((p) => p.pid)).memory > 1e6;
				await all.close();
				await ann.close();
			`, state, codec))
			for name, want := range map[string]string{
				"separate": "true", "targets": "[gateway-0 gateway-1]", "by": "memory", "ping": "true", "at": "#ABCDEF", "complete": "true", "diverged": "[]", "memory": "true",
			} {
				if got := fmt.Sprint(k.result(name)); got != want {
					t.Errorf("%s is %s, want %s", name, got, want)
				}
			}
			if states := fmt.Sprint(k.result("states")); !strings.Contains(states, "offline") || !strings.HasSuffix(states, "live offline]") {
				t.Errorf("states: %s", states)
			}
			// Cut off are those of the swarm who were at the gateway that was killed,
			// each once, and Ann. How many the one port had sent there depends on
			// which gateways were ready meanwhile: half of them as a rule.
			marked, _ := k.result("marked").(int64)
			if marked < 1 || marked > 6 {
				t.Fatalf("%d of 6 clients are at gateway-0", marked)
			}
			affected, cut := float64(marked), float64(marked+1)
			k.expect(map[string]float64{
				"pixel_delivery rate": 1, "pixel_lost count": 0, "pixel_unacked count": 0, "pixel_gaps count": 0, "pixel_diverged count": 0, "pixel_affected count": affected, "pixel_affected_recovery_time count": affected,
				"pixel_cut_off count": cut, "pixel_disconnects count": cut, "pixel_recovery_time count": cut, "pixel_resume count": cut, "pixel_resume{by:memory} count": cut, "pixel_unaffected_cut count": 1,
				"pixel_affected_back rate": 1, "pixel_faults count": 1, "pixel_faults{kind:kill} count": 1, "pixel_faults{target:gateway-0} count": 1, "pixel_fault_time count": 1,
				"pixel_writes count": 101, "pixel_acked count": 101, "pixel_reconnected rate": 1,
			})
		})
	}
}

// A client that was away gets what it missed from the gateway's memory; from the
// log, when that is more than the memory holds (16,384 operations); as a picture,
// when it is more than the log is read for (20,000). Script and metric say which.
func TestLiveResume(t *testing.T) {
	for codec, picture := range map[string]string{"binary": "snapshot", "json": "reloaded"} {
		t.Run(codec, func(t *testing.T) {
			// Its own services: what was read from the log is held for a while.
			state := live(t, "MESSAGES_PER_SECOND=0", "PIXELS_PER_SECOND=0")
			door := &door{conns: map[net.Conn]bool{}}
			k := prepare(t, door)
			var gateway string
			if err := k.runtime.VU.Runtime().Set("drawnMeanwhile", func(n int) error {
				door.close()
				defer door.open()
				return draw(t, gateway, n)
			}); err != nil {
				t.Fatal(err)
			}
			if err := k.runtime.VU.Runtime().Set("at", func(url string) { gateway = url }); err != nil {
				t.Fatal(err)
			}
			k.must(fmt.Sprintf(`
				const system = pixel.playground(%q);
				at(system.gateways[0]);
				const ann = await pixel.connect(system.gateways[0], {codec: %q, api: system.api, backoff: {min: "1ms", max: "10ms"}});
				results.by = [];
				for (const n of [1, 17000, 21000]) {
					const resumed = new Promise((resolve) => ann.on("resumed", resolve));
					drawnMeanwhile(n);
					results.by.push((await resumed).by);
				}
				await ann.waitFor(38001);
				await ann.close();
			`, state, codec))
			if got, want := fmt.Sprint(k.result("by")), "[memory log "+picture+"]"; got != want {
				t.Errorf("it came back by %s, want %s", got, want)
			}
			k.expect(map[string]float64{
				"pixel_resume count": 3, "pixel_resume{by:memory} count": 1, "pixel_resume{by:log} count": 1, "pixel_resume{by:" + picture + "} count": 1,
				"pixel_cut_off count": 3, "pixel_lost count": 0, "pixel_gaps count": 0,
			})
		})
	}
}

// door is the way to the gateways for clients of a script.
type door struct {
	net.Dialer

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]bool
}

func (d *door) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		_ = c.Close()
		return nil, errors.New("the door is closed")
	}
	d.conns[c] = true
	return c, nil
}

// close breaks all connections, and lets none through.
func (d *door) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for c := range d.conns {
		_ = c.Close()
	}
	clear(d.conns)
}

func (d *door) open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = false
}

// draw draws operations of one pixel at a gateway. When it returns the gateway
// has told of all of them.
func draw(t *testing.T, gateway string, n int) error {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var last atomic.Uint64
	c, err := client.Dial(ctx, client.Options{URLs: []string{gateway}, NoGrid: true, OnAck: func(a client.Acked) { last.Store(a.Seq) }})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	for i := range n {
		if _, err := c.Draw(ctx, canvas.Pixel{X: uint16(i % 50), Y: uint16(i / 50 % 50), Color: canvas.Color(i)}); err != nil {
			return err
		}
		if i%1000 == 999 || i == n-1 { // an entry of the log stays much smaller than the memory
			if err := c.Flush(ctx); err != nil {
				return err
			}
		}
	}
	return c.WaitFor(ctx, last.Load())
}

// Connections that do not read are there, and can be woken.
func TestSleepers(t *testing.T) {
	state := live(t)
	k := prepare(t, &net.Dialer{})
	k.must(fmt.Sprintf(`
		const asleep = await pixel.sleepers(3, pixel.playground(%q).gateways, "");
		results.ends = await asleep.wake();
	`, state))
	if got := fmt.Sprint(k.result("ends")); got != "map[open:3]" {
		t.Errorf("ends: %s", got)
	}
}
