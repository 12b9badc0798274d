// Package hub fans the ordered updates of a canvas out to its connections.
//
// A [Hub] keeps the recent entries of one canvas's log (its history), encoded
// at most once per codec. A connection ([Conn]) is little more than a cursor:
// the position up to which everything is written to its socket. One goroutine,
// the [Flusher], serves all hubs of a process: it walks the connections and
// gives each that lags one non-blocking write of all that is pending for it.
// While it is busy, new entries pile up and travel together in the next round:
// the server merges by itself when it has much to do, with no timer and no
// queue per connection. What was pending for many connections at the same
// cursor is put together once.
//
// A socket that is full gets a temporary goroutine that waits for it; the rest
// of the frame goes first, then whatever the connection needs by then. When
// that has become much, it gets a conflated range (the last colour of each
// changed cell), and when even that is much, or the history no longer reaches
// back to its cursor, a whole picture: snapshot bands in the binary codec, a
// request to load by REST in the JSON codec. So the memory that a slow client
// costs is bounded, whatever happens on the canvas.
//
// Why one flusher: nearly all of the cost of fan-out is the small send on each
// socket, so the number of sends decides; goroutines that are woken for each
// update cost wake-ups, send less per write, and starve the readers.
// docs/PERFORMANCE.md has the figures where they were measured.
package hub
