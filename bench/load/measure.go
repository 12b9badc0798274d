package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/fleet"
)

// colours is how many writes can be told apart: each has a colour of its own.
const colours = 1 << 24

// receiver is one client and what it saw.
type receiver struct {
	*client.Client
	latency *hdrhistogram.Histogram // µs
	seen    uint64                  // writes of the measurement
}

// report is the outcome of a measurement.
type report struct {
	o          options
	latency    *hdrhistogram.Histogram
	writes     uint64
	deliveries uint64
	gaps       uint64
	conflated  uint64
	bytes      uint64
	took       time.Duration
	late       time.Duration // greatest delay of the generator itself
	used       map[string]fleet.Usage
}

func measure(ctx context.Context, o options, s fleet.State) (*report, error) {
	urls, err := s.GatewayURLs()
	if err != nil {
		return nil, err
	}
	// due[c] is when the write of colour c was due, ns since start; 0: not part
	// of the measurement.
	due := make([]atomic.Int64, colours)
	start := time.Now()
	receivers := make([]*receiver, o.clients)
	var head atomic.Uint64 // that any acknowledgement has told of
	defer func() {
		var closing sync.WaitGroup
		for _, r := range receivers {
			if r != nil {
				closing.Go(func() { _ = r.Close() })
			}
		}
		closing.Wait()
	}()
	codec := client.Binary
	if o.json {
		codec = client.JSON
	}
	for i := range receivers {
		r := &receiver{latency: hdrhistogram.New(1, 60_000_000, 2)}
		note := func(c canvas.Color, arrived time.Time) {
			if at := due[c].Load(); at != 0 {
				r.seen++
				_ = r.latency.RecordValue(max(1, int64(arrived.Sub(start)-time.Duration(at))/1000))
			}
		}
		c, err := client.Dial(ctx, client.Options{
			URLs: []string{urls[i%len(urls)]}, Codec: codec, NoGrid: true, MaxOutbox: 1 << 16,
			OnAck: func(a client.Acked) {
				for seen := head.Load(); a.Seq > seen && !head.CompareAndSwap(seen, a.Seq); seen = head.Load() {
				}
			},
			OnUpdate: func(u client.Update) {
				for _, op := range u.Ops {
					note(op.Pixels[0].Color, u.Arrived)
				}
				for _, cell := range u.Cells {
					note(cell.Color, u.Arrived)
				}
			},
		})
		if err != nil {
			return nil, fmt.Errorf("client %d: %w", i, err)
		}
		r.Client = c
		receivers[i] = r
	}

	r := &report{o: o, latency: hdrhistogram.New(1, 60_000_000, 2)}
	interval := time.Duration(float64(time.Second) / o.rate)
	begin := time.Now().Add(10 * time.Millisecond)
	from, until := begin.Add(o.warmUp), begin.Add(o.warmUp+o.duration)
	var before map[string]fleet.Usage
	var bytesBefore uint64
	for k := 0; ; k++ {
		at := begin.Add(time.Duration(k) * interval)
		if at.After(until) || ctx.Err() != nil {
			break
		}
		if d := time.Until(at); d > 0 {
			time.Sleep(d)
		}
		colour := canvas.Color(k % colours)
		if !at.Before(from) {
			if before == nil {
				if before, err = usages(s); err != nil {
					return nil, err
				}
				bytesBefore = received(receivers)
			}
			due[colour].Store(int64(at.Sub(start)))
			r.writes++
			r.late = max(r.late, time.Since(at))
		}
		point := canvas.Pixel{X: uint16(k % 50), Y: uint16(k / 50 % 50), Color: colour}
		if _, err := receivers[k%o.clients].Draw(ctx, point); err != nil {
			return nil, err
		}
	}
	// Everything that was written is awaited, then counted.
	flush, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for _, c := range receivers {
		if err := c.Flush(flush); err != nil {
			return nil, errors.Join(errors.New("not everything was acknowledged"), err)
		}
	}
	for _, c := range receivers {
		if err := c.WaitFor(flush, head.Load()); err != nil {
			return nil, errors.Join(errors.New("a client did not get everything"), err)
		}
	}
	r.took = time.Since(from)
	after, err := usages(s)
	if err != nil {
		return nil, err
	}
	r.bytes = received(receivers) - bytesBefore
	r.used = after
	for kind, u := range after {
		u.CPU -= before[kind].CPU
		r.used[kind] = u
	}
	for _, c := range receivers {
		_ = c.Close() // its counters and histogram are quiet from here on
		r.latency.Merge(c.latency)
		r.deliveries += c.seen
		stats := c.Stats()
		r.gaps += stats.Gaps + stats.OutOfOrder
		r.conflated += stats.Conflated
	}
	return r, nil
}

func received(all []*receiver) (n uint64) {
	for _, r := range all {
		n += r.Stats().Bytes
	}
	return n
}

func (r *report) print(w io.Writer) {
	codec := "binary"
	if r.o.json {
		codec = "JSON"
	}
	ms := func(q float64) float64 { return float64(r.latency.ValueAtQuantile(q)) / 1000 }
	servers := r.used["gateway"].CPU + r.used["api"].CPU + r.used["redis"].CPU
	owed := r.writes * uint64(r.o.clients)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	fmt.Fprintf(t, "%d clients × %.0f writes/s, %s, %d gateways, %d apis, %v\n\n", r.o.clients, r.o.rate, codec, r.o.gateways, r.o.apis, r.o.duration)
	fmt.Fprintf(t, "latency, due → arrival\tp50 %.2f ms\tp95 %.2f ms\tp99 %.2f ms\tmax %.1f ms\n", ms(50), ms(95), ms(99), float64(r.latency.Max())/1000)
	fmt.Fprintf(t, "delivered\t%d of %d\t%.2f %%\t%d conflated\t%d gaps\n", r.deliveries, owed, 100*float64(r.deliveries)/float64(owed), r.conflated, r.gaps)
	fmt.Fprintf(t, "deliveries\t%.0f /s\t%.0f per server CPU s\t%.0f B each\t\n", float64(r.deliveries)/r.took.Seconds(), float64(r.deliveries)/servers.Seconds(), float64(r.bytes)/float64(max(1, r.deliveries)))
	for _, kind := range []string{"gateway", "api", "redis", "generator"} {
		fmt.Fprintf(t, "%s\t%.2f CPU s\t%.0f MB\t\t\n", kind, r.used[kind].CPU.Seconds(), float64(r.used[kind].Memory)/1e6)
	}
	fmt.Fprintf(t, "the generator was late by at most\t%.1f ms\t\t\t\n", float64(r.late.Microseconds())/1000)
}
