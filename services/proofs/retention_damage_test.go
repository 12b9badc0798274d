package proofs

import (
	"bytes"
	"compress/flate"
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/fleet"
	"github.com/cloud-pixel/playground/services/protocol"
)

// damage is something that happened to the stored checkpoint.
type damage struct {
	name string
	do   func(k *keeper, ctx context.Context, older string) error
	// long says that only the full form does this.
	long bool
	// foreign says that it looks as if another release had written it. Then the
	// log is of no use: that one may have had reasons.
	foreign bool
}

var damages = []damage{
	{name: "a byte of a tile has changed", long: true, do: func(k *keeper, ctx context.Context, _ string) error {
		return k.change(ctx, "t0", func(b []byte) []byte { b[len(b)*2/3] ^= 0x04; return b })
	}},
	// What is compressed may stay readable: another colour, in a tile that is
	// well-formed.
	{name: "a cell of a tile has changed", do: func(k *keeper, ctx context.Context, _ string) error {
		return k.change(ctx, "t0", repaint)
	}},
	// A whole tile with a checksum that fits, from another time.
	{name: "a tile is an older one", do: func(k *keeper, ctx context.Context, older string) error {
		return k.raw.HSet(ctx, checkpointKey, "t0", older).Err()
	}},
	{name: "a tile is missing", long: true, do: func(k *keeper, ctx context.Context, _ string) error {
		return k.raw.HDel(ctx, checkpointKey, "t0").Err()
	}},
	{name: "the hash is another", long: true, do: func(k *keeper, ctx context.Context, _ string) error {
		return k.raw.HSet(ctx, checkpointKey, "hash", "0123456789abcdef").Err()
	}},
	{name: "the version is unknown", foreign: true, do: func(k *keeper, ctx context.Context, _ string) error {
		return k.raw.HSet(ctx, checkpointKey, "v", "2").Err()
	}},
}

// change changes a field of the stored checkpoint.
func (k *keeper) change(ctx context.Context, field string, how func([]byte) []byte) error {
	value, err := k.raw.HGet(ctx, checkpointKey, field).Bytes()
	if err != nil {
		return err
	}
	return k.raw.HSet(ctx, checkpointKey, field, how(value)).Err()
}

// repaint gives the first cell of a tile another colour and leaves its checksum
// as it is.
func repaint(tile []byte) []byte {
	cells, err := io.ReadAll(flate.NewReader(bytes.NewReader(tile[4:])))
	if err != nil {
		return nil
	}
	cells[0] ^= 0xFF
	b := bytes.NewBuffer(bytes.Clone(tile[:4]))
	w, _ := flate.NewWriter(b, flate.BestSpeed) // the level is valid
	_, _ = w.Write(cells)
	_ = w.Close() // a buffer takes everything
	return b.Bytes()
}

// The stored checkpoint is damaged when processes start that need it. The log
// is whole: they make the picture of that, say so, and store a good checkpoint
// with the next operation.
func TestDamagedCheckpointIsRebuilt(t *testing.T) {
	ctx := limit(t)
	server := redisServer(t)
	var logs lines
	f := startFleet(t, ctx, fleet.Options{
		Gateways: 1, APIs: 1, Redis: server.URL(), Canvas: "30x20", Env: append(often(10_000), "LOG_FORMAT=json"), Log: &logs,
	})
	k := newKeeper(t, server)
	b := &brush{Client: connect(t, ctx, client.Options{URLs: []string{wsURL(t, f)}})}
	for _, d := range damages {
		if d.foreign || d.long && !full {
			continue
		}
		k.prepare(t, ctx, b, d)
		said := len(logs.of("the checkpoint is corrupt; reading the whole log"))
		killed(t, ctx, f, true, "api-0", "gateway-0")
		k.everywhere(t, ctx, f)
		if now := len(logs.of("the checkpoint is corrupt; reading the whole log")); now < said+2 {
			t.Errorf("%s: %d of 2 processes said so", d.name, now-said)
		}
		k.counted(t, ctx, f, d)
		must(t, b.WaitReady(ctx))
		b.paint(t, ctx, 1)
		k.look(t, ctx)
		eventually(t, ctx, d.name+": a good checkpoint is stored", func() bool {
			cp, err := k.LoadCheckpoint(ctx, mainCanvas)
			return err == nil && cp.Position.Seq == k.head
		})
		k.whole(t, ctx, d.name+", and a new checkpoint was stored")
	}
}

