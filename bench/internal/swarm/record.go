package swarm

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Record is what a swarm has seen. Times are those of measured writes only,
// counts of mistakes are of everything.
type Record struct {
	// Latency from the moment at which a write was due to its arrival at each
	// client, Acked to the arrival of its acknowledgement at its sender, in
	// microseconds. Arrived is when the data had been read from the socket.
	Latency, Acked *hdrhistogram.Histogram

	Single     uint64 // deliveries of one write by itself
	Covered    uint64 // writes that ranges or pictures stood for
	InRanges   uint64 // of those, the ones whose colour was in it
	Acks       uint64 // writes acknowledged, the warm-up's among them
	Head       uint64 // the last position that an acknowledgement told of
	Bytes      uint64 // read
	Reads      uint64
	Messages   uint64
	Gaps       uint64 // messages that began behind the next position
	Repeats    uint64 // messages that were known already
	Refused    map[string]uint64
	Resyncs    uint64 // times that a client was told to load the picture by REST
	Closed     map[string]uint64
	Unexpected uint64 // messages that make no sense here
}

// histogram holds 1 µs to 10 minutes within 0.1 %.
func histogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, 600_000_000, 3) }

func newRecord() *Record {
	return &Record{Latency: histogram(), Acked: histogram(), Refused: map[string]uint64{}, Closed: map[string]uint64{}}
}

// note records how long something took, at least the smallest time there is.
func note(h *hdrhistogram.Histogram, took time.Duration) {
	_ = h.RecordValue(min(max(1, took.Microseconds()), 600_000_000)) // in its bounds
}
