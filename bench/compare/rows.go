package main

import (
	"fmt"
	"time"
)

// row is a load: so many clients, so many writes per second of all together.
type row struct {
	clients int
	rate    float64
}

func (r row) String() string { return fmt.Sprintf("%d × %.0f", r.clients, r.rate) }

// rows are the loads of docs/PERFORMANCE.md.
var rows = []row{{100, 50}, {500, 100}, {1000, 200}, {100, 800}, {1000, 1000}, {1000, 2000}, {10_000, 20}}

// shape is a system to measure, and how bench/load is told to.
type shape struct {
	name string
	args []string
	// peer: compared with, not ours.
	peer    bool
	targets map[row]target
	// skips are loads that the shape is not measured at.
	skips map[row]bool
}

// target is what is asked for; zero means nothing. Times are milliseconds.
type target struct {
	p50, p99     float64
	perCPUSecond float64
	all          bool    // nothing lost and nothing conflated
	memory       float64 // bytes a connection at rest
}

// Shapes in the order in which each round measures them: ours and the peer
// take turns, so that what slows the machine down meets both.
var shapes = []shape{
	{name: "json-1", args: []string{"-codec", "json"}},
	{name: "centrifuge", args: []string{"-system", "reference"}, peer: true},
	{name: "binary-1", args: []string{"-codec", "binary"}, targets: map[row]target{
		{100, 50}:    {p50: 1.2, p99: 3, perCPUSecond: 70e3, all: true},
		{500, 100}:   {p99: 10, perCPUSecond: 130e3, all: true},
		{1000, 200}:  {p99: 35, perCPUSecond: 300e3, all: true},
		{100, 800}:   {p99: 5, perCPUSecond: 130e3, all: true},
		{1000, 1000}: {p99: 45, perCPUSecond: 1.5e6, all: true},
		{1000, 2000}: {p99: 60, perCPUSecond: 2e6, all: true},
		{10_000, 20}: {p99: 200, memory: 16e3, all: true},
	}},
	{name: "centrifuge-5ms", args: []string{"-system", "reference", "-reference-args", "-write-delay 5ms"}, peer: true},
	{name: "json-4", args: []string{"-codec", "json", "-gateways", "4", "-apis", "3"}, targets: map[row]target{
		{100, 50}:    {p50: 2, p99: 5, all: true},
		{500, 100}:   {p99: 20, all: true},
		{1000, 200}:  {p99: 60, perCPUSecond: 180e3, all: true},
		{100, 800}:   {p99: 8, all: true},
		{1000, 1000}: {p99: 150},
		{1000, 2000}: {p99: 250},
	}, skips: map[row]bool{{10_000, 20}: true}},
}

// plan is how much is measured.
type plan struct {
	rows             []row
	shapes           []string
	fsync            []string
	rounds           int
	warmUp, duration time.Duration
	extras           bool // joins and appends, too
}

var (
	// quick takes less than a minute: enough to see that the measurement
	// works and that nothing is off by a factor.
	quick = plan{
		rows: []row{{100, 50}, {1000, 200}}, shapes: []string{"json-1", "centrifuge", "binary-1"},
		fsync: []string{"always"}, rounds: 1, warmUp: time.Second, duration: 3 * time.Second,
	}
	// full is what docs/PERFORMANCE.md shows.
	full = plan{
		rows: rows, shapes: []string{"json-1", "centrifuge", "binary-1", "centrifuge-5ms", "json-4"},
		fsync: []string{"always", "everysec"}, rounds: 3, warmUp: 2 * time.Second, duration: 10 * time.Second, extras: true,
	}
)
