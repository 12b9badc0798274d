package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// rest is a fake REST service: each answer waits for its turn.
type rest struct {
	answers chan func() (*canvas.Frozen, canvas.Position, error)
	mu      sync.Mutex
	asked   int
}

func newREST() *rest {
	return &rest{answers: make(chan func() (*canvas.Frozen, canvas.Position, error), 10)}
}

func (r *rest) load(ctx context.Context) (*canvas.Frozen, canvas.Position, error) {
	r.mu.Lock()
	r.asked++
	r.mu.Unlock()
	select {
	case answer := <-r.answers:
		return answer()
	case <-ctx.Done():
		return nil, canvas.Position{}, ctx.Err()
	}
}

func (r *rest) at(epoch canvas.Epoch, seq uint64) {
	r.answers <- func() (*canvas.Frozen, canvas.Position, error) {
		return pictureAt(seq), canvas.Position{Epoch: epoch, Seq: seq}, nil
	}
}

// The picture by REST and the updates over the socket race; wherever the
// picture stands, what comes of both is the same.
func TestReloadRace(t *testing.T) {
	for name, stands := range map[string][]uint64{
		"where the connection begins":  {10},
		"among the kept updates":       {13},
		"inside an operation's pieces": {15},
		"at the last kept update":      {16},
		"ahead of the kept updates":    {18},
		"first behind, then ahead":     {9, 3, 17},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				kept, proceed := make(chan struct{}), make(chan struct{})
				g := newGateway(t, func(p *peer) {
					p.connected(epochA, 10)
					p.one(11, 12, 13, 14, 15, 16)
					close(kept)
					<-proceed
					p.one(17, 18, 19, 20)
					p.drain()
				})
				r := newREST()
				o := g.options(JSON)
				o.Load = r.load
				c := start(t, o)
				<-kept
				synctest.Wait()
				if c.Grid() != nil || c.Stats().Buffered != 8 { // 15 has three pixels
					t.Errorf("before the picture: %+v", c.Stats())
				}
				for _, seq := range stands {
					r.at(epochA, seq)
				}
				if err := c.WaitReady(within(t)); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				at := max(16, stands[len(stands)-1])
				checkPicture(t, c, epochA, at)
				close(proceed)
				waitFor(t, c, 20)
				synctest.Wait() // 20 has three pixels, too
				checkPicture(t, c, epochA, 20)
				s := c.Stats()
				if s.Reloads != 1 || s.ReloadErrors != uint64(len(stands)-1) || s.Gaps+s.Duplicates != 0 || s.Connected != 1 {
					t.Errorf("stats: %+v", s)
				}
				if want := 20 - stands[len(stands)-1]; s.Ops != want {
					t.Errorf("%d operations, want %d", s.Ops, want)
				}
			})
		})
	}
}

