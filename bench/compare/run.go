package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// result is what bench/load writes, as far as it is looked at here.
type result struct {
	Latency struct {
		P50 float64 `json:"p50"`
		P95 float64 `json:"p95"`
		P99 float64 `json:"p99"`
		Max float64 `json:"max"`
	} `json:"latency"`
	Acked struct {
		P50 float64 `json:"p50"`
		P99 float64 `json:"p99"`
	} `json:"acked"`
	Writes           uint64             `json:"writes"`
	Owed             uint64             `json:"owed"`
	Deliveries       uint64             `json:"deliveries"`
	Conflated        uint64             `json:"conflated"`
	Missing          uint64             `json:"missing"`
	Gaps             uint64             `json:"gaps"`
	Repeats          uint64             `json:"repeats"`
	Unequal          int                `json:"unequal"`
	Refused          map[string]uint64  `json:"refused"`
	Closed           map[string]uint64  `json:"closed"`
	Problem          string             `json:"problem"`
	PerSecond        float64            `json:"deliveriesPerSecond"`
	PerCPUSecond     float64            `json:"deliveriesPerCPUSecond"`
	BytesPerDelivery float64            `json:"bytesPerDelivery"`
	Memory           map[string]int64   `json:"memory"`
	PerConnection    float64            `json:"memoryPerConnection"`
	CPU              map[string]float64 `json:"cpu"`
	Generator        struct {
		LateP99    float64 `json:"lateP99"`
		ReaderBusy float64 `json:"readerBusy"`
	} `json:"generator"`
	Warnings []string `json:"warnings"`
}

// broken tells whether something was lost or differs.
func (r *result) broken() bool {
	return r.Missing+r.Gaps+r.Repeats > 0 || r.Unequal > 0 || len(r.Refused)+len(r.Closed) > 0 || r.Problem != ""
}

// clean tells whether nothing disturbed the measurement. That the machine was
// full is no disturbance: some loads fill it.
func (r *result) clean() bool {
	for _, w := range r.Warnings {
		if !strings.HasPrefix(w, "the machine had no time to spare") {
			return false
		}
	}
	return true
}

// build builds the load generator, the playground and the peer.
func build(ctx context.Context, dir string) error {
	for _, c := range [][]string{
		{"build", "-trimpath", "-o", filepath.Join(dir, "load"), "./bench/load"},
		{"build", "-trimpath", "-o", filepath.Join(dir, "playground"), "./services/playground"},
		{"-C", "bench/reference", "build", "-trimpath", "-o", filepath.Join(dir, "reference"), "./centrifuge"},
	} {
		cmd := exec.CommandContext(ctx, "go", c...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("go %s: %w (run this in the repository's root)", strings.Join(c, " "), err)
		}
	}
	return nil
}

// load runs bench/load and reads its result into v.
func load(ctx context.Context, o options, v any, args ...string) error {
	out, err := os.CreateTemp("", "pixel-compare-*.json")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(out.Name()) }()
	if err := out.Close(); err != nil {
		return err
	}
	args = append([]string{
		"-playground", filepath.Join(o.dir, "playground"), "-reference", filepath.Join(o.dir, "reference"), "-out", out.Name(),
	}, args...)
	cmd := exec.Command(filepath.Join(o.dir, "load"), args...)
	cmd.Stderr = os.Stderr
	stopped := make(chan error, 1)
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { stopped <- cmd.Wait() }()
	select {
	case err = <-stopped:
	case <-ctx.Done():
		// It stops what it started before it ends.
		_ = cmd.Process.Signal(os.Interrupt)
		return fmt.Errorf("%w: %w", ctx.Err(), <-stopped)
	}
	if err != nil {
		return fmt.Errorf("load %s: %w", strings.Join(args, " "), err)
	}
	text, err := os.ReadFile(out.Name())
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}

// measureAll measures everything of the plan, in turns. With an error comes what
// was measured before it.
func measureAll(ctx context.Context, o options) (*table, error) {
	t := &table{o: o, cells: map[key][]*result{}}
	begin := time.Now()
	for _, r := range o.rows {
		for round := range o.rounds {
			for _, name := range o.shapes {
				s := shapeNamed(name)
				if s.skips[r] {
					continue
				}
				for i, fsync := range o.fsync {
					if s.peer && i > 0 {
						continue // it writes nothing to disk
					}
					fmt.Fprintf(os.Stderr, "%4.0f s: %v, round %d of %d, %s, %s\n", time.Since(begin).Seconds(), r, round+1, o.rounds, name, fsync)
					args := append([]string{
						"-clients", strconv.Itoa(r.clients), "-rate", strconv.FormatFloat(r.rate, 'g', -1, 64),
						"-warm-up", o.warmUp.String(), "-duration", o.duration.String(), "-appendfsync", fsync,
					}, s.args...)
					got := &result{}
					if err := load(ctx, o, got, args...); err != nil {
						return t, err
					}
					k := key{r, name, fsync}
					t.cells[k] = append(t.cells[k], got)
				}
			}
		}
	}
	if !o.extras {
		return t, nil
	}
	return t, t.measureExtras(ctx)
}

func shapeNamed(name string) shape {
	for _, s := range shapes {
		if s.name == name {
			return s
		}
	}
	return shape{} // the names have been checked
}
