package client

import (
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// follow serves a connection of the fake log from where the client is: with a
// snapshot when it claims nothing, else from the position that it claims.
func (p *peer) follow(head uint64) (from uint64) {
	if since := p.query.Get("since"); since != "" {
		from, _ = strconv.ParseUint(since, 10, 64)
		p.connected(epochA, from)
		return from
	}
	p.connected(epochA, head)
	p.snapshot(epochA, head)
	return head
}

func TestFirstConnectionGetsASnapshotThenUpdates(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var updates []Update
		g := newGateway(t, func(p *peer) {
			p.follow(40)
			p.one(41, 42)
			p.drain()
		})
		o := g.options(Binary)
		o.OnUpdate = func(u Update) { updates = append(updates, u) }
		c := start(t, o)
		waitFor(t, c, 42)
		checkPicture(t, c, epochA, 42)
		synctest.Wait()
		if len(updates) != 3 || !updates[0].Picture || updates[0].Seq != 40 || updates[2].Prev != 41 || updates[2].Ops[0].Number != 42 || updates[2].Arrived.IsZero() {
			t.Errorf("updates: %+v", updates)
		}
		s := c.Stats()
		if s.Snapshots != 1 || s.Ops != 2 || s.Updates != 2 || s.Pixels != 2 || s.Duplicates+s.Gaps+s.Overlaps != 0 || s.Frames != 5 || s.Bytes == 0 {
			t.Errorf("stats: %+v", s)
		}
		if c.Spec() != testSpec || c.Pod() != "pod" || c.State() != Live {
			t.Error(c.Spec(), c.Pod(), c.State())
		}
	})
}

func TestResumesAtItsPosition(t *testing.T) {
	bubble(t, func(t *testing.T) {
		queries := make(chan string, 10)
		var recoveries []Recovery
		g := newGateway(t, func(p *peer) {
			queries <- p.ws.RemoteAddr().Network() + " " + p.query.Encode()
			from := p.follow(10)
			p.one(from+1, from+2)
			if p.n < 3 {
				time.Sleep(time.Second)
				return // breaks
			}
			p.drain()
		})
		o := g.options(Binary)
		o.Canvas = "other"
		o.Backoff.Min = 80 * time.Millisecond
		o.Rand = func() float64 { return 0.5 }
		o.OnResume = func(r Recovery) { recoveries = append(recoveries, r) }
		c := start(t, o)
		waitFor(t, c, 16)
		checkPicture(t, c, epochA, 16)
		for _, want := range []string{"canvas=other", "canvas=other&epoch=" + epochA.String() + "&since=12", "canvas=other&epoch=" + epochA.String() + "&since=14"} {
			if got := <-queries; got != "pipe "+want {
				t.Errorf("query %q, want %q", got, want)
			}
		}
		s := c.Stats()
		if s.Ops != 6 || s.Recoveries[Continued] != 2 || s.Disconnects[websocket.CloseAbnormalClosure] != 2 || s.Connected != 3 || s.Snapshots != 1 {
			t.Errorf("stats: %+v", s)
		}
		if len(recoveries) != 2 || recoveries[0].Kind != Continued || recoveries[0].Took != 40*time.Millisecond || recoveries[0].Position.Seq != 12 {
			t.Errorf("recoveries: %+v", recoveries)
		}
	})
}

// Where the gateway has what was missed is told, when the gateway tells it.
func TestResumeTellsWhereFrom(t *testing.T) {
	sources := []protocol.Source{0, protocol.FromMemory, protocol.FromLog, 0, protocol.FromLog}
	for _, codec := range codecs {
		t.Run(codec.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				g := newGateway(t, func(p *peer) {
					m := protocol.Connected{Pod: "pod", Canvas: "main", Spec: testSpec, Position: canvas.Position{Epoch: epochA, Seq: 10}}
					if p.n > 1 { // the first one claims nothing
						m.Resumed = sources[p.n-1]
						m.Position.Seq, _ = strconv.ParseUint(p.query.Get("since"), 10, 64)
					}
					p.send(m)
					if p.n == 1 && codec == Binary {
						p.snapshot(epochA, 10)
					}
					if p.n < len(sources) {
						time.Sleep(time.Second)
						return // breaks
					}
					p.drain()
				})
				r := newREST()
				r.at(epochA, 10)
				o := g.options(codec)
				if codec == JSON {
					o.Load = r.load
				}
				var kinds []RecoveryKind
				o.OnResume = func(r Recovery) { kinds = append(kinds, r.Kind) }
				c := start(t, o)
				time.Sleep(time.Minute)
				synctest.Wait()
				if want := []RecoveryKind{FromMemory, FromLog, Continued, FromLog}; !slices.Equal(kinds, want) {
					t.Errorf("it came back by %v, want %v", kinds, want)
				}
				if s := c.Stats(); s.Recoveries[FromLog] != 2 || s.Recoveries[FromMemory] != 1 || s.WentOn() != 4 {
					t.Errorf("stats: %+v", s)
				}
			})
		})
	}
}

func TestNoResumeClaimsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGateway(t, func(p *peer) {
			if p.query.Has("since") || p.query.Has("epoch") {
				t.Error("a position is claimed")
			}
			p.follow(uint64(10 * p.n))
			if p.n == 2 {
				p.drain()
			}
		})
		o := g.options(Binary)
		o.NoResume = true
		c := start(t, o)
		waitFor(t, c, 20)
		checkPicture(t, c, epochA, 20)
	})
}

// The faults that a network or a gateway may inject, counted exactly.
func TestCountsFaults(t *testing.T) {
	const last = 100
	for _, f := range []struct {
		name string
		run  func(p *peer, from uint64)
		want Stats
	}{
		{"none", func(p *peer, from uint64) {
			for seq := from + 1; seq <= last; seq++ {
				p.one(seq)
			}
		}, Stats{Updates: last, Ops: last, Connected: 1}},
		{"delays", func(p *peer, from uint64) {
			for seq := from + 1; seq <= last; seq++ {
				time.Sleep(time.Duration(seq%13) * time.Second)
				p.one(seq)
			}
		}, Stats{Updates: last, Ops: last, Connected: 1}},
		{"each tenth is lost", func(p *peer, from uint64) {
			for seq := from + 1; seq <= last; seq++ {
				if seq%10 == 0 && seq > from+1 {
					continue // only the first time
				}
				p.one(seq)
			}
		}, Stats{Ops: last - 1, Gaps: 9, Resyncs: 9, Connected: 10}},
		{"each tenth comes twice", func(p *peer, from uint64) {
			for seq := from + 1; seq <= last; seq++ {
				p.one(seq)
				if seq%10 == 0 {
					p.one(seq)
				}
			}
		}, Stats{Updates: last + 10, Ops: last, Duplicates: 10, Connected: 1}},
		{"an old one comes again", func(p *peer, from uint64) {
			for seq := from + 1; seq <= last; seq++ {
				p.one(seq)
			}
			p.one(3)
		}, Stats{Updates: last + 1, Ops: last, Duplicates: 1, Connected: 1}},
		{"two are swapped", func(p *peer, from uint64) {
			for seq := from + 1; seq <= last; seq++ {
				if seq == 50 && from < 49 {
					p.together(51, 50)
					p.drain()
					return
				}
				p.one(seq)
			}
		}, Stats{Updates: last + 2, Ops: last, Gaps: 1, OutOfOrder: 1, Resyncs: 1, Connected: 2}},
		{"overlapping batches", func(p *peer, from uint64) {
			for seq := from + 1; seq <= last; seq += 4 { // 1–4, then 4–8, …
				e := &canvas.Entry{First: max(seq-1, from+1)}
				for s := e.First; s <= seq+3; s++ {
					e.Ops = append(e.Ops, paintAt(s))
				}
				p.entry(e)
			}
		}, Stats{Updates: 25, Ops: last, Overlaps: 24, Connected: 1}},
	} {
		t.Run(f.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				g := newGateway(t, func(p *peer) {
					from := p.follow(0)
					f.run(p, from)
					p.drain()
				})
				c := start(t, g.options(Binary))
				waitFor(t, c, f.want.Ops)
				time.Sleep(time.Minute)
				checkPicture(t, c, epochA, f.want.Ops)
				s := c.Stats()
				got := Stats{Updates: s.Updates, Ops: s.Ops, Gaps: s.Gaps, Duplicates: s.Duplicates, Overlaps: s.Overlaps,
					OutOfOrder: s.OutOfOrder, Resyncs: s.Resyncs, Connected: s.Connected}
				if f.want.Updates == 0 {
					got.Updates = 0
				}
				if g, w := got, f.want; g.Updates != w.Updates || g.Ops != w.Ops || g.Gaps != w.Gaps || g.Duplicates != w.Duplicates ||
					g.Overlaps != w.Overlaps || g.OutOfOrder != w.OutOfOrder || g.Resyncs != w.Resyncs || g.Connected != w.Connected {
					t.Errorf("got  %+v\nwant %+v", got, f.want)
				}
				if s.Disconnects[protocol.CloseProtocol] != f.want.Gaps {
					t.Errorf("disconnects: %v", s.Disconnects)
				}
			})
		})
	}
}

