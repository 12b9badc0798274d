package pixel

import (
	"github.com/cloud-pixel/playground/k6/fanout"
	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
)

// listeners tell a script what happens to its client, in the words of
// index.d.ts.
func (c *single) listeners() *fanout.Handlers {
	return &fanout.Handlers{
		Update: func(u client.Update) { c.emit("update", func() map[string]any { return update(&u) }) },
		Ack: func(a client.Acked) {
			c.emit("ack", func() map[string]any {
				return map[string]any{"op": a.Op, "seq": a.Seq, "took": float64(a.Arrived.Sub(a.Drawn).Microseconds()) / 1000, "sends": a.Sends}
			})
		},
		Refused: func(r client.Refused) {
			c.emit("refused", func() map[string]any {
				return map[string]any{"op": r.Op, "code": r.Code.String(), "message": r.Message, "retryAfter": r.RetryAfter.Milliseconds(), "final": r.Final}
			})
		},
		State: func(s client.State) {
			c.emit("state", func() map[string]any { return map[string]any{"state": s.String()} })
		},
		Connected: func(n client.Connection) {
			c.emit("connected", func() map[string]any {
				return map[string]any{"pod": n.Pod, "seq": n.Position.Seq, "took": float64(n.Took.Microseconds()) / 1000}
			})
		},
		Disconnect: func(code int, reason string) {
			c.emit("disconnected", func() map[string]any { return map[string]any{"code": code, "reason": reason} })
		},
		Resume: func(r client.Recovery) {
			c.emit("resumed", func() map[string]any {
				return map[string]any{"by": r.Kind.String(), "seq": r.Position.Seq, "took": float64(r.Took.Microseconds()) / 1000}
			})
		},
	}
}

func update(u *client.Update) map[string]any {
	pixels := []map[string]any{}
	add := func(p canvas.Pixel, name string) {
		pixels = append(pixels, map[string]any{"x": p.X, "y": p.Y, "color": p.Color.String(), "name": name})
	}
	told := map[string]any{"seq": u.Seq, "prev": u.Prev, "time": u.Time, "picture": u.Picture}
	for i := range u.Ops {
		op := &u.Ops[i]
		if op.Kind == canvas.Reset {
			told["reset"] = op.Color.String()
			pixels = pixels[:0]
		}
		for _, p := range op.Pixels {
			add(p, op.Name)
		}
	}
	if u.Reset {
		told["reset"] = u.ResetTo.String()
	}
	for i := range u.Cells {
		add(u.Cells[i].Pixel, u.Cells[i].Name)
	}
	told["pixels"] = pixels
	return told
}
