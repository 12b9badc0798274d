// Package store keeps canvases in Redis: the log of each, which is the canvas,
// and what belongs to it: checkpoints, the live channel, leases, presence.
//
// # The log
//
// [Store.Append] gives operations their positions 1, 2, 3 … without a hole,
// writes them to a stream as one entry and publishes the same bytes, in one
// script. An operation that the log holds already, known by its session and
// number, is a success that appends nothing; so a caller whose append ended
// with an unknown outcome (a time-out, a lost connection) sends the same batch
// again until it knows. The client library's own retries are off: it could not
// tell the caller that the first try may still be under way.
//
// # Epochs
//
// A log can lose its end: a server that had not written to disk is restarted, a
// backup is restored. Positions would then mean other operations than the ones
// somebody has seen. So each canvas has an epoch, a random token that changes
// whenever that may have happened, and each append carries the caller's epoch
// and the highest position that it has seen. Two things reveal a loss: a head
// that is behind what a caller has seen, and a server whose run id is another
// than the one that meta names (a log that was rolled back and has grown past
// the old head again shows in no other way). The second is forgiven when the
// server tells that it writes every append to disk before it answers.
//
// # Errors
//
// [ErrRejected], [ErrUnavailable], [ErrLogFull], [ErrNotFound] and [StaleError]
// say that nothing was appended. Every other error of an append leaves open
// whether it was.
//
// A [Store] is safe for concurrent use. Callers append to one canvas from one
// goroutine at a time; else a batch could overtake one of the same session
// whose outcome is unknown, which would then be taken for a duplicate.
package store