func TestRangesAndResets(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGateway(t, func(p *peer) {
			p.follow(0)
			cell := func(x uint16, c canvas.Color) protocol.Cell {
				return protocol.Cell{Pixel: canvas.Pixel{X: x, Y: 1, Color: c}}
			}
			_ = p.ws.WriteMessage(websocket.BinaryMessage, protocol.AppendRange(nil, &protocol.Range{Prev: 0, Seq: 30, Cells: []protocol.Cell{cell(1, 1), cell(2, 2)}}))
			// One that begins earlier than what is applied has the same effect.
			_ = p.ws.WriteMessage(websocket.BinaryMessage, protocol.AppendRange(nil, &protocol.Range{Prev: 20, Seq: 40, Reset: true, ResetTo: 9, Cells: []protocol.Cell{cell(2, 5)}}))
			p.entry(&canvas.Entry{First: 41, Ops: []canvas.Op{{Kind: canvas.Paint, Pixels: []canvas.Pixel{{X: 3, Y: 99}}}}}) // no canvas holds it
			p.drain()
		})
		c := start(t, g.options(Binary))
		waitFor(t, c, 41)
		f := c.Grid()
		if f.At(1, 1) != 9 || f.At(2, 1) != 5 || f.At(0, 0) != 9 {
			t.Error(f.At(1, 1), f.At(2, 1), f.At(0, 0))
		}
		s := c.Stats()
		if s.Ops != 41 || s.Conflated != 40 || s.Ranges != 2 || s.Overlaps != 1 || s.Pixels != 4 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestSnapshotWithAWrongHashIsNotShown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGateway(t, func(p *peer) {
			if p.n == 1 {
				p.follow(10)
				return
			}
			if p.n == 2 {
				if p.query.Get("since") != "10" {
					t.Errorf("query %v", p.query)
				}
				p.connected(epochA, 20) // cannot go on from 10
				at := canvas.Position{Epoch: epochA, Seq: 20}
				messages := protocol.EncodeSnapshot(pictureAt(20), at)
				begin := protocol.SnapshotBegin{Position: at, Spec: testSpec, Hash: 1, Bands: len(messages) - 1}
				p.send(begin)
				for _, m := range messages[1:] {
					_ = p.ws.WriteMessage(websocket.BinaryMessage, m)
				}
				p.drain()
				return
			}
			if p.query.Has("since") {
				t.Errorf("after a bad snapshot a position is claimed: %v", p.query)
			}
			p.follow(21)
			p.drain()
		})
		o := g.options(Binary)
		var seen []uint64
		o.OnUpdate = func(u Update) { seen = append(seen, u.Seq) }
		c := start(t, o)
		waitFor(t, c, 21)
		checkPicture(t, c, epochA, 21)
		synctest.Wait()
		if len(seen) != 2 || seen[0] != 10 || seen[1] != 21 {
			t.Errorf("seen %v", seen)
		}
		if s := c.Stats(); s.BadSnapshots != 1 || s.Snapshots != 2 || s.Recoveries[Snapshot] != 1 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestSnapshotAssembly(t *testing.T) {
	spec := canvas.Spec{Width: 300, Height: 200, Background: 5}
	grid := canvas.NewGrid(spec)
	for i := range 300 {
		grid.Set(i, i%200, canvas.Color(i))
	}
	frozen := grid.Freeze()
	var begin protocol.SnapshotBegin
	var bands []protocol.SnapshotBand
	for _, m := range protocol.EncodeSnapshot(frozen, canvas.Position{Epoch: epochA, Seq: 3}) {
		err := protocol.DecodeServerBinary(m, func(m protocol.ServerMessage) error {
			switch m := m.(type) {
			case protocol.SnapshotBegin:
				begin = m
			case protocol.SnapshotBand:
				bands = append(bands, m)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(bands) < 3 {
		t.Fatalf("%d bands are too few for this test", len(bands))
	}
	a, err := newAssembler(begin, true)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(bands) - 1; i >= 0; i-- { // in any order, and one twice
		for range 1 + i%2 {
			done, err := a.add(&bands[i])
			if err != nil || done != (i == 0) {
				t.Fatalf("band %d: done %v, %v", i, done, err)
			}
		}
	}
	if a.grid.Hash() != frozen.Hash() {
		t.Error("another picture")
	}
	a, _ = newAssembler(begin, false)
	for i := range bands {
		if done, err := a.add(&bands[i]); err != nil || done != (i == len(bands)-1) {
			t.Fatalf("counting band %d: %v, %v", i, done, err)
		}
	}
	if _, err := a.add(&protocol.SnapshotBand{Index: len(bands)}); err == nil {
		t.Error("a band too many is accepted")
	}
	begin.Bands = 0
	if _, err := newAssembler(begin, true); err == nil {
		t.Error("a snapshot of no bands is accepted")
	}
}

// A snapshot may come in the middle of a connection: to a client that was slow,
// or because a new epoch has begun. What comes between its bands waits.
func TestSnapshotOfANewEpoch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGateway(t, func(p *peer) {
			p.follow(10)
			p.one(11)
			messages := protocol.EncodeSnapshot(pictureAt(8), canvas.Position{Epoch: epochB, Seq: 8})
			_ = p.ws.WriteMessage(websocket.BinaryMessage, messages[0])
			p.one(9)
			p.send(protocol.Pong{}, protocol.Status{State: protocol.Live})
			for _, m := range messages[1:] {
				_ = p.ws.WriteMessage(websocket.BinaryMessage, m)
			}
			p.one(10)
			if p.n == 1 {
				time.Sleep(time.Second)
				return
			}
		})
		queries := make(chan string, 1)
		o := g.options(Binary)
		o.Rand = func() float64 { return 1 }
		o.OnDisconnect = func(int, string) { queries <- "" }
		c := start(t, o)
		<-queries
		if got := c.Position(); got != (canvas.Position{Epoch: epochB, Seq: 10}) {
			t.Errorf("at %v", got)
		}
		if c.Grid().Hash() != pictureAt(10).Hash() {
			t.Error("another picture")
		}
		if s := c.Stats(); s.Snapshots != 2 || s.Buffered != 1 || s.Gaps+s.Duplicates != 0 || s.Ops != 3 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestWithoutAGridPositionsAreCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGateway(t, func(p *peer) {
			from := p.follow(10)
			p.one(from+1, from+2)
			if p.n == 2 {
				p.drain()
			}
		})
		o := g.options(Binary)
		o.NoGrid = true
		c := start(t, o)
		waitFor(t, c, 14)
		if c.Grid() != nil {
			t.Error("there is a picture")
		}
		if s := c.Stats(); s.Ops != 4 || s.Snapshots != 1 || s.Recoveries[Continued] != 1 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestRubbishDropsTheConnection(t *testing.T) {
	for name, rubbish := range map[string]func(*peer){
		"not connected first": func(p *peer) { p.send(protocol.Pong{}) },
		"connected twice":     func(p *peer) { p.connected(epochA, 0); p.connected(epochA, 0) },
		"cut off":             func(p *peer) { _ = p.ws.WriteMessage(websocket.BinaryMessage, []byte{1, 99, 0}) },
		"text":                func(p *peer) { _ = p.ws.WriteMessage(websocket.TextMessage, []byte(`{}`)) },
		"position 0": func(p *peer) {
			p.follow(0)
			p.entry(&canvas.Entry{First: 0, Ops: []canvas.Op{paintAt(1)}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				g := newGateway(t, func(p *peer) {
					if p.n == 1 {
						rubbish(p)
						p.drain()
						if !websocket.IsCloseError(p.ended, protocol.CloseProtocol) {
							t.Errorf("the client left with %v", p.ended)
						}
						return
					}
					for seq := p.follow(5) + 1; seq <= 5; seq++ {
						p.one(seq)
					}
					p.drain()
				})
				c := start(t, g.options(Binary))
				waitFor(t, c, 5)
				if s := c.Stats(); s.Failures+s.Disconnects[protocol.CloseProtocol] != 1 {
					t.Errorf("stats: %+v", s)
				}
			})
		})
	}
}
