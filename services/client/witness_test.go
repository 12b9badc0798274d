package client

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
)

// A witness counts what a gateway got wrong, to the message, stays connected,
// and hands on everything that came, late or not.
func TestStepOverGaps(t *testing.T) {
	for name, test := range map[string]struct {
		sent []uint64 // positions, behind 0
		seen []uint64 // as OnUpdate tells them
		want Stats
	}{
		"nothing wrong":    {[]uint64{1, 2, 3}, []uint64{1, 2, 3}, Stats{Ops: 3}},
		"one missing":      {[]uint64{1, 2, 4, 5}, []uint64{1, 2, 4, 5}, Stats{Ops: 4, Gaps: 1, Missing: 1}},
		"three missing":    {[]uint64{1, 5}, []uint64{1, 5}, Stats{Ops: 2, Gaps: 1, Missing: 3}},
		"repeated":         {[]uint64{1, 2, 2, 1, 3}, []uint64{1, 2, 3}, Stats{Ops: 3, Duplicates: 2}},
		"swapped":          {[]uint64{1, 3, 2, 4}, []uint64{1, 3, 2, 4}, Stats{Ops: 4, Gaps: 1, OutOfOrder: 1}},
		"late, then again": {[]uint64{1, 4, 3, 3, 2, 5}, []uint64{1, 4, 3, 2, 5}, Stats{Ops: 5, Gaps: 1, OutOfOrder: 2, Duplicates: 1}},
		"one of two gaps":  {[]uint64{2, 4, 3}, []uint64{2, 4, 3}, Stats{Ops: 3, Gaps: 2, OutOfOrder: 1, Missing: 1}},
	} {
		for _, codec := range []Codec{Binary, JSON} {
			t.Run(fmt.Sprintf("%s, %v", name, codec), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					g := newGateway(t, func(p *peer) {
						p.connected(epochA, 0)
						if codec == Binary {
							p.snapshot(epochA, 0)
						}
						p.one(test.sent...)
						p.drain()
					})
					var seen []uint64
					var made []Connection
					o := g.options(codec)
					o.StepOverGaps = true
					o.OnConnected = func(c Connection) { made = append(made, c) }
					o.OnUpdate = func(u Update) {
						if !u.Picture && !slices.Contains(seen, u.Seq) { // an operation of several pixels comes in pieces
							seen = append(seen, u.Seq)
						}
					}
					c := start(t, o)
					waitFor(t, c, slices.Max(test.sent))
					synctest.Wait() // all that was sent has been read
					_ = c.Close()
					s, w := c.Stats(), test.want
					if s.Ops != w.Ops || s.Gaps != w.Gaps || s.Missing != w.Missing || s.Duplicates != w.Duplicates || s.OutOfOrder != w.OutOfOrder {
						t.Errorf("%d ops, %d gaps, %d missing, %d duplicates, %d out of order; want %+v", s.Ops, s.Gaps, s.Missing, s.Duplicates, s.OutOfOrder, w)
					}
					if !slices.Equal(seen, test.seen) {
						t.Errorf("handed on were %v, want %v", seen, test.seen)
					}
					if s.Connected != 1 || s.Resyncs != 0 {
						t.Errorf("%d connections, %d resyncs: a witness stays", s.Connected, s.Resyncs)
					}
					if len(made) != 1 || made[0].Pod != "pod" || made[0].Position.Seq != 0 {
						t.Errorf("told of the connections %+v", made)
					}
				})
			})
		}
	}
}
