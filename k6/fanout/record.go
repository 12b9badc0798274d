package fanout

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/cloud-pixel/playground/k6/metrics"
)

// record has the times that were measured on the connections to one gateway.
type record struct {
	pod string
	mu  sync.Mutex
	// live and caught are due → arrival at the others: of what was drawn while
	// the client was connected, and of what it got when it had come back.
	live, caught *hdrhistogram.Histogram
	echo         *hdrhistogram.Histogram // due → arrival at the author
	stamped      *hdrhistogram.Histogram // the log's stamp → arrival at the others
	// from counts deliveries to others by the gateway at which they were drawn.
	from [256]uint64
}

func newRecord(pod string) *record {
	return &record{pod: pod, live: metrics.NewTimes(), caught: metrics.NewTimes(), echo: metrics.NewTimes(), stamped: metrics.NewTimes()}
}

// Point is one second of a run.
type Point struct {
	Second     int     `json:"second"`
	Writes     uint64  `json:"writes"`
	Deliveries uint64  `json:"deliveries"`
	P50        float64 `json:"p50"` // ms, of what arrived in it; 0 when nothing did
	P95        float64 `json:"p95"`
	Max        float64 `json:"max"`
	Connected  int     `json:"connected"`
}

// series follows a run second by second.
type series struct {
	mu     sync.Mutex
	times  *hdrhistogram.Histogram
	points []Point
	now    Point
}

func newSeries() *series { return &series{times: hdrhistogram.New(10, 60_000_000, 2)} }

func (s *series) note(took time.Duration) {
	_ = s.times.RecordValue(min(max(10, took.Microseconds()), 60_000_000)) // within its bounds
	s.now.Deliveries++
}

// tick ends a second.
func (s *series) tick(writes uint64, connected int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.now
	p.Writes, p.Connected = writes, connected
	if s.times.TotalCount() > 0 {
		p.P50 = float64(s.times.ValueAtQuantile(50)) / 1000
		p.P95 = float64(s.times.ValueAtQuantile(95)) / 1000
		p.Max = float64(s.times.Max()) / 1000
	}
	s.points = append(s.points, p)
	s.times.Reset()
	s.now = Point{Second: p.Second + 1}
}
