package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloud-pixel/playground/bench/internal/swarm"
	"github.com/cloud-pixel/playground/services/fleet"
)

// Bounds of the parts of a measurement that wait for the system.
const (
	joinTime  = 2 * time.Minute
	drainTime = time.Minute
	// stuckTime is after how long without any progress the rest counts as
	// lost.
	stuckTime = 5 * time.Second
)

// moment is what is known at one point of a measurement.
type moment struct {
	machine machine
	used    map[string]fleet.Usage
	bytes   uint64
	busy    time.Duration
}

func measure(ctx context.Context, o options, s *system) (_ *Result, err error) {
	r := &Result{System: o.system, Codec: o.codec, Gateways: len(s.urls), APIs: len(s.apis), Fsync: o.fsync, Clients: o.clients, Rate: o.rate}
	r.Machine.LoadBefore = loadAverage()
	empty, err := s.usages()
	if err != nil {
		return nil, err
	}
	joining, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	// One more connection belongs to who checks the picture.
	silent := 0
	if o.system == reference {
		silent = 1
	}
	w, err := swarm.Dial(joining, swarm.Options{
		Wire: o.wire(), URLs: s.urls, Clients: o.clients, Silent: silent, Width: o.width, Height: o.height, Pictures: o.pictures,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	check, err := newChecker(joining, o, s)
	if err != nil {
		return nil, err
	}
	defer check.close()
	wait(ctx, o.settle)
	rest, err := s.usages()
	if err != nil {
		return nil, err
	}
	r.BytesPerConnected = float64(rest["gateway"].Memory-empty["gateway"].Memory) / float64(w.Len())

	schedule := swarm.Schedule{
		Begin: time.Now().Add(50 * time.Millisecond), Interval: time.Duration(float64(time.Second) / o.rate),
		From: int(o.rate * o.warmUp.Seconds()), Writes: int(o.rate * (o.warmUp + o.duration).Seconds()),
		Clients: o.senders(), Block: o.block, Width: o.width, Height: o.height, Base: w.Position(),
	}
	sent := make(chan swarm.Sent, 1)
	go func() { sent <- w.Send(ctx, schedule) }()
	from, _ := schedule.Window()
	wait(ctx, time.Until(from))
	before, err := look(s, w)
	if err != nil {
		return nil, errors.Join(err, drop(sent))
	}
	done := <-sent
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	r.Problem = drain(ctx, w, schedule, o.system == reference)
	took := time.Since(from)
	after, err := look(s, w)
	if err != nil {
		return nil, err
	}
	r.fill(before, after, done, took)
	if err := check.compare(ctx, w, r); err != nil {
		return nil, err
	}
	record, err := w.Record()
	if err != nil {
		return nil, err
	}
	r.count(record)
	r.warn()
	return r, nil
}

// drop waits for a sender that was told to stop.
func drop(sent <-chan swarm.Sent) error { <-sent; return nil }

// wait waits for some time, or for the end of ctx.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func look(s *system, w *swarm.Swarm) (m moment, err error) {
	if m.machine, err = readMachine(); err != nil {
		return m, err
	}
	m.bytes, m.busy = w.Load()
	m.used, err = s.usages()
	return m, err
}

// drain waits until every write was acknowledged and every connection has what
// the log had then. It gives up, and says why, when nothing moves any more.
func drain(ctx context.Context, w *swarm.Swarm, schedule swarm.Schedule, counting bool) string {
	begin, moved := time.Now(), time.Now()
	var last [2]uint64
	for ctx.Err() == nil {
		acked, head := w.Acked()
		if counting {
			head = acked // there are no positions: every write is one
		}
		have, live := w.Received(head)
		if acked >= uint64(schedule.Writes) && have == live {
			return ""
		}
		if now := [2]uint64{acked, w.Total()}; now != last {
			last, moved = now, time.Now()
		}
		if time.Since(moved) > stuckTime || time.Since(begin) > drainTime {
			return fmt.Sprintf("gave up after %v: %d of %d writes acknowledged, %d of %d clients have all",
				time.Since(begin).Round(time.Second), acked, schedule.Writes, have, live)
		}
		wait(ctx, 5*time.Millisecond)
	}
	return ctx.Err().Error()
}

// fill notes what lies between two moments.
func (r *Result) fill(before, after moment, sent swarm.Sent, took time.Duration) {
	r.Seconds = took.Seconds()
	r.Writes, r.Owed = sent.Writes, sent.Writes*uint64(r.Clients)
	r.CPU, r.Memory = map[string]float64{}, map[string]int64{}
	known := 0.0
	for kind, u := range after.used {
		r.CPU[kind] = (u.CPU - before.used[kind].CPU).Seconds()
		r.Memory[kind] = u.Memory
		known += r.CPU[kind]
	}
	r.BytesPerDelivery = float64(after.bytes - before.bytes) // until count divides it
	r.Generator.LateP50 = float64(sent.Late.ValueAtQuantile(50)) / 1000
	r.Generator.LateP99 = float64(sent.Late.ValueAtQuantile(99)) / 1000
	r.Generator.LateMax = float64(sent.Late.Max()) / 1000
	r.Generator.Held = sent.Held
	r.Machine.Seconds = after.machine.at.Sub(before.machine.at).Seconds()
	r.Generator.ReaderBusy = (after.busy - before.busy).Seconds() / r.Machine.Seconds
	r.Machine.Busy = (after.machine.busy - before.machine.busy).Seconds()
	r.Machine.Foreign = max(0, r.Machine.Busy-known)
	r.Machine.Steal = (after.machine.steal - before.machine.steal).Seconds()
}

// count notes what the swarm has seen.
func (r *Result) count(c *swarm.Record) {
	r.Latency, r.Acked = timesOf(c.Latency), timesOf(c.Acked)
	r.Deliveries = c.Single + c.InRanges
	r.Conflated = c.Covered - min(c.Covered, c.InRanges)
	r.Missing = r.Owed - min(r.Owed, c.Single+c.Covered)
	r.Gaps, r.Repeats, r.Refused, r.Closed = c.Gaps, c.Repeats, c.Refused, c.Closed
	if c.Resyncs > 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("%d clients were told to load the picture by REST", c.Resyncs))
	}
	if c.Unexpected > 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("%d messages had no meaning here", c.Unexpected))
	}
	cpu := 0.0
	for _, kind := range servers {
		cpu += r.CPU[kind]
	}
	if cpu > 0 {
		r.PerCPUSecond = float64(r.Deliveries) / cpu
	}
	r.PerSecond = float64(r.Deliveries) / r.Seconds
	r.BytesPerDelivery /= float64(max(1, r.Deliveries))
}
