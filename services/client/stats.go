package client

import (
	"maps"
	"time"

	"github.com/cloud-pixel/playground/services/protocol"
)

// Stats are a client's counters since its start.
type Stats struct {
	// Connecting.
	Attempts    uint64         // to connect
	Failures    uint64         // attempts that ended before the gateway's first message
	Connected   uint64         // connections on which the gateway's first message came
	Disconnects map[int]uint64 // established connections that ended, by close code
	Pings       uint64         // of gateways, answered

	// Sending.
	Sent    uint64 // operations, each time one was handed to a socket
	Resent  uint64 // of those, the ones that had been sent before
	Acked   uint64 // operations
	Refused map[protocol.Code]uint64
	Expired uint64 // operations given up because of their age
	Outbox  int    // operations that wait now

	// Receiving. A message is one of operations, a range, a pixel or a reset.
	Bytes      uint64 // of frames, without their headers
	Frames     uint64
	Updates    uint64 // messages, whatever became of them
	Ranges     uint64 // messages applied that stand for more than one operation conflated
	Ops        uint64 // positions that came by messages, each counted once
	Conflated  uint64 // of those, the ones that came in ranges
	Pixels     uint64 // applied
	Gaps       uint64 // messages that began behind the next position
	Duplicates uint64 // messages that were known as a whole
	Overlaps   uint64 // messages that were known in part
	// OutOfOrder counts messages that came after a later one: those that would
	// have filled a gap, seen while the connection was being dropped for it, or
	// after the gap was stepped over.
	OutOfOrder uint64
	// Missing counts positions that were stepped over and have not come since
	// (Options.StepOverGaps).
	Missing      uint64
	Buffered     uint64 // messages that had to wait for a picture
	Snapshots    uint64 // applied
	BadSnapshots uint64 // that did not fit their hash or announcement
	Reloads      uint64 // of the picture by REST
	ReloadErrors uint64 // attempts that failed or were behind
	Resyncs      uint64 // times that the client had to ask anew: gaps, bad snapshots, requests of the gateway

	// Epoch is the balance of the epoch that is followed now.
	Epoch Balance

	// Gateways are what came from each gateway, by its pod: what that gateway
	// must have counted as delivered to this client.
	Gateways map[string]Received

	// Recovery: from the loss of a connection to being able to go on.
	Recoveries  map[RecoveryKind]uint64
	RecoverySum time.Duration
	RecoveryMax time.Duration
}

// Balance says how a client came to its position: Began + Ops + Skipped is the
// last one, over any number of connections.
type Balance struct {
	Began   uint64 // position of the first picture
	Ops     uint64 // positions that came by messages, each counted once
	Skipped uint64 // positions that no message brought, but a later picture
}

// Received counts what came on the connections to one gateway. Unlike in
// [Stats], what comes again after a resumption counts again: the gateway has
// delivered it, whatever the client does with it.
type Received struct {
	Connections uint64 // on which the gateway's first message came
	Operations  uint64 // positions that came by messages
	Conflated   uint64 // of those, the ones in messages that stand for more than one
	Pictured    uint64 // positions that pictures stand for, or requests to load one
}

func newStats() Stats {
	return Stats{
		Gateways:    map[string]Received{},
		Disconnects: map[int]uint64{},
		Refused:     map[protocol.Code]uint64{},
		Recoveries:  map[RecoveryKind]uint64{},
	}
}

// WentOn returns how many times a gateway went on from the client's position,
// wherever it had the rest.
func (s Stats) WentOn() (n uint64) {
	for kind, times := range s.Recoveries {
		if kind.WentOn() {
			n += times
		}
	}
	return n
}

// clone returns a copy that shares no map.
func (s Stats) clone() Stats {
	s.Gateways = maps.Clone(s.Gateways)
	s.Disconnects = maps.Clone(s.Disconnects)
	s.Refused = maps.Clone(s.Refused)
	s.Recoveries = maps.Clone(s.Recoveries)
	return s
}
