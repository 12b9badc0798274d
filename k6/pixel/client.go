package pixel

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/grafana/sobek"
	"github.com/mstoykov/k6-taskqueue-lib/taskqueue"

	"github.com/cloud-pixel/playground/k6/fanout"
	"github.com/cloud-pixel/playground/k6/metrics"
	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
)

// shared is the group of all single clients that connect to the same place in
// the same way, whichever virtual user has them: so one sees how long a pixel
// of one takes to all others.
type shared struct {
	group    *fanout.Group
	recorder *recorder

	mu     sync.Mutex // guards what follows, and joining and parting as a whole
	n      int
	stop   context.CancelFunc // of the recorder's hand-overs, while n > 0
	beside sync.WaitGroup
}

// share returns the group for some options.
func (i *instance) share(f fanout.Options) (*shared, error) {
	key := fmt.Sprintf("%v %s %s %v %v %v %v %v %v", f.URLs, f.API, f.Canvas, f.Codec, f.NoResume, f.Witness, f.NoGrid, f.Trace, f.Backoff)
	m := i.module
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.shared[key]; s != nil && s.recorder.out == i.vu.State().Samples {
		return s, nil
	}
	r := i.newRecorder(f.Codec.String())
	f.Free, f.Observe = true, r
	g, err := fanout.New(f)
	if err != nil {
		return nil, err
	}
	s := &shared{group: g, recorder: r}
	m.shared[key] = s
	return s, nil
}

// enter counts a client that is about to join.
func (s *shared) enter(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recorder.use(ctx)
	if s.n++; s.n == 1 {
		following, stop := context.WithCancel(context.WithoutCancel(ctx))
		s.stop = stop
		s.beside.Go(func() { s.recorder.follow(following, s.group) })
	}
}

// exit counts one that has gone, and hands over the figures: all of them when
// nobody is left.
func (s *shared) exit(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recorder.use(ctx)
	var set metrics.Set
	if s.n--; s.n > 0 {
		s.group.Progress(&set)
		s.recorder.tell(&set, false)
		return
	}
	s.stop()
	s.beside.Wait()
	s.group.Measure(&set)
	s.recorder.finish(&set)
}

// single is one client of a script.
type single struct {
	i      *instance
	shared *shared
	member *fanout.Member
	codec  client.Codec
	tasks  *taskqueue.TaskQueue // calls handlers, and keeps the iteration going
	closed sync.Once
	unbind func() bool

	mu       sync.Mutex
	handlers map[string][]sobek.Callable
}

// Events that a script may ask for.
var events = []string{"update", "ack", "refused", "state", "connected", "disconnected", "resumed"}

// connect is the script's connect(url, options).
func (i *instance) connect(to, options sobek.Value) *sobek.Promise {
	i.running("connect()")
	var o connectOptions
	var u urls
	err := errors.Join(decode(options, &o), decode(to, &u))
	var f fanout.Options
	if err == nil {
		f, err = i.fanout(u, &o)
	}
	if o.Name != "" {
		f.Name = func(int) string { return o.Name }
	}
	c := &single{i: i, codec: f.Codec, handlers: map[string][]sobek.Callable{}}
	if err == nil {
		c.shared, err = i.share(f)
	}
	if err != nil {
		i.throw(err)
	}
	c.tasks = taskqueue.New(i.vu.RegisterCallback)
	return i.async(func(ctx context.Context) (any, error) {
		c.shared.enter(ctx)
		member, err := c.shared.group.Add(ctx, c.listeners())
		if err != nil {
			c.tasks.Close()
			c.shared.exit(ctx)
			return nil, err
		}
		c.member = member
		c.unbind = context.AfterFunc(ctx, func() { c.closed.Do(c.end) })
		return c, nil
	})
}

// end lets the client go at once.
func (c *single) end() {
	_ = c.member.Close() // it has nothing to say any more
	c.tasks.Close()
	c.shared.exit(c.i.vu.Context())
}

// Draw paints one pixel and returns the number of the operation.
func (c *single) Draw(x, y int, color string) uint64 {
	p, err := c.pixel(x, y, color)
	if err != nil {
		c.i.throw(err)
	}
	return c.send([]canvas.Pixel{p})[0]
}

