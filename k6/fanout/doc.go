// Package fanout is a group of clients that draw on one canvas and measure what
// becomes of each write at every other client: how long it took, whether it
// came, came twice, or out of order, and how clients that were cut off came
// back. It stands on services/client, so what it measures is what a program
// that uses the system gets.
//
// # Time
//
// A write is due by a schedule that waits for nothing; its latency runs from
// when it was due, not from when it was sent, to its arrival at each client. A
// server, or a group, that stalls is not hidden ("coordinated omission"; Gil
// Tene, How NOT to Measure Latency, 2013). Writers and readers are one process
// and share a clock.
//
// # Which write is this?
//
// Write k has the colour k+1 and a cell of its plan, so that whoever sees a
// pixel knows when it was due and who drew it, in both codecs and without any
// word to the server. What others draw on the canvas is recognised as foreign.
// One group can make 16,777,214 writes.
//
// # Accounting
//
// A client is owed every position of the log between the one at which it
// joined and the end, or the moment at which it left on purpose; also what was
// drawn while it was cut off. What came by a message counts as delivered, once;
// what a picture stood for is counted apart; the rest is lost.
package fanout