func TestReloadGoesOnUntilItWorks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGateway(t, func(p *peer) {
			p.connected(epochA, 10)
			p.drain()
		})
		r := newREST()
		for range 3 {
			r.answers <- func() (*canvas.Frozen, canvas.Position, error) {
				return nil, canvas.Position{}, errors.New("away")
			}
		}
		r.at(epochB, 10) // has not heard of the epoch yet
		r.at(epochA, 10)
		o := g.options(JSON)
		o.Load = r.load
		o.Rand = func() float64 { return 1 }
		began := time.Now()
		c := start(t, o)
		waitFor(t, c, 10)
		if got := time.Since(began); got != 1500*time.Millisecond { // 100 + 200 + 400 + 800
			t.Errorf("after %v", got)
		}
		if s := c.Stats(); s.ReloadErrors != 4 || s.Reloads != 1 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestJSONResumesBeforeWhatMayBePartial(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sinces := make(chan string, 10)
		g := newGateway(t, func(p *peer) {
			sinces <- p.query.Get("since")
			from := uint64(10)
			if p.n > 1 {
				from = p.follow(0)
			} else {
				p.connected(epochA, 10)
			}
			switch p.n {
			case 1:
				p.one(11, 12) // 12 may have more pixels
			case 2:
				p.one(from + 1)
				encoder := protocol.JSON{} // 13, 14 and the first of 15's three pixels
				for seq := uint64(13); seq <= 15; seq++ {
					first := true
					encoder.Entry(&canvas.Entry{First: seq, Ops: []canvas.Op{paintAt(seq)}}, testSpec, func(b []byte) {
						if first {
							_ = p.ws.WriteMessage(1, b)
						}
						first = false
					})
				}
			case 3:
				p.one(15)
				encoder := protocol.JSON{} // an operation without effect is complete
				encoder.Entry(&canvas.Entry{First: 16, Ops: []canvas.Op{{Kind: canvas.Paint}}}, testSpec, func(b []byte) {
					_ = p.ws.WriteMessage(1, b)
				})
			default:
				p.drain()
			}
			time.Sleep(time.Second) // until all is applied; then the connection breaks
		})
		r := newREST()
		r.at(epochA, 10)
		o := g.options(JSON)
		o.Load = r.load
		c := start(t, o)
		for _, want := range []string{"", "11", "14", "16"} {
			if got := <-sinces; got != want {
				t.Errorf("since %q, want %q", got, want)
			}
		}
		synctest.Wait()
		f, at := c.Picture()
		if at.Seq != 16 || f.Hash() != pictureAt(15).Hash() {
			t.Errorf("another picture at %v", at)
		}
		if s := c.Stats(); s.Ops != 6 || s.Reloads != 1 || s.Recoveries[Continued] != 3 || s.Gaps != 0 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestJSONResync(t *testing.T) {
	bubble(t, func(t *testing.T) {
		proceed := make(chan struct{})
		g := newGateway(t, func(p *peer) {
			switch p.n {
			case 1:
				p.connected(epochA, 10)
				<-proceed
			case 2: // what the client claims cannot be continued
				p.connected(epochA, 30)
				p.one(31)
				p.send(protocol.Resync{Position: canvas.Position{Epoch: epochA, Seq: 32}})
				p.one(33)
				<-proceed
				p.send(protocol.Resync{Position: canvas.Position{Epoch: epochB, Seq: 20}}) // a new epoch
				p.one(21, 22)
				p.drain()
			}
		})
		r := newREST()
		r.at(epochA, 10)
		o := g.options(JSON)
		o.Load = r.load
		var recoveries []Recovery
		o.OnResume = func(r Recovery) { recoveries = append(recoveries, r) }
		c := start(t, o)
		waitFor(t, c, 10)
		proceed <- struct{}{}
		time.Sleep(time.Second)
		if c.Position().Seq != 10 {
			t.Errorf("went on at %v without a picture", c.Position())
		}
		r.at(epochA, 32)
		waitFor(t, c, 33)
		checkPicture(t, c, epochA, 33)
		proceed <- struct{}{}
		synctest.Wait()
		r.at(epochB, 21)
		synctest.Wait()
		checkPicture(t, c, epochB, 22)
		if s := c.Stats(); s.Resyncs != 2 || s.Reloads != 3 || s.Recoveries[Reloaded] != 1 || s.Gaps != 0 {
			t.Errorf("stats: %+v", s)
		}
		if len(recoveries) != 1 || recoveries[0].Took != time.Second || recoveries[0].Connect != 0 {
			t.Errorf("recoveries: %+v", recoveries)
		}
	})
}

func TestJSONWithoutRESTFollowsPositions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGateway(t, func(p *peer) {
			p.connected(epochA, uint64(10*p.n))
			p.one(uint64(10*p.n) + 1)
			if p.n == 2 {
				p.send(protocol.Resync{Position: canvas.Position{Epoch: epochB, Seq: 50}})
				p.one(51)
				p.drain()
			}
		})
		c := start(t, g.options(JSON))
		waitFor(t, c, 51)
		if c.Grid() != nil || c.Position().Epoch != epochB {
			t.Error("a picture, or another epoch")
		}
		if s := c.Stats(); s.Ops != 3 || s.Recoveries[Skipped] != 1 || s.Resyncs != 1 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestTooMuchBeforeThePicture(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGateway(t, func(p *peer) {
			p.connected(epochA, 0)
			if p.n == 1 {
				p.one(1, 2, 3, 4)
			}
			p.drain()
		})
		r := newREST()
		o := g.options(JSON)
		o.Load = r.load
		o.MaxBuffered = 3
		lost := make(chan string, 1)
		o.OnDisconnect = func(_ int, reason string) { lost <- reason }
		c := start(t, o)
		if reason := <-lost; !strings.Contains(reason, "before a picture") {
			t.Errorf("lost because of %q", reason)
		}
		r.at(epochA, 0)
		if err := c.WaitReady(within(t)); err != nil {
			t.Fatal(err)
		}
	})
}

func TestLoadREST(t *testing.T) {
	grid := pictureAt(20)
	var body strings.Builder
	fmt.Fprintf(&body, `{"width":%d,"height":%d,"extra":[1],"pixels":{`, testSpec.Width, testSpec.Height)
	for i := range testSpec.Cells() {
		x, y := i%testSpec.Width, i/testSpec.Width
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `"%d,%d":"%v"`, x, y, grid.At(x, y))
	}
	body.WriteString("}}")
	good, position := body.String(), epochA.String()+"/20"
	for _, f := range []struct {
		name, canvas, path, body, position string
		status                             int
		ok                                 bool
	}{
		{"main", "", "/base/api/canvas", good, position, 200, true},
		{"main by name", "main", "/base/api/canvas", good, position, 200, true},
		{"another canvas", "other", "/base/api/canvases/other/canvas", good, position, 200, true},
		{"away", "", "/base/api/canvas", `{"error":"Redis not connected"}`, "", 503, false},
		{"without position", "", "/base/api/canvas", good, "", 200, false},
		{"cut off", "", "/base/api/canvas", good[:len(good)-1], position, 200, false},
		{"no pixels", "", "/base/api/canvas", `{"width":1,"height":1}`, position, 200, false},
		{"no size", "", "/base/api/canvas", `{"pixels":{}}`, position, 200, false},
		{"outside", "", "/base/api/canvas", `{"width":1,"height":1,"pixels":{"1,0":"#000000"}}`, position, 200, false},
		{"no colour", "", "/base/api/canvas", `{"width":1,"height":1,"pixels":{"0,0":"red"}}`, position, 200, false},
		{"no object", "", "/base/api/canvas", `[]`, position, 200, false},
		{"pixels of another form", "", "/base/api/canvas", `{"width":1,"height":1,"pixels":[1]}`, position, 200, false},
	} {
		t.Run(f.name, func(t *testing.T) {
			o := Options{URLs: []string{"ws://a"}, Codec: JSON, API: "http://api/base/", Canvas: f.canvas}
			o.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				if r.URL.Path != f.path {
					t.Errorf("asked for %s", r.URL.Path)
				}
				w := httptest.NewRecorder()
				w.Header().Set("Pixel-Position", f.position)
				w.WriteHeader(f.status)
				_, _ = w.WriteString(f.body)
				return w.Result(), nil
			})}
			c, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			got, at, err := c.load(context.Background())
			if !f.ok {
				if err == nil {
					t.Error("no error")
				}
				return
			}
			if err != nil || got.Hash() != grid.Hash() || at != (canvas.Position{Epoch: epochA, Seq: 20}) {
				t.Errorf("at %v: %v", at, err)
			}
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
