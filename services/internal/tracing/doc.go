// Package tracing says which spans the system makes, what they are called, what
// they carry and how they hang together, so that one pixel can be followed over
// every hop:
//
//	draw                    a gateway: from the receipt of an operation to its
//	                        acknowledgement; child of the client's span
//	send pixel-updates      a writer: one append, from the first try to the last
//	process pixel-updates   every replica: from the live message until all
//	                        sockets of the gateway (or the api's grid) have it
//	checkpoint              an api: a checkpoint and the trimming behind it
//
// An append, a live message and a checkpoint concern many operations at a time.
// Their spans are linked to each operation that is sampled. When it is just one,
// send and process are its children, too, so that at usual sampling ratios all
// that somebody waits for is one trace. These are OpenTelemetry's conventions
// for messaging, for producers and consumers of batches.
//
// The context of an operation travels inside it ([canvas.Op].Trace): through
// the queue, the log and the live channel.
//
// # Cost
//
// What is not sampled costs the test of one bit, or for an operation without a
// parent, the making of a random id, and allocates nothing. A nil [*Tracer]
// records nothing, and a nil [*Span] takes every call.
//
// The package knows OpenTelemetry's API only; the telemetry package has the SDK
// and the export.
package tracing
