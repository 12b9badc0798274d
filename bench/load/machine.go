package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// machine is what all processors of the machine have done since it started.
type machine struct {
	at          time.Time
	busy, steal time.Duration // steal: a virtual machine's processors that others had
}

// tick is the kernel's unit of CPU time (proc(5)).
const tick = 10 * time.Millisecond

// readMachine reads /proc/stat.
func readMachine() (machine, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return machine{}, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return machine{}, errors.New("/proc/stat has another form")
	}
	var n [9]int64
	for i := range n[1:] {
		if n[i+1], err = strconv.ParseInt(fields[i+1], 10, 64); err != nil {
			return machine{}, err
		}
	}
	user, nice, system, irq, softirq, steal := n[1], n[2], n[3], n[6], n[7], n[8]
	return machine{
		at:   time.Now(),
		busy: time.Duration(user+nice+system+irq+softirq) * tick, steal: time.Duration(steal) * tick,
	}, nil
}

// loadAverage is that of the last minute.
func loadAverage() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	v, _ := strconv.ParseFloat(first, 64) // 0 when it cannot be known
	return v
}

// allowDescriptors makes room for n open files and sockets, or tells that
// there is none.
func allowDescriptors(n uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Cur < limit.Max {
		limit.Cur = limit.Max
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			return err
		}
	}
	if limit.Cur < n {
		return fmt.Errorf("this needs %d open files in a process and at most %d are allowed; raise the limit (ulimit -n) or take fewer clients", n, limit.Cur)
	}
	return nil
}

// warnings tell why a measurement should not be trusted.
func (r *Result) warn() {
	warn := func(format string, args ...any) { r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...)) }
	processors := float64(runtime.NumCPU())
	if r.Machine.LoadBefore > 0.5 {
		warn("the machine was not idle before: load average %.1f", r.Machine.LoadBefore)
	}
	if share := r.Machine.Foreign / r.Machine.Seconds; share > 0.05 {
		warn("something else used %.0f %% of a processor", 100*share)
	}
	if share := r.Machine.Steal / r.Machine.Seconds; share > 0.05 {
		warn("the host took %.0f %% of a processor away", 100*share)
	}
	if r.Machine.Busy/r.Machine.Seconds > 0.97*processors {
		warn("the machine had no time to spare: latency is that of a full machine")
	}
	if r.Generator.LateP99 > 5 {
		warn("the generator sent 1 %% of the writes more than %.1f ms late", r.Generator.LateP99)
	}
	if r.Generator.ReaderBusy > 0.85 {
		warn("the generator's reader was busy for %.0f %% of the time: some latency is its own", 100*r.Generator.ReaderBusy)
	}
}
