// Package nowait reads and writes sockets by system calls that cannot block,
// without telling the Go runtime of them.
//
// The runtime is told of an ordinary system call, since it may block: then the
// runtime's monitor thread, which it wakes for that, hands the processor on to
// another thread. For a process that forwards small messages this is the
// greater part of its work: the monitor wakes at the first call after each
// moment of rest, looks around every 20 to 70 µs for the next milliseconds, and
// takes the processor away from a thread that it finds inside a call, waking
// another one which has nothing to do. docs/PERFORMANCE.md, "What was learned",
// has figures.
//
// A call on a socket with MSG_DONTWAIT never blocks, so none of that is needed.
// Waiting is still the runtime's: for a socket that has nothing to read, or no
// room, the goroutine is parked as with an ordinary connection, and deadlines,
// Close and [net.ErrClosed] work as there.
//
// On systems other than Linux on amd64 and arm64, and where the race detector
// is built in, which learns from ordinary calls what happened before what, the
// calls are the ordinary ones and behave the same.
package nowait