// The same where the log is trimmed, so that nothing can be made of it, and
// where the version is unknown: nobody is shown anything, the processes are not
// ready and say why. When the checkpoint is put right they go on.
func TestDamagedCheckpointIsRefused(t *testing.T) {
	ctx := limit(t)
	server := redisServer(t)
	var logs lines
	f := startFleet(t, ctx, fleet.Options{
		Gateways: 1, APIs: 1, Redis: server.URL(), Canvas: "30x20",
		Env: append(often(5), "LOG_FORMAT=json", "HANDSHAKE_TIMEOUT=200ms", "READ_TIMEOUT=200ms"), Log: &logs,
	})
	k := newKeeper(t, server)
	b := &brush{Client: connect(t, ctx, client.Options{URLs: []string{wsURL(t, f)}})}
	for _, d := range damages {
		if d.long && !full {
			continue
		}
		good := k.prepare(t, ctx, b, d)
		eventually(t, ctx, "the log is trimmed", func() bool { return k.oldest(t, ctx) > 1 })
		message := "loading the canvas failed; will try again"
		if d.foreign {
			message = "the replica has stopped"
		}
		said := len(logs.of(message))
		killed(t, ctx, f, false, "api-0", "gateway-0")
		// Each process tries, and tries again. One that is ready has made
		// something of it, which it must not.
		all := append(processes(t, f, fleet.API), processes(t, f, fleet.Gateway)...)
		eventually(t, ctx, d.name+": both say that they cannot load the canvas", func() bool {
			for _, p := range all {
				if statusOf(ctx, "http://"+p.Addr+"/readyz") == http.StatusOK {
					t.Fatalf("%s: %s is ready", d.name, p.Pod)
				}
			}
			return len(logs.of(message)) >= said+pick(2, 8) || d.foreign && len(logs.of(message)) >= said+2
		})
		k.counted(t, ctx, f, d)
		for _, p := range all {
			if status := statusOf(ctx, "http://"+p.Addr+"/readyz"); status != http.StatusServiceUnavailable {
				t.Errorf("%s: readiness of %s is %d", d.name, p.Pod, status)
			}
			if status := statusOf(ctx, "http://"+p.Addr+"/livez"); status != http.StatusOK {
				t.Errorf("%s: liveness of %s is %d: starting it again would not help", d.name, p.Pod, status)
			}
			if p.Service == fleet.Gateway {
				if err := shut(ctx, "ws://"+p.Addr+"/ws"); err != nil {
					t.Errorf("%s: %v", d.name, err)
				}
				continue
			}
			for _, route := range apiRoutes {
				if status := statusOf(ctx, "http://"+p.Addr+route); status != http.StatusServiceUnavailable {
					t.Errorf("%s: %s answers %d", d.name, route, status)
				}
			}
		}
		if _, head, err := k.Read(ctx, mainCanvas, k.head, 1); err != nil || head != k.head {
			t.Errorf("%s: the log went from %d to %d: %v", d.name, k.head, head, err)
		}

		must(t, k.raw.RestoreReplace(ctx, checkpointKey, 0, good).Err())
		if d.foreign { // nothing but another release helps, and that would be started anew
			killed(t, ctx, f, true, "api-0", "gateway-0")
		}
		for _, p := range append(processes(t, f, fleet.API), processes(t, f, fleet.Gateway)...) {
			eventually(t, ctx, p.Pod+" is ready", func() bool { return statusOf(ctx, "http://"+p.Addr+"/readyz") == http.StatusOK })
		}
		must(t, b.WaitReady(ctx))
		k.everywhere(t, ctx, f)
	}
}

// prepare draws, waits until all is in the checkpoint, damages it, and returns
// what it was.
func (k *keeper) prepare(t *testing.T, ctx context.Context, b *brush, d damage) (good string) {
	t.Helper()
	inCheckpoint := func() {
		b.paint(t, ctx, 5)
		k.look(t, ctx)
		eventually(t, ctx, "everything is in the checkpoint", func() bool { return k.stored(t, ctx) == k.head })
	}
	inCheckpoint()
	older := k.raw.HGet(ctx, checkpointKey, "t0").Val()
	inCheckpoint()
	good = k.raw.Dump(ctx, checkpointKey).Val()
	if err := d.do(k, ctx, older); err != nil {
		t.Fatalf("%s: %v", d.name, err)
	}
	if k.raw.Dump(ctx, checkpointKey).Val() == good {
		t.Fatalf("%s: nothing has changed", d.name)
	}
	return good
}

// counted checks that both processes count what they could not read.
func (k *keeper) counted(t *testing.T, ctx context.Context, f *fleet.Fleet, d damage) {
	t.Helper()
	for _, p := range append(processes(t, f, fleet.API), processes(t, f, fleet.Gateway)...) {
		if n := metric(t, ctx, p, "pixel_store_operations_total", `operation="load_checkpoint"`, `outcome="unreadable"`); n == 0 {
			t.Errorf("%s: %s has counted nothing", d.name, p.Pod)
		}
	}
}

// shut returns an error unless a WebSocket is refused, or closed before anything
// of a canvas came.
func shut(ctx context.Context, url string) error {
	ws, resp, err := websocket.DefaultDialer.DialContext(ctx, url, nil)
	if err != nil {
		if resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
			return fmt.Errorf("a connection is refused in another way: %w", err)
		}
		return nil
	}
	defer ws.Close()
	_, message, err := ws.ReadMessage()
	if err == nil {
		return fmt.Errorf("a connection was told %q", message)
	}
	if !websocket.IsCloseError(err, protocol.CloseUnavailable) {
		return fmt.Errorf("a connection is closed in another way: %w", err)
	}
	return nil
}
