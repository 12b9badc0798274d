package swarm

import "time"

// Schedule says when each write is due, and who sends it: write k of all is
// due k intervals after Begin. It never waits for anything, so what a stalled
// server keeps waiting counts with the whole time that it waited.
//
// Write k has the colour k and goes to cell k, modulo their numbers, so that
// whoever sees a colour knows when it was due.
type Schedule struct {
	Begin    time.Time
	Interval time.Duration // between two writes
	Writes   int           // in all, at most MaxWrites
	From     int           // the first write that is measured: those before warm up
	Clients  int           // that send
	// Block is how many writes that follow each other one client sends: more
	// than 1 lets few clients send much, several operations in one segment.
	Block         int
	Width, Height int // of the canvas
	// Base is the position of the log at the beginning: write k has about
	// position Base+k+1. Ranges, of which one cannot see what they stand for,
	// are timed by it.
	Base uint64
}

// MaxWrites is how many colours there are.
const MaxWrites = 1 << 24

// due returns when write k was due, from Begin on.
func (s *Schedule) due(k int) time.Duration { return time.Duration(k) * s.Interval }

// measured tells whether write k belongs to the measurement.
func (s *Schedule) measured(k int) bool { return k >= s.From && k < s.Writes }

// sender returns who sends write k, and the last of the writes behind it that
// the same client sends with it, plus one.
func (s *Schedule) sender(k int) (client, end int) {
	return k / s.Block % s.Clients, (k/s.Block + 1) * s.Block
}

// write returns which write the op-th operation of a client was (op counts
// from 1).
func (s *Schedule) write(client int, op uint64) int {
	n := int(op - 1)
	return (n/s.Block*s.Clients+client)*s.Block + n%s.Block
}

// atPosition returns about which write has a position of the log.
func (s *Schedule) atPosition(seq uint64) int { return int(seq - s.Base - 1) }

// cell returns where write k goes.
func (s *Schedule) cell(k int) (x, y uint16) {
	return uint16(k % s.Width), uint16(k / s.Width % s.Height)
}

// Window returns when the first measured write is due and the last one was.
func (s *Schedule) Window() (from, until time.Time) {
	return s.Begin.Add(s.due(s.From)), s.Begin.Add(s.due(s.Writes))
}