// Stroke paints pixels, given as [x, y, color], and returns the numbers of the
// operations: one, or in the JSON codec one for each pixel.
func (c *single) Stroke(pixels []struct {
	X, Y  int
	Color string
},
) []uint64 {
	if len(pixels) == 0 {
		c.i.throw(errors.New("a stroke has at least one pixel"))
	}
	all := make([]canvas.Pixel, 0, len(pixels))
	for _, p := range pixels {
		pixel, err := c.pixel(p.X, p.Y, p.Color)
		if err != nil {
			c.i.throw(err)
		}
		all = append(all, pixel)
	}
	return c.send(all)
}

func (c *single) pixel(x, y int, color string) (canvas.Pixel, error) {
	parsed, err := canvas.ParseColor(strings.ToUpper(color))
	if err != nil {
		return canvas.Pixel{}, err
	}
	if s := c.member.Client.Spec(); !s.Contains(x, y) {
		return canvas.Pixel{}, fmt.Errorf("(%d, %d) is outside the canvas of %d×%d cells", x, y, s.Width, s.Height)
	}
	return canvas.Pixel{X: uint16(x), Y: uint16(y), Color: parsed}, nil
}

func (c *single) send(pixels []canvas.Pixel) (numbers []uint64) {
	most := canvas.MaxPixels
	if c.codec == client.JSON {
		most = 1
	}
	for len(pixels) > 0 {
		n := min(most, len(pixels))
		op, err := c.shared.group.Draw(c.member, pixels[:n]...)
		if err != nil {
			c.i.throw(err)
		}
		numbers, pixels = append(numbers, op), pixels[n:]
	}
	return numbers
}

// On calls a function at each event of a kind.
func (c *single) On(event string, f sobek.Callable) {
	known := false
	for _, e := range events {
		known = known || e == event
	}
	if !known || f == nil {
		c.i.throw(fmt.Errorf("on(%q): events are %s, and each takes a function", event, strings.Join(events, ", ")))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handlers[event] = append(c.handlers[event], f)
}

// emit calls the script's handlers, in the script's own time. What there is to
// tell is only put together when somebody listens.
func (c *single) emit(event string, what func() map[string]any) {
	c.mu.Lock()
	handlers := c.handlers[event]
	c.mu.Unlock()
	if len(handlers) == 0 {
		return
	}
	told := what()
	c.tasks.Queue(func() error {
		for _, f := range handlers {
			if _, err := f(sobek.Undefined(), c.i.vu.Runtime().ToValue(told)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Pod returns the gateway that the client is connected to.
func (c *single) Pod() string { return c.member.Pod() }

// State returns what the connection is doing.
func (c *single) State() string { return c.member.State().String() }

// Position returns up to where the client has the log.
func (c *single) Position() uint64 { return c.member.Position().Seq }

// Width and Height are the canvas's.
func (c *single) Width() int { return c.member.Client.Spec().Width }

// Height is the canvas's.
func (c *single) Height() int { return c.member.Client.Spec().Height }

// At returns the colour of a cell in the client's picture; null when it keeps
// none.
func (c *single) At(x, y int) any {
	if s := c.member.Client.Spec(); !s.Contains(x, y) {
		c.i.throw(fmt.Errorf("(%d, %d) is outside the canvas of %d×%d cells", x, y, s.Width, s.Height))
	}
	grid := c.member.Grid()
	if grid == nil {
		return nil
	}
	return grid.At(x, y).String()
}

// Flush waits until every operation is in the log or refused for good.
func (c *single) Flush() *sobek.Promise {
	return c.i.async(func(ctx context.Context) (any, error) { return nil, c.member.Flush(ctx) })
}

// WaitFor waits until the client has everything up to a position.
func (c *single) WaitFor(seq uint64) *sobek.Promise {
	return c.i.async(func(ctx context.Context) (any, error) { return nil, c.member.WaitFor(ctx, seq) })
}

// Ping measures the way to the gateway and back, in ms.
func (c *single) Ping() *sobek.Promise {
	return c.i.async(func(ctx context.Context) (any, error) {
		took, err := c.member.Ping(ctx)
		return float64(took) / float64(time.Millisecond), err
	})
}

// Close lets the client go when it has what it is owed.
func (c *single) Close() *sobek.Promise {
	return c.i.async(func(ctx context.Context) (any, error) {
		c.unbind()
		c.shared.group.Part(ctx, c.member)
		c.closed.Do(c.end)
		return nil, nil
	})
}
