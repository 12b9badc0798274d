// Package replica follows the log of a canvas and writes to it.
//
// A [Replica] is the canvas's picture in this process, kept at the head of the
// log: live messages bring new entries within a millisecond, and whatever they
// miss, repeat or bring too late is put right from the log before anybody sees
// it. A [Writer] is the one place of the process from which operations of that
// canvas are appended, one batch at a time. A [Pool] starts both on first use
// and lets them go after idle minutes.
//
// How a replica never misses the last message: numbers show a gap only when
// something follows. So it also compares itself with the head of the log:
// after each confirmed subscription, shortly after an append of its own
// process that it has not reached, whenever a reader asks ([Replica.Sync]),
// and every second. All these share one reader of the head (checker.go).
package replica
