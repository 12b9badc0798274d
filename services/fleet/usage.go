package fleet

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process has used.
type Usage struct {
	CPU         time.Duration // of all its threads, since its start
	Memory      int64         // resident, bytes
	Descriptors int           // open files and sockets
	Threads     int
}

// UsageOf returns the use of a process by the account of the kernel (Linux,
// proc(5)), which counts CPU time in ticks of 10 ms. A process that has ended
// is an error, as is a system without /proc.
func UsageOf(pid int) (Usage, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, err
	}
	// The name, in parentheses, may hold anything: the rest begins behind the
	// last one.
	rest := string(text)[strings.LastIndex(string(text), ")")+1:]
	fields := strings.Fields(rest)
	if len(fields) < 22 {
		return Usage{}, fmt.Errorf("fleet: /proc/%d/stat has %d fields", pid, len(fields))
	}
	number := func(i int) int64 { n, _ := strconv.ParseInt(fields[i], 10, 64); return n }
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return Usage{}, err
	}
	return Usage{
		CPU:         time.Duration(number(11)+number(12)) * 10 * time.Millisecond,
		Memory:      number(21) * int64(os.Getpagesize()),
		Descriptors: len(files),
		Threads:     int(number(17)),
	}, nil
}
