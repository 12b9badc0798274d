package pixel

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/cloud-pixel/playground/k6/internal/livesystem"
	"github.com/cloud-pixel/playground/services/fleet"
)

// live starts the real services, two gateways among them, and returns their
// state file.
func live(t *testing.T) string {
	t.Helper()
	return livesystem.Start(t, fleet.Options{Gateways: 2, APIs: 1, Frontends: 1})
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
				"separate": "true", "targets": "[gateway-0 gateway-1]", "by": "memory", "ping": "true", "at": "#ABCDEF", "complete": "true", "diverged": "[]", "memory": "true", "marked": "3",
			} {
				if got := fmt.Sprint(k.result(name)); got != want {
					t.Errorf("%s is %s, want %s", name, got, want)
				}
			}
			if states := fmt.Sprint(k.result("states")); !strings.Contains(states, "offline") || !strings.HasSuffix(states, "live offline]") {
				t.Errorf("states: %s", states)
			}
			k.expect(map[string]float64{
				"pixel_delivery rate": 1, "pixel_lost count": 0, "pixel_unacked count": 0, "pixel_gaps count": 0, "pixel_diverged count": 0, "pixel_affected count": 3, "pixel_affected_recovery_time count": 3,
				"pixel_affected_back rate": 1, "pixel_faults count": 1, "pixel_faults{kind:kill} count": 1, "pixel_faults{target:gateway-0} count": 1, "pixel_fault_time count": 1,
				"pixel_writes count": 101, "pixel_acked count": 101, "pixel_reconnected rate": 1,
			})
			// Three of the swarm, and Ann; a gateway may close a connection itself,
			// too. Whoever was cut off has come back.
			cuts := k.ask("pixel_cut_off", "count")
			if cuts < 4 || k.ask("pixel_recovery_time", "count") != cuts || k.ask("pixel_reconnected", "count") != cuts {
				t.Errorf("%v cut off, %v recovered, %v reconnected", cuts, k.ask("pixel_recovery_time", "count"), k.ask("pixel_reconnected", "count"))
			}
		})
	}
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
