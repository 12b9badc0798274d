package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/gorilla/websocket"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
)

// Joins is the outcome of a measurement of clients who join: each opens a
// connection, tells its name, gets the picture and stays.
type Joins struct {
	Codec    string   `json:"codec"`
	Gateways int      `json:"gateways"`
	APIs     int      `json:"apis"`
	Clients  int      `json:"clients"`
	Over     float64  `json:"over"`   // seconds
	Ready    Times    `json:"ready"`  // from when a join was due until the client had everything
	Failed   int      `json:"failed"` // did not get there
	CPU      float64  `json:"cpu"`    // seconds, of gateways, apis and Redis
	Bytes    float64  `json:"bytes"`  // read for each join: all that all clients read, lists of users among it
	Memory   int64    `json:"memory"` // of the gateways, with all connected
	Late     float64  `json:"late"`   // ms, p99 of the generator's own delay
	Warnings []string `json:"warnings,omitempty"`
}

// afterJoins is for how long what follows a join is counted with it: lists of
// users come at most once a second.
const afterJoins = 2 * time.Second

// joins measures o.joins clients who join at a constant rate.
func joins(ctx context.Context, o options, s *system) (_ *Joins, err error) {
	r := &Joins{Codec: o.codec, Gateways: len(s.urls), APIs: len(s.apis), Clients: o.joins, Over: o.joinOver.Seconds()}
	if err := fill(ctx, o, s); err != nil {
		return nil, err
	}
	wait(ctx, o.settle)
	before, err := s.usages()
	if err != nil {
		return nil, err
	}
	machineBefore, err := readMachine()
	if err != nil {
		return nil, err
	}

	var bytes atomic.Int64
	counting := countingDialer{bytes: &bytes}
	dialer := &websocket.Dialer{
		NetDialContext: counting.DialContext, HandshakeTimeout: 10 * time.Second,
		ReadBufferSize: 1 << 10, WriteBufferSize: 1 << 10, WriteBufferPool: &sync.Pool{},
	}
	// Each client has an HTTP connection of its own, as each browser has.
	web := &http.Client{Transport: &http.Transport{DialContext: counting.DialContext, DisableKeepAlives: true}}
	clients := make([]*client.Client, o.joins)
	took, late := histogramOf(), histogramOf()
	var mu sync.Mutex // guards the histograms and clients
	var joining sync.WaitGroup
	defer func() {
		var leaving sync.WaitGroup
		for _, c := range clients {
			if c != nil {
				leaving.Go(func() { _ = c.Close() })
			}
		}
		leaving.Wait()
	}()
	limit, cancel := context.WithTimeout(ctx, o.joinOver+joinTime)
	defer cancel()
	begin := time.Now().Add(10 * time.Millisecond)
	var failed atomic.Int64
	for i := range clients {
		due := begin.Add(time.Duration(i) * o.joinOver / time.Duration(o.joins))
		wait(ctx, time.Until(due))
		joining.Go(func() {
			started := time.Since(due)
			c := client.Options{
				URLs: []string{s.urls[i%len(s.urls)]}, Name: fmt.Sprintf("Guest %d", i+1), Dialer: dialer, HTTPClient: web,
			}
			if o.codec == "json" {
				c.Codec, c.API = client.JSON, s.apis[i%len(s.apis)]
			}
			joined, err := client.Dial(limit, c)
			ready := time.Since(due)
			mu.Lock()
			defer mu.Unlock()
			_ = late.RecordValue(max(1, started.Microseconds())) // in its bounds
			if err != nil {
				failed.Add(1)
				return
			}
			clients[i] = joined
			_ = took.RecordValue(max(1, ready.Microseconds()))
		})
	}
	joining.Wait()
	wait(ctx, afterJoins)
	after, err := s.usages()
	if err != nil {
		return nil, err
	}
	machineAfter, err := readMachine()
	if err != nil {
		return nil, errors.Join(err, ctx.Err())
	}
	known := 0.0
	for kind, u := range after {
		known += (u.CPU - before[kind].CPU).Seconds()
	}
	for _, kind := range servers {
		r.CPU += (after[kind].CPU - before[kind].CPU).Seconds()
	}
	r.Failed = int(failed.Load())
	r.Bytes = float64(bytes.Load()) / float64(o.joins)
	r.Memory = after["gateway"].Memory
	r.Ready, r.Late = timesOf(took), float64(late.ValueAtQuantile(99))/1000
	span := machineAfter.at.Sub(machineBefore.at).Seconds()
	if foreign := (machineAfter.busy - machineBefore.busy).Seconds() - known; foreign/span > 0.05 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("something else used %.0f %% of a processor", 100*foreign/span))
	}
	return r, ctx.Err()
}

func histogramOf() *hdrhistogram.Histogram { return hdrhistogram.New(1, 600_000_000, 3) }

// fill paints every cell in a colour of its own, so that pictures are as large
// as they get.
func fill(ctx context.Context, o options, s *system) (err error) {
	c, err := client.Dial(ctx, client.Options{URLs: s.urls[:1], NoGrid: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	var stroke []canvas.Pixel
	for i := range o.width * o.height {
		// An odd multiplier visits all colours, in no order that compresses.
		color := canvas.Color(uint32(i)*0x9E3779B1) & 0xFFFFFF
		stroke = append(stroke, canvas.Pixel{X: uint16(i % o.width), Y: uint16(i / o.width), Color: color})
		if len(stroke) == canvas.MaxPixels || i == o.width*o.height-1 {
			if _, err := c.Draw(ctx, stroke...); err != nil {
				return err
			}
			stroke = stroke[:0]
		}
	}
	return c.Flush(ctx)
}

// countingDialer dials connections that count what is read from them.
type countingDialer struct{ bytes *atomic.Int64 }

func (d countingDialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return countingConn{conn, d.bytes}, nil
}

type countingConn struct {
	net.Conn
	bytes *atomic.Int64
}

func (c countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.bytes.Add(int64(n))
	return n, err
}

func (r *Joins) print(w io.Writer) {
	fmt.Fprintf(w, "%d clients join within %.0f s, %s, %d gateways, %d apis\n\n", r.Clients, r.Over, r.Codec, r.Gateways, r.APIs)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "due → has everything\t%v\n", r.Ready)
	fmt.Fprintf(t, "servers\t%.2f CPU s\t%.2f ms each\t\t\n", r.CPU, 1000*r.CPU/float64(r.Clients))
	fmt.Fprintf(t, "read by clients\t%.1f KB a join\t\t\t\n", r.Bytes/1000)
	fmt.Fprintf(t, "gateways\t%.1f MB\t\t\t\n", float64(r.Memory)/1e6)
	fmt.Fprintf(t, "the generator was late by\tp99 %.1f ms\t\t\t\n", r.Late)
	_ = t.Flush() // what w refuses shows
	if r.Failed > 0 {
		fmt.Fprintf(w, "faults: %d did not get in\n", r.Failed)
	}
	for _, warning := range r.Warnings {
		fmt.Fprintln(w, "warning:", warning)
	}
}
